//! The known defects of the Go programs, and what shows that ours have none of them.
//!
//! The numbers are those of the project's protocol notes. A defect that cannot apply says why.

use std::{collections::BTreeSet, fs, path::Path};

/// A test that shows the absence of a defect: its file and its name.
type Test = (&'static str, &'static str);

/// What stands behind a number.
enum Shown {
    By(&'static [Test]),
    /// It cannot apply to this crate.
    Not(&'static str),
}
use Shown::{By, Not};

const CLOSING: &str = "tests/sim/closing.rs";
const CORE: &str = "src/connection/tests.rs";
const DATAGRAMS: &str = "tests/vectors/datagrams.rs";
const ENDPOINT_HOSTILE: &str = "tests/endpoint/hostile.rs";
const FOREIGN: &str = "tests/endpoint/foreign.rs";
const LIFE: &str = "tests/endpoint/life.rs";
const LIES: &str = "tests/sim/hostile/acks.rs";
const NEWS: &str = "src/connection/tests/news.rs";
const OPENING: &str = "tests/sim/opening.rs";
const PIPE: &str = "src/endpoint/pipe/tests.rs";
const REPEATED: &str = "tests/sim/hostile/data.rs";
const ROUTER: &str = "src/endpoint/router.rs";
const SCENARIOS: &str = "tests/sim/scenarios.rs";
const SILENCE: &str = "tests/sim/hostile/silence.rs";
const UNREACHABLE: &str = "tests/faults/unreachable.rs";
const WORDS: &str = "tests/sim/hostile/words.rs";
const WORKER: &str = "src/endpoint/worker/tests.rs";
const WRAP: &str = "src/connection/tests/wrap.rs";

/// Each defect in a few words, and what shows that ours have it not.
const DEFECTS: [(&str, Shown); 41] = [
    (
        "a read overlooks the peer's Terminate for seconds",
        By(&[(SCENARIOS, "the_end_arrives_within_a_round_trip_and_50_ms")]),
    ),
    (
        "a close wakes no flush, so the peer hears of it late",
        By(&[(
            CORE,
            "the_end_is_known_within_a_round_trip_in_both_directions",
        )]),
    ),
    (
        "PeerClosed has no timer: lost Terminates block a reader for ever",
        By(&[(WORDS, "data_after_a_close_neither_stays_for_ever_nor_harms")]),
    ),
    (
        "a changed interval of Pings is never picked up",
        By(&[(
            "src/connection/keepalive.rs",
            "a_peer_that_became_silent_is_asked_more_often",
        )]),
    ),
    (
        "Terminate lingers for seconds although the peer has finished",
        By(&[
            (CORE, "both_ends_are_gone_a_round_trip_after_both_closed"),
            (LIFE, "sessions_are_gone_soon_after_both_ends_closed"),
        ]),
    ),
    (
        "an ACK is repeated until SendingNext advances, and nobody advances it",
        By(&[
            (SCENARIOS, "a_go_peer_stops_repeating_its_acknowledgement"),
            (
                NEWS,
                "a_ping_tells_it_if_no_data_follows_before_the_peer_asks",
            ),
        ]),
    ),
    (
        "cumulative acknowledgement leaves bytes in flight that are not",
        By(&[(
            LIES,
            "what_is_acknowledged_by_receiving_next_alone_is_no_longer_in_flight",
        )]),
    ),
    (
        "limits that are numbers are used as a count",
        By(&[(
            "src/connection/send/tests.rs",
            "the_peers_window_is_a_hard_limit",
        )]),
    ),
    (
        "the remote window is ignored, twenty times over",
        By(&[
            (LIES, "a_window_that_shrinks_stays_where_it_was"),
            (
                "src/connection/send/tests.rs",
                "the_peers_window_is_a_hard_limit",
            ),
        ]),
    ),
    (
        "repetitions do not back off",
        By(&[
            (
                "src/connection/backoff.rs",
                "it_grows_to_a_limit_and_later_beyond_it",
            ),
            (
                "src/connection/loss.rs",
                "probes_back_off_until_something_is_acknowledged",
            ),
            (CORE, "silence_ends_a_connection_with_an_error"),
        ]),
    ),
    (
        "the timeout can become zero on fast paths",
        By(&[(
            "src/connection/rtt.rs",
            "the_timeout_stays_within_sane_bounds",
        )]),
    ),
    (
        "number 0, and ACKs covered by their own ReceivingNext, give no sample",
        By(&[(
            LIES,
            "the_first_segment_gives_a_sample_even_if_receiving_next_covers_it",
        )]),
    ),
    (
        "a timestamp of 0 is echoed, and taken for an age of the whole connection",
        By(&[
            (LIES, "an_echo_of_zero_is_no_sample"),
            (
                "src/connection/clock.rs",
                "timestamps_count_milliseconds_and_stay_echoable_over_the_wrap",
            ),
            // So it is with whatever our ends say in the simulations: see `invariants.rs`.
            (
                "src/connection/ack.rs",
                "what_is_listed_again_alone_comes_with_its_timestamp",
            ),
        ]),
    ),
    (
        "the peer's timeout is taken over unchecked",
        By(&[(LIES, "peer_rto_changes_nothing")]),
    ),
    (
        "numbers are compared plainly and stall at 2^32",
        By(&[
            (WRAP, "numbers_and_clocks_wrap_between_two_of_ours"),
            (
                "tests/properties.rs",
                "numbers_on_a_circle_are_ordered_by_distance",
            ),
        ]),
    ),
    (
        "the clock's wrap stops everything",
        By(&[
            (WRAP, "numbers_and_clocks_wrap_between_two_of_ours"),
            (OPENING, "a_session_lasts_sixty_days"),
            (OPENING, "a_go_client_bears_that_our_clock_starts_over"),
            (
                "tests/properties.rs",
                "an_echo_of_small_timestamps_is_their_maximum",
            ),
        ]),
    ),
    (
        "the wall clock is used where a steady one is meant",
        By(&[("tests/layers.rs", "no_source_reads_the_wall_clock")]),
    ),
    (
        "datagrams sealed with a key exceed the MTU",
        By(&[(
            DATAGRAMS,
            "full_datagrams_are_as_long_as_the_mtu_and_never_longer",
        )]),
    ),
    (
        "headers are not deducted from the MTU",
        By(&[(
            DATAGRAMS,
            "full_datagrams_are_as_long_as_the_mtu_and_never_longer",
        )]),
    ),
    (
        "an ACK of 128 numbers exceeds a small MTU",
        By(&[(
            "src/connection/ack.rs",
            "a_long_list_is_spread_over_several_acks",
        )]),
    ),
    (
        "the size of the read buffer has no effect",
        By(&[
            (REPEATED, "a_reader_that_never_reads_holds_one_window"),
            (CORE, "a_closed_window_stops_the_sender_and_opens_again"),
        ]),
    ),
    (
        "settings out of range overflow, divide by zero or panic",
        By(&[
            ("src/config/validate.rs", "each_field_is_checked_and_named"),
            (LIFE, "settings_out_of_range_are_named"),
        ]),
    ),
    (
        "a send that fails sleeps under the lock that everybody needs",
        By(&[
            (WORKER, "a_full_kernel_holds_everything_back_in_order"),
            (WORKER, "a_datagram_that_cannot_be_sent_is_lost_and_counted"),
        ]),
    ),
    (
        "one slow connection blocks all the others",
        By(&[(
            "tests/endpoint/traffic.rs",
            "a_reader_that_does_not_read_stops_only_itself",
        )]),
    ),
    (
        "one forged datagram, or one read error, stops a listener",
        By(&[
            (
                ENDPOINT_HOSTILE,
                "a_flood_of_garbage_is_counted_and_real_clients_are_served",
            ),
            (
                UNREACHABLE,
                "sockets_of_their_own_learn_of_closed_ports_and_others_go_on",
            ),
            (
                UNREACHABLE,
                "a_storm_of_unreachable_ports_disturbs_no_other_session",
            ),
            (
                ROUTER,
                "what_other_sockets_are_told_keeps_none_from_being_read",
            ),
            (ROUTER, "errors_without_end_end_the_reading"),
        ]),
    ),
    (
        "closing a listener leaves connections alive, blocked and without a word",
        By(&[
            (LIFE, "unaccepted_sessions_end_with_the_listener"),
            (LIFE, "an_abort_under_load_is_prompt_and_tells_the_peers"),
        ]),
    ),
    (
        "sessions without limit, each for one datagram that proves nothing",
        By(&[(
            ENDPOINT_HOSTILE,
            "caps_refuse_without_state_and_are_counted",
        )]),
    ),
    (
        "one forged datagram is answered by thousands",
        By(&[
            (CORE, "an_unproven_peer_is_sent_little"),
            (
                SILENCE,
                "a_thousand_peers_that_never_acknowledge_cost_little_and_are_gone_in_time",
            ),
        ]),
    ),
    (
        "a datagram that was recorded opens a session, and one of its own is taken for the peer's",
        By(&[
            (
                "tests/endpoint/replay.rs",
                "a_recorded_session_gives_the_application_nothing_more",
            ),
            (
                "src/endpoint/worker/tests/reflected.rs",
                "what_a_server_said_is_not_taken_for_its_client_and_opens_no_session",
            ),
        ]),
    ),
    (
        "lost state leads to ghosts and black holes",
        By(&[
            (
                ENDPOINT_HOSTILE,
                "remains_of_an_older_life_are_answered_once_and_not_longer",
            ),
            (ENDPOINT_HOSTILE, "a_late_datagram_opens_no_ghost"),
        ]),
    ),
    (
        "a client takes what comes from any address, and foreign conversations keep it alive",
        By(&[
            (
                FOREIGN,
                "a_client_with_its_own_socket_is_neither_ended_nor_fed_from_elsewhere",
            ),
            (FOREIGN, "nor_is_a_client_that_shares_a_socket"),
            (
                WORDS,
                "datagrams_of_another_conversation_keep_nothing_alive",
            ),
        ]),
    ),
    (
        "data that is not read is lost seconds after Terminate",
        By(&[
            (
                CORE,
                "what_was_written_before_closing_arrives_however_slow_the_reader",
            ),
            (
                CLOSING,
                "what_a_frozen_program_has_not_read_waits_for_it_longer_than_every_timer",
            ),
            (CLOSING, "a_linger_time_is_kept_to_the_end_and_not_exceeded"),
        ]),
    ),
    (
        "the list of what to acknowledge grows without bound",
        By(&[
            (REPEATED, "the_same_datagram_a_million_times_is_one"),
            (REPEATED, "a_repetition_far_ahead_costs_one_small_ack_each"),
        ]),
    ),
    (
        "a write that fails midway forgets what it took; timeouts look like other errors, and \
         cannot be set once the end has begun",
        By(&[
            (PIPE, "bytes_pass_in_order_and_in_pieces"),
            (PIPE, "a_deadline_gives_timed_out_not_before_its_time"),
            (LIFE, "timeouts_can_be_set_and_hold_however_far_the_end_is"),
        ]),
    ),
    (
        "states, deadlines and counters are read and written by several threads at once",
        By(&[
            (
                "src/endpoint/handle/tests.rs",
                "no_change_is_overlooked_between_threads",
            ),
            ("src/packet/tests.rs", "threads_share_one_counter"),
        ]),
    ),
    (
        "a wake-up is lost between the last look and going to sleep",
        By(&[
            (
                "src/endpoint/bell.rs",
                "a_ring_between_answering_and_sleeping_is_not_lost",
            ),
            (PIPE, "nothing_is_lost_or_stuck_between_threads"),
        ]),
    ),
    (
        "buffers leak, or are used after their release",
        By(&[(
            "tests/allocations.rs",
            "nothing_is_allocated_for_a_datagram",
        )]),
    ),
    (
        "TLS connections cannot be recognised as such",
        Not("a TlsStream is a type of its own"),
    ),
    (
        "\"security\": \"xtls\" is silently ignored",
        By(&[(
            "tests/v2ray_config/tls.rs",
            "security_alone_is_enough_for_tls",
        )]),
    ),
    (
        "keys of another length and masks in another order",
        By(&[
            (
                "tests/vectors/seals.rs",
                "aes_128_gcm_seals_and_opens_byte_for_byte",
            ),
            (
                "src/packet/aead.rs",
                "a_ping_is_sealed_as_upstream_seals_it",
            ),
        ]),
    ),
    (
        "a Data segment of no bytes is refused at the end of a datagram",
        By(&[
            (
                "src/wire/decode.rs",
                "an_empty_data_segment_parses_only_if_another_segment_follows",
            ),
            (
                "src/connection/send/tests.rs",
                "bytes_become_numbered_segments_when_they_are_sent",
            ),
        ]),
    ),
];

#[test]
fn every_defect_has_a_test_that_exists_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = BTreeSet::new();
    for (index, (defect, shown)) in DEFECTS.iter().enumerate() {
        let number = index + 1;
        match shown {
            Not(reason) => assert!(!reason.is_empty()),
            By(tests) => {
                assert!(!tests.is_empty(), "D{number}, {defect}: no test");
                for (file, name) in *tests {
                    let source = fs::read_to_string(root.join(file)).unwrap_or_default();
                    if !has_test(&source, name) {
                        missing.insert(format!("D{number}: {file} has no test {name}"));
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether a test of this name is run.
fn has_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else {
        return false;
    };
    // What stands before it without an empty line in between: its docs and attributes.
    let own = before.rsplit("\n\n").next().unwrap_or_default();
    own.contains("#[test]") && !own.contains("#[ignore")
}
