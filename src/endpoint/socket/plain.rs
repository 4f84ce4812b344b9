//! A socket by the plain calls of std, one for each datagram: for systems that refuse those with
//! ancillary data, by which `quinn-udp` sends and receives.
//!
//! What is lost is speed, and the knowledge of the address that a peer has used: on a socket
//! that is bound to the wildcard of a machine with several, answers leave from the one that the
//! system chooses.

use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
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
    fill(bytes, metas, |buffer| socket.recv_from(buffer))
}

/// Errors of a UDP socket are about datagrams sent earlier, and others that came lie behind them:
/// one that follows a datagram takes up a call, of which there is one for each buffer, and no more.
/// It came while these calls were made, so if they do not suffice, readiness is reported anew.
fn fill(
    bytes: &mut [u8],
    metas: &mut [RecvMeta],
    mut receive: impl FnMut(&mut [u8]) -> io::Result<(usize, SocketAddr)>,
) -> io::Result<usize> {
    let mut filled = 0;
    for _ in 0..metas.len() {
        let buffer = &mut bytes[filled * MAX_DATAGRAM..][..MAX_DATAGRAM];
        match receive(buffer) {
            Ok((length, peer)) => {
                let meta = &mut metas[filled];
                *meta = RecvMeta::default();
                meta.addr = peer;
                meta.len = length;
                meta.stride = length;
                filled += 1;
            }
            Err(error) if filled == 0 => return Err(error),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
    Ok(filled)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const BUFFERS: usize = 8;

    /// What a call of `fill` gives for these results of calls, how many of those it takes, and the
    /// lengths of what it received.
    fn fill_from(
        mut results: impl Iterator<Item = Result<usize, ErrorKind>>,
    ) -> (Result<usize, ErrorKind>, usize, Vec<usize>) {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let mut bytes = vec![0; BUFFERS * MAX_DATAGRAM];
        let mut metas = [RecvMeta::default(); BUFFERS];
        let mut calls = 0;
        let filled = fill(&mut bytes, &mut metas, |_| {
            calls += 1;
            let result = results.next().unwrap_or(Err(ErrorKind::WouldBlock));
            result.map(|length| (length, peer)).map_err(io::Error::from)
        });
        let count = *filled.as_ref().unwrap_or(&0);
        let lengths = metas[..count].iter().map(|meta| meta.len).collect();
        (filled.map_err(|error| error.kind()), calls, lengths)
    }

    #[test]
    fn errors_in_the_midst_of_datagrams_hide_none() {
        let refused = Err(ErrorKind::ConnectionRefused);
        let prohibited = Err(ErrorKind::HostUnreachable);
        let results = [Ok(10), refused, Ok(20), prohibited, refused, Ok(30)];
        assert_eq!(fill_from(results.into_iter()), (Ok(3), 7, vec![10, 20, 30]));
    }

    #[test]
    fn an_error_that_is_first_is_told() {
        let refused = ErrorKind::ConnectionRefused;
        let results = [Err(refused), Ok(10)];
        assert_eq!(fill_from(results.into_iter()), (Err(refused), 1, vec![]));
        let nothing = ErrorKind::WouldBlock;
        assert_eq!(fill_from([].into_iter()), (Err(nothing), 1, vec![]));
    }

    #[test]
    fn errors_without_end_end_a_call() {
        let storm = std::iter::repeat(Err(ErrorKind::ConnectionRefused));
        let results = [Ok(10)].into_iter().chain(storm);
        assert_eq!(fill_from(results), (Ok(1), BUFFERS, vec![10]));
    }

    #[test]
    fn as_much_is_received_as_there_are_buffers() {
        let results = std::iter::repeat(Ok(10));
        assert_eq!(
            fill_from(results),
            (Ok(BUFFERS), BUFFERS, vec![10; BUFFERS])
        );
    }
}
