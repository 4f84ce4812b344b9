//! The parameters by which share links describe a transport.

use std::borrow::Cow;

use form_urlencoded::{byte_serialize, parse as parse_query};
use serde_json::{Map, Value, json};

use super::{
    Dialect, ReadOptions, Reading, Side, StreamSettings,
    error::{Error, Warning},
    host::split_host_port,
    read, settings,
    write::{self, Written},
};
use crate::config::Header;

/// Of the proxy or of other transports.
const ELSEWHERE: [&str; 14] = [
    "alterId",
    "authority",
    "encryption",
    "ech",
    "extra",
    "flow",
    "mode",
    "path",
    "pbk",
    "pqv",
    "quicSecurity",
    "serviceName",
    "sid",
    "spx",
];
/// Of TLS, without effect here.
const DEAD: &str = "fp";
/// Parameters of TLS that are texts, by the names that they have in `tlsSettings`.
const TLS_TEXTS: [(&str, &str); 5] = [
    ("sni", "serverName"),
    ("peer", "serverName"),
    ("alpn", "alpn"),
    ("pcs", "pinnedPeerCertSha256"),
    ("vcn", "verifyPeerCertByName"),
];

/// Reads the parameters of a share link with `type=kcp`, or the whole link.
///
/// Known are `type`, `headerType` (and `host`, the domain of the header `dns`), `seed`, `mtu`,
/// `tti`, `fm` (Xray's `finalmask` as JSON), `security`, `sni`, `alpn`, `allowInsecure` or
/// `insecure`, and the pins `pcs` and `vcn`, which are refused beside the former. Those of the
/// proxy are passed over. An empty parameter is as good as none. Without `security` there is no
/// TLS, but a `trojan://` link means it.
///
/// # Errors
///
/// As [`read`](super::read()); paths are the parameters' names.
///
/// ```
/// use mkcp::{Header, v2ray};
///
/// let link = "vless://id@example.org:443?type=kcp&headerType=srtp&seed=open%20sesame&mtu=1400#home";
/// let reading = v2ray::read_share_params(link)?;
/// assert_eq!(reading.settings().config().header(), &Header::Srtp);
/// assert_eq!(reading.settings().config().mtu(), 1400);
/// assert_eq!((reading.address(), reading.port()), (Some("example.org"), Some(443)));
/// # Ok::<(), v2ray::Error>(())
/// ```
pub fn read_share_params(query: &str) -> Result<Reading, Error> {
    let (rest, name) = match query.split_once('#') {
        Some((rest, name)) => (rest, Some(decode_name(name))),
        None => (query, None),
    };
    let (front, params) = match rest.split_once('?') {
        Some((front, params)) => (front, params),
        None if rest.contains("://") => {
            let expected = "one with parameters behind a question mark";
            return Err(Error::new("", "a link without parameters", expected));
        }
        None => ("", rest),
    };
    let scheme = front.split_once("://").map(|(scheme, _)| scheme);
    let trojan = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("trojan"));
    let mut params = Params::new(params);
    params.security = if trojan { "tls" } else { "none" };
    let mut warnings = Vec::new();
    let stream = to_stream(&mut params, &mut warnings)?;
    let dialect = match params.take("fm") {
        Some(_) => None,
        None if params.dns => Some(Dialect::Xray25),
        None => Some(Dialect::V2ray4),
    };
    let mut options = ReadOptions::new();
    options.dialect = dialect;
    let mut reading = read(&stream.to_string(), &options).map_err(|e| rename(&e))?;
    if !params.described {
        let message = "is absent, like seed and fm: security is simple, but none with Xray since \
                       26.1.31";
        warnings.push(Warning::new("headerType", message));
    }
    params.finish(&mut warnings);
    for warning in &reading.warnings {
        warnings.push(Warning::new(to_param(warning.path()), warning.message()));
    }
    reading.warnings = warnings;
    reading.side = Some(Side::Outbound);
    reading.tag = name.filter(|name| !name.is_empty());
    if let Some((_, authority)) = front.split_once("://") {
        let authority = authority.trim_end_matches('/');
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let (host, port) = split_host_port(host);
        reading.address = (!host.is_empty()).then(|| host.to_owned());
        reading.port = port.and_then(|port| port.parse().ok());
    }
    Ok(reading)
}

/// Writes settings as the parameters of a share link, `type=kcp&...`, to be put behind its
/// question mark.
///
/// Only what differs from the defaults is written. For dialects with `finalmask` that is the
/// parameter `fm`.
///
/// # Errors
///
/// What [`write`](super::write()) refuses for this dialect, and what links have no parameter for:
/// certificates, capacities and buffers other than the defaults, an empty seed.
pub fn write_share_params(settings: &StreamSettings, dialect: Dialect) -> Result<String, Error> {
    let written = write::write(settings, dialect)?;
    if dialect == Dialect::V2fly5 {
        let expected = "v2ray4 or one of Xray's: links have no other form";
        return Err(Error::new("dialect", dialect, expected));
    }
    refuse_unsaid(settings)?;
    let mut query = "type=kcp".to_owned();
    let mut put = |key: &str, value: &str| {
        let value: String = byte_serialize(value.as_bytes()).collect();
        query += &format!("&{key}={}", value.replace('+', "%20"));
    };
    write_transport(settings, &written, dialect, &mut put)?;
    match settings.tls() {
        None => put("security", "none"),
        Some(tls) => {
            put("security", "tls");
            if let Some(name) = tls.configured_server_name() {
                put("sni", name);
            }
            if tls.alpn() != super::TlsSettings::new().alpn() {
                put("alpn", &tls.alpn().join(","));
            }
            if tls.allow_insecure() {
                put("allowInsecure", "1");
            }
        }
    }
    Ok(query)
}

fn write_transport(
    settings: &StreamSettings,
    written: &Written,
    dialect: Dialect,
    put: &mut impl FnMut(&str, &str),
) -> Result<(), Error> {
    let config = settings.config();
    let kcp = written.value().get("kcpSettings");
    if dialect.has_masks() {
        let masks = written.value().get("finalmask").cloned();
        put(
            "fm",
            &masks.unwrap_or_else(|| json!({"udp": []})).to_string(),
        );
    } else {
        if let Header::Dns(domain) = config.header() {
            put("headerType", "dns");
            put("host", domain);
        } else {
            put("headerType", &config.header().to_string());
        }
        match write::seed(config.security())? {
            Some("") => return Err(Error::new("seed", "empty", "longer in a share link")),
            Some(seed) => put("seed", seed),
            None => {}
        }
    }
    for (key, default) in [("mtu", 1350), ("tti", 50)] {
        let value = kcp.and_then(|kcp| kcp.get(key)).and_then(Value::as_u64);
        if let Some(value) = value.filter(|&value| value != default) {
            put(key, &value.to_string());
        }
    }
    Ok(())
}

fn refuse_unsaid(settings: &StreamSettings) -> Result<(), Error> {
    let (config, default) = (settings.config(), crate::config::Config::default());
    let refuse = |field: &str, value: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
        let expected = format!("{expected}, because share links cannot say anything else");
        Err(Error::new(field, value, expected))
    };
    let numbers = [
        ("uplink", config.uplink(), default.uplink()),
        ("downlink", config.downlink(), default.downlink()),
        (
            "write_buffer",
            config.write_buffer() as u64,
            default.write_buffer() as u64,
        ),
    ];
    for (field, value, default) in numbers {
        if value != default {
            return refuse(field, &value, &default);
        }
    }
    let default = super::TlsSettings::new();
    let tls = settings.tls().unwrap_or(&default);
    if !tls.certificates().is_empty() {
        return refuse("tls.certificates", &"given", &"absent");
    }
    if tls.versions() != default.versions() || tls.system_roots() != default.system_roots() {
        return refuse("tls", &"more than a name", &"a name and protocols at most");
    }
    Ok(())
}

/// The parameters, with a memory of which have been asked for.
struct Params<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Whether there is a header, a seed or a list of masks.
    described: bool,
    dns: bool,
    /// What holds when nothing is said.
    security: &'static str,
    /// Whether the query itself has the character that stands for broken text.
    replaced: bool,
}

impl<'a> Params<'a> {
    fn new(query: &'a str) -> Self {
        let mut params = Self {
            pairs: parse_query(query.as_bytes()).collect(),
            described: false,
            dns: false,
            security: "none",
            replaced: query.contains(char::REPLACEMENT_CHARACTER)
                || query.to_ascii_uppercase().contains("%EF%BF%BD"),
        };
        let filled = |key: &str| params.peek(key).is_some_and(|value| !value.is_empty());
        let described = filled("headerType") || filled("seed") || filled("fm");
        let dns = params
            .peek("headerType")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("dns"));
        params.described = described;
        params.dns = dns;
        params
    }

    fn peek(&self, key: &str) -> Option<&str> {
        let found = self
            .pairs
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_ref())
    }

    /// The value of a parameter that is there and not empty.
    fn take(&mut self, key: &str) -> Option<String> {
        let same = |(name, _): &(Cow<'_, str>, Cow<'_, str>)| name.eq_ignore_ascii_case(key);
        let at = self.pairs.iter().position(same)?;
        let (_, value) = self.pairs.remove(at);
        (!value.is_empty()).then(|| value.into_owned())
    }

    fn finish(self, warnings: &mut Vec<Warning>) {
        for (name, value) in self.pairs {
            let same = |key: &&&str| key.eq_ignore_ascii_case(&name);
            if value.is_empty() || ELSEWHERE.iter().find(same).is_some() {
                continue;
            }
            let why = if same(&&DEAD) {
                "has no effect here"
            } else {
                "is not known and has no effect"
            };
            warnings.push(Warning::new(name, why));
        }
    }
}

/// The `streamSettings` that a client would make from the parameters.
fn to_stream(params: &mut Params<'_>, warnings: &mut Vec<Warning>) -> Result<Value, Error> {
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
    let masks = params
        .peek("fm")
        .filter(|masks| !masks.is_empty())
        .map(read::parse);
    let masks = masks
        .transpose()
        .map_err(|e| Error::new("fm", e.value(), e.expected()))?;
    let kind = params
        .take("headerType")
        .unwrap_or_else(|| "none".to_owned());
    let host = params.take("host");
    let seed = params.take("seed");
    if masks.is_some() && (kind != "none" || seed.is_some()) {
        let message = "decides about header and seed, so headerType and seed have no effect";
        warnings.push(Warning::new("fm", message));
    }
    if masks.is_none() {
        let mut header = json!({ "type": kind });
        if let (true, Some(host), Some(header)) = (params.dns, host, header.as_object_mut()) {
            header.insert("domain".to_owned(), host.into());
        }
        kcp.insert("header".to_owned(), header);
        if let Some(seed) = seed {
            if seed.contains(char::REPLACEMENT_CHARACTER) && !params.replaced {
                return Err(Error::new("seed", "not text", "UTF-8, percent-encoded"));
            }
            kcp.insert("seed".to_owned(), seed.into());
        }
    }
    let security = params.take("security");
    let security = security.unwrap_or_else(|| params.security.to_owned());
    let tls = to_tls(params)?;
    if security.eq_ignore_ascii_case("none") {
        for key in tls.keys() {
            let path = format!("tlsSettings.{key}");
            let message = "has no effect: security is none, so there is no TLS";
            warnings.push(Warning::new(to_param(&path), message));
        }
    }
    let mut stream = json!({"network": network, "kcpSettings": kcp, "security": security});
    if let Some(stream) = stream.as_object_mut() {
        if let Some(masks) = masks {
            stream.insert("finalmask".to_owned(), masks);
        }
        let asked = stream.get("security").and_then(Value::as_str);
        if asked.is_some_and(settings::is_tls) {
            stream.insert("tlsSettings".to_owned(), tls.into());
        }
    }
    Ok(stream)
}

fn to_tls(params: &mut Params<'_>) -> Result<Map<String, Value>, Error> {
    let mut tls = Map::new();
    for (param, key) in TLS_TEXTS {
        if let Some(text) = params.take(param) {
            tls.entry(key).or_insert_with(|| text.into());
        }
    }
    for key in ["allowInsecure", "allow_insecure", "insecure"] {
        let allow = match params.take(key).as_deref() {
            None => continue,
            Some("1" | "true") => true,
            Some("0" | "false") => false,
            Some(other) => return Err(Error::new(key, quote(other), "1 or 0")),
        };
        tls.insert("allowInsecure".to_owned(), allow.into());
    }
    Ok(tls)
}

fn quote(text: &str) -> String {
    super::cursor::quote(text)
}

/// Where a place in the settings came from.
fn to_param(path: &str) -> &str {
    match path {
        "network" => "type",
        "kcpSettings.header.type" => "headerType",
        "kcpSettings.header.domain" | "kcpSettings.header" => "host",
        "tlsSettings.serverName" => "sni",
        "tlsSettings.alpn" => "alpn",
        "tlsSettings.allowInsecure" => "allowInsecure",
        "tlsSettings.pinnedPeerCertSha256" => "pcs",
        "tlsSettings.verifyPeerCertByName" => "vcn",
        path => match path.strip_prefix("kcpSettings.") {
            Some(key) => key,
            None => path,
        },
    }
}

fn rename(error: &Error) -> Error {
    Error::new(to_param(error.path()), error.value(), error.expected())
}

fn decode_name(name: &str) -> String {
    // A name has no `=`, so that it is read as a key.
    let name = name
        .replace('+', "%2B")
        .replace('=', "%3D")
        .replace('&', "%26");
    let mut pairs = parse_query(name.as_bytes());
    pairs
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}
