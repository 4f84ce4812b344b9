//! What the command lines of the examples have in common: the transport's options, and bad
//! usage answered by one line and exit code 2.

mod usage;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use clap::{Args, ValueEnum};
use mkcp::{Config, Congestion, Header, Security, Seed};

pub(crate) use usage::{bad_usage, parse};

const MIB: u64 = 1024 * 1024;

/// How the connections of an example behave and look on the wire.
#[derive(Args, Debug)]
#[command(next_help_heading = "Transport (seed, security and header must be those of the peer)")]
pub(crate) struct Transport {
    /// Secret that both ends know; the empty text is a seed too
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,

    /// How datagrams are protected [default: aes-128-gcm with a seed, simple without]
    #[arg(long, value_name = "NAME")]
    security: Option<SecurityName>,

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
    #[arg(long, value_name = "MIB/S", default_value_t = 5)]
    uplink: u64,

    /// Receiving capacity, as V2Ray's downlinkCapacity
    #[arg(long, value_name = "MIB/S", default_value_t = 20)]
    downlink: u64,

    /// Congestion control: bbr, fixed or loss-rate
    #[arg(long, value_name = "NAME", default_value_t)]
    congestion: Congestion,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SecurityName {
    None,
    Simple,
    #[value(name = "aes-128-gcm")]
    Aes128Gcm,
}

impl Transport {
    /// The settings. Ends the process with a line and exit code 2 if they are refused.
    pub(crate) fn config(&self) -> Config {
        Config::builder()
            .security(self.security())
            .header(self.header.clone())
            .mtu(self.mtu)
            .tti(Duration::from_millis(self.tti))
            .uplink(self.uplink.saturating_mul(MIB))
            .downlink(self.downlink.saturating_mul(MIB))
            .congestion(self.congestion)
            .build()
            .unwrap_or_else(|error| bad_usage(error))
    }

    fn security(&self) -> Security {
        match (self.security, &self.seed) {
            (None | Some(SecurityName::Aes128Gcm), Some(seed)) => {
                Security::Aes128Gcm(Seed::new(seed.as_bytes()))
            }
            (None | Some(SecurityName::Simple), None) => Security::Simple,
            (Some(SecurityName::None), None) => Security::None,
            (Some(SecurityName::Aes128Gcm), None) => {
                bad_usage("--security aes-128-gcm needs --seed")
            }
            (Some(_), Some(_)) => bad_usage("--seed needs --security aes-128-gcm, or none given"),
        }
    }
}

/// Reads `HOST:PORT`, with a name or an address as host.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}
