//! The same datagrams, made by hand, to the real v2ray and to a server of ours: the same bytes
//! come to the application, and the same is accepted and answered, but for these differences.
//!
//! | case | v2ray | ours | why |
//! |---|---|---|---|
//! | first a number beyond the window | opens a session | drops it | nothing of it can be delivered, and its beginning opens the session |
//! | first an ACK | opens a session | Terminate | it proves an older life, whose peer is told, and opens no ghost |
//! | first a Ping of an older life | opens a session | Terminate | it proves an older life, whose peer is told, and opens no ghost |
//! | first data of an older life | opens a session | Terminate | it proves an older life, whose peer is told, and opens no ghost |
//! | a Terminate behind all data | no answer | Terminate | each Terminate is answered, so that the peer need not linger |
//! | a Terminate behind a gap | end of file | error, Terminate | a truncated stream must not look complete; and each Terminate is answered |
//! | data after the end | opens a session | Terminate | a connection that ended lately is known, and opens no ghost |
//! | a duplicate after the end | opens a session | Terminate | a connection that ended lately is known, and opens no ghost |
//! | an exact copy of an opening datagram, from another port | opens a session | drops it, with a seed | a recording opens nothing; without a seed anybody could have made it |
//! | an ACK of what was never sent | ignores it | error, Terminate | it proves an older life, whose peer is told |
//! | a Ping that acknowledges what was never sent | ignores it | error, Terminate | it proves an older life, whose peer is told |
//! | a Ping with a SendingNext beyond what came | ignores it | error, Terminate | it proves an older life, whose peer is told |
//! | data with a SendingNext beyond what came | delivers it | error, Terminate | it proves an older life, whose peer is told |
//! | first data with our mark of an accepting end | opens a session | Terminate | our own words, sent back, open nothing |
//! | data with our mark of an accepting end | delivers it | drops it | an end hears nothing that it has said itself |
//! | data with our mark of the last | waits for more | end of file, Terminate | ours tell the end of a stream with its last byte |
//! | a datagram above 2048 bytes | drops it | delivers it | v2ray cuts it to its buffer, and the seal fails; we take what UDP carries |

mod case;
mod cases;
mod client;
mod datagram;
mod outcome;
mod server;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Header};

use self::{
    case::{Case, Step},
    client::Client,
    outcome::{Came, End, Outcome},
    server::Notes,
};
use crate::{link::Link, v2ray::V2ray};

/// v2ray does some things only every five seconds.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
/// Between two copies of what is sent again and again.
const INSISTENCE: Duration = Duration::from_millis(100);

#[test]
fn the_same_datagrams_have_the_same_effect_without_a_seed() {
    compare(&Link::new(Header::Srtp, None), &cases::all(false));
}

#[test]
fn the_same_datagrams_have_the_same_effect_with_a_seed() {
    compare(
        &Link::new(Header::Srtp, Some("correct horse")),
        &cases::all(true),
    );
}

#[test]
fn the_table_above_has_all_differences() {
    let cases = [false, true].map(cases::all);
    let differing: BTreeSet<_> = cases
        .iter()
        .flatten()
        .filter_map(|case| Some((case.name, case.reason?)))
        .collect();
    let rows: Vec<&str> = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .collect();
    for (name, reason) in &differing {
        let is_row = |row: &&str| row.starts_with(name) && row.ends_with(&format!("{reason} |"));
        assert!(rows.iter().any(is_row), "{name}: {reason}");
    }
    assert_eq!(rows.len(), differing.len() + 1, "a row too many");
}

/// All cases at once, because most of the time they wait. Each has a server of its own.
fn compare(link: &Link, cases: &[Case]) {
    let sinks: Vec<_> = cases.iter().map(|_| server::over_tcp()).collect();
    let links: Vec<_> = sinks
        .iter()
        .map(|(sink, _)| (link.clone(), *sink))
        .collect();
    let (_v2ray, addresses) = V2ray::server(&links);
    let config = link.config();
    thread::scope(|scope| {
        for ((case, address), (_, notes)) in cases.iter().zip(addresses).zip(&sinks) {
            let config = &config;
            scope.spawn(move || {
                run("v2ray", case, &case.v2ray, config, address, notes);
            });
            scope.spawn(move || {
                let (listener, notes) = server::over_mkcp(link);
                let address = listener.local_addr().unwrap();
                run("we", case, &case.ours, config, address, &notes);
                listener.close();
            });
        }
    });
}

fn run(
    who: &str,
    case: &Case,
    expected: &Outcome,
    config: &Config,
    address: SocketAddr,
    notes: &Notes,
) {
    let mut run = Run {
        client: Client::new(config, address),
        notes,
        outcome: Outcome::default(),
    };
    let verdict = run.script(&case.script, expected);
    // What follows a fence is seen after what came before it.
    let verdict = verdict.and_then(|()| run.fence()).and_then(|()| {
        run.look();
        match run.outcome.fits(expected) {
            true => Ok(()),
            false => Err("something more".to_owned()),
        }
    });
    if let Err(what) = verdict {
        let got = &run.outcome;
        panic!(
            "{}: {who} did not: {what}\nexpected {expected:#?}\ngot {got:#?}",
            case.name
        );
    }
}

struct Run<'a> {
    client: Client,
    notes: &'a Notes,
    outcome: Outcome,
}

impl Run<'_> {
    /// Goes through the script, and waits for what is expected of it.
    fn script(&mut self, script: &[Step], expected: &Outcome) -> Result<(), String> {
        let mut again = None;
        for step in script {
            match step {
                Step::Send(datagram) => self.client.send(datagram),
                Step::Copy(socket) => self.client.copy(*socket),
                Step::Insist(datagram) => again = Some(datagram),
                Step::Delivered(bytes) => self.wait("deliver", |run| {
                    let delivered = |came: &Came| came.bytes == bytes.as_bytes();
                    run.outcome.sessions.iter().any(delivered)
                })?,
                Step::Acknowledged(number) => self.wait("acknowledge", |run| {
                    let mut heard = run.outcome.answers.values();
                    heard.any(|heard| heard.acknowledged.contains(number))
                })?,
                Step::Ended => self.wait("end", |run| {
                    let ended = |came: &Came| came.end != End::Open;
                    run.outcome.sessions.iter().any(ended)
                })?,
            }
        }
        let mut sent = Instant::now();
        if let Some(datagram) = again {
            self.client.send(datagram);
        }
        self.wait("act as expected", |run| {
            if let Some(datagram) = again
                && sent.elapsed() >= INSISTENCE
            {
                sent = Instant::now();
                run.client.send(datagram);
            }
            run.outcome.fits(expected)
        })
    }

    /// A session of its own, which shows that the server lives and has taken all before it.
    fn fence(&mut self) -> Result<(), String> {
        self.client.send_fence();
        let mut answers = Outcome::default();
        self.wait("serve the next client", |run| {
            run.client.hear_fence(&mut answers);
            let acknowledged = answers.answers.values().any(|heard| heard.ack);
            acknowledged && run.notes.sorted().iter().any(is_fence)
        })
    }

    fn wait(&mut self, what: &str, mut until: impl FnMut(&mut Self) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look();
            if until(self) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(what.to_owned());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Takes in what has happened since.
    fn look(&mut self) {
        self.client.hear(&mut self.outcome);
        let mut sessions = self.notes.sorted();
        sessions.retain(|came| !is_fence(came));
        self.outcome.sessions = sessions;
    }
}

fn is_fence(came: &Came) -> bool {
    came.bytes == client::FENCE.as_bytes()
}
