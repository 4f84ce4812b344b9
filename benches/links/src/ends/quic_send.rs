//! The sending end of QUIC.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bench_common::quic;
use clap::ValueEnum;
use quinn::{
    SendStream, TransportConfig,
    congestion::{BbrConfig, CubicConfig},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::PIECE;

/// As much as mkcp holds of what was written by default.
const WRITE_BUFFER: u64 = 2 * 1024 * 1024;
/// How long to wait in the end until all has arrived.
const SETTLE: Duration = Duration::from_secs(10);

/// Sends for some time as much as it can
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[arg(long, value_name = "ADDR")]
    connect: SocketAddr,

    /// That of the sink
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,

    #[arg(long, value_name = "NAME")]
    congestion: Congestion,

    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
}

/// Congestion control.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Congestion {
    Bbr,
    Cubic,
}

pub(crate) async fn run(options: Options) -> io::Result<()> {
    let endpoint = quic::client(&options.certificate, transport(options.congestion))?;
    let connecting = endpoint.connect(options.connect, quic::NAME);
    let connection = connecting.map_err(io::Error::other)?.await?;
    let deadline = Instant::now() + Duration::from_secs_f64(options.seconds);
    let mut stream = connection.open_uni().await?;
    send(&mut stream, deadline).await?;
    stream.finish().map_err(io::Error::other)?;
    let arrived = timeout(SETTLE, stream.stopped()).await;
    if arrived.is_err() {
        eprintln!("not all has arrived");
    }
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
    Ok(())
}

/// Writes until the time has come.
async fn send(stream: &mut SendStream, deadline: Instant) -> io::Result<()> {
    let piece = vec![0x5a; PIECE];
    while let Ok(written) = timeout_at(deadline, stream.write(&piece)).await {
        written?;
    }
    Ok(())
}

fn transport(congestion: Congestion) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.send_window(WRITE_BUFFER);
    match congestion {
        Congestion::Bbr => {
            transport.congestion_controller_factory(Arc::new(BbrConfig::default()));
        }
        Congestion::Cubic => {
            transport.congestion_controller_factory(Arc::new(CubicConfig::default()));
        }
    }
    transport
}
