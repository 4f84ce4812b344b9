//! One suite for `std::net` and for `mkcp`: whoever knows one knows the other.
//!
//! Every case in `suite!` runs over TCP, over mKCP and over TLS inside mKCP. Where they differ on purpose, the case asks
//! [`transport::Manners`], which lists all differences. What `std` has no counterpart for is in
//! `ours.rs` and `selecting.rs`.

// A case is a plain function that panics; only its callers carry `#[test]`.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod bulk;
#[path = "../common/deadline.rs"]
mod deadline;
mod ending;
#[path = "../common/identity.rs"]
mod identity;
mod listening;
mod options;
mod ours;
#[path = "../common/pattern.rs"]
mod pattern;
mod reading;
mod selecting;
mod support;
mod transport;
mod writing;

macro_rules! suite {
    (
        streams { $($module:ident: $($case:ident)+;)+ }
        listeners { $($listening:ident: $($accept:ident)+;)+ }
    ) => {
        suite! { @over tcp Tcp: $($module: $($case)+;)+ $($listening: $($accept)+;)+ }
        suite! { @over mkcp Mkcp: $($module: $($case)+;)+ $($listening: $($accept)+;)+ }
        // Handshakes need both ends at once, which the other cases have in one thread.
        suite! { @over tls Tls: $($module: $($case)+;)+ }
    };
    (@over $name:ident $transport:ident: $($module:ident: $($case:ident)+;)+) => {
        mod $name {
            $($(
                #[test]
                fn $case() {
                    use crate::{$module::$case, support::within_deadline, transport::$transport};
                    within_deadline($case::<$transport>);
                }
            )+)+
        }
    };
}

suite! {
    streams {
        reading:
            bytes_arrive_through_owned_and_shared_handles
            a_blocked_read_is_woken_by_bytes
            an_empty_read_takes_nothing
            peeked_bytes_are_read_again
            vectored_reads_fill_buffers_in_turn
            a_read_deadline_passes_and_does_no_harm
            a_nonblocking_read_does_not_wait;
        writing:
            vectored_writes_take_all_slices
            a_write_deadline_passes
            a_nonblocking_write_does_not_wait
            a_blocked_write_goes_on_when_the_peer_reads
            flush_succeeds;
        ending:
            shutdown_read_wakes_a_blocked_read
            shutdown_both_wakes_a_blocked_read
            shutdown_write_wakes_a_blocked_write
            shutdown_both_wakes_a_blocked_write
            received_bytes_survive_shutdown_read
            writing_after_shutdown_is_a_broken_pipe
            end_of_file_comes_after_the_last_byte_and_stays
            a_slow_reader_gets_a_long_tail
            dropping_the_last_clone_delivers_what_was_written
            dropping_one_of_two_clones_ends_nothing
            writing_to_a_peer_that_has_closed_fails
            a_reset_cuts_the_stream_visibly
            errors_are_taken_once
            a_closed_port_refuses;
        options:
            timeouts_are_kept_and_zero_is_refused
            nodelay_is_off_until_set
            linger_is_unset_until_set
            clones_share_options
            addresses_mirror_each_other;
        bulk:
            two_threads_share_a_stream
            long_transfers_in_both_directions_at_once
            many_streams_at_once;
    }
    listeners {
        listening:
            accept_waits_for_a_connection
            a_nonblocking_accept_does_not_wait
            incoming_gives_every_connection
            clones_of_a_listener_share_the_queue
            connect_timeout_reaches_a_listener_and_refuses_zero
            no_address_is_invalid_input;
    }
}
