//! What the path costs without a protocol: datagrams of mkcp's size with its cipher, in batches as
//! the kernel takes and gives them, between two sockets.
//!
//! A datagram is a number, which is its nonce, a payload and a tag. The receiver answers with how
//! many datagrams it has, so that the sender never has more under way than fit its socket. Nothing
//! is sent again: what is lost is an error of the run.

mod receive;
mod send;

use std::{io, os::fd::AsFd, time::Duration};

use ring::aead::{AES_128_GCM, LessSafeKey, Nonce, UnboundKey};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

pub(super) use receive::serve;
pub(super) use send::send;

const DATAGRAM: usize = 1350;
const NUMBER: usize = 8;
const TAG: usize = 16;
const PAYLOAD: usize = DATAGRAM - NUMBER - TAG;
/// Datagrams that are sent at once.
const SEGMENTS: usize = 16;
/// The receiver answers after so many datagrams.
const CREDIT: u64 = 64;

fn key() -> io::Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]);
    let key = key.map_err(|_| io::Error::other("no such key"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(number: [u8; NUMBER]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..NUMBER].copy_from_slice(&number);
    Nonce::assume_unique_for_key(nonce)
}

/// Waits until a socket can be read or written. False if it cannot in time.
fn wait(socket: impl AsFd, flags: PollFlags, time: Option<Duration>) -> io::Result<bool> {
    let time = time.map(|time| Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    });
    match poll(&mut [PollFd::new(&socket, flags)], time.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
