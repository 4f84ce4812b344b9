//! The two crates of KCP, with the settings that are known as the fast ones (nodelay 1, interval
//! 10 ms, resend 2, no congestion window), in stream mode and with large windows.
//!
//! KCP has no end of a connection on the wire. A server finds out by silence, soon enough here that
//! what is over does not keep it busy.

use std::{io, time::Duration};

use bench_common::sockets;
use kcp_io::{core, tokio_rt};
use tokio::net::UdpSocket;
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

use super::{
    Mode, Target, local, report,
    session::{Reader, Writer, spawn},
};

/// Payload of a full datagram.
const SEGMENT: u64 = 1376;
const SILENCE: Duration = Duration::from_secs(3);

/// Everything leaves at once, so that no round trip waits for a tick.
fn tokio_kcp(window: u16) -> KcpConfig {
    KcpConfig {
        nodelay: KcpNoDelayConfig::fastest(),
        wnd_size: (window, window),
        session_expire: SILENCE,
        flush_write: true,
        flush_acks_input: true,
        stream: true,
        ..KcpConfig::default()
    }
}

fn kcp_io(window: u16) -> tokio_rt::KcpSessionConfig {
    let fast = core::KcpConfig::fast();
    tokio_rt::KcpSessionConfig {
        kcp_config: core::KcpConfig {
            snd_wnd: window.into(),
            rcv_wnd: window.into(),
            stream_mode: true,
            ..fast
        },
        timeout: Some(SILENCE),
        ..tokio_rt::KcpSessionConfig::fast()
    }
}

fn udp() -> io::Result<UdpSocket> {
    let socket = sockets::udp(local())?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

pub(super) async fn serve_tokio_kcp(mode: Mode, window: u16) -> io::Result<()> {
    let listener = KcpListener::from_socket(tokio_kcp(window), udp()?).await;
    let mut listener = listener.map_err(io::Error::other)?;
    report::ready(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await.map_err(io::Error::other)?;
        let (reader, writer) = tokio::io::split(stream);
        spawn(mode, Reader::TokioKcp(reader), Writer::TokioKcp(writer));
    }
}

pub(super) async fn serve_kcp_io(mode: Mode, window: u16) -> io::Result<()> {
    let listener = tokio_rt::KcpListener::bind(local(), kcp_io(window)).await;
    let mut listener = listener.map_err(io::Error::other)?;
    report::ready(listener.local_addr())?;
    loop {
        let (stream, _) = listener.accept().await.map_err(io::Error::other)?;
        let (reader, writer) = stream.into_split();
        spawn(mode, Reader::KcpIo(reader), kcp_io_writer(writer, window));
    }
}

pub(super) async fn open_tokio_kcp(target: &Target) -> io::Result<(Reader, Writer)> {
    let stream =
        KcpStream::connect_with_socket(&tokio_kcp(target.window), udp()?, target.connect).await;
    let (reader, writer) = tokio::io::split(stream.map_err(io::Error::other)?);
    Ok((Reader::TokioKcp(reader), Writer::TokioKcp(writer)))
}

pub(super) async fn open_kcp_io(target: &Target) -> io::Result<(Reader, Writer)> {
    let stream = tokio_rt::KcpStream::connect(target.connect, kcp_io(target.window)).await;
    let (reader, writer) = stream.map_err(io::Error::other)?.into_split();
    Ok((Reader::KcpIo(reader), kcp_io_writer(writer, target.window)))
}

/// Knows how much may be under way: kcp-io itself takes all that it is given.
fn kcp_io_writer(writer: tokio_rt::OwnedWriteHalf, window: u16) -> Writer {
    Writer::KcpIo(writer, u64::from(window) * SEGMENT)
}

/// Reads so much of a stream whose messages may be joined only to multiples of it.
pub(super) async fn read_exact(
    stream: &mut tokio_rt::OwnedReadHalf,
    buffer: &mut [u8],
) -> io::Result<()> {
    let message = stream.recv_kcp().await.map_err(io::Error::other)?;
    let last = message.len().checked_sub(buffer.len());
    let last = last.filter(|_| message.len().is_multiple_of(buffer.len()));
    let Some(last) = last else {
        return Err(io::Error::other("kcp-io gave a part of a message"));
    };
    buffer.copy_from_slice(&message[last..]);
    Ok(())
}
