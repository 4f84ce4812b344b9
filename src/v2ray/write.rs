//! Settings as `streamSettings` of each dialect.

use std::{fmt, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    Dialect, StreamSettings,
    error::{Error, Warning},
    kcp::{self, MIB, SMALL_BUFFER},
    masks, tls, v5,
};
use crate::config::{
    Config, Congestion, Header, Security, Seed,
    derive::{header_len, security_len},
};

/// A `streamSettings` object. `Display` shows it as indented JSON.
///
/// `Debug` shows only the warnings, because seed and keys are in the object.
#[derive(Clone, PartialEq)]
pub struct Written {
    value: Value,
    warnings: Vec<Warning>,
}

impl Written {
    /// The object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object, for putting it into a larger document.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// What only this side does and the dialect has no word for: it was left out.
    ///
    /// Nothing of it concerns what goes over the wire.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.value)
    }
}

/// Writes settings as a `streamSettings` object.
///
/// The settings that both ends must share, and those for which the dialect has a key, are written
/// or refused. What only this side does, and the dialect cannot say, is left out and named by
/// [`Written::warnings`].
///
/// # Errors
///
/// The first setting whose value the dialect cannot express, named as its setter.
///
/// ```
/// use mkcp::{Config, v2ray::{self, Dialect, StreamSettings}};
///
/// let settings = StreamSettings::new(Config::builder().seed("swordfish").build()?);
/// let written = v2ray::write(&settings, Dialect::Xray)?;
/// assert_eq!(written.value()["finalmask"]["udp"][0]["settings"]["value"], "swordfish");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(settings: &StreamSettings, dialect: Dialect) -> Result<Written, Error> {
    let value = if dialect == Dialect::V2fly5 {
        v5::write(settings)?
    } else {
        write_flat(settings, dialect)?
    };
    Ok(Written {
        value,
        warnings: left_out(settings.config(), dialect),
    })
}

/// All dialects but that of V2Fly 5.
fn write_flat(settings: &StreamSettings, dialect: Dialect) -> Result<Value, Error> {
    let config = settings.config();
    let mut stream = Map::new();
    stream.insert("network".to_owned(), "kcp".into());
    let kcp = if dialect.has_masks() {
        if let Some(masks) = masks::write(config, dialect)? {
            stream.insert("finalmask".to_owned(), masks);
        }
        write_new_kcp(config)?
    } else {
        write_old_kcp(config, dialect)?
    };
    stream.insert("kcpSettings".to_owned(), kcp);
    if let Some(settings) = settings.tls() {
        stream.insert("security".to_owned(), "tls".into());
        stream.insert(
            "tlsSettings".to_owned(),
            tls::write::write(settings, dialect)?,
        );
    }
    Ok(stream.into())
}

fn write_old_kcp(config: &Config, dialect: Dialect) -> Result<Value, Error> {
    let (least, most) = kcp::OLD_MTU;
    if !(least..=most).contains(&u64::from(config.mtu())) {
        return Err(Error::new(
            "mtu",
            config.mtu(),
            format!("{least} to {most}"),
        ));
    }
    let header = match config.header() {
        Header::Dns(_) if dialect != Dialect::Xray25 => {
            return Err(no_such_header(config.header()));
        }
        Header::Dns(domain) if domain.is_empty() => {
            let expected = "given, because Xray replaces an empty domain by its default";
            return Err(Error::new("header", "a query for no domain", expected));
        }
        Header::Dns(domain) => json!({"type": "dns", "domain": domain}),
        header => json!({"type": header.to_string()}),
    };
    let write_buffer = match config.write_buffer() as u64 {
        bytes if bytes == SMALL_BUFFER as u64 => 0,
        bytes if bytes.is_multiple_of(MIB) => bytes / MIB,
        bytes => {
            let expected = "524288 or a multiple of 1048576 bytes";
            return Err(Error::new("write_buffer", bytes, expected));
        }
    };
    let mut kcp = json!({
        "mtu": config.mtu(),
        "tti": tti(config, kcp::OLD_TTI)?,
        "uplinkCapacity": capacity("uplink", config.uplink())?,
        "downlinkCapacity": capacity("downlink", config.downlink())?,
        "congestion": config.congestion() == Congestion::LossRate,
        "writeBufferSize": write_buffer,
        "header": header,
    });
    if let (Some(seed), Some(kcp)) = (seed(config.security())?, kcp.as_object_mut()) {
        kcp.insert("seed".to_owned(), seed.into());
    }
    Ok(kcp)
}

/// Xray's MTU since 26.1.31 does not count the masks.
fn write_new_kcp(config: &Config) -> Result<Value, Error> {
    let overhead = header_len(config.header()) + security_len(config.security());
    Ok(json!({
        "mtu": usize::from(config.mtu()) - overhead,
        "tti": tti(config, kcp::NEW_TTI)?,
        "uplinkCapacity": capacity("uplink", config.uplink())?,
        "downlinkCapacity": capacity("downlink", config.downlink())?,
        "maxSendingWindow": config.write_buffer(),
    }))
}

pub(super) fn tti(config: &Config, (least, most): (u64, u64)) -> Result<u64, Error> {
    let tti = config.tti();
    let whole = u64::try_from(tti.as_millis()).ok();
    let whole = whole.filter(|&ms| Duration::from_millis(ms) == tti);
    whole
        .filter(|ms| (least..=most).contains(ms))
        .ok_or_else(|| Error::new("tti", format!("{tti:?}"), format!("{least}ms to {most}ms")))
}

/// Bytes per second in MiB/s. The programs compute with 32 bits of bytes.
pub(super) fn capacity(field: &str, bytes_per_second: u64) -> Result<u64, Error> {
    let mib = bytes_per_second / MIB;
    if bytes_per_second.is_multiple_of(MIB) && mib < 4096 {
        return Ok(mib);
    }
    let expected = "a multiple of 1048576 bytes per second, less than 4 GiB per second";
    Err(Error::new(field, bytes_per_second, expected))
}

/// The seed where its absence means [`Security::Simple`].
pub(super) fn seed(security: &Security) -> Result<Option<&str>, Error> {
    match security {
        Security::Simple => Ok(None),
        Security::Aes128Gcm(seed) => Ok(Some(seed_text(seed)?)),
        Security::None => {
            let expected = "simple or aes-128-gcm: only Xray since 26.1.31 can do without";
            Err(Error::new("security", security, expected))
        }
    }
}

pub(super) fn seed_text(seed: &Seed) -> Result<&str, Error> {
    str::from_utf8(seed.as_bytes()).map_err(|_| {
        Error::new(
            "seed",
            "not text",
            "UTF-8, because it is to be written as JSON",
        )
    })
}

pub(super) fn no_such_header(header: &Header) -> Error {
    let expected = "none, srtp, utp, wechat-video, dtls or wireguard: only Xray knows more";
    Error::new("header", header, expected)
}

fn left_out(config: &Config, dialect: Dialect) -> Vec<Warning> {
    let default = Config::default();
    let mut warnings = Vec::new();
    let mut warn = |field: &str, value: String| {
        let message = format!("is {value}, for which {dialect} has no word: left out");
        warnings.push(Warning::new(field, message));
    };
    let congestion = config.congestion();
    let said = congestion == Congestion::LossRate && !dialect.has_masks();
    if congestion != default.congestion() && !said {
        warn("congestion", congestion.to_string());
    }
    if config.read_buffer() != default.read_buffer() {
        warn("read_buffer", config.read_buffer().to_string());
    }
    let durations = [
        ("keepalive", config.keepalive(), default.keepalive()),
        (
            "idle_timeout",
            config.idle_timeout(),
            default.idle_timeout(),
        ),
        ("linger", config.linger(), default.linger()),
    ];
    for (field, value, default) in durations {
        if value != default {
            warn(field, format!("{value:?}"));
        }
    }
    warnings
}
