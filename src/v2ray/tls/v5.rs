//! `securitySettings` of V2Fly 5: the protobuf message of its TLS, in JSON.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde_json::{Map, Value, json};

use super::{
    Certificate, TlsSettings, TlsVersion, alpn,
    material::Pem,
    read::{PINS, refuse_lost_checks, refuse_usage, warn_old, with_name},
};
use crate::v2ray::{
    cursor::Cursor,
    error::{Error, Warning},
    object::Object,
};

const DEAD: [&str; 5] = [
    "enableSessionResumption",
    "echConfig",
    "echDOHserver",
    "echQueryDomain",
    "ciphersuites",
];

pub(crate) fn read(cursor: &Cursor<'_>, warnings: &mut Vec<Warning>) -> Result<TlsSettings, Error> {
    let mut object = cursor.object()?.protobuf()?;
    let mut settings = TlsSettings::new();
    if let Some(name) = object.get("serverName") {
        settings = with_name(settings, name.string()?);
    }
    if let Some(alpn) = object.get("nextProtocol") {
        settings = alpn::read(settings, &alpn, warnings)?;
    }
    if let Some(allow) = object.get("allowInsecure") {
        settings.allow_insecure = allow.bool()?;
        if settings.allow_insecure {
            let message = "is obeyed here, but V2Fly 5 refuses it in this form";
            warnings.push(Warning::new(allow.path(), message));
        }
    }
    if let Some(disable) = object.get("disableSystemRoot") {
        settings.system_roots = !disable.bool()?;
    }
    if let Some(certificates) = object.get("certificate") {
        for entry in certificates.array()? {
            let certificate = read_certificate(&entry, warnings)?;
            if certificate.root || certificate.key.is_some() {
                settings.certificates.push(certificate);
                continue;
            }
            let message = "has no key and is no authority, so it has no effect";
            warnings.push(Warning::new(entry.path(), message));
        }
    }
    if let Some(min) = object.get("minVersion") {
        settings.min_version = match version(&min)? {
            0 | 3 => TlsVersion::Tls12,
            4 => TlsVersion::Tls13,
            _ => {
                warn_old(min.path(), warnings);
                TlsVersion::Tls12
            }
        };
    }
    if let Some(max) = object.get("maxVersion") {
        settings.max_version = match version(&max)? {
            0 | 4 => TlsVersion::Tls13,
            3 => TlsVersion::Tls12,
            _ => return Err(max.error("TLS1_2 or TLS1_3")),
        };
        if settings.max_version < settings.min_version {
            return Err(max.error("at least minVersion"));
        }
    }
    refuse_lost_checks(&mut object, &settings, &PINS, warnings)?;
    if let Some(allow) = object.get("allowInsecureIfPinnedPeerCertificate")
        && allow.bool()?
    {
        let message = "has no effect here: the certificate is checked in the ordinary way";
        warnings.push(Warning::new(allow.path(), message));
    }
    for key in DEAD {
        object.dead(key, " here", warnings);
    }
    object.finish(warnings);
    Ok(settings)
}

pub(crate) fn write(settings: &TlsSettings) -> Result<Value, Error> {
    let mut object = Map::new();
    if let Some(name) = settings.configured_server_name() {
        object.insert("serverName".to_owned(), name.into());
    }
    if !settings.has_default_alpn() {
        object.insert("nextProtocol".to_owned(), settings.alpn.clone().into());
    }
    if settings.allow_insecure {
        let expected = "false, because V2Fly 5 refuses it in this form";
        return Err(Error::new("tls.allowInsecure", true, expected));
    }
    if !settings.system_roots {
        object.insert("disableSystemRoot".to_owned(), true.into());
    }
    if settings.min_version != TlsVersion::Tls12 {
        object.insert("minVersion".to_owned(), "TLS1_3".into());
    }
    if settings.max_version != TlsVersion::Tls13 {
        object.insert("maxVersion".to_owned(), "TLS1_2".into());
    }
    let certificates = settings.certificates.iter().map(write_certificate);
    let certificates: Vec<Value> = certificates.collect();
    if !certificates.is_empty() {
        object.insert("certificate".to_owned(), certificates.into());
    }
    Ok(object.into())
}

fn read_certificate(
    cursor: &Cursor<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Certificate, Error> {
    let mut object = cursor.object()?.protobuf()?;
    let Some(chain) = read_pem(&mut object, "certificateFile", "Certificate")? else {
        let path = object.path_of("Certificate");
        return Err(Error::new(path, "absent", "given, or else certificateFile"));
    };
    let key = read_pem(&mut object, "keyFile", "Key")?;
    let root = match object.get("usage") {
        None => false,
        Some(usage) if usage.is_string() => match usage.string()? {
            "ENCIPHERMENT" => false,
            "AUTHORITY_VERIFY" => true,
            _ => return Err(refuse_usage(&usage)),
        },
        Some(usage) => match usage.number()? {
            0 => false,
            1 => true,
            _ => return Err(refuse_usage(&usage)),
        },
    };
    object.finish(warnings);
    Ok(Certificate { chain, key, root })
}

/// Bytes are base64 in protobuf's JSON; these are PEM.
fn read_pem(object: &mut Object<'_>, file: &str, bytes: &str) -> Result<Option<Pem>, Error> {
    let file = object.get(file);
    let bytes = object.get(bytes);
    if let Some(file) = file {
        let name = file.string()?;
        if !name.is_empty() {
            return Ok(Some(Pem::File(name.into())));
        }
    }
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let text = decode(bytes.secret()?).and_then(|pem| String::from_utf8(pem).ok());
    let text = text.ok_or_else(|| Error::new(bytes.path(), "something else", "PEM in base64"))?;
    Ok((!text.is_empty()).then_some(Pem::Text(text)))
}

/// Protobuf's JSON allows both alphabets, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    const ANY: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINES: [GeneralPurpose; 2] = [
        GeneralPurpose::new(&alphabet::STANDARD, ANY),
        GeneralPurpose::new(&alphabet::URL_SAFE, ANY),
    ];
    ENGINES.iter().find_map(|engine| engine.decode(text).ok())
}

fn write_certificate(certificate: &Certificate) -> Value {
    let mut object = Map::new();
    let mut put = |file: &str, bytes: &str, pem: &Pem| match pem {
        Pem::File(path) => object.insert(file.to_owned(), path.to_string_lossy().into()),
        Pem::Text(text) => object.insert(bytes.to_owned(), STANDARD.encode(text).into()),
    };
    put("certificateFile", "Certificate", &certificate.chain);
    if let Some(key) = &certificate.key {
        put("keyFile", "Key", key);
    }
    let usage = if certificate.root {
        "AUTHORITY_VERIFY"
    } else {
        "ENCIPHERMENT"
    };
    object.insert("usage".to_owned(), json!(usage));
    object.into()
}

/// The number of an enum's value, which may be given as its name.
fn version(cursor: &Cursor<'_>) -> Result<u64, Error> {
    if !cursor.is_string() {
        return cursor.number_in(0, 4);
    }
    Ok(match cursor.string()? {
        "Default" => 0,
        "TLS1_0" => 1,
        "TLS1_1" => 2,
        "TLS1_2" => 3,
        "TLS1_3" => 4,
        _ => return Err(cursor.error("TLS1_2 or TLS1_3")),
    })
}
