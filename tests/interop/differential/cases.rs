//! The cases.

use mkcp::internal::wire::{CommandKind, Options};

use super::{
    case::{Case, Step, case},
    datagram::{
        CONVERSATION, Damage, Region, Speaker, ack, command, data, data_after, ping, terminate,
    },
    outcome::{End, nothing, opened},
};

/// Far beyond the window of both.
const FAR: u32 = 1 << 20;

/// All cases for servers with or without a seed.
pub(super) fn all(seeded: bool) -> Vec<Case> {
    let mut cases = streams();
    cases.extend(first_datagrams());
    cases.extend(datagrams_of_several_segments());
    cases.extend(damage());
    cases.extend(ends());
    cases.extend(identities());
    cases.extend(claims());
    cases.extend(marks());
    cases.extend(sizes());
    cases.push(copy(seeded));
    if !seeded {
        cases.push(wrong_length());
    }
    cases
}

fn streams() -> Vec<Case> {
    vec![
        case("data in order")
            .send(data(0, "a"))
            .send(data(1, "bc"))
            .send(data(2, "def"))
            .both(opened("abcdef").acknowledges(0..3)),
        case("data out of order")
            .send(data(0, "a"))
            .send(data(3, "d"))
            .send(data(1, "b"))
            .send(data(2, "c"))
            .both(opened("abcd").acknowledges(0..4)),
        case("data behind a gap")
            .send(data(0, "a"))
            .send(data(2, "c"))
            .both(opened("a").acknowledges([0, 2])),
        case("duplicates")
            .send(data(0, "a"))
            .send(data(0, "a"))
            .send(data(2, "c"))
            .send(data(2, "c"))
            .send(data(1, "b"))
            .send(data(0, "a"))
            .both(opened("abc").acknowledges(0..3)),
        case("a number again with other bytes")
            .send(data(0, "a"))
            .send(data(0, "x"))
            .send(data(2, "c"))
            .send(data(2, "y"))
            .send(data(1, "b"))
            .both(opened("abc").acknowledges(0..3)),
        case("flights that overlap")
            .send(data(0, "a"))
            .send(data(1, "b"))
            .send(data(2, "c"))
            .step(Step::Delivered("abc"))
            .send(data_after(1, 1, "b"))
            .send(data_after(2, 1, "c"))
            .send(data_after(3, 1, "d"))
            .send(data_after(2, 2, "c"))
            .send(data_after(4, 2, "e"))
            .both(opened("abcde").acknowledges(0..5)),
        case("data beyond the window")
            .send(data(0, "a"))
            .send(data(FAR, "far"))
            .send(data(u32::MAX, "before"))
            .send(data(1, "b"))
            .both(opened("ab").acknowledges(0..2)),
    ]
}

fn first_datagrams() -> Vec<Case> {
    const STRAY: &str = "it proves an older life, whose peer is told, and opens no ghost";
    let ghost = || opened("");
    let told = || nothing().terminates();
    vec![
        case("first a number above 0")
            .send(data(3, "d"))
            .send(data(2, "c"))
            .send(data(1, "b"))
            .send(data(0, "a"))
            .both(opened("abcd").acknowledges(0..4)),
        case("first a Ping")
            .send(ping(0, 0))
            .both(opened("").pings()),
        case("first an unknown command")
            .send(command(CommandKind::Unknown(77), 0, 0))
            .both(opened("").pings()),
        case("first a Ping, then data")
            .send(ping(0, 0))
            .send(data(0, "a"))
            .both(opened("a").acknowledges([0])),
        case("first a Terminate").send(terminate(0)).both(nothing()),
        case("first a Terminate, with data behind it")
            .send(terminate(0).and(data(0, "a")))
            .both(nothing()),
        case("first a number beyond the window")
            .send(data(FAR, "far"))
            .differ(
                "nothing of it can be delivered, and its beginning opens the session",
                ghost(),
                nothing(),
            ),
        case("first an ACK")
            .send(ack(5))
            .differ(STRAY, ghost(), told()),
        case("first a Ping of an older life")
            .send(ping(5, 9))
            .differ(STRAY, ghost().pings(), told()),
        case("first data of an older life")
            .send(data_after(9, 5, "j"))
            .differ(STRAY, ghost().acknowledges([9]), told()),
    ]
}

fn datagrams_of_several_segments() -> Vec<Case> {
    let foreign = |number| data(number, "foreign").conversation(CONVERSATION + 1);
    vec![
        case("several segments in a datagram")
            .send(
                data(0, "a")
                    .and(data(1, "b"))
                    .and(ping(0, 0))
                    .and(data(2, "c")),
            )
            .both(opened("abc").acknowledges(0..3)),
        case("a segment of another conversation in a datagram")
            .send(data(0, "a").and(foreign(0)).and(data(1, "b")))
            .send(data(2, "c"))
            .both(opened("a").acknowledges([0, 2])),
        case("a truncated segment behind a whole one")
            .send(data(0, "a").and(data(1, "lost").cut(1)))
            .send(data(1, "b"))
            .both(opened("ab").acknowledges(0..2)),
        case("a truncated segment alone")
            .send(data(0, "lost").cut(1))
            .send(ping(0, 0).cut(1))
            .both(nothing()),
        case("an empty payload").send(data(0, "")).both(nothing()),
        case("an empty payload in front of another segment")
            .send(data(0, "").and(data(1, "b")))
            .send(data(2, "c"))
            .both(opened("bc").acknowledges(0..3)),
    ]
}

fn damage() -> Vec<Case> {
    let between = |name, damage| {
        case(name)
            .send(
                data(0, "forged")
                    .damaged(damage)
                    .conversation(CONVERSATION + 1),
            )
            .send(data(0, "a"))
            .send(data(1, "forged").damaged(damage))
            .send(data(1, "b"))
            .both(opened("ab").acknowledges(0..2))
    };
    vec![
        between("a wrong seal", Damage::WrongSeal),
        between("a bit of nonce or checksum", Damage::Flip(Region::Front)),
        between("a bit of the length", Damage::Flip(Region::Length)),
        between("a bit of the segments", Damage::Flip(Region::Segments)),
        between("the last bit", Damage::Flip(Region::Back)),
        case("a bit of the header")
            .send(data(0, "a").damaged(Damage::Flip(Region::Header)))
            .both(opened("a").acknowledges([0])),
    ]
}

fn wrong_length() -> Case {
    case("a wrong length under a right checksum")
        .send(data(0, "forged").damaged(Damage::WrongLength))
        .both(nothing())
}

fn ends() -> Vec<Case> {
    const ANSWER: &str = "each Terminate is answered, so that the peer need not linger";
    const LATE: &str = "a connection that ended lately is known, and opens no ghost";
    // The last number of those received, and the number behind all that the peer sent.
    let with_end = |case: Case, received: u32, last: u32| {
        case.step(Step::Delivered("a"))
            .step(Step::Acknowledged(received))
            .send(terminate(last))
            .step(Step::Ended)
    };
    let ended = || opened("a").acknowledges([0]).ends(End::Ended);
    vec![
        case("Close on data")
            .send(data(0, "a").closing())
            .both(opened("a").acknowledges([0])),
        case("Close on a Ping")
            .send(data(0, "a"))
            .send(ping(0, 0).closing())
            .both(opened("a").acknowledges([0])),
        case("data after Close")
            .send(data(0, "a").closing())
            .send(data(1, "b"))
            .both(opened("ab").acknowledges(0..2)),
        with_end(case("a Terminate behind all data").send(data(0, "a")), 0, 1).differ(
            ANSWER,
            ended(),
            ended().terminates(),
        ),
        with_end(
            case("a Terminate behind a gap")
                .send(data(0, "a"))
                .send(data(2, "c")),
            2,
            3,
        )
        .differ(
            "a truncated stream must not look complete; and each Terminate is answered",
            opened("a").acknowledges([0, 2]).ends(End::Ended),
            opened("a")
                .acknowledges([0, 2])
                .ends(End::Failed)
                .terminates(),
        ),
        with_end(case("data after the end").send(data(0, "a")), 0, 1)
            .step(Step::Insist(data_after(1, 1, "late")))
            .differ(
                LATE,
                ended().and_opened("").acknowledges([0, 1]),
                ended().terminates(),
            ),
        with_end(case("a duplicate after the end").send(data(0, "a")), 0, 1)
            .step(Step::Insist(data(0, "a")))
            .differ(LATE, ended().and_opened("a"), ended().terminates()),
    ]
}

fn identities() -> Vec<Case> {
    let in_conversation = |name, conversation| {
        let speaker = Speaker {
            conversation,
            ..Speaker::ONE
        };
        case(name)
            .send(data(0, "a").conversation(conversation))
            .send(data(1, "b").conversation(conversation))
            .both(opened("ab").acknowledges_to(speaker, 0..2))
    };
    vec![
        in_conversation("conversation 0", 0),
        in_conversation("conversation 65535", u16::MAX),
        case("a conversation from two ports")
            .send(data(0, "a"))
            .send(data(0, "x").through_socket(1))
            .send(data(1, "b"))
            .send(data(1, "y").through_socket(1))
            .both(
                opened("ab")
                    .and_opened("xy")
                    .acknowledges(0..2)
                    .acknowledges_to(Speaker::ELSEWHERE, 0..2),
            ),
    ]
}

/// Numbers of which nothing is known here.
fn claims() -> Vec<Case> {
    const LOST: &str = "it proves an older life, whose peer is told";
    let begun = |name| {
        case(name)
            .send(data(0, "a"))
            .step(Step::Delivered("a"))
            .step(Step::Acknowledged(0))
    };
    let differ = |case: Case| {
        let goes_on = opened("ab").acknowledges(0..2);
        let fails = opened("a").acknowledges([0]).ends(End::Failed);
        case.differ(LOST, goes_on, fails.terminates())
    };
    let with = |name, claim| differ(begun(name).send(claim).send(data_after(1, 1, "b")));
    vec![
        with("an ACK of what was never sent", ack(5)),
        with("a Ping that acknowledges what was never sent", ping(1, 5)),
        with("a Ping with a SendingNext beyond what came", ping(5, 0)),
        differ(begun("data with a SendingNext beyond what came").send(data_after(1, 5, "b"))),
    ]
}

/// Option bits that only ends of ours set.
fn marks() -> Vec<Case> {
    let telling = Options::CLOSE.with(Options::LAST).with(Options::ACCEPTOR);
    let others = Options::from_bits(!telling.bits());
    vec![
        case("other option bits")
            .send(data(0, "a").marked(others))
            .send(ping(0, 0).marked(others))
            .send(data(1, "b").marked(others))
            .both(opened("ab").acknowledges(0..2)),
        case("first data with our mark of an accepting end")
            .send(data(0, "a").marked(Options::ACCEPTOR))
            .differ(
                "our own words, sent back, open nothing",
                opened("a").acknowledges([0]),
                nothing().terminates(),
            ),
        case("data with our mark of an accepting end")
            .send(data(0, "a"))
            .send(data(1, "b").marked(Options::ACCEPTOR))
            .send(data(2, "c"))
            .differ(
                "an end hears nothing that it has said itself",
                opened("abc").acknowledges(0..3),
                opened("a").acknowledges([0, 2]),
            ),
        case("data with our mark of the last")
            .send(data(0, "a").marked(Options::LAST))
            .differ(
                "ours tell the end of a stream with its last byte",
                opened("a").acknowledges([0]),
                opened("a").acknowledges([0]).ends(End::Ended).terminates(),
            ),
    ]
}

fn sizes() -> Vec<Case> {
    // What surrounds the payload takes 28 bytes without a seed, and 50 with one.
    let (fits, exceeds) = ("x".repeat(1998), "x".repeat(2021));
    vec![
        case("a datagram of up to 2048 bytes")
            .send(data(0, &fits))
            .both(opened(&fits).acknowledges([0])),
        case("a datagram above 2048 bytes")
            .send(data(0, &exceeds))
            .differ(
                "v2ray cuts it to its buffer, and the seal fails; we take what UDP carries",
                nothing(),
                opened(&exceeds).acknowledges([0]),
            ),
    ]
}

fn copy(seeded: bool) -> Case {
    let case = case("an exact copy of an opening datagram, from another port")
        .send(data(0, "a"))
        .step(Step::Delivered("a"))
        .step(Step::Copy(Speaker::ELSEWHERE.socket));
    let once = opened("a").acknowledges([0]);
    let twice = once
        .clone()
        .and_opened("a")
        .acknowledges_to(Speaker::ELSEWHERE, [0]);
    match seeded {
        false => case.both(twice),
        true => case.differ(
            "a recording opens nothing; without a seed anybody could have made it",
            twice,
            once,
        ),
    }
}
