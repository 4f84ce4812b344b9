//! `finalmask`: Xray's list of what is put around the segments.
//!
//! On the wire this crate has one layout, that of V2Ray: the header outside, the security inside
//! it. A list that says anything else is refused.

use serde_json::{Value, json};

use super::{
    Dialect,
    cursor::Cursor,
    error::{Error, Warning},
    kcp,
    object::Object,
};
use crate::config::{Config, Header, Security};

/// What a list of masks comes to.
#[derive(Debug, PartialEq)]
pub(super) struct Masks {
    pub(super) header: Header,
    pub(super) security: Security,
}

enum Mask {
    Header(Header),
    Security(Security),
}

/// Reads `finalmask`. Without it there is neither header nor security.
pub(super) fn read(
    finalmask: Option<Cursor<'_>>,
    dialect: Dialect,
    warnings: &mut Vec<Warning>,
) -> Result<Masks, Error> {
    let mut masks = Masks {
        header: Header::None,
        security: Security::None,
    };
    let Some(finalmask) = finalmask else {
        return Ok(masks);
    };
    let mut finalmask = finalmask.object()?;
    for unused in ["tcp", "quicParams"] {
        finalmask.dead(unused, ", because the network is kcp", warnings);
    }
    let udp = finalmask.get("udp");
    finalmask.finish(warnings);
    let Some(udp) = udp else {
        return Ok(masks);
    };
    let mut entries = udp.array()?;
    if !first_is_outermost(dialect) {
        entries.reverse();
    }
    let (mut headers, mut securities) = (0, 0);
    for entry in entries {
        match read_mask(&entry, dialect, warnings)? {
            Mask::Header(_) if securities > 0 => return Err(wrong_order(&udp, dialect)),
            Mask::Header(header) => {
                masks.header = header;
                headers += 1;
            }
            Mask::Security(security) => {
                masks.security = security;
                securities += 1;
            }
        }
        if headers > 1 || securities > 1 {
            let value = "one mask too many";
            let expected = "part of a list with at most one header and one security";
            return Err(Error::new(entry.path(), value, expected));
        }
    }
    Ok(masks)
}

/// The type of the first mask that only mKCP has, in lower case.
pub(super) fn first_type(finalmask: &Cursor<'_>) -> Option<String> {
    let udp = finalmask.object().ok()?.get("udp")?.array().ok()?;
    let kinds = udp.iter().filter_map(|entry| {
        let kind = entry.object().ok()?.get("type")?;
        Some(kind.string().ok()?.to_ascii_lowercase())
    });
    kinds
        .into_iter()
        .find(|kind| kind.starts_with("mkcp-") || kind.starts_with("header-"))
}

/// Writes `finalmask`, or nothing if there is nothing to put around.
pub(super) fn write(config: &Config, dialect: Dialect) -> Result<Option<Value>, Error> {
    let legacy = dialect != Dialect::Xray26_1;
    let mut entries = Vec::new();
    let header = match config.header() {
        Header::None => None,
        Header::Dns(domain) if domain.is_empty() => {
            let expected = "given, because Xray replaces an empty domain by its default";
            return Err(Error::new("header", "a query for no domain", expected));
        }
        Header::Dns(domain) if legacy => Some(legacy_mask(&[("header", "dns"), ("value", domain)])),
        Header::Dns(domain) => Some(json!({"type": "header-dns", "settings": {"domain": domain}})),
        header => {
            let name = match header {
                Header::WechatVideo => "wechat".to_owned(),
                other => other.to_string(),
            };
            Some(if legacy {
                legacy_mask(&[("header", &name)])
            } else {
                json!({"type": format!("header-{name}")})
            })
        }
    };
    entries.extend(header);
    match config.security() {
        Security::None => {}
        Security::Simple if legacy => entries.push(legacy_mask(&[])),
        Security::Simple => entries.push(json!({"type": "mkcp-original"})),
        Security::Aes128Gcm(seed) => {
            let seed = super::write::seed_text(seed)?;
            if legacy && seed.is_empty() {
                let expected = "longer, because mkcp-legacy takes an empty seed for none";
                return Err(Error::new("seed", "empty", expected));
            }
            entries.push(if legacy {
                legacy_mask(&[("value", seed)])
            } else {
                json!({"type": "mkcp-aes128gcm", "settings": {"password": seed}})
            });
        }
    }
    if !first_is_outermost(dialect) {
        entries.reverse();
    }
    Ok((!entries.is_empty()).then(|| json!({ "udp": entries })))
}

fn legacy_mask(settings: &[(&str, &str)]) -> Value {
    let settings = settings.iter();
    let settings = settings.map(|&(key, value)| (key.to_owned(), Value::from(value)));
    json!({"type": "mkcp-legacy", "settings": Value::Object(settings.collect())})
}

fn first_is_outermost(dialect: Dialect) -> bool {
    dialect != Dialect::Xray
}

fn wrong_order(udp: &Cursor<'_>, dialect: Dialect) -> Error {
    let expected = if first_is_outermost(dialect) {
        format!("in the order header, security: {dialect} has the first entry outermost")
    } else {
        "in the order security, header: Xray has had the last entry outermost since 26.6.22 \
         (choose the dialect xray26.6.1 if the file was written for older releases)"
            .to_owned()
    };
    Error::new(
        udp.path(),
        "a list with the security outside the header",
        expected,
    )
}

fn read_mask(
    entry: &Cursor<'_>,
    dialect: Dialect,
    warnings: &mut Vec<Warning>,
) -> Result<Mask, Error> {
    let mut mask = entry.object()?;
    let expected = match dialect {
        Dialect::Xray26_1 => {
            "mkcp-original, mkcp-aes128gcm or one of header-dns, header-dtls, \
             header-srtp, header-utp, header-wechat, header-wireguard"
        }
        _ => "mkcp-legacy",
    };
    let Some(kind) = mask.get("type") else {
        return Err(Error::new(mask.path_of("type"), "absent", expected));
    };
    let name = kind.string()?.to_ascii_lowercase();
    let settings = mask.get("settings").map(|settings| settings.object());
    let mut settings = settings.transpose()?;
    let read = match (name.as_str(), dialect) {
        ("mkcp-legacy", Dialect::Xray26_6_1 | Dialect::Xray) => {
            read_legacy(settings.as_mut(), warnings)?
        }
        (_, Dialect::Xray26_1) => {
            let read = read_named(&name, settings.as_mut())?;
            read.ok_or_else(|| kind.error(expected))?
        }
        _ => return Err(kind.error(expected)),
    };
    if let Some(settings) = settings {
        settings.finish(warnings);
    }
    mask.finish(warnings);
    Ok(read)
}

/// One of the masks of Xray 26.1.31 to 26.5.9.
fn read_named(name: &str, settings: Option<&mut Object<'_>>) -> Result<Option<Mask>, Error> {
    Ok(Some(match name {
        "mkcp-original" => Mask::Security(Security::Simple),
        "mkcp-aes128gcm" => {
            let password = settings.and_then(|settings| settings.get("password"));
            let password = password.map(|password| password.secret()).transpose()?;
            Mask::Security(kcp::seed(password.unwrap_or_default()))
        }
        "header-dns" => Mask::Header(kcp::dns(settings.and_then(|s| s.get("domain")))?),
        _ => {
            return Ok(name
                .strip_prefix("header-")
                .and_then(named_header)
                .map(Mask::Header));
        }
    }))
}

/// The settings of `mkcp-legacy`.
fn read_legacy(
    settings: Option<&mut Object<'_>>,
    warnings: &mut Vec<Warning>,
) -> Result<Mask, Error> {
    let Some(settings) = settings else {
        return Ok(Mask::Security(Security::Simple));
    };
    let header = settings.get("header");
    let value = settings.get("value");
    let name = header.as_ref().map(|header| header.string()).transpose()?;
    let name = name.unwrap_or_default().to_ascii_lowercase();
    let (Some(header), false) = (header, name.is_empty()) else {
        let value = value.map(|value| value.secret()).transpose()?;
        return Ok(Mask::Security(match value {
            None | Some("") => Security::Simple,
            Some(text) => kcp::seed(text),
        }));
    };
    if name == "dns" {
        return Ok(Mask::Header(kcp::dns(value)?));
    }
    let Some(read) = named_header(&name) else {
        return Err(header.error("dns, dtls, srtp, utp, wechat or wireguard"));
    };
    if let Some(value) = value
        && !value.secret()?.is_empty()
    {
        let why = format!("has no effect beside the header {name}");
        warnings.push(Warning::new(value.path(), why));
    }
    Ok(Mask::Header(read))
}

fn named_header(name: &str) -> Option<Header> {
    Some(match name {
        "dtls" => Header::Dtls,
        "srtp" => Header::Srtp,
        "utp" => Header::Utp,
        "wechat" => Header::WechatVideo,
        "wireguard" => Header::Wireguard,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_list(list: Value, dialect: Dialect) -> Result<Masks, Error> {
        let document = json!({ "udp": list });
        let mut warnings = Vec::new();
        let read = read(Some(Cursor::root(&document)), dialect, &mut warnings);
        assert_eq!(warnings, []);
        read
    }

    #[test]
    fn the_order_was_turned_round() {
        let seed = json!({"type": "mkcp-legacy", "settings": {"value": "s"}});
        let header = json!({"type": "mkcp-legacy", "settings": {"header": "wechat"}});
        let inside_first = json!([seed, header]);
        let outside_first = json!([header, seed]);
        let new = read_list(inside_first.clone(), Dialect::Xray).unwrap();
        let old = read_list(outside_first.clone(), Dialect::Xray26_6_1).unwrap();
        for masks in [new, old] {
            assert_eq!(masks.header, Header::WechatVideo);
            assert_eq!(masks.security, kcp::seed("s"));
        }
        assert!(read_list(outside_first, Dialect::Xray).is_err());
        assert!(read_list(inside_first, Dialect::Xray26_6_1).is_err());
    }

    #[test]
    fn an_empty_password_is_a_seed_but_an_empty_value_is_none() {
        let password = json!([{"type": "mkcp-aes128gcm"}]);
        let masks = read_list(password, Dialect::Xray26_1).unwrap();
        assert_eq!(masks.security, kcp::seed(""));
        let value = json!([{"type": "mkcp-legacy", "settings": {"value": ""}}]);
        let masks = read_list(value, Dialect::Xray).unwrap();
        assert_eq!(masks.security, Security::Simple);
        assert_eq!(
            read_list(json!([]), Dialect::Xray).unwrap().security,
            Security::None
        );
    }
}
