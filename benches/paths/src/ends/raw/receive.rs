//! The receiving end.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
};

use bench_common::sockets;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use ring::aead::{Aad, LessSafeKey};
use rustix::event::PollFlags;

use super::{CREDIT, NUMBER, key, nonce, wait};
use crate::ends::{local, report};

/// Buffers for one call; each takes as many datagrams as the kernel has joined.
const BUFFERS: usize = 8;
const ROOM: usize = 64 * 1024;

pub(in crate::ends) fn serve() -> io::Result<()> {
    let socket = sockets::udp(local())?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    report::ready(socket.local_addr()?)?;
    let mut receiver = Receiver {
        key: key()?,
        received: 0,
        told: 0,
    };
    let mut room = vec![[0; ROOM]; BUFFERS];
    let mut metas = [RecvMeta::default(); BUFFERS];
    loop {
        let mut buffers: Vec<_> = room.iter_mut().map(|room| IoSliceMut::new(room)).collect();
        match state.recv(UdpSockRef::from(&socket), &mut buffers, &mut metas) {
            Ok(count) => {
                drop(buffers);
                for (meta, room) in metas[..count].iter().zip(&mut room) {
                    receiver.take(&mut room[..meta.len], meta.stride)?;
                }
                receiver.tell(&socket, metas[0].addr)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(&socket, PollFlags::IN, None)?;
            }
            Err(error) => return Err(error),
        }
    }
}

struct Receiver {
    key: LessSafeKey,
    received: u64,
    told: u64,
}

impl Receiver {
    /// Opens each of the datagrams that came as one.
    fn take(&mut self, bytes: &mut [u8], stride: usize) -> io::Result<()> {
        for datagram in bytes.chunks_mut(stride) {
            let Some((number, rest)) = datagram.split_first_chunk_mut::<NUMBER>() else {
                return Err(io::Error::other("a datagram is too short"));
            };
            let opened = self.key.open_in_place(nonce(*number), Aad::empty(), rest);
            opened.map_err(|_| io::Error::other("a datagram was changed"))?;
            self.received += 1;
        }
        Ok(())
    }

    fn tell(&mut self, socket: &UdpSocket, sender: SocketAddr) -> io::Result<()> {
        if self.received - self.told >= CREDIT {
            self.told = self.received;
            socket.send_to(&self.received.to_be_bytes(), sender)?;
        }
        Ok(())
    }
}
