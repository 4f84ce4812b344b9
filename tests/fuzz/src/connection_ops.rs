//! One connection between a program and a peer that both do what they like.

use std::{
    net::Shutdown,
    time::{Duration, Instant},
};

use arbitrary::Arbitrary;
use mkcp::{
    ConnectionError,
    internal::{
        connection::{ByteQueue, Origin, Side},
        wire::SeqNum,
    },
};

use super::{
    end::{BYTES, End, milliseconds},
    listener::{Listener, Spoken},
    settings::{Path, Steps},
};

/// In one wait.
const MOST_WAKES: usize = 200;

#[derive(Arbitrary, Debug)]
pub struct Input {
    path: Path,
    is_client: bool,
    seed: u8,
    start: Start,
    operations: Steps<Operation>,
}

/// Where the numbers of both directions start.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Start {
    Zero,
    /// Before the end that a stream to a Go peer has.
    PlainEnd,
    Wrap,
    At(u32),
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Datagram(Spoken, Vec<Spoken>),
    Wait(u16),
    Write(u16),
    WriteFrom(u16),
    Read(u16),
    ReadInto(u16),
    ShutdownRead,
    ShutdownWrite,
    ShutdownBoth,
    Reset,
    Refused,
    Nodelay(bool),
    /// Seconds.
    Linger(u8),
    ReleaseMemory,
}

pub fn run(input: Input) {
    let mut now = Instant::now();
    let origin = Origin {
        number: input.start.number(),
        clock: None,
    };
    let side = if input.is_client {
        Side::Client
    } else {
        Side::Server
    };
    let mut end = End::new(side, &input.path.config(), input.seed, origin, now);
    let mut peer = Listener::new(origin.number);
    for operation in &input.operations.0 {
        match operation {
            Operation::Datagram(first, more) => {
                let mut datagram = Vec::new();
                for spoken in [first].into_iter().chain(more) {
                    peer.speak(spoken, &mut datagram);
                }
                end.hear(now, &datagram);
            }
            Operation::Wait(time) => now = wait(&mut end, &mut peer, now, milliseconds(*time)),
            operation => act(&mut end, now, operation),
        }
        peer.hear(&end.speak(now));
    }
}

/// What the program does.
fn act(end: &mut End, now: Instant, operation: &Operation) {
    let connection = &mut end.connection;
    match *operation {
        Operation::Write(len) => {
            let room = connection.write_room();
            let taken = connection.write(&BYTES[..len.into()]);
            assert_eq!(taken, room.min(len.into()));
        }
        Operation::WriteFrom(len) => {
            let mut queue = ByteQueue::default();
            queue.extend(&BYTES[..len.into()]);
            let taken = connection.write_from(&mut queue);
            assert_eq!(taken + queue.len(), usize::from(len));
        }
        Operation::Read(most) => {
            let ready = connection.read().len();
            connection.consume(ready.min(most.into()));
        }
        Operation::ReadInto(most) => {
            let mut queue = ByteQueue::default();
            let taken = connection.read_into(&mut queue, most.into());
            assert!(taken == queue.len() && taken <= usize::from(most));
        }
        Operation::ShutdownRead => connection.shutdown(now, Shutdown::Read),
        Operation::ShutdownWrite => connection.shutdown(now, Shutdown::Write),
        Operation::ShutdownBoth => connection.shutdown(now, Shutdown::Both),
        Operation::Reset => connection.reset(now, ConnectionError::LocallyClosed),
        Operation::Refused => connection.handle_refused(now),
        Operation::Nodelay(nodelay) => connection.set_nodelay(nodelay),
        Operation::Linger(time) => connection.set_linger(Duration::from_secs(time.into())),
        Operation::ReleaseMemory => connection.release_memory(),
        Operation::Datagram(..) | Operation::Wait(_) => {}
    }
}

/// Lets the timers fire until then, or so many of them. Returns the time it is.
fn wait(end: &mut End, peer: &mut Listener, now: Instant, time: Duration) -> Instant {
    let target = now + time;
    let mut now = now;
    for _ in 0..MOST_WAKES {
        match end.deadline() {
            Some(at) if at <= target => now = now.max(at),
            _ => return target,
        }
        peer.hear(&end.wake(now));
    }
    now
}

impl Start {
    fn number(self) -> SeqNum {
        match self {
            Self::Zero => SeqNum::ZERO,
            Self::PlainEnd => SeqNum::new(0xffff_0000 - 8),
            Self::Wrap => SeqNum::ZERO.minus(8),
            Self::At(number) => SeqNum::new(number),
        }
    }
}
