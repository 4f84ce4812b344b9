//! A UDP socket with batched system calls, and every socket option that is set.

mod plain;
mod trains;

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    sync::Once,
    time::Instant,
};

use mio::{Interest, Registry, Token, event::Source};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Type};

use self::trains::Trains;
use super::transmit::SendDatagrams;

/// Datagrams that leave in one system call, at most: as many as Linux takes (`UDP_MAX_SEGMENTS`).
/// With 16, both ends together needed a third more time for a byte.
const MAX_SEGMENTS: usize = 64;
/// The longest datagram, or train of datagrams merged by the kernel.
const MAX_DATAGRAM: usize = 64 * 1024;

/// Buffers that are offered to the kernel while little comes: preparing each takes time.
const FEW: usize = if BATCH_SIZE < 2 { BATCH_SIZE } else { 2 };
/// Whether a call fills as many buffers as it can.
const FILLS_ALL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd"
));

/// One socket. Workers send through it while its poll thread receives.
#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    /// None if the socket is used by plain system calls, one for each datagram.
    state: Option<UdpSocketState>,
    trains: Trains,
    /// Some systems refuse a destination on a connected socket.
    connected: bool,
}

/// The kernel buffers that an endpoint asks for, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferSizes {
    pub(super) receive: usize,
    pub(super) send: usize,
}

impl Default for BufferSizes {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            receive: 4 * MIB,
            send: 4 * MIB,
        }
    }
}

/// Whether other sockets may be bound to the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    Exclusive,
    /// `SO_REUSEPORT`: the kernel spreads peers over all of them.
    ReusePort,
}

/// Opens a socket at an address.
pub(super) fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // One socket for both families wherever the system can; Windows must be asked to.
        let _ = socket.set_only_v6(false);
    }
    // Were it to choose a port for a socket that shares already, the kernel might take one that
    // another program of the same user shares, too: each would get a part of both's datagrams.
    let is_chosen = address.port() == 0;
    if sharing == Sharing::ReusePort && !is_chosen {
        share(&socket)?;
    }
    socket.bind(&address.into())?;
    if sharing == Sharing::ReusePort && is_chosen {
        share(&socket)?;
    }
    Ok(socket.into())
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
fn share(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
fn share(_socket: &socket2::Socket) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "several poll threads need SO_REUSEPORT, which this system lacks",
    ))
}

impl Socket {
    /// Takes a bound socket; `peer` is where it is connected to, if it is.
    pub(super) fn new(
        socket: UdpSocket,
        buffers: BufferSizes,
        peer: Option<SocketAddr>,
    ) -> io::Result<Self> {
        let state = match plain::is_needed() {
            true => None,
            false => UdpSocketState::new(UdpSockRef::from(&socket))
                .inspect_err(|error| log::warn!("plain system calls for a socket: {error}"))
                .ok(),
        };
        Self::with_calls(socket, state, buffers, peer)
    }

    /// As on a system that refuses all but plain system calls.
    #[cfg(all(test, not(loom)))]
    pub(super) fn plain(socket: UdpSocket, buffers: BufferSizes) -> io::Result<Self> {
        Self::with_calls(socket, None, buffers, None)
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn udp(&self) -> &UdpSocket {
        &self.socket
    }

    fn with_calls(
        socket: UdpSocket,
        state: Option<UdpSocketState>,
        buffers: BufferSizes,
        peer: Option<SocketAddr>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        allow_fragments(&socket);
        let reference = SockRef::from(&socket);
        // The system may refuse or grant less; what it granted is reported, not required.
        let _ = reference.set_recv_buffer_size(buffers.receive);
        let _ = reference.set_send_buffer_size(buffers.send);
        let segments = state.as_ref().map_or(1, UdpSocketState::max_gso_segments);
        let socket = Self {
            trains: Trains::of(segments.clamp(1, MAX_SEGMENTS)),
            state,
            connected: peer.is_some(),
            socket,
        };
        socket.warn_of_small_buffer(buffers);
        Ok(socket)
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What the system granted.
    pub(super) fn buffer_sizes(&self) -> BufferSizes {
        let socket = SockRef::from(&self.socket);
        // Linux doubles the figure for its own book-keeping and reports it doubled.
        let granted = |size: io::Result<usize>| match size {
            Ok(size) if cfg!(target_os = "linux") => size / 2,
            Ok(size) => size,
            Err(_) => 0,
        };
        BufferSizes {
            receive: granted(socket.recv_buffer_size()),
            send: granted(socket.send_buffer_size()),
        }
    }

    fn warn_of_small_buffer(&self, asked: BufferSizes) {
        static WARNED: Once = Once::new();
        let granted = self.buffer_sizes().receive;
        if granted < asked.receive {
            WARNED.call_once(|| {
                log::warn!(
                    "the system granted {granted} bytes of UDP receive buffer instead of {}; \
                     bursts may be lost (on Linux, raise net.core.rmem_max)",
                    asked.receive,
                );
            });
        }
    }

    /// Fills buffers with what has arrived; returns how many were filled.
    pub(super) fn receive(&self, buffers: &mut ReceiveBuffers) -> io::Result<usize> {
        let ReceiveBuffers {
            bytes,
            metas,
            offered,
        } = buffers;
        let Some(state) = &self.state else {
            return plain::receive(&self.socket, bytes, metas);
        };
        let mut slices = bytes.chunks_exact_mut(MAX_DATAGRAM).map(IoSliceMut::new);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| slices.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let socket = UdpSockRef::from(&self.socket);
        state.recv(socket, &mut slices[..*offered], &mut metas[..*offered])
    }
}

impl SendDatagrams for Socket {
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let takes_destination = cfg!(any(target_os = "linux", target_os = "android"));
        let by_connection = self.connected && !takes_destination;
        let Some(state) = self.state.as_ref().filter(|_| !by_connection) else {
            return plain::send(&self.socket, by_connection, transmit);
        };
        let result = state.try_send(UdpSockRef::from(&self.socket), transmit);
        if let Err(error) = &result
            && transmit.segment_size.is_some()
        {
            self.trains.on_refusal(error, Instant::now());
        }
        result
    }

    fn max_segments(&self) -> usize {
        self.trains.longest()
    }
}

/// mKCP's peers let the kernel fragment, and a numbered segment cannot be cut again, so a datagram
/// that is too long for the path must leave all the same. Undoes what `UdpSocketState` sets.
fn allow_fragments(socket: &UdpSocket) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
        };
        let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT);
        let _ = set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// The memory into which one poll thread receives.
#[derive(Debug)]
pub(super) struct ReceiveBuffers {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    /// How many buffers the next call offers.
    offered: usize,
}

impl ReceiveBuffers {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH_SIZE * MAX_DATAGRAM],
            metas: [RecvMeta::default(); BATCH_SIZE],
            offered: FEW,
        }
    }

    /// After a call that filled so many buffers: whether there may be more to receive.
    pub(super) fn may_be_more(&mut self, count: usize) -> bool {
        let all = count >= self.offered;
        self.offered = if all { BATCH_SIZE } else { FEW };
        all || !FILLS_ALL
    }

    /// The first `count` filled buffers. Each may hold several datagrams, every `stride` bytes.
    pub(super) fn filled(&mut self, count: usize) -> impl Iterator<Item = (RecvMeta, &mut [u8])> {
        let buffers = self.bytes.chunks_exact_mut(MAX_DATAGRAM);
        let filled = self.metas.iter().zip(buffers).take(count);
        filled.map(|(meta, buffer)| (*meta, &mut buffer[..meta.len]))
    }
}

/// A socket's entry with the system's poll facility.
///
/// On Unix the descriptor is enough. Elsewhere mio wants a socket of its own, a second handle to
/// the same one.
#[derive(Debug)]
pub(super) struct Registration {
    #[cfg(unix)]
    descriptor: std::os::fd::RawFd,
    #[cfg(not(unix))]
    socket: mio::net::UdpSocket,
}

impl Registration {
    /// Whether readiness that was reported must be asked for again. mio does so by itself only
    /// for system calls that go through its own socket.
    pub(super) const FIRES_ONCE: bool = cfg!(not(unix));

    /// Starts reporting that the socket can be read.
    pub(super) fn new(socket: &Socket, registry: &Registry, token: Token) -> io::Result<Self> {
        #[cfg(unix)]
        let mut this = Self {
            descriptor: std::os::fd::AsRawFd::as_raw_fd(&socket.socket),
        };
        #[cfg(not(unix))]
        let mut this = Self {
            socket: mio::net::UdpSocket::from_std(socket.socket.try_clone()?),
        };
        this.with_source(|source| registry.register(source, token, Interest::READABLE))?;
        Ok(this)
    }

    /// Changes what is reported. A state that already holds is reported again.
    pub(super) fn change(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.with_source(|source| registry.reregister(source, token, interest))
    }

    pub(super) fn end(mut self, registry: &Registry) {
        let _ = self.with_source(|source| registry.deregister(source));
    }

    #[cfg_attr(unix, allow(clippy::needless_pass_by_ref_mut))]
    fn with_source<T>(&mut self, act: impl FnOnce(&mut dyn Source) -> T) -> T {
        #[cfg(unix)]
        return act(&mut mio::unix::SourceFd(&self.descriptor));
        #[cfg(not(unix))]
        return act(&mut self.socket);
    }
}
