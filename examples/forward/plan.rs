//! What the command line comes to: two ends, with all that is known about them.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use clap::Args;
use mkcp::v2ray::{Reading, Side, StreamSettings};

use crate::{
    address::{Address, Place},
    file::ConfigFile,
    parameters,
};

/// Where a host is not named.
const EVERYWHERE: &str = "0.0.0.0";

/// What the command line says about the ends. Addresses are read later: clap shows all of one that
/// it refuses, and a seed may be in it.
#[derive(Args)]
pub(crate) struct Ends {
    /// Where to take connections: tcp://HOST:PORT, unix:///PATH or mkcp://HOST:PORT?..; not needed
    /// if an inbound of --config says it
    #[arg(long, value_name = "ADDRESS", required_unless_present = "config")]
    listen: Option<String>,

    /// Where to pass them on: tcp://HOST:PORT, unix:///PATH or mkcp://HOST:PORT?..; not needed if
    /// an outbound of --config says it
    #[arg(long, value_name = "ADDRESS", required_unless_present = "config")]
    to: Option<String>,

    #[command(flatten)]
    file: ConfigFile,
}

/// One end of a forwarder.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Tcp(Place),
    #[cfg(unix)]
    Unix(PathBuf),
    Mkcp(Place, Box<StreamSettings>),
}

impl Ends {
    /// The end that listens and the one that connects.
    ///
    /// # Errors
    ///
    /// What is wrong with the command line or the configuration file.
    pub(crate) fn plan(&self) -> Result<(End, End), String> {
        let listen = parse("--listen", self.listen.as_deref())?;
        let to = parse("--to", self.to.as_deref())?;
        let from_file = self.side_of_file(&listen, &to)?;
        let end = |side, option, address: &Option<Address>| {
            if from_file == Some(side) {
                self.read_file(side, address.as_ref())
            } else {
                let address = address
                    .as_ref()
                    .ok_or_else(|| format!("{option} is missing"))?;
                End::new(address, side).map_err(|error| format!("{option} {address}: {error}"))
            }
        };
        Ok((
            end(Side::Inbound, "--listen", &listen)?,
            end(Side::Outbound, "--to", &to)?,
        ))
    }

    /// Which end the configuration file describes, if there is one.
    fn side_of_file(
        &self,
        listen: &Option<Address>,
        to: &Option<Address>,
    ) -> Result<Option<Side>, String> {
        if !self.file.is_given() {
            return Ok(None);
        }
        let is_open = |address: &Option<Address>| match address {
            None => true,
            Some(Address::Mkcp(_, parameters)) => parameters.is_empty(),
            Some(_) => false,
        };
        match (is_open(listen), is_open(to)) {
            (true, false) => Ok(Some(Side::Inbound)),
            (false, true) => Ok(Some(Side::Outbound)),
            _ => Err(
                "--config describes one end, so the other needs an address that is complete, and \
                 this end none, or mkcp://HOST:PORT without parameters"
                    .to_owned(),
            ),
        }
    }

    /// The end that the file describes. An address of the command line goes before that of the file.
    fn read_file(&self, side: Side, address: Option<&Address>) -> Result<End, String> {
        let reading = self.file.read(side)?;
        let place = match address {
            Some(Address::Mkcp(place, _)) => place.clone(),
            _ => place_of(&reading, side)?,
        };
        if let Some(tls) = reading.settings().tls() {
            let checked = match side {
                Side::Inbound => tls.server_config().map(drop),
                _ => tls.client_config().map(drop),
            };
            checked.map_err(|error| format!("--config: {error}"))?;
        }
        Ok(End::Mkcp(place, reading.into_settings().into()))
    }
}

fn parse(option: &str, address: Option<&str>) -> Result<Option<Address>, String> {
    let address = address.map(str::parse).transpose();
    address.map_err(|error| format!("{option}: {error}"))
}

fn place_of(reading: &Reading, side: Side) -> Result<Place, String> {
    let host = match side {
        Side::Inbound => Some(reading.address().unwrap_or(EVERYWHERE)),
        _ => reading.address(),
    };
    match (host, reading.port()) {
        (Some(host), Some(port)) => Ok(Place {
            host: host.to_owned(),
            port,
        }),
        _ => Err(match side {
            Side::Inbound => "the file says no port, so there must be --listen mkcp://HOST:PORT",
            _ => "the file names no server, so there must be --to mkcp://HOST:PORT",
        }
        .to_owned()),
    }
}

impl End {
    fn new(address: &Address, side: Side) -> Result<Self, String> {
        Ok(match address {
            Address::Tcp(place) => Self::Tcp(place.clone()),
            #[cfg(unix)]
            Address::Unix(path) => Self::Unix(path.clone()),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err("there are no such sockets here".to_owned()),
            Address::Mkcp(place, parameters) => {
                let settings = parameters::read(parameters, side)?;
                Self::Mkcp(place.clone(), settings.into())
            }
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Mkcp(place, _) => write!(f, "mkcp://{place}"),
        }
    }
}
