//! A socket by the plain calls of std, one for each datagram: for systems that refuse those with
//! ancillary data, by which `quinn-udp` sends and receives.
//!
//! What is lost is speed, and the knowledge of the address that a peer has used: on a socket
//! that is bound to the wildcard of a machine with several, answers leave from the one that the
//! system chooses.

use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{Ipv4Addr, UdpSocket},
    sync::OnceLock,
    time::Duration,
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::MAX_DATAGRAM;

/// Whether this system needs plain calls. Found out once, by a datagram from a socket to itself.
pub(super) fn is_needed() -> bool {
    static NEEDED: OnceLock<bool> = OnceLock::new();
    *NEEDED.get_or_init(|| match try_other_calls() {
        Err(error) if is_refusal(&error) => {
            log::warn!("plain system calls for all sockets: {error}");
            true
        }
        // Whatever else is wrong, the same calls may work on other sockets.
        _ => false,
    })
}

fn try_other_calls() -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_millis(100);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let transmit = Transmit {
        destination: address,
        ecn: None,
        contents: b"?",
        segment_size: None,
        src_ip: Some(address.ip()),
    };
    state.try_send(UdpSockRef::from(&socket), &transmit)?;
    // It waits if need be, so that no time has to be slept away.
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 16];
    let buffers = &mut [IoSliceMut::new(&mut buffer)];
    let socket = UdpSockRef::from(&socket);
    state.recv(socket, buffers, &mut [RecvMeta::default()])?;
    Ok(())
}

/// Whether an error means that there is no such call, or that it is not allowed.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::InvalidInput | ErrorKind::PermissionDenied
    )
}

/// Fills the buffers until all are full or there is nothing more, for which the caller must not ask
/// again: readiness is reported once.
pub(super) fn receive(
    socket: &UdpSocket,
    bytes: &mut [u8],
    metas: &mut [RecvMeta],
) -> io::Result<usize> {
    for (filled, (buffer, meta)) in bytes
        .chunks_exact_mut(MAX_DATAGRAM)
        .zip(metas.iter_mut())
        .enumerate()
    {
        match socket.recv_from(buffer) {
            Ok((length, peer)) => {
                *meta = RecvMeta::default();
                meta.addr = peer;
                meta.len = length;
                meta.stride = length;
            }
            Err(_) if filled > 0 => return Ok(filled),
            Err(error) => return Err(error),
        }
    }
    Ok(metas.len())
}

/// Sends one datagram after the other.
pub(super) fn send(socket: &UdpSocket, connected: bool, transmit: &Transmit<'_>) -> io::Result<()> {
    let size = transmit.segment_size.unwrap_or(MAX_DATAGRAM);
    for datagram in transmit.contents.chunks(size) {
        match connected {
            true => socket.send(datagram)?,
            false => socket.send_to(datagram, transmit.destination)?,
        };
    }
    Ok(())
}
