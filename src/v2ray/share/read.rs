//! Reading the parameters of a share link.

use form_urlencoded::parse as parse_query;
use serde_json::{Map, Value, json};

use super::{no_such_links, params::Params};
use crate::v2ray::{
    Dialect, ReadOptions, Reading, Side,
    cursor::{Cursor, quote},
    error::{Error, Warning},
    host::{check_brackets, is_host, split_host_port},
    ports, read, settings,
};

/// Settings of TLS that are texts: as `tlsSettings` has them, and as links do.
const TLS_TEXTS: [(&str, &[&str]); 4] = [
    ("serverName", &["sni", "peer"]),
    ("alpn", &["alpn"]),
    ("pinnedPeerCertSha256", &["pcs"]),
    ("verifyPeerCertByName", &["vcn"]),
];
const ALLOW_INSECURE: [&str; 3] = ["allowInsecure", "allow_insecure", "insecure"];

/// Reads the parameters of a share link with `type=kcp`, or the whole link.
///
/// Known are `type`, `headerType` (and `host`, the domain of the header `dns`), `seed`, `mtu`,
/// `tti`, `fm` (Xray's `finalmask` as JSON), `security`, `sni` or `peer`, `alpn`, `allowInsecure`,
/// `allow_insecure` or `insecure`, and the pins `pcs` and `vcn`, which are refused beside the former.
/// Those of the proxy are passed over. An empty parameter is as good as none. One setting under two
/// names is refused where these disagree. Without `security` there is no TLS, but a `trojan://` link
/// means it.
///
/// Of the options only the dialect is used. Without one a link with `fm` is read as a file with
/// `finalmask`, any other as V2Ray 4 or, with the header `dns`, Xray 25.
///
/// # Errors
///
/// As [`read`](crate::v2ray::read()); paths are the parameters' names, and places inside `fm`.
/// Warnings call the link's host and port `address` and `port`.
///
/// ```
/// use mkcp::{Header, v2ray::{self, ReadOptions}};
///
/// let link = "vless://id@example.org:443?type=kcp&headerType=srtp&seed=open%20sesame&mtu=1400#home";
/// let reading = v2ray::read_share_params(link, &ReadOptions::new())?;
/// assert_eq!(reading.settings().config().header(), &Header::Srtp);
/// assert_eq!(reading.settings().config().mtu(), 1400);
/// assert_eq!((reading.address(), reading.port()), (Some("example.org"), Some(443)));
/// # Ok::<(), v2ray::Error>(())
/// ```
pub fn read_share_params(query: &str, options: &ReadOptions) -> Result<Reading, Error> {
    if options.dialect == Some(Dialect::V2fly5) {
        return Err(no_such_links(Dialect::V2fly5));
    }
    let link = Link::split(query)?;
    let mut params = Params::new(link.params);
    let mut warnings = Vec::new();
    let transport = read_transport(&mut params, options.dialect, &mut warnings)?;
    let tls = read_tls(&mut params, link.default_security(), &mut warnings)?;
    params.finish(&mut warnings);
    let dialect = transport.dialect;
    let stream = transport.into_stream(tls);
    let mut found = Vec::new();
    let (settings, dialect) = Cursor::root(&stream)
        .object()
        .and_then(|stream| settings::read(stream, None, dialect, &mut found))
        .map_err(|error| Error::new(to_param(error.path()), error.value(), error.expected()))?;
    let found = found.iter();
    warnings.extend(found.map(|w| Warning::new(to_param(w.path()), w.message())));
    let (address, port) = link.host_and_port(&mut warnings);
    Ok(Reading {
        settings,
        dialect,
        side: Some(Side::Outbound),
        tag: link.name(),
        address,
        port,
        warnings,
    })
}

/// The parts of a link; bare parameters have no scheme.
struct Link<'a> {
    scheme: &'a str,
    authority: &'a str,
    params: &'a str,
    name: &'a str,
}

impl<'a> Link<'a> {
    fn split(text: &'a str) -> Result<Self, Error> {
        let (text, name) = text.split_once('#').unwrap_or((text, ""));
        let is_scheme = |scheme: &str| {
            let mut bytes = scheme.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        let Some((scheme, rest)) = text
            .split_once("://")
            .filter(|(scheme, _)| is_scheme(scheme))
        else {
            return Ok(Self {
                scheme: "",
                authority: "",
                params: text.strip_prefix('?').unwrap_or(text),
                name,
            });
        };
        let Some((authority, params)) = rest.split_once('?') else {
            let expected = "one with parameters behind a question mark";
            return Err(Error::new("", "a link without parameters", expected));
        };
        Ok(Self {
            scheme,
            authority,
            params,
            name,
        })
    }

    /// Trojan is made to look like HTTPS, so clients take TLS for granted.
    fn default_security(&self) -> &'static str {
        if self.scheme.eq_ignore_ascii_case("trojan") {
            "tls"
        } else {
            "none"
        }
    }

    /// What of them cannot be used is told.
    fn host_and_port(&self, warnings: &mut Vec<Warning>) -> (Option<String>, Option<u16>) {
        let authority = self.authority.trim_end_matches('/');
        let user_and_host = authority.rsplit_once('@');
        let text = user_and_host.map_or(authority, |(_, host)| host);
        let (encoded, port) = split_host_port(text);
        let host = decode(encoded).filter(|host| is_host(host));
        if host.is_some() {
            check_brackets(text, "address", warnings);
        } else if !encoded.is_empty() {
            // Not shown: where something is missing, it may be a secret.
            let message = "is neither a name nor an address and has no effect";
            warnings.push(Warning::new("address", message));
        }
        let ports = ports::parse(port.unwrap_or_default(), "port", warnings);
        (host, ports::first(&ports))
    }

    fn name(&self) -> Option<String> {
        decode(self.name)
    }
}

/// Undoes percent-encoding, in which a plus is a plus. `None` if there is nothing.
fn decode(text: &str) -> Option<String> {
    // Without a `=` it is read as a key.
    let text = text.replace('+', "%2B");
    let text = text.replace('=', "%3D").replace('&', "%26");
    let (text, _) = parse_query(text.as_bytes()).next()?;
    Some(text.into_owned()).filter(|text| !text.is_empty())
}

/// What the parameters say about mKCP.
struct Transport {
    network: String,
    kcp: Map<String, Value>,
    masks: Option<Value>,
    /// `None` if it is to be recognised.
    dialect: Option<Dialect>,
}

/// What the parameters say about TLS: `security`, and `tlsSettings` if there is TLS.
struct Tls {
    security: String,
    settings: Option<Value>,
}

impl Transport {
    /// The `streamSettings` that a client would make of it.
    fn into_stream(self, tls: Tls) -> Value {
        let fields = [
            ("network", Some(self.network.into())),
            ("kcpSettings", Some(self.kcp.into())),
            ("finalmask", self.masks),
            ("security", Some(tls.security.into())),
            ("tlsSettings", tls.settings),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(given.collect())
    }
}

fn read_transport(
    params: &mut Params<'_>,
    asked: Option<Dialect>,
    warnings: &mut Vec<Warning>,
) -> Result<Transport, Error> {
    let network = params.take("type").unwrap_or_else(|| "tcp".to_owned());
    let mut kcp = Map::new();
    for key in ["mtu", "tti"] {
        if let Some(text) = params.take(key) {
            let number: u64 = text
                .parse()
                .map_err(|_| Error::new(key, quote(&text), "a number"))?;
            kcp.insert(key.to_owned(), number.into());
        }
    }
    let masks = read_masks(params)?;
    let header = params.take("headerType");
    let host = params.take("host");
    let seed = params.take("seed");
    let kind = header.as_deref().unwrap_or("none");
    let dns = kind.eq_ignore_ascii_case("dns");
    let said = header.is_some() || seed.is_some();
    if masks.is_some() {
        if kind != "none" || seed.is_some() {
            let message = "decides about header and seed, so headerType and seed have no effect";
            warnings.push(Warning::new("fm", message));
        }
    } else {
        if kind != "none" || !asked.is_some_and(Dialect::has_masks) {
            let domain = host.filter(|_| dns);
            kcp.insert("header".to_owned(), header_object(kind, domain));
        }
        if let Some(seed) = seed {
            if params.is_broken(&seed) {
                return Err(Error::new("seed", "not text", "UTF-8, percent-encoded"));
            }
            kcp.insert("seed".to_owned(), seed.into());
        }
        if !said && asked.is_none() {
            let message = "is absent, like seed and fm: security is simple, but none with Xray \
                           since 26.1.31";
            warnings.push(Warning::new("headerType", message));
        }
    }
    let dialect = match asked {
        Some(dialect) => Some(dialect),
        None if masks.is_some() => None,
        None if dns => Some(Dialect::Xray25),
        None => Some(Dialect::V2ray4),
    };
    Ok(Transport {
        network,
        kcp,
        masks,
        dialect,
    })
}

/// `fm`, which is JSON; null is as good as none.
fn read_masks(params: &mut Params<'_>) -> Result<Option<Value>, Error> {
    let Some(text) = params.take("fm") else {
        return Ok(None);
    };
    let masks = read::parse(&text).map_err(|e| Error::new("fm", e.value(), e.expected()))?;
    Ok(Some(masks).filter(|masks| !masks.is_null()))
}

fn header_object(kind: &str, domain: Option<String>) -> Value {
    let mut header = json!({ "type": kind });
    if let (Some(domain), Some(header)) = (domain, header.as_object_mut()) {
        header.insert("domain".to_owned(), domain.into());
    }
    header
}

fn read_tls(
    params: &mut Params<'_>,
    default: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Tls, Error> {
    let security = params.take("security");
    let security = security.unwrap_or_else(|| default.to_owned());
    let settings = tls_settings(params)?;
    if settings::is_tls(&security) {
        let settings = Some(settings.into());
        return Ok(Tls { security, settings });
    }
    for key in settings.keys() {
        let path = format!("tlsSettings.{key}");
        let message = "has no effect: security is none, so there is no TLS";
        warnings.push(Warning::new(to_param(&path), message));
    }
    Ok(Tls {
        security,
        settings: None,
    })
}

fn tls_settings(params: &mut Params<'_>) -> Result<Map<String, Value>, Error> {
    let mut tls = Map::new();
    for (key, names) in TLS_TEXTS {
        if let Some((_, text)) = take_agreed(params, names, str::eq_ignore_ascii_case)? {
            tls.insert(key.to_owned(), text.into());
        }
    }
    let agree = |one: &str, other: &str| flag(one) == flag(other);
    if let Some((name, text)) = take_agreed(params, &ALLOW_INSECURE, agree)? {
        let allow = flag(&text).ok_or_else(|| Error::new(name, quote(&text), "1 or 0"))?;
        tls.insert("allowInsecure".to_owned(), allow.into());
    }
    Ok(tls)
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// What a setting is by the first of its names that is there. Where they disagree, nobody knows
/// which is meant.
fn take_agreed(
    params: &mut Params<'_>,
    names: &[&'static str],
    agree: impl Fn(&str, &str) -> bool,
) -> Result<Option<(&'static str, String)>, Error> {
    let mut found: Option<(&str, String)> = None;
    for &name in names {
        let Some(text) = params.take(name) else {
            continue;
        };
        match &found {
            None => found = Some((name, text)),
            Some((first, said)) if !agree(said, &text) => {
                let said = quote(said);
                let expected = format!("absent or the same as {first}, which is {said}");
                return Err(Error::new(name, quote(&text), expected));
            }
            Some(_) => {}
        }
    }
    Ok(found)
}

/// The parameter that a place in the settings came from.
fn to_param(path: &str) -> String {
    let param = match path {
        "network" => "type",
        "kcpSettings.header" | "kcpSettings.header.type" => "headerType",
        "kcpSettings.header.domain" => "host",
        "tlsSettings.serverName" => "sni",
        "tlsSettings.pinnedPeerCertSha256" => "pcs",
        "tlsSettings.verifyPeerCertByName" => "vcn",
        path => match path.strip_prefix("finalmask") {
            Some(rest) => return format!("fm{rest}"),
            None => path
                .strip_prefix("kcpSettings.")
                .or_else(|| path.strip_prefix("tlsSettings."))
                .unwrap_or(path),
        },
    };
    param.to_owned()
}
