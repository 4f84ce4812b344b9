//! Giving trains to the kernel, and what becomes of them there.

use std::{fmt, io, time::Instant};

use quinn_udp::Transmit;

use super::Path;
use crate::endpoint::{address::native, port::Port};

/// Where datagrams leave: a socket, or a test's list.
pub(in crate::endpoint) trait SendDatagrams: Send + Sync {
    /// Sends one datagram, or a train of `segment_size` bytes each. Never waits.
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()>;

    /// How many datagrams a train may have.
    fn max_segments(&self) -> usize;
}

/// What the kernel made of a train.
pub(super) enum Passed {
    Yes,
    /// From this byte on it was not taken.
    Blocked(usize),
    /// Nobody listens at the peer.
    Refused,
}

/// Gives a train to the kernel and counts what becomes of it.
pub(super) fn send(port: &Port, path: &Path, train: &[u8], segment: usize) -> Passed {
    let Some(sender) = port.lanes[path.lane()].sender() else {
        return Passed::Yes; // Nobody would hear of an answer.
    };
    let counters = &port.counters;
    let transmit = Transmit {
        destination: native(port.local, path.peer.into()),
        ecn: None,
        contents: train,
        segment_size: (train.len() > segment).then_some(segment),
        src_ip: path.way.source,
    };
    counters.send_calls.add(1);
    let mut result = sender.send(&transmit);
    if result.as_ref().is_err_and(is_refusal) {
        // An ICMP answer to an earlier datagram; this one was not even tried.
        counters.send_calls.add(1);
        result = sender.send(&transmit);
    }
    match result {
        Ok(()) => {
            counters
                .datagrams_sent
                .add(train.len().div_ceil(segment) as u64);
            counters.bytes_sent.add(train.len() as u64);
            Passed::Yes
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Passed::Blocked(0),
        // Without a peer of its own the socket does not say whom it means.
        Err(error) if is_refusal(&error) && port.peer.is_some() => Passed::Refused,
        // Drivers and routes may refuse trains at any time; single datagrams always go.
        Err(_) if train.len() > segment => send_singly(port, path, train, segment),
        Err(error) if quinn_udp::is_msg_size_err(&error) => {
            let length = train.len();
            lose(
                port,
                path,
                &format!("{length} bytes are too long; lower the mtu"),
            );
            Passed::Yes
        }
        Err(error) => {
            lose(port, path, &error);
            Passed::Yes
        }
    }
}

fn send_singly(port: &Port, path: &Path, train: &[u8], segment: usize) -> Passed {
    let mut sent = 0;
    for datagram in train.chunks(segment) {
        match send(port, path, datagram, datagram.len()) {
            Passed::Yes => sent += datagram.len(),
            Passed::Blocked(_) => return Passed::Blocked(sent),
            Passed::Refused => return Passed::Refused,
        }
    }
    Passed::Yes
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

/// A datagram that could not be sent is lost, like any other that the network does not carry.
pub(super) fn lose(port: &Port, path: &Path, error: &dyn fmt::Display) {
    port.counters.send_errors.add(1);
    if port.counters.warnings.allows(Instant::now()) {
        log::warn!("cannot send to {:?}: {error}", path.peer);
    }
}

impl fmt::Debug for dyn SendDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendDatagrams").finish_non_exhaustive()
    }
}
