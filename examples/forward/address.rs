//! Where a forwarder listens and where it connects to, as the command line says it.
//!
//! What is wrong is said without what may be a secret, or a part of one: errors go to logs.

use std::{fmt, path::PathBuf, str::FromStr};

const FORMS: &str = "tcp://HOST:PORT, unix:///PATH or mkcp://HOST:PORT[?NAME=VALUE&..]";

/// One end of a forwarder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Address {
    Tcp(Place),
    Unix(PathBuf),
    Mkcp(Place, Parameters),
}

/// A host and a port. A name is looked up each time it is used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What follows the question mark, decoded, in the order in which it stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" | "mkcp" if place.contains(['&', '=']) => {
                Err("a question mark must stand before the parameters".to_owned())
            }
            "tcp" if rest.contains('?') => Err("tcp:// has no parameters".to_owned()),
            "tcp" => Ok(Self::Tcp(place.parse()?)),
            "unix" if rest.starts_with('/') => Ok(Self::Unix(decode(rest)?.into())),
            "unix" => Err("the path must begin with a slash, as in unix:///run/socket".to_owned()),
            "mkcp" => Ok(Self::Mkcp(place.parse()?, parameters.parse()?)),
            _ => Err(format!("must be {FORMS}")),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("{text:?} has no port, must be HOST:PORT"))?;
        let port = port
            .parse()
            .map_err(|_| format!("port is {port:?}, must be 0 to 65535"))?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if host.is_empty() || bare.is_none() && host.contains([':', '/', '?', '@']) {
            return Err(format!(
                "host is {host:?}, must be a name, an IPv4 address or an IPv6 address in brackets"
            ));
        }
        Ok(Self {
            host: bare.unwrap_or(host).to_owned(),
            port,
        })
    }
}

impl Place {
    pub(crate) fn pair(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for Parameters {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let mut parameters = Vec::new();
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|error| format!("name of a parameter: {error}"))?;
            let value = decode(value).map_err(|error| format!("parameter {name}: {error}"))?;
            if parameters.iter().any(|(earlier, _)| *earlier == name) {
                return Err(format!("parameter {name} is given twice"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }
}

impl Parameters {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Replaces each `%xx` by the byte that it stands for. A plus is a plus.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, encoded)) = rest.split_once('%') {
        bytes.extend(plain.bytes());
        let byte = encoded
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or("two hexadecimal digits must follow a % (itself %25)")?;
        bytes.push(byte);
        rest = &encoded[2..];
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).map_err(|_| "it does not decode to UTF-8".to_owned())
}

/// Without the parameters: they hold secrets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Mkcp(place, _) => write!(f, "mkcp://{place}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}
