//! Settings as parameters of a share link.

use std::fmt;

use form_urlencoded::byte_serialize;
use serde_json::{Value, json};

use super::no_such_links;
use crate::{
    config::{Config, Congestion, Header},
    v2ray::{
        Dialect, StreamSettings, TlsSettings,
        error::{Error, Warning},
        write::{self, Written},
    },
};

/// The parameters of a share link. `Display` shows them as they are put behind the question mark.
///
/// `Debug` shows only the warnings, because the seed is among the parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct WrittenParams {
    query: String,
    warnings: Vec<Warning>,
}

impl WrittenParams {
    /// `type=kcp&...`, percent-encoded.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// What only this side does and links have no parameter for, as
    /// [`Written::warnings`](crate::v2ray::Written::warnings): it was left out.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl fmt::Debug for WrittenParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenParams")
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for WrittenParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.query)
    }
}

/// Writes settings as the parameters of a share link, `type=kcp&...`, to be put behind its
/// question mark.
///
/// Only what differs from the defaults is written. For dialects with `finalmask` that is the
/// parameter `fm`. What only this side does is left out and named by
/// [`WrittenParams::warnings`].
///
/// # Errors
///
/// What [`write`](crate::v2ray::write()) refuses for this dialect, and what links have no parameter
/// for: certificates, capacities and buffers other than the defaults, `congestion`, an empty seed.
///
/// ```
/// use mkcp::{Config, v2ray::{self, Dialect, StreamSettings}};
///
/// let settings = StreamSettings::new(Config::builder().seed("open sesame").build()?);
/// let params = v2ray::write_share_params(&settings, Dialect::V2ray4)?;
/// assert_eq!(params.query(), "type=kcp&headerType=none&seed=open%20sesame&security=none");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_share_params(
    settings: &StreamSettings,
    dialect: Dialect,
) -> Result<WrittenParams, Error> {
    if dialect == Dialect::V2fly5 {
        return Err(no_such_links(dialect));
    }
    let written = write::write(settings, dialect)?;
    refuse_unsaid(settings, dialect)?;
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
            if tls.alpn() != TlsSettings::new().alpn() {
                put("alpn", &tls.alpn().join(","));
            }
            if tls.allow_insecure() {
                put("allowInsecure", "1");
            }
        }
    }
    let warnings = written.warnings().to_vec();
    Ok(WrittenParams { query, warnings })
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

fn refuse_unsaid(settings: &StreamSettings, dialect: Dialect) -> Result<(), Error> {
    let (config, default) = (settings.config(), Config::default());
    let refuse = |field: &str, value: &dyn fmt::Display, expected: &dyn fmt::Display| {
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
    if config.congestion() == Congestion::LossRate && !dialect.has_masks() {
        return refuse("congestion", &config.congestion(), &default.congestion());
    }
    let default = TlsSettings::new();
    let tls = settings.tls().unwrap_or(&default);
    if !tls.certificates().is_empty() {
        return refuse("tls.certificates", &"given", &"absent");
    }
    if tls.reject_unknown_names()
        || tls.versions() != default.versions()
        || tls.system_roots() != default.system_roots()
    {
        return refuse("tls", &"more than a name", &"a name and protocols at most");
    }
    Ok(())
}
