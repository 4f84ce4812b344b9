//! `tlsSettings` as V2Ray 4 and Xray have it.

use serde_json::{Map, Value, json};

use super::{Certificate, TlsSettings, TlsVersion};
use crate::v2ray::{Dialect, error::Error};

pub(crate) fn write(settings: &TlsSettings, dialect: Dialect) -> Result<Value, Error> {
    let mut object = Map::new();
    if let Some(name) = settings.configured_server_name() {
        object.insert("serverName".to_owned(), name.into());
    }
    if !settings.has_default_alpn() {
        object.insert("alpn".to_owned(), settings.alpn.clone().into());
    }
    if settings.allow_insecure {
        if matches!(dialect, Dialect::Xray26_6_1 | Dialect::Xray) {
            let expected = "false, because Xray has refused it since June 2026";
            return Err(Error::new("tls.allowInsecure", true, expected));
        }
        object.insert("allowInsecure".to_owned(), true.into());
    }
    if !settings.system_roots {
        object.insert("disableSystemRoot".to_owned(), true.into());
    }
    if settings.reject_unknown_names {
        if dialect == Dialect::V2ray4 {
            return Err(no_rejection());
        }
        object.insert("rejectUnknownSni".to_owned(), true.into());
    }
    let versions = [
        ("minVersion", settings.min_version, TlsVersion::Tls12),
        ("maxVersion", settings.max_version, TlsVersion::Tls13),
    ];
    for (key, version, default) in versions {
        if version == default {
            continue;
        }
        let name = if version == TlsVersion::Tls12 {
            "1.2"
        } else {
            "1.3"
        };
        if dialect == Dialect::V2ray4 {
            let expected = "left at its default, because V2Ray 4 has no such key";
            return Err(Error::new(format!("tls.{key}"), name, expected));
        }
        object.insert(key.to_owned(), name.into());
    }
    let certificates = settings.certificates.iter().map(write_certificate);
    let certificates: Vec<Value> = certificates.collect::<Result<_, Error>>()?;
    if !certificates.is_empty() {
        object.insert("certificates".to_owned(), certificates.into());
    }
    Ok(object.into())
}

pub(super) fn no_rejection() -> Error {
    let expected = "false, because only Xray has such a key";
    Error::new("tls.rejectUnknownSni", true, expected)
}

fn write_certificate(certificate: &Certificate) -> Result<Value, Error> {
    let mut object = Map::new();
    let as_value = |pem: &str| Value::from_iter(pem.split('\n'));
    let (name, value) = certificate
        .chain
        .written(("certificateFile", "certificate"), as_value)?;
    object.insert(name.to_owned(), value);
    if let Some(key) = &certificate.key {
        let (name, value) = key.written(("keyFile", "key"), as_value)?;
        object.insert(name.to_owned(), value);
    }
    let usage = if certificate.root {
        "verify"
    } else {
        "encipherment"
    };
    object.insert("usage".to_owned(), json!(usage));
    Ok(object.into())
}
