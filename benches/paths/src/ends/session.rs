//! Sessions of the transports that run on tokio, with streams that are read and written alike.

use std::io;

use bench_common::quic;
use kcp_io::tokio_rt::{OwnedReadHalf, OwnedWriteHalf};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio_kcp::KcpStream;

use super::{Mode, PIECE, Peer, READ, Serve, Target, kcp, local, meter::Tally, report};

/// How to open sessions.
pub(super) enum Dialer {
    Quinn(Endpoint, Target),
    Kcp(Target),
}

/// What has streams: a connection of QUIC, or nothing that would be common to those of KCP.
pub(super) enum Session {
    Quinn(Connection),
    Kcp(Target),
}

pub(super) enum Reader {
    Quinn(RecvStream),
    TokioKcp(ReadHalf<KcpStream>),
    KcpIo(OwnedReadHalf),
}

pub(super) enum Writer {
    Quinn(SendStream),
    TokioKcp(WriteHalf<KcpStream>),
    /// With what may be under way at most.
    KcpIo(OwnedWriteHalf, u64),
}

impl Dialer {
    pub(super) fn new(target: &Target) -> io::Result<Self> {
        match &target.certificate {
            _ if target.peer != Peer::Quinn => Ok(Self::Kcp(target.clone())),
            None => Err(io::Error::other("no certificate")),
            Some(path) => {
                let mut endpoint = Endpoint::client(local())?;
                endpoint.set_default_client_config(quic::client_config(path)?);
                Ok(Self::Quinn(endpoint, target.clone()))
            }
        }
    }

    pub(super) async fn session(&self) -> io::Result<Session> {
        match self {
            Self::Quinn(endpoint, target) => {
                let connecting = endpoint.connect(target.connect, quic::NAME);
                let connection = connecting.map_err(io::Error::other)?.await?;
                Ok(Session::Quinn(connection))
            }
            Self::Kcp(target) => Ok(Session::Kcp(target.clone())),
        }
    }
}

impl Session {
    pub(super) async fn open(&self) -> io::Result<(Reader, Writer)> {
        match self {
            Self::Quinn(connection) => {
                let (send, receive) = connection.open_bi().await?;
                Ok((Reader::Quinn(receive), Writer::Quinn(send)))
            }
            Self::Kcp(target) if target.peer == Peer::KcpIo => kcp::open_kcp_io(target).await,
            Self::Kcp(target) => kcp::open_tokio_kcp(target).await,
        }
    }

    /// QUIC tells its peer; KCP cannot.
    pub(super) fn close(&self) {
        if let Self::Quinn(connection) = self {
            connection.close(0_u32.into(), b"");
        }
    }
}

impl Reader {
    /// Nothing at the end of the stream.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Quinn(stream) => Ok(stream.read(buffer).await?.unwrap_or(0)),
            Self::TokioKcp(stream) => stream.read(buffer).await,
            Self::KcpIo(stream) => stream.recv_kcp_buf(buffer).await.map_err(io::Error::other),
        }
    }

    pub(super) async fn read_exact(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        // kcp-io refuses to give a part of a message, and keeps no rest.
        if let Self::KcpIo(stream) = self {
            return kcp::read_exact(stream, buffer).await;
        }
        while !buffer.is_empty() {
            match self.read(buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }
}

impl Writer {
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Quinn(stream) => Ok(stream.write_all(bytes).await?),
            Self::TokioKcp(stream) => stream.write_all(bytes).await,
            Self::KcpIo(stream, _) => {
                let sent = stream.send_kcp(bytes).await;
                sent.map(drop).map_err(io::Error::other)
            }
        }
    }

    /// What may be under way at most, where the transport itself takes all that it is given.
    pub(super) fn limit(&self) -> Option<u64> {
        match self {
            Self::KcpIo(_, limit) => Some(*limit),
            _ => None,
        }
    }
}

pub(super) async fn serve(options: &Serve) -> io::Result<()> {
    let mode = options.mode;
    match options.peer {
        Peer::TokioKcp => kcp::serve_tokio_kcp(mode, options.window).await,
        Peer::KcpIo => kcp::serve_kcp_io(mode, options.window).await,
        _ => serve_quinn(options).await,
    }
}

async fn serve_quinn(options: &Serve) -> io::Result<()> {
    let (mode, certificate) = (options.mode, options.certificate.as_ref());
    let certificate = certificate.ok_or_else(|| io::Error::other("no place for a certificate"))?;
    let endpoint = Endpoint::server(quic::server_config(certificate)?, local())?;
    report::ready(endpoint.local_addr()?)?;
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let connection = incoming.await?;
            loop {
                let (send, receive) = connection.accept_bi().await?;
                spawn(mode, Reader::Quinn(receive), Writer::Quinn(send));
            }
            #[allow(unreachable_code)] // Says what the loop fails with.
            io::Result::Ok(())
        });
    }
    Ok(())
}

/// Serves a stream to its end, by a task of its own.
pub(super) fn spawn(mode: Mode, reader: Reader, writer: Writer) {
    tokio::spawn(async move {
        match mode {
            Mode::Sink => sink(reader, writer).await,
            Mode::Echo => echo(reader, writer).await,
        }
    });
}

async fn sink(mut reader: Reader, mut writer: Writer) -> io::Result<()> {
    let (mut buffer, mut tally) = (vec![0; READ], Tally::new());
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(()),
            count => {
                if let Some(total) = tally.add(count) {
                    writer.write_all(&total).await?;
                }
            }
        }
    }
}

async fn echo(mut reader: Reader, mut writer: Writer) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(()),
            count => writer.write_all(&buffer[..count]).await?,
        }
    }
}
