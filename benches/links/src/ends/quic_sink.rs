//! The receiving end of QUIC.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use bench_common::{interrupt, quic};
use quinn::{Connection, ConnectionError, ReadError, TransportConfig, VarInt};
use tokio::time::timeout;

use super::counter::{Counter, Window};

/// How often to look for a signal.
const LOOK: Duration = Duration::from_millis(20);
/// How long to answer a sender that closes.
const FAREWELL: Duration = Duration::from_secs(1);
/// As much as mkcp holds for a reader by default.
const READ_BUFFER: u32 = 4 * 1024 * 1024;

/// Receives one stream, and prints what came as JSON
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,

    /// Where to put the certificate that is made, for the sender
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,

    #[command(flatten)]
    window: Window,
}

pub(crate) async fn run(options: Options) -> io::Result<()> {
    let endpoint = quic::server(options.listen, &options.certificate, transport())?;
    let incoming = endpoint.accept().await;
    let incoming = incoming.ok_or_else(|| io::Error::other("the endpoint is closed"))?;
    let connection = incoming.await.map_err(io::Error::other)?;
    let mut counter = Counter::new(options.window);
    interrupt::catch()?;
    let result = receive(&connection, &mut counter).await;
    println!("{}", counter.to_json());
    let _ = timeout(FAREWELL, connection.closed()).await;
    result
}

/// Reads until the end of the stream, or a signal, or the sender has waited long enough.
async fn receive(connection: &Connection, counter: &mut Counter) -> io::Result<()> {
    let mut stream = connection.accept_uni().await?;
    while !interrupt::is_set() {
        let Ok(result) = timeout(LOOK, stream.read_chunk(usize::MAX, true)).await else {
            continue;
        };
        match result {
            Ok(Some(chunk)) => counter.add(chunk.bytes.len()),
            Ok(None) => break,
            Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(_))) => break,
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(())
}

/// Room for what is on its way.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(READ_BUFFER));
    transport
}
