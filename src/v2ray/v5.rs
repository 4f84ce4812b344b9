//! V2Fly 5's own form of `streamSettings`: protobuf messages in JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    StreamSettings, TlsSettings,
    cursor::Cursor,
    error::{Error, Warning},
    kcp,
    object::Object,
    settings, tls,
    write::{capacity, no_such_header, seed, tti},
};
use crate::config::{Config, ConfigBuilder, Congestion, Header};

/// What stands in front of a message's name in `@type`.
const TYPE_URL: &str = "types.v2fly.org/";
const HEADERS: &str = "v2ray.core.transport.internet.headers.";
/// Messages that are headers, behind [`HEADERS`].
const MESSAGES: [(&str, Header); 6] = [
    ("noop.Config", Header::None),
    ("srtp.Config", Header::Srtp),
    ("utp.Config", Header::Utp),
    ("wechat.VideoConfig", Header::WechatVideo),
    ("tls.PacketConfig", Header::Dtls),
    ("wireguard.WireguardConfig", Header::Wireguard),
];

pub(super) fn read(
    mut stream: Object<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<StreamSettings, Error> {
    let Some(transport) = stream.get("transport") else {
        let path = stream.path_of("transport");
        return Err(Error::new(path, "absent, which means tcp", "kcp"));
    };
    let name = transport.string()?;
    if !["kcp", "mkcp"]
        .iter()
        .any(|kcp| name.eq_ignore_ascii_case(kcp))
    {
        return Err(transport.error("kcp"));
    }
    let path = stream.path_of("transportSettings");
    let config = read_kcp(stream.get("transportSettings"), &path, warnings)?;
    let asked = settings::asks_for_tls(stream.get("security"), warnings)?;
    let tls = match (asked, stream.get("securitySettings")) {
        (None, None) => None,
        (None, Some(unused)) => {
            let message = "has no effect: security is none, so there is no TLS";
            warnings.push(Warning::new(unused.path(), message));
            None
        }
        (Some(_), None) => Some(TlsSettings::new()),
        (Some(_), Some(cursor)) => Some(tls::v5::read(&cursor, warnings)?),
    };
    stream.dead("socketSettings", " here", warnings);
    stream.finish(warnings);
    let settings = StreamSettings::new(config);
    Ok(match tls {
        Some(tls) => settings.with_tls(tls),
        None => settings,
    })
}

pub(super) fn write(settings: &StreamSettings) -> Result<Value, Error> {
    let config = settings.config();
    let mut kcp = Map::new();
    let mut put = |key: &str, value: Value| kcp.insert(key.to_owned(), value);
    put("mtu", json!({"value": config.mtu()}));
    put("tti", json!({"value": tti(config, (10, 1000))?}));
    put(
        "uplinkCapacity",
        json!({"value": capacity("uplink", config.uplink())?}),
    );
    put(
        "downlinkCapacity",
        json!({"value": capacity("downlink", config.downlink())?}),
    );
    if config.congestion() == Congestion::LossRate {
        put("congestion", true.into());
    }
    put("writeBuffer", json!({"size": config.write_buffer()}));
    let message = MESSAGES
        .iter()
        .find(|(_, header)| header == config.header());
    let Some((message, header)) = message else {
        return Err(no_such_header(config.header()));
    };
    if *header != Header::None {
        let url = format!("{TYPE_URL}{HEADERS}{message}");
        put("headerConfig", json!({"@type": url}));
    }
    if let Some(seed) = seed(config.security())? {
        put("seed", json!({"seed": seed}));
    }
    let mut stream = Map::new();
    stream.insert("transport".to_owned(), "kcp".into());
    stream.insert("transportSettings".to_owned(), kcp.into());
    if let Some(tls) = settings.tls() {
        stream.insert("security".to_owned(), "tls".into());
        stream.insert("securitySettings".to_owned(), tls::v5::write(tls)?);
    }
    Ok(stream.into())
}

fn read_kcp(
    kcp: Option<Cursor<'_>>,
    path: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Config, Error> {
    let Some(kcp) = kcp else {
        return kcp::build(Config::builder(), path);
    };
    let mut kcp = kcp.object()?.protobuf()?;
    let mut builder = Config::builder();
    if let Some(mtu) = nested(&mut kcp, "mtu", "value", warnings)? {
        let bytes = mtu.number_or_digits()?;
        let bytes = u16::try_from(bytes).map_err(|_| mtu.error("at most 65507"))?;
        builder = builder.mtu(bytes);
    }
    if let Some(tti) = nested(&mut kcp, "tti", "value", warnings)? {
        let tti = tti.number_or_digits()?;
        builder = builder.tti(Duration::from_millis(tti));
    }
    for (key, set) in [
        ("uplinkCapacity", ConfigBuilder::uplink as fn(_, _) -> _),
        ("downlinkCapacity", ConfigBuilder::downlink),
    ] {
        if let Some(cap) = nested(&mut kcp, key, "value", warnings)? {
            builder = set(
                builder,
                kcp::capacity(&cap, cap.number_or_digits()?, warnings)?,
            );
        }
    }
    if let Some(on) = kcp.get("congestion") {
        builder = kcp::congestion(builder, on.bool()?);
    }
    if let Some(size) = nested(&mut kcp, "writeBuffer", "size", warnings)? {
        let bytes = usize::try_from(size.number_or_digits()?);
        builder = builder.write_buffer(bytes.unwrap_or(usize::MAX));
    }
    kcp.dead("readBuffer", ", neither upstream nor here", warnings);
    if let Some(header) = kcp.get("headerConfig") {
        builder = builder.header(read_header(&header, warnings)?);
    }
    if let Some(seed) = kcp.get("seed") {
        let mut seed = seed.object()?.protobuf()?;
        let text = seed.get("seed").map(|text| text.secret()).transpose()?;
        builder = builder.security(kcp::seed(text.unwrap_or_default()));
        seed.finish(warnings);
    }
    kcp.finish(warnings);
    build(builder, path)
}

/// As [`kcp::build`], but the numbers stand one level deeper.
fn build(builder: ConfigBuilder, path: &str) -> Result<Config, Error> {
    builder.build().map_err(|error| {
        let path = match error.field() {
            "write_buffer" => format!("{path}.writeBuffer.size"),
            field => format!("{path}.{field}.value"),
        };
        Error::new(path, error.value(), error.expected())
    })
}

/// A number that is wrapped in a message of its own.
fn nested<'a>(
    kcp: &mut Object<'a>,
    key: &str,
    inner: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Cursor<'a>>, Error> {
    let Some(message) = kcp.get(key) else {
        return Ok(None);
    };
    let mut message = message.object()?.protobuf()?;
    let value = message.get(inner);
    message.finish(warnings);
    Ok(value)
}

fn read_header(cursor: &Cursor<'_>, warnings: &mut Vec<Warning>) -> Result<Header, Error> {
    let mut object = cursor.object()?;
    let expected = "the type of a packet header, such as \
                    types.v2fly.org/v2ray.core.transport.internet.headers.srtp.Config";
    let Some(url) = object.get("@type") else {
        return Err(Error::new(object.path_of("@type"), "absent", expected));
    };
    let text = url.string()?;
    let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
    let name = name.strip_prefix(HEADERS);
    let found = MESSAGES.iter().find(|(message, _)| Some(*message) == name);
    let (_, header) = found.ok_or_else(|| url.error(expected))?;
    object.dead("payloadType", " here", warnings);
    object.finish(warnings);
    Ok(header.clone())
}
