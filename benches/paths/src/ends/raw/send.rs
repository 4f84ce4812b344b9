//! The sending end.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use bench_common::sockets;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use ring::aead::{Aad, LessSafeKey};
use rustix::event::PollFlags;
use socket2::SockRef;

use super::{CREDIT, DATAGRAM, NUMBER, PAYLOAD, SEGMENTS, TAG, key, nonce, wait};
use crate::ends::{Bulk, meter::Meter, report};

/// An answer that takes so long does not come any more.
const LOST: Duration = Duration::from_secs(1);
/// The kernel charges a datagram with more than its bytes; the receiver's socket is like ours.
const CHARGE: usize = 4;

struct Sender {
    socket: UdpSocket,
    key: LessSafeKey,
    sent: u64,
    /// Of those sent, what the receiver has, or what was lost.
    arrived: u64,
    lost: u64,
}

pub(in crate::ends) fn send(options: &Bulk) -> io::Result<()> {
    let socket = sockets::udp((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.connect(options.target.connect)?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let room = SockRef::from(&socket).recv_buffer_size()? / CHARGE / DATAGRAM;
    let window = (room as u64).max(2 * CREDIT);
    let mut sender = Sender {
        socket,
        key: key()?,
        sent: 0,
        arrived: 0,
        lost: 0,
    };
    let (meter, mut batch) = (Meter::new(1), vec![0x5a; SEGMENTS * DATAGRAM]);
    let (started, mut from) = (Instant::now(), meter.mark());
    let mut skipping = true;
    while started.elapsed() < options.target.time() {
        sender.make_room(window)?;
        meter.set(0, (sender.arrived - sender.lost) * PAYLOAD as u64);
        if skipping && started.elapsed().as_secs_f64() >= options.skip {
            (skipping, from) = (false, meter.mark());
        }
        sender.seal(&mut batch)?;
        sender.transmit(&state, options, &batch)?;
    }
    if sender.lost > 0 {
        let text = format!("{} datagrams were lost", sender.lost);
        meter.fail(&io::Error::other(text));
    }
    report::print(meter.to_json(from, meter.mark()))
}

impl Sender {
    fn seal(&mut self, batch: &mut [u8]) -> io::Result<()> {
        for datagram in batch.chunks_exact_mut(DATAGRAM) {
            let number = self.sent.to_be_bytes();
            self.sent += 1;
            datagram[..NUMBER].copy_from_slice(&number);
            let (payload, tag) = datagram[NUMBER..].split_at_mut(PAYLOAD);
            let sealed = self
                .key
                .seal_in_place_separate_tag(nonce(number), Aad::empty(), payload);
            let sealed = sealed.map_err(|_| io::Error::other("cannot seal"))?;
            tag[..TAG].copy_from_slice(sealed.as_ref());
        }
        Ok(())
    }

    /// Waits until a batch more fits.
    fn make_room(&mut self, window: u64) -> io::Result<()> {
        while self.sent - self.arrived + SEGMENTS as u64 > window {
            let mut number = [0; NUMBER];
            match self.socket.recv(&mut number) {
                Ok(_) => {
                    // An answer that was only late has been counted as lost.
                    let arrived = self.lost + u64::from_be_bytes(number);
                    self.arrived = arrived.min(self.sent);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if wait(&self.socket, PollFlags::IN, Some(LOST))? => {}
                Err(_) => {
                    self.lost += self.sent - self.arrived;
                    self.arrived = self.sent;
                }
            }
        }
        Ok(())
    }

    fn transmit(&self, state: &UdpSocketState, options: &Bulk, batch: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: options.target.connect,
            ecn: None,
            contents: batch,
            segment_size: Some(DATAGRAM),
            src_ip: None,
        };
        loop {
            match state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&self.socket, PollFlags::OUT, None)?;
                }
                result => return result,
            }
        }
    }
}
