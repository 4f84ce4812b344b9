//! Crates that want nothing but `Read` and `Write`, over streams with and without TLS inside.
//!
//! Every case in `suite!` is written once and runs over both.

// A case is a plain function that panics; only its callers carry `#[test]`.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod archive;
mod copying;
#[path = "../../../common/deadline.rs"]
mod deadline;
mod http;
#[path = "../../../common/identity.rs"]
mod identity;
mod lines;
mod messages;
mod native;
#[path = "../../../common/pattern.rs"]
mod pattern;
mod transport;
mod websocket;

use mkcp_ecosystem::DEADLINE;

macro_rules! suite {
    ($($module:ident: $($case:ident)+;)+) => {
        mod plain {
            $($(
                #[test]
                fn $case() {
                    crate::deadline::within(
                        crate::DEADLINE,
                        crate::$module::$case::<crate::transport::Plain>,
                    );
                }
            )+)+
        }

        mod tls {
            $($(
                #[test]
                fn $case() {
                    crate::deadline::within(
                        crate::DEADLINE,
                        crate::$module::$case::<crate::transport::Tls>,
                    );
                }
            )+)+
        }
    };
}

suite! {
    websocket:
        tungstenite_echoes_texts_and_binaries
        tungstenite_answers_pings
        tungstenite_closes_with_code_and_reason;
    http:
        ureq_gets_and_posts
        ureq_uses_an_idle_connection_again
        ureq_does_not_use_a_connection_that_has_ended
        ureq_times_out_where_nothing_is_answered
        ureq_times_out_where_nobody_answers
        ureq_says_that_nobody_listens
        ureq_can_be_shut_down_while_it_waits;
    messages:
        serde_json_streams_messages
        rmp_serde_exchanges_messages
        capnp_exchanges_messages
        capnp_exchanges_packed_messages;
    archive:
        tar_and_flate2_move_a_directory;
    copying:
        io_copy_runs_both_ways_at_once
        io_copy_echoes_through_one_stream;
    native:
        native_tls_runs_inside
        native_tls_ends_with_close_notify;
    lines:
        lines_and_literals_by_hand
        imap_reads_and_appends_mail;
}
