//! The rows with their goals, one test for each so that they run side by side.

use std::time::Duration;

use mkcp::Congestion;

use super::{
    goals::{Goal::*, SEEDS, expect},
    lab,
    report::Report,
    row::{MS, PACKET, Row, SECOND},
    rows::{self, Pair},
    seeds,
};

/// Full packets and nothing sent twice, and a little more.
const LEAST_WIRE: f64 = 1.057;
const CLEAN_WIRE: f64 = 1.07;
const RTT: Duration = Duration::from_millis(50);

/// What a link with random loss is to give, whoever controls the rate.
fn expect_of_loss(row: &Row) {
    let share = row.loss;
    if share == 0.0 {
        return expect(row, &[Goodput(0.95), Wire(CLEAN_WIRE), Honest]);
    }
    expect(row, &[Goodput(0.92), Wire(1.09 / (1.0 - share)), Honest]);
}

#[test]
fn a_clean_link_is_filled() {
    expect_of_loss(&rows::lossy(0.0));
}

#[test]
fn one_percent_lost() {
    expect_of_loss(&rows::lossy(0.01));
}

#[test]
fn five_percent_lost() {
    expect_of_loss(&rows::lossy(0.05));
}

#[test]
fn ten_percent_lost() {
    expect_of_loss(&rows::lossy(0.1));
}

#[test]
fn twenty_percent_lost() {
    expect_of_loss(&rows::lossy(0.2));
}

#[test]
fn five_percent_lost_in_bursts() {
    expect(&rows::bursts(), &[Goodput(0.85), Wire(1.15), Honest]);
}

#[test]
fn a_long_lossy_path() {
    expect(&rows::long_lossy(), &[Goodput(0.88), Wire(1.12), Honest]);
}

/// The window grows until it is no limit.
#[test]
fn a_long_fat_path() {
    expect(
        &rows::long_fat(0.0),
        &[Goodput(0.92), Wire(CLEAN_WIRE), Honest],
    );
}

#[test]
fn a_long_fat_path_with_loss() {
    expect(&rows::long_fat(0.01), &[Goodput(0.90), Wire(1.10), Honest]);
}

#[test]
fn a_fast_link() {
    expect(&rows::fast(), &[Goodput(0.85), Wire(1.08), Honest]);
}

#[test]
fn a_queue_of_twenty_packets() {
    expect(&rows::short_queue(), &[Goodput(0.90), Wire(1.10), Honest]);
}

#[test]
fn a_queue_of_half_a_second() {
    let goals = [
        Goodput(0.95),
        Wire(CLEAN_WIRE),
        QueueingP95(60 * MS),
        Honest,
    ];
    expect(&rows::bufferbloat(), &goals);
}

/// Nothing waits at a policer, and sending more only loses more.
#[test]
fn a_policed_path_is_filled_and_not_flooded() {
    let goals = |wire| [Goodput(0.92), Wire(wire)];
    expect(&rows::policed(10, 40, 32), &goals(1.57));
    expect(&rows::policed(100, 50, 100), &goals(1.24));
    expect(&rows::policed(100, 2, 32), &goals(1.22));
}

#[test]
fn a_policed_rate_that_falls_and_rises() {
    let follows = Follows {
        down: 2 * SECOND,
        up: SECOND,
    };
    expect(&rows::policed_falls(), &[follows, Wire(1.65)]);
}

/// With few packets in a round trip, chance must not be taken for a policer.
#[test]
fn chance_losses_on_a_slow_path_are_no_policer() {
    expect(&rows::slow_lossy(0.05), &[Goodput(0.95), Wire(1.15)]);
    expect(&rows::slow_lossy(0.2), &[Goodput(0.92), Wire(1.5)]);
}

#[test]
fn a_path_that_is_dark_for_moments() {
    expect(&rows::blinking(), &[Goodput(0.88), Wire(1.15)]);
}

/// In the half of the time in which it is 20 %, so much less can arrive.
#[test]
fn a_loss_that_rises() {
    expect(&rows::loss_rises(), &[Goodput(0.85), Wire(1.25)]);
}

#[test]
fn packets_that_are_overtaken() {
    expect(&rows::reordering(), &[Goodput(0.95), Wire(1.08), Honest]);
}

#[test]
fn a_rate_that_falls_and_rises() {
    let follows = Follows {
        down: SECOND,
        up: 2 * SECOND,
    };
    expect(&rows::rate_falls(), &[follows, Wire(1.15), Honest]);
}

#[test]
fn five_dark_seconds() {
    // What a window of twice the link's product still lets go when nothing comes back.
    let at_once = 20
        + (rows::blackout()
            .link
            .rate
            .map_or(0, |rate| rate.queue_bytes)
            / PACKET) as usize;
    let goals = [Resumes(RTT + 200 * MS), InTheDark { at_once, later: 20 }];
    expect(&rows::blackout(), &goals);
}

/// A queue so short that it delays no more than a thread is late: only its losses tell of it.
#[test]
fn a_switch_of_little_memory_is_shared_and_not_flooded() {
    expect(&rows::switch(100), &[Goodput(0.95), Wire(1.4)]);
    expect(&rows::switch(500), &[Goodput(0.95), Jain(0.9), Wire(1.15)]);
}

/// The same for connections of one program, which know of each other.
#[test]
fn connections_of_one_program_share_a_switch() {
    let goals = [Goodput(0.95), Slowest(0.8), Jain(0.98), Wire(1.25)];
    expect(&rows::switch(100).together(), &goals);
    let goals = [Goodput(0.95), Slowest(0.7), Jain(0.98), Wire(1.13)];
    expect(&rows::switch(500).together(), &goals);
    expect(&rows::switch(2000).together(), &goals);
    expect(&rows::late_at_switch().together(), &goals);
}

#[test]
fn connections_of_one_program_share_a_slow_path() {
    for (row, slowest) in [(rows::many_slow(2, 10), 0.9), (rows::many_slow(8, 20), 0.4)] {
        let goals = [Goodput(0.97), Slowest(slowest), Wire(CLEAN_WIRE)];
        expect(&row.together(), &goals);
    }
}

/// What gets lost by chance, or because threads are late, is not taken for what the path carries less.
#[test]
fn connections_of_one_program_do_not_slow_each_other_down() {
    for (flows, share, slowest) in [(2, 0.2, 0.8), (8, 0.05, 0.6), (8, 0.2, 0.5)] {
        let goals = [
            Goodput(0.92),
            Slowest(slowest),
            Wire(1.06 / (1.0 - share) + 0.05),
        ];
        expect(&rows::many_lossy(flows, share).together(), &goals);
    }
}

/// Where threads are late, what they send at once decides how fast a flow is, and the delay that they
/// make looks like a queue.
#[test]
fn flows_share_a_busy_machine() {
    for turn_ms in [0, 3] {
        let goals = [Goodput(0.88), Slowest(0.5), Jain(0.95), Wire(CLEAN_WIRE)];
        expect(&rows::busy_machine(turn_ms), &goals);
        let goals = [Goodput(0.88), Slowest(0.85), Wire(CLEAN_WIRE)];
        expect(&rows::busy_machine(turn_ms).together(), &goals);
    }
}

/// What waits for a late thread leaves at once, but does not flood a queue that has no room for it.
#[test]
fn late_threads_fill_a_long_path() {
    let goals = [Goodput(0.93), Wire(1.5), Jain(0.93)];
    expect(&rows::late_threads(), &goals);
}

/// The least window is more than the path holds, and a queue that always stands is still this side's
/// own.
#[test]
fn a_slow_short_path_keeps_its_queue_short() {
    for (mbit, rtt_us, goodput) in [
        (5, 1000, 0.97),
        (10, 1000, 0.97),
        (10, 200, 0.97),
        (20, 200, 0.94),
        (50, 1000, 0.94),
    ] {
        let goals = [Goodput(goodput), Wire(CLEAN_WIRE), QueueingP95(8 * MS)];
        expect(&rows::short_slow(mbit, rtt_us), &goals);
    }
}

/// Losses on a short path that are no queue's are made up for as on a long one.
#[test]
fn chance_losses_on_a_short_path_are_no_queue() {
    for share in [0.05, 0.2] {
        let row = rows::short_lossy(share);
        let wire = 1.06 / (1.0 - share) + 0.05;
        expect(&row, &[Goodput(0.92), Wire(wire)]);
    }
}

#[test]
fn ten_flows_share() {
    for row in [rows::ten_flows(), rows::ten_flows().together()] {
        expect(&row, &[Goodput(0.92), Jain(0.9), Wire(1.10), Honest]);
    }
}

#[test]
fn a_late_comer_gets_its_share() {
    for row in [rows::late_comer(), rows::late_comer().together()] {
        expect(&row, &[Goodput(0.92), Jain(0.9), Wire(1.10), Honest]);
    }
}

/// A delay that varies within a round trip is not taken for a queue for long, and a queue behind it
/// not for that. One that wanders for longer looks like a queue, and is taken for one.
#[test]
fn a_delay_that_varies_in_order_is_no_queue() {
    use rows::Varying::{Jitter, Turns, Wander};
    let goals = |least, share: f64| [Goodput(least), Wire(1.1 / (1.0 - share))];
    for share in [0.0, 0.05] {
        expect(&rows::varying(Turns, share), &goals(0.52, share));
        expect(&rows::varying(Jitter, share), &goals(0.12, share));
        expect(&rows::slow_varying(Turns, share), &goals(0.95, share));
        expect(&rows::slow_varying(Jitter, share), &goals(0.85, share));
        expect(&rows::slow_varying(Wander, share), &goals(0.6, share));
    }
    for (varying, least) in [(Turns, 0.87), (Jitter, 0.6)] {
        let row = rows::slow_varying(varying, 0.2);
        expect(&row, &[Goodput(least), Wire(1.5)]);
    }
}

#[test]
fn a_long_queue_of_a_delay_that_varies_is_kept_short() {
    for (varying, least) in rows::VARYING.into_iter().zip([0.85, 0.95, 0.65]) {
        let row = rows::varying_bufferbloat(varying);
        let queue = QueueingP95(60 * MS);
        expect(&row, &[Goodput(least), Wire(CLEAN_WIRE), queue]);
    }
}

#[test]
fn flows_share_a_delay_that_varies() {
    use rows::Varying::{Jitter, Turns};
    for (varying, least) in [(Jitter, 0.6), (Turns, 0.8)] {
        let row = rows::four_varying(varying);
        expect(&row, &[Goodput(0.75), Jain(least), Wire(1.1)]);
        let row = rows::late_comer_varying(varying);
        expect(&row, &[Goodput(0.65), Jain(0.55), QueueingP95(60 * MS)]);
    }
}

#[test]
fn requests_are_answered_in_a_round_trip() {
    expect(&rows::rounds(0.0), &[RoundP50(RTT + 2 * MS), HonestRounds]);
}

#[test]
fn requests_with_five_percent_lost() {
    expect(
        &rows::rounds(0.05),
        &[RoundP99(RTT.mul_f64(2.2)), HonestRounds],
    );
}

#[test]
fn requests_with_ten_percent_lost_never_stall() {
    expect(&rows::rounds(0.1), &[RoundMax(SECOND), HonestRounds]);
}

/// Of a hundred rounds the first few, before the path is well known, decide over the slowest.
#[test]
fn requests_of_short_connections() {
    let goals = |share| {
        let p50 = RoundP50(RTT + 2 * MS);
        let p99 = RoundP99(RTT.mul_f64(if share < 0.1 { 2.7 } else { 3.4 }));
        [p50, p99, RoundMax(SECOND), HonestRounds]
    };
    expect(&rows::short_rounds(0.0), &[RoundP99(RTT + 3 * MS)]);
    for share in [0.05, 0.1] {
        expect(&rows::short_rounds(share), &goals(share));
    }
}

#[test]
fn a_reader_that_rests() {
    // What the buffer has room for has been promised. Then there are only probes, the first ones
    // close together.
    let buffer = Duration::from_secs_f64(12.0 * 1.048_576 / 11.83);
    let stops = StopsAtWindow {
        within: buffer + 4 * RTT,
        probes: 16,
    };
    expect(&rows::resting_reader(), &[stops, Resumes(RTT + 200 * MS)]);
}

#[test]
fn a_reader_that_leaves() {
    for resets in [false, true] {
        expect(&rows::cancel(resets), &[StopsAfterLeaving(RTT)]);
    }
}

#[test]
fn a_fixed_rate_is_kept_whatever_is_lost() {
    for share in rows::LOSSES {
        expect_of_loss(&rows::configured(Congestion::Fixed, share));
    }
}

/// V2Ray's rule grows into every queue, and gives up where more than 15 % are lost.
#[test]
fn the_loss_rate_rule_fills_a_link_up_to_ten_percent() {
    for share in rows::LOSSES.into_iter().filter(|&share| share <= 0.1) {
        let row = rows::configured(Congestion::LossRate, share);
        expect(&row, &[Goodput(0.8), Wire(1.3), Honest]);
    }
}

/// Whoever of two Go programs is replaced by ours, less is wasted, and more arrives unless the
/// windows of a Go receiver are the limit.
#[test]
fn go_programs_gain_by_us() {
    if std::env::var_os("MKCP_SIM_TABLE").is_some() {
        return;
    }
    let mut failures = Vec::new();
    for (name, config) in rows::go_configs() {
        let is_v2ray = name.starts_with("v2ray");
        for seed in seeds(SEEDS) {
            let [theirs, from_go, to_go] = [Pair::GoToGo, Pair::GoToOurs, Pair::OursToGo]
                .map(|pair| rows::with_go(pair, name, &config, 0.05))
                .map(|row| Report::new(&row, &lab::run(&row, seed)));
            let is_slow = |report: &Report, share: f64| {
                let least = share * theirs.goodput.unwrap_or(0.0);
                report.goodput.is_none_or(|got| got < least)
            };
            let waste = |report: &Report| report.wire - LEAST_WIRE;
            let is_slow =
                is_slow(&from_go, 1.0) || is_slow(&to_go, if is_v2ray { 1.2 } else { 0.85 });
            let is_wasteful = from_go.wire > theirs.wire || waste(&to_go) > waste(&theirs) * 0.6;
            if is_slow || is_wasteful {
                let lines = [theirs, from_go, to_go].map(|report| report.line());
                failures.push(format!("seed {seed}:\n{}", lines.join("\n")));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{}\n{}",
        Report::header(),
        failures.join("\n")
    );
}

/// A path that loses nothing hides a flood: everything arrives in order until its queue is full.
#[test]
fn a_flood_is_held_back_where_nothing_is_lost() {
    for (name, config) in rows::go_configs() {
        if name.starts_with("v2ray") {
            let row = rows::with_go(Pair::GoToOurs, name, &config, 0.0);
            expect(&row, &[Goodput(0.75), Wire(1.3)]);
        }
    }
}
