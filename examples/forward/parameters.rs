//! What the parameters of an `mkcp://` address say.

use std::{str::FromStr, time::Duration};

use mkcp::{
    Config, ConfigBuilder, ParseOptionError,
    v2ray::{Side, StreamSettings, TlsSettings},
};

use crate::{address::Parameters, protection};

const MIB: u64 = 1024 * 1024;
/// What the library takes, in MiB/s.
const MOST_CAPACITY: u64 = 1024 * 1024;
const KNOWN: &str = "seed, security, header, mtu, tti, uplink, downlink, congestion, tls, alpn";
const KNOWN_TO_CLIENTS: &str = "sni, ca, insecure";
const KNOWN_TO_SERVERS: &str = "cert, key";

/// The settings of an end that listens (an inbound) or connects (an outbound).
///
/// # Errors
///
/// The name of a parameter, its value unless that may be the seed, and what is allowed.
pub(crate) fn read(parameters: &Parameters, side: Side) -> Result<StreamSettings, String> {
    let mut config = Config::builder();
    let (mut seed, mut security) = (None, None);
    let mut tls = Tls::default();
    for (name, value) in parameters.iter() {
        match name {
            "seed" => seed = Some(value),
            "security" => security = Some(value),
            _ if tls.read(name, value, side)? => {}
            _ => config = read_transport(config, name, value, side)?,
        }
    }
    let config = config
        .security(protection::security(security, seed)?)
        .build();
    let settings = StreamSettings::new(config.map_err(|error| error.to_string())?);
    Ok(match tls.settings(side)? {
        Some(tls) => settings.with_tls(tls),
        None => settings,
    })
}

fn read_transport(
    config: ConfigBuilder,
    name: &str,
    value: &str,
    side: Side,
) -> Result<ConfigBuilder, String> {
    Ok(match name {
        "header" | "headerType" => config.header(named(name, value)?),
        "congestion" => config.congestion(named(name, value)?),
        "mtu" => config.mtu(number(name, value)?),
        "tti" => config.tti(Duration::from_millis(number(name, value)?)),
        "uplink" => config.uplink(capacity(name, value)?),
        "downlink" => config.downlink(capacity(name, value)?),
        _ => {
            let more = match side {
                Side::Inbound => KNOWN_TO_SERVERS,
                _ => KNOWN_TO_CLIENTS,
            };
            return Err(format!(
                "unknown parameter {name}, must be one of {KNOWN}, {more}"
            ));
        }
    })
}

/// The parameters of TLS.
#[derive(Default)]
struct Tls<'a> {
    wanted: bool,
    /// One that says something only if TLS is wanted.
    detail: Option<(&'a str, &'a str)>,
    alpn: Option<&'a str>,
    sni: Option<&'a str>,
    ca: Option<&'a str>,
    insecure: bool,
    cert: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Tls<'a> {
    /// Whether it is one of them.
    fn read(&mut self, name: &'a str, value: &'a str, side: Side) -> Result<bool, String> {
        match (name, side) {
            ("tls", _) => {
                self.wanted = switch(name, value)?;
                return Ok(true);
            }
            ("alpn", _) => self.alpn = Some(value),
            ("sni", Side::Outbound) => self.sni = Some(value),
            ("ca", Side::Outbound) => self.ca = Some(value),
            ("insecure", Side::Outbound) => self.insecure = switch(name, value)?,
            ("cert", Side::Inbound) => self.cert = Some(value),
            ("key", Side::Inbound) => self.key = Some(value),
            _ => return Ok(false),
        }
        self.detail = Some((name, value));
        Ok(true)
    }

    fn settings(&self, side: Side) -> Result<Option<TlsSettings>, String> {
        if !self.wanted {
            return match self.detail {
                Some((name, value)) => Err(format!("{name} is {value:?}, must come with tls=1")),
                None => Ok(None),
            };
        }
        let mut settings = match side {
            Side::Inbound => self.server()?,
            _ => self.client()?,
        };
        if let Some(alpn) = self.alpn {
            settings = settings.with_alpn(alpn.split(',').filter(|name| !name.is_empty()));
        }
        Ok(Some(settings))
    }

    fn server(&self) -> Result<TlsSettings, String> {
        let (Some(cert), Some(key)) = (self.cert, self.key) else {
            return Err("tls is 1, which needs cert=FILE and key=FILE".to_owned());
        };
        let settings = TlsSettings::server_files(cert, key);
        let checked = settings.server_config();
        checked.map_err(|error| {
            format!("cert is {cert:?} and key {key:?}, must be PEM files that fit: {error}")
        })?;
        Ok(settings)
    }

    fn client(&self) -> Result<TlsSettings, String> {
        let mut settings = TlsSettings::new().with_allow_insecure(self.insecure);
        if let Some(sni) = self.sni {
            settings = settings.with_server_name(sni);
            let checked = settings.server_name("");
            checked.map_err(|_| format!("sni is {sni:?}, must be a host name"))?;
        }
        if let Some(ca) = self.ca {
            settings = settings.with_root_file(ca).with_system_roots(false);
            let checked = settings.client_config();
            checked.map_err(|error| format!("ca is {ca:?}, must be a PEM file: {error}"))?;
        }
        Ok(settings)
    }
}

fn named<T: FromStr<Err = ParseOptionError>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name}: {error}"))
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    let number = value.parse();
    number.map_err(|_| format!("{name} is {value:?}, must be a whole number that is not too large"))
}

/// MiB/s as bytes per second.
fn capacity(name: &str, value: &str) -> Result<u64, String> {
    match number(name, value)? {
        mib @ 0..=MOST_CAPACITY => Ok(mib * MIB),
        mib => Err(format!(
            "{name} is {mib}, must be 0 to {MOST_CAPACITY} MiB/s"
        )),
    }
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("{name} is {value:?}, must be 1 or 0")),
    }
}
