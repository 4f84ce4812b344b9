//! `tlsSettings` of V2Ray 4 and Xray, and `xtlsSettings`, which is the same.

use super::{Certificate, TlsSettings, TlsVersion, alpn, material::Pem};
use crate::v2ray::{
    cursor::Cursor,
    error::{Error, Warning},
    object::Object,
};

/// Known upstream, without effect here.
const DEAD: [&str; 16] = [
    "allowInsecureCiphers",
    "cipherSuites",
    "curvePreferences",
    "disableSessionResumption",
    "echConfig",
    "echConfigList",
    "echDohServer",
    "echForceQuery",
    "echServerKeys",
    "echSockopt",
    "enableSessionResumption",
    "fingerprint",
    "masterKeyLog",
    "preferServerCipherSuites",
    "rejectUnknownSni",
    "settings",
];
/// Say which certificate is good, which is not done here: see [`refuse_lost_checks`].
pub(super) const PINS: [&str; 6] = [
    "pinnedPeerCertSha256",
    "pinnedPeerCertificateChainSha256",
    "pinnedPeerCertificatePublicKeySha256",
    "verifyPeerCertByName",
    "verifyPeerCertInNames",
    "serverNameToVerify",
];

pub(crate) fn read(cursor: &Cursor<'_>, warnings: &mut Vec<Warning>) -> Result<TlsSettings, Error> {
    let mut object = cursor.object()?;
    let mut settings = TlsSettings::new();
    if let Some(name) = object.get("serverName") {
        settings = with_name(settings, name.string()?);
    }
    if let Some(alpn) = object.get("alpn") {
        settings = alpn::read(settings, &alpn, warnings)?;
    }
    if let Some(allow) = object.get("allowInsecure") {
        settings.allow_insecure = allow.bool()?;
    }
    if let Some(disable) = object.get("disableSystemRoot") {
        settings.system_roots = !disable.bool()?;
    }
    if let Some(certificates) = object.get("certificates") {
        for entry in certificates.array()? {
            settings
                .certificates
                .push(read_certificate(&entry, warnings)?);
        }
    }
    read_versions(&mut object, &mut settings, warnings)?;
    refuse_lost_checks(&mut object, &settings, &PINS, warnings)?;
    for key in DEAD {
        object.dead(key, " here", warnings);
    }
    object.finish(warnings);
    Ok(settings)
}

/// Pins are not looked at, so the server's certificate is checked in the ordinary way. Where that
/// is off because a pin takes its place, nothing would be checked. The same holds for a server
/// that is to check its clients.
pub(super) fn refuse_lost_checks(
    object: &mut Object<'_>,
    settings: &TlsSettings,
    pins: &[&str],
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    if let Some(verify) = object.get("verifyClientCertificate")
        && verify.bool()?
    {
        return Err(verify.error("false: certificates of clients are not checked here"));
    }
    for pin in pins {
        let Some(cursor) = object.get(pin).filter(|pin| !pin.says_nothing()) else {
            continue;
        };
        if settings.allow_insecure {
            let expected = "absent beside allowInsecure: it has no effect here, \
                            so no certificate would be checked";
            return Err(Error::new(cursor.path(), "there", expected));
        }
        let why = "has no effect here: the certificate is checked in the ordinary way";
        warnings.push(Warning::new(cursor.path(), why));
    }
    Ok(())
}

pub(super) fn with_name(settings: TlsSettings, name: &str) -> TlsSettings {
    match name {
        "" => settings,
        name => settings.with_server_name(name),
    }
}

fn read_certificate(
    cursor: &Cursor<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Certificate, Error> {
    let mut object = cursor.object()?;
    let Some(chain) = read_pem(&mut object, "certificateFile", "certificate")? else {
        let path = object.path_of("certificate");
        return Err(Error::new(path, "absent", "given, or else certificateFile"));
    };
    let key = read_pem(&mut object, "keyFile", "key")?;
    let usage = object.get("usage");
    let name = usage.as_ref().map(|usage| usage.string()).transpose()?;
    let mut root = match name.unwrap_or_default().to_ascii_lowercase().as_str() {
        "verify" => true,
        "" | "encipherment" => false,
        _ => return Err(refuse_usage(&usage.unwrap_or_else(|| cursor.clone()))),
    };
    if !root && key.is_none() {
        // V2Ray 4 and Xray trust every certificate that they are given; their servers pass over
        // one without a key.
        let message = "has no key: only a client can use it, as an authority to trust";
        warnings.push(Warning::new(cursor.path(), message));
        root = true;
    }
    for key in ["ocspStapling", "oneTimeLoading", "buildChain"] {
        object.dead(key, " here", warnings);
    }
    object.finish(warnings);
    Ok(Certificate { chain, key, root })
}

pub(super) fn refuse_usage(usage: &Cursor<'_>) -> Error {
    usage.error("encipherment or verify: certificates are not issued, nor clients checked, here")
}

/// A file wins over text, as upstream.
fn read_pem(object: &mut Object<'_>, file: &str, text: &str) -> Result<Option<Pem>, Error> {
    let file = object.get(file);
    let text = object.get(text);
    if let Some(file) = file {
        let name = file.string()?;
        if !name.is_empty() {
            return Ok(Some(Pem::File(name.into())));
        }
    }
    let Some(text) = text else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    for line in text.array()? {
        lines.push(line.secret()?.to_owned());
    }
    Ok((!lines.is_empty()).then(|| Pem::Text(lines.join("\n"))))
}

fn read_versions(
    object: &mut Object<'_>,
    settings: &mut TlsSettings,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    if let Some(min) = object.get("minVersion") {
        settings.min_version = match min.string()? {
            "" | "1.2" => TlsVersion::Tls12,
            "1.3" => TlsVersion::Tls13,
            "1.0" | "1.1" => {
                warn_old(min.path(), warnings);
                TlsVersion::Tls12
            }
            _ => return Err(min.error("1.2 or 1.3")),
        };
    }
    if let Some(max) = object.get("maxVersion") {
        settings.max_version = match max.string()? {
            "" | "1.3" => TlsVersion::Tls13,
            "1.2" => TlsVersion::Tls12,
            _ => return Err(max.error("1.2 or 1.3")),
        };
        if settings.max_version < settings.min_version {
            return Err(max.error("at least minVersion"));
        }
    }
    Ok(())
}

pub(super) fn warn_old(path: &str, warnings: &mut Vec<Warning>) {
    warnings.push(Warning::new(
        path,
        "is raised to TLS 1.2, the oldest version there is here",
    ));
}
