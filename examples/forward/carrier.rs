//! How an mKCP end carries its connections: the settings, and TLS inside or not.

use std::{io, str::FromStr, sync::Arc, time::Duration};

use mkcp::{
    Config, Congestion, Endpoint, Listener, ParseOptionError, Security, Seed,
    tls::{
        self, TlsListener,
        rustls::{ClientConfig, ServerConfig, pki_types::ServerName},
    },
};

use crate::{
    address::{Parameters, Place},
    socket::Socket,
    tls::TlsParameters,
};

const MIB: u64 = 1024 * 1024;
const COMMON: &str = "seed, security, header, mtu, tti, uplink, downlink, congestion, tls, alpn";
const OF_CLIENTS: [&str; 3] = ["sni", "insecure", "ca"];
const OF_SERVERS: [&str; 2] = ["cert", "key"];

/// What an mKCP end does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Listens,
    Connects,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Carrier {
    config: Config,
    tls: Option<Tls>,
}

#[derive(Clone, Debug)]
enum Tls {
    Client(Arc<ClientConfig>, ServerName<'static>),
    Server(Arc<ServerConfig>),
}

pub(crate) enum CarrierListener {
    Plain(Listener),
    Tls(TlsListener),
}

impl Carrier {
    /// As the parameters of an `mkcp://` address say.
    pub(crate) fn new(place: &Place, parameters: &Parameters, role: Role) -> Result<Self, String> {
        let mut builder = Config::builder();
        let (mut seed, mut security) = (None, None);
        let (mut wants_tls, mut tls) = (false, TlsParameters::default());
        let mut tls_only = None;
        for (name, value) in parameters.iter() {
            match name {
                "seed" => seed = Some(Seed::new(value)),
                "security" => security = Some(value),
                "header" | "headerType" => builder = builder.header(named(name, value)?),
                "congestion" => builder = builder.congestion(named::<Congestion>(name, value)?),
                "mtu" => builder = builder.mtu(number(name, value)?),
                "tti" => builder = builder.tti(Duration::from_millis(number(name, value)?)),
                "uplink" => builder = builder.uplink(mebibytes(name, value)?),
                "downlink" => builder = builder.downlink(mebibytes(name, value)?),
                "tls" => wants_tls = switch(name, value)?,
                _ => {
                    match (name, role) {
                        ("alpn", _) => tls.alpn = Some(value),
                        ("sni", Role::Connects) => tls.sni = Some(value),
                        ("ca", Role::Connects) => tls.ca = Some(value),
                        ("insecure", Role::Connects) => tls.insecure = switch(name, value)?,
                        ("cert", Role::Listens) => tls.cert = Some(value),
                        ("key", Role::Listens) => tls.key = Some(value),
                        _ => return Err(unknown(name, value, role)),
                    }
                    tls_only = Some((name, value));
                }
            };
        }
        if let (false, Some((name, value))) = (wants_tls, tls_only) {
            return Err(format!("{name} is {value:?}, must come with tls=1"));
        }
        let config = builder.security(protection(security, seed)?).build();
        let tls = match (wants_tls, role) {
            (false, _) => None,
            (true, Role::Listens) => Some(Tls::Server(tls.server()?)),
            (true, Role::Connects) => {
                let (config, name) = tls.client(&place.host)?;
                Some(Tls::Client(config, name))
            }
        };
        let config = config.map_err(|error| error.to_string())?;
        Ok(Self { config, tls })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn listen_on(&self, endpoint: &Endpoint) -> io::Result<CarrierListener> {
        let listener = endpoint.listen()?;
        Ok(match &self.tls {
            Some(Tls::Server(config)) => {
                CarrierListener::Tls(TlsListener::new(listener, config.clone()))
            }
            _ => CarrierListener::Plain(listener),
        })
    }

    pub(crate) fn connect_over(&self, endpoint: &Endpoint, place: &Place) -> io::Result<Socket> {
        let stream = endpoint.connect(place.pair())?;
        Ok(match &self.tls {
            Some(Tls::Client(config, name)) => {
                Socket::Tls(tls::connect(stream, config.clone(), name.clone())?)
            }
            _ => Socket::Mkcp(stream),
        })
    }
}

impl CarrierListener {
    /// A connection and its peer's name, which for all connections over one socket is the same but
    /// for the number of the conversation.
    pub(crate) fn accept(&self) -> io::Result<(Socket, String)> {
        let (socket, peer, conversation) = match self {
            Self::Plain(listener) => {
                let (stream, peer) = listener.accept()?;
                let conversation = stream.conversation();
                (Socket::Mkcp(stream), peer, conversation)
            }
            Self::Tls(listener) => {
                let (stream, peer) = listener.accept()?;
                let conversation = stream.get_ref().conversation();
                (Socket::Tls(stream), peer, conversation)
            }
        };
        Ok((socket, format!("{peer}/{conversation}")))
    }

    pub(crate) fn get_ref(&self) -> &Listener {
        match self {
            Self::Plain(listener) => listener,
            Self::Tls(listener) => listener.get_ref(),
        }
    }
}

fn protection(name: Option<&str>, seed: Option<Seed>) -> Result<Security, String> {
    match (name, seed) {
        (None | Some("aes-128-gcm"), Some(seed)) => Ok(Security::Aes128Gcm(seed)),
        (None | Some("simple"), None) => Ok(Security::Simple),
        (Some("none"), None) => Ok(Security::None),
        (Some("aes-128-gcm"), None) => {
            Err("security is aes-128-gcm, which needs a seed".to_owned())
        }
        (Some(name @ ("none" | "simple")), Some(_)) => Err(format!(
            "security is {name}, must be aes-128-gcm if there is a seed"
        )),
        (Some(name), _) => Err(format!(
            "security is {name:?}, must be none, simple or aes-128-gcm"
        )),
    }
}

fn unknown(name: &str, value: &str, role: Role) -> String {
    let own = match role {
        Role::Connects => &OF_CLIENTS[..],
        Role::Listens => &OF_SERVERS,
    };
    let own = own.join(", ");
    format!("unknown parameter {name} with value {value:?}, must be one of {COMMON}, {own}")
}

fn named<T: FromStr<Err = ParseOptionError>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name}: {error}"))
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    let number = value.parse();
    number.map_err(|_| format!("{name} is {value:?}, must be a whole number that is not too large"))
}

fn mebibytes(name: &str, value: &str) -> Result<u64, String> {
    number::<u64>(name, value).map(|number| number.saturating_mul(MIB))
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("{name} is {value:?}, must be 1 or 0")),
    }
}
