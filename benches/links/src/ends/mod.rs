//! The ends of the other transports, as hidden commands of this program.

mod counter;
pub(crate) mod quic_send;
pub(crate) mod quic_sink;
pub(crate) mod tcp_send;
pub(crate) mod tcp_sink;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::SockRef;

/// What senders write at once.
const PIECE: usize = 64 * 1024;
/// Bytes of kernel buffer, as mkcp asks for.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// A socket with as much buffer as that of mkcp, so that the same bursts fit.
fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let reference = SockRef::from(&socket);
    reference.set_recv_buffer_size(SOCKET_BUFFER)?;
    reference.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}
