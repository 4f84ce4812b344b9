//! `streamSettings`: which network, which dialect, which security.

use super::{
    Dialect, StreamSettings, TlsSettings,
    cursor::Cursor,
    error::{Error, Warning},
    kcp, masks,
    object::Object,
    tls, v5,
};

/// Settings of other networks, which may stand beside those of mKCP.
const OTHERS: [&str; 14] = [
    "tcpSettings",
    "rawSettings",
    "wsSettings",
    "httpSettings",
    "dsSettings",
    "quicSettings",
    "grpcSettings",
    "gunSettings",
    "hy2Settings",
    "httpupgradeSettings",
    "xhttpSettings",
    "splithttpSettings",
    "hysteriaSettings",
    "realitySettings",
];

/// Reads a `streamSettings` object. `shared` is `transport.kcpSettings` of the whole file.
pub(super) fn read(
    mut stream: Object<'_>,
    shared: Option<Cursor<'_>>,
    wanted: Option<Dialect>,
    warnings: &mut Vec<Warning>,
) -> Result<(StreamSettings, Dialect), Error> {
    let v5_form = stream.has("transport") || stream.has("transportSettings");
    if wanted == Some(Dialect::V2fly5) || (wanted.is_none() && v5_form) {
        return Ok((v5::read(stream.protobuf()?, warnings)?, Dialect::V2fly5));
    }
    check_network(&mut stream, wanted)?;
    let kcp_path = stream.path_of("kcpSettings");
    let own = stream.get("kcpSettings");
    let dialect = match wanted {
        Some(dialect) => dialect,
        None => recognise(&mut stream, own.as_ref().or(shared.as_ref()), warnings)?,
    };
    let config = if dialect.has_masks() {
        if let Some(shared) = shared {
            let why = "has no effect: Xray has no settings for all streams";
            warnings.push(Warning::new(shared.path(), why));
        }
        let masks = masks::read(stream.get("finalmask"), dialect, warnings)?;
        kcp::read_new(own, &kcp_path, masks, dialect, warnings)?
    } else {
        if let Some(finalmask) = stream.get("finalmask") {
            let expected = format!("absent in the dialect {dialect}");
            return Err(Error::new(finalmask.path(), "there", expected));
        }
        kcp::read_old(own.or(shared), &kcp_path, dialect, warnings)?
    };
    let tls = read_security(&mut stream, dialect, warnings)?;
    for other in OTHERS {
        stream.dead(other, ", because the network is kcp", warnings);
    }
    read_sockopt(&mut stream, warnings);
    stream.finish(warnings);
    let settings = StreamSettings::new(config);
    let settings = match tls {
        Some(tls) => settings.with_tls(tls),
        None => settings,
    };
    Ok((settings, dialect))
}

fn read_sockopt(stream: &mut Object<'_>, warnings: &mut Vec<Warning>) {
    let sockopt = stream.get("sockopt");
    if let Some(mut sockopt) = sockopt.and_then(|sockopt| sockopt.object().ok()) {
        let why = ": the chain through another outbound is not followed here";
        sockopt.dead("dialerProxy", why, warnings);
    }
    stream.dead("sockopt", " here", warnings);
}

/// Whether these settings are of mKCP, as far as can be seen without reading them.
pub(super) fn is_kcp(stream: &Cursor<'_>) -> bool {
    let Ok(mut stream) = stream.object() else {
        // A broken object may be meant: whoever reads it will say what is wrong.
        return stream.is_object();
    };
    ["method", "network", "transport"].into_iter().any(|key| {
        let network = stream.get(key);
        network.is_some_and(|network| network.string().is_ok_and(names_kcp))
    })
}

/// `security` in any dialect; `None` if it says that there is none.
pub(super) fn asks_for_tls(
    security: Option<Cursor<'_>>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Security>, Error> {
    let Some(security) = security else {
        return Ok(None);
    };
    match security.string()?.to_ascii_lowercase().as_str() {
        "" | "none" => Ok(None),
        "tls" => Ok(Some(Security::Tls)),
        "xtls" => {
            notice_xtls(security.path(), warnings);
            Ok(Some(Security::Xtls))
        }
        "reality" => Err(security.error("none, tls or xtls: REALITY does not go with mKCP")),
        _ => Err(security.error("none, tls or xtls")),
    }
}

/// Whether `security` of this name is TLS, by whatever name.
pub(super) fn is_tls(security: &str) -> bool {
    ["tls", "xtls"]
        .iter()
        .any(|tls| security.eq_ignore_ascii_case(tls))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    Tls,
    Xtls,
}

/// XTLS is TLS as long as no VLESS flow asks for more, which is for the proxy to do.
pub(super) fn notice_xtls(path: &str, warnings: &mut Vec<Warning>) {
    let message = "is xtls, which is taken as tls: VLESS flows are left to the proxy";
    log::warn!("{path} {message}");
    warnings.push(Warning::new(path, message));
}

fn check_network(stream: &mut Object<'_>, wanted: Option<Dialect>) -> Result<(), Error> {
    const EXPECTED: &str = "kcp or mkcp";
    let new = matches!(wanted, None | Some(Dialect::Xray));
    let method = if new { stream.get("method") } else { None };
    let network = stream.get("network");
    match method.or(network) {
        Some(network) if names_kcp(network.string()?) => Ok(()),
        Some(network) => Err(network.error(EXPECTED)),
        None => Err(Error::new(
            stream.path_of("network"),
            "absent, which means tcp",
            EXPECTED,
        )),
    }
}

fn names_kcp(network: &str) -> bool {
    network.eq_ignore_ascii_case("kcp") || network.eq_ignore_ascii_case("mkcp")
}

/// Finds the dialect by what only some of them know.
fn recognise(
    stream: &mut Object<'_>,
    kcp: Option<&Cursor<'_>>,
    warnings: &mut Vec<Warning>,
) -> Result<Dialect, Error> {
    let kcp = kcp.map(|kcp| kcp.object()).transpose()?;
    let has = |key| kcp.as_ref().is_some_and(|kcp| kcp.has(key));
    if stream.has("finalmask") {
        // A look ahead: whoever reads it later asks for it again.
        let first = stream.get("finalmask").as_ref().and_then(masks::first_type);
        return Ok(match first.as_deref() {
            None | Some("mkcp-legacy") => Dialect::Xray,
            Some(_) => Dialect::Xray26_1,
        });
    }
    let clue = ["cwndMultiplier", "maxSendingWindow"]
        .into_iter()
        .find(|key| has(key));
    let clue = clue.or_else(|| stream.has("method").then_some("method"));
    let path = stream.path_of("kcpSettings");
    if let Some(clue) = clue {
        if !has("header") && !has("seed") {
            let message = format!(
                "has no header, no seed and no finalmask: read as Xray because of {clue}, \
                 so datagrams are not protected at all"
            );
            warnings.push(Warning::new(path, message));
        }
        return Ok(Dialect::Xray);
    }
    if has("header") || has("seed") {
        let dns = kcp.as_ref().is_some_and(has_dns_header);
        return Ok(if dns {
            Dialect::Xray25
        } else {
            Dialect::V2ray4
        });
    }
    let message = "has no header, no seed and no finalmask: read as V2Ray, with security simple; \
                   Xray since 26.1.31 would have no security (choose the dialect)";
    warnings.push(Warning::new(path, message));
    Ok(Dialect::V2ray4)
}

fn has_dns_header(kcp: &Object<'_>) -> bool {
    let header = kcp.clone().get("header");
    let header = header.and_then(|header| header.object().ok());
    let kind = header.and_then(|mut header| header.get("type"));
    kind.is_some_and(|kind| {
        kind.string()
            .is_ok_and(|kind| kind.eq_ignore_ascii_case("dns"))
    })
}

fn read_security(
    stream: &mut Object<'_>,
    dialect: Dialect,
    warnings: &mut Vec<Warning>,
) -> Result<Option<TlsSettings>, Error> {
    let asked = asks_for_tls(stream.get("security"), warnings)?;
    let (tls, xtls) = ("tlsSettings", "xtlsSettings");
    let (chosen, why) = match asked {
        None => (None, ": security is none, so there is no TLS"),
        // What belongs to XTLS must not weaken TLS, for which upstream does not look at it.
        Some(Security::Tls) => (Some(tls), ": security is tls"),
        Some(Security::Xtls) if stream.has(xtls) => (Some(xtls), " beside xtlsSettings"),
        Some(Security::Xtls) => (Some(tls), ""),
    };
    let settings = chosen.and_then(|chosen| stream.get(chosen));
    for unused in [tls, xtls] {
        if Some(unused) != chosen {
            stream.dead(unused, why, warnings);
        }
    }
    if asked.is_none() {
        return Ok(None);
    }
    let Some(cursor) = settings else {
        return Ok(Some(TlsSettings::new()));
    };
    let settings = tls::read(&cursor, warnings)?;
    if settings.allow_insecure() && matches!(dialect, Dialect::Xray26_6_1 | Dialect::Xray) {
        let path = format!("{}.allowInsecure", cursor.path());
        let message = "is obeyed here, but Xray has refused it since June 2026";
        warnings.push(Warning::new(path, message));
    }
    Ok(Some(settings))
}
