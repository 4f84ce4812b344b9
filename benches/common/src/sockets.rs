//! Sockets with buffers as large as those of mkcp.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::SockRef;

/// Bytes of kernel buffer, as mkcp asks for.
const BUFFER: usize = 4 * 1024 * 1024;

/// A socket with as much buffer as that of mkcp, so that the same bursts fit.
pub fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let reference = SockRef::from(&socket);
    reference.set_recv_buffer_size(BUFFER)?;
    reference.set_send_buffer_size(BUFFER)?;
    Ok(socket)
}
