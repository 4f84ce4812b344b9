//! What the command lines of the examples have in common: the transport's options, bad usage
//! answered by one line and exit code 2, and output that may fail.

mod output;
mod protection;
mod usage;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use clap::Args;
use mkcp::{Config, Congestion, Header, Security};

pub(crate) use output::print;
pub(crate) use usage::{bad_usage, parse};

const MIB: u64 = 1024 * 1024;
/// What the library takes, in the units of the options, so that errors speak in them.
const MOST_CAPACITY: u64 = 1024 * 1024;
const MOST_BUFFER: i64 = 1024;

/// How the connections of an example behave and look on the wire.
#[derive(Args, Debug)]
#[command(next_help_heading = "Transport (seed, security and header must be those of the peer)")]
pub(crate) struct Transport {
    /// Secret that both ends know; the empty text is a seed too
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,

    /// How datagrams are protected [default: aes-128-gcm with a seed, simple without]
    #[arg(long, value_name = "NAME", value_parser = ["none", "simple", "aes-128-gcm"])]
    security: Option<String>,

    /// Disguise: none, srtp, utp, wechat-video, dtls, wireguard or dns[:DOMAIN]
    #[arg(long, value_name = "NAME", default_value_t)]
    header: Header,

    /// The longest datagram to send, all included
    #[arg(long, value_name = "BYTES", default_value_t = 1350)]
    mtu: u16,

    /// Transmission time interval of the peer
    #[arg(long, value_name = "MS", default_value_t = 50)]
    tti: u64,

    /// Sending capacity, as V2Ray's uplinkCapacity
    #[arg(long, value_name = "MIB/S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=MOST_CAPACITY))]
    uplink: u64,

    /// Receiving capacity, as V2Ray's downlinkCapacity
    #[arg(long, value_name = "MIB/S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(..=MOST_CAPACITY))]
    downlink: u64,

    /// Received bytes that a connection holds for its reader, at most
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=MOST_BUFFER))]
    read_buffer: u32,

    /// Written bytes that wait to be sent, at most
    #[arg(long, value_name = "MIB", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=MOST_BUFFER))]
    write_buffer: u32,

    /// Congestion control: bbr, fixed or loss-rate
    #[arg(long, value_name = "NAME", default_value_t)]
    congestion: Congestion,
}

impl Transport {
    /// The settings. Ends the process with a line and exit code 2 if they are refused.
    pub(crate) fn config(&self) -> Config {
        Config::builder()
            .security(self.security())
            .header(self.header.clone())
            .mtu(self.mtu)
            .tti(Duration::from_millis(self.tti))
            .uplink(self.uplink * MIB)
            .downlink(self.downlink * MIB)
            .read_buffer(self.read_buffer as usize * MIB as usize)
            .write_buffer(self.write_buffer as usize * MIB as usize)
            .congestion(self.congestion)
            .build()
            .unwrap_or_else(|error| bad_usage(error))
    }

    fn security(&self) -> Security {
        protection::security(self.security.as_deref(), self.seed.as_deref())
            .unwrap_or_else(|error| bad_usage(error))
    }
}

/// Has an error say which address it is about.
pub(crate) fn at(address: SocketAddr) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{address}: {error}"))
}

/// Reads `HOST:PORT`, with a name or an address as host.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}
