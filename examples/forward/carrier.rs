//! How an mKCP end carries its connections: the settings, and TLS inside or not.

use std::{io, net::SocketAddr, str::FromStr, time::Duration};

use mkcp::{Config, Congestion, Endpoint, Listener, Security, Seed};

use crate::{
    address::{Parameters, Place},
    socket::Socket,
};

const MIB: u64 = 1024 * 1024;
const NAMES: &str = "seed, security, header, mtu, tti, uplink, downlink, congestion";

/// Which end of a forwarder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It listens.
    Server,
    /// It connects.
    Client,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Carrier {
    config: Config,
}

/// An mKCP listener, with TLS or without.
pub(crate) struct CarrierListener(Listener);

impl Carrier {
    /// As the parameters of an `mkcp://` address say.
    pub(crate) fn from_parameters(parameters: &Parameters, _role: Role) -> Result<Self, String> {
        let mut builder = Config::builder();
        let (mut seed, mut security) = (None, None);
        for (name, value) in parameters.iter() {
            builder = match name {
                "seed" => {
                    seed = Some(Seed::new(value));
                    builder
                }
                "security" => {
                    security = Some(value);
                    builder
                }
                "header" | "headerType" => builder.header(named(name, value)?),
                "congestion" => builder.congestion(named::<Congestion>(name, value)?),
                "mtu" => builder.mtu(number(name, value)?),
                "tti" => builder.tti(Duration::from_millis(number(name, value)?)),
                "uplink" => builder.uplink(number::<u64>(name, value)?.saturating_mul(MIB)),
                "downlink" => builder.downlink(number::<u64>(name, value)?.saturating_mul(MIB)),
                _ => return Err(format!("unknown parameter {name}={value}, must be {NAMES}")),
            };
        }
        let config = builder.security(protection(security, seed)?).build();
        Ok(Self {
            config: config.map_err(|error| error.to_string())?,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn listen_on(&self, endpoint: &Endpoint) -> io::Result<CarrierListener> {
        Ok(CarrierListener(endpoint.listen()?))
    }

    pub(crate) fn connect_over(&self, endpoint: &Endpoint, place: &Place) -> io::Result<Socket> {
        Ok(Socket::Mkcp(endpoint.connect(place.pair())?))
    }
}

impl CarrierListener {
    pub(crate) fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = self.0.accept()?;
        Ok((Socket::Mkcp(stream), peer))
    }

    pub(crate) fn get_ref(&self) -> &Listener {
        &self.0
    }
}

fn protection(name: Option<&str>, seed: Option<Seed>) -> Result<Security, String> {
    match (name, seed) {
        (None | Some("aes-128-gcm"), Some(seed)) => Ok(Security::Aes128Gcm(seed)),
        (None | Some("simple"), None) => Ok(Security::Simple),
        (Some("none"), None) => Ok(Security::None),
        (Some("aes-128-gcm"), None) => {
            Err("security is aes-128-gcm, so there must be a seed".to_owned())
        }
        (Some(name @ ("none" | "simple")), Some(_)) => Err(format!(
            "security is {name}, must be aes-128-gcm with a seed"
        )),
        (Some(name), _) => Err(format!(
            "security is {name:?}, must be none, simple or aes-128-gcm"
        )),
    }
}

fn named<T: FromStr<Err = mkcp::ParseOptionError>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name}: {error}"))
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name} is {value:?}, must be a whole number"))
}
