//! `kcpSettings`, of V2Ray 4 and of every Xray.

use std::time::Duration;

use super::{
    Dialect,
    cursor::Cursor,
    error::{Error, Warning},
    masks::Masks,
    object::Object,
};
use crate::config::{
    Config, ConfigBuilder, Congestion, Header, Security, Seed,
    derive::{header_len, security_len},
    validate,
};

pub(super) const MIB: u64 = 1024 * 1024;
/// What 0 means for a buffer size.
pub(super) const SMALL_BUFFER: usize = 512 * 1024;
/// The limits of this crate, in the units of the files.
pub(super) const MAX_CAPACITY: u64 = 1 << 20;
const MAX_BUFFER_MIB: u64 = 1024;
const LEAST_BUFFER: u64 = 64 * 1024;
/// The longest UDP payload.
const MAX_DATAGRAM: u64 = 65507;
/// The programs compute with 32 bits, so that this many MiB/s are none.
const WRAP: u64 = 4096;
/// The MTU that Xray takes when none is given; it excludes the masks.
pub(super) const DEFAULT_MTU: u64 = 1350;
pub(super) const OLD_MTU: (u64, u64) = (576, 1460);
pub(super) const OLD_TTI: (u64, u64) = (10, 100);
pub(super) const NEW_LEAST_MTU: u64 = 21;
pub(super) const NEW_TTI: (u64, u64) = (10, 1000);

/// Header and security in `kcpSettings`: V2Ray 4 and Xray before 26.1.31.
pub(super) fn read_old(
    kcp: Option<Cursor<'_>>,
    path: &str,
    dialect: Dialect,
    warnings: &mut Vec<Warning>,
) -> Result<Config, Error> {
    let Some(kcp) = kcp else {
        return build(Config::builder(), path);
    };
    let mut kcp = kcp.object()?;
    let mut builder = Config::builder();
    if let Some(mtu) = kcp.get("mtu") {
        builder = builder.mtu(to_u16(mtu.number_in(OLD_MTU.0, OLD_MTU.1)?));
    }
    if let Some(tti) = kcp.get("tti") {
        builder = builder.tti(Duration::from_millis(tti.number_in(OLD_TTI.0, OLD_TTI.1)?));
    }
    builder = capacities(&mut kcp, builder, warnings)?;
    builder = old_policy(&mut kcp, builder, warnings)?;
    if let Some(header) = kcp.get_or_null("header") {
        builder = builder.header(read_header(&header, dialect, warnings)?);
    }
    if let Some(seed) = kcp.get("seed") {
        builder = builder.seed(seed.secret()?);
    }
    kcp.finish(warnings);
    build(builder, path)
}

/// Header and security in `finalmask`: Xray since 26.1.31.
pub(super) fn read_new(
    kcp: Option<Cursor<'_>>,
    path: &str,
    masks: Masks,
    dialect: Dialect,
    warnings: &mut Vec<Warning>,
) -> Result<Config, Error> {
    let overhead = (header_len(&masks.header) + security_len(&masks.security)) as u64;
    let mut builder = Config::builder();
    let mut mtu = DEFAULT_MTU;
    if let Some(kcp) = kcp {
        let mut kcp = kcp.object()?;
        for gone in ["header", "seed"] {
            if kcp.has(gone) {
                let expected = "absent, because Xray has refused it since 26.1.31: \
                                use finalmask, or choose the dialect xray25";
                return Err(Error::new(kcp.path_of(gone), "there", expected));
            }
        }
        if let Some(given) = kcp.get("mtu") {
            mtu = given.number_in(NEW_LEAST_MTU, MAX_DATAGRAM.saturating_sub(overhead))?;
        }
        if let Some(tti) = kcp.get("tti") {
            builder = builder.tti(Duration::from_millis(tti.number_in(NEW_TTI.0, NEW_TTI.1)?));
        }
        builder = capacities(&mut kcp, builder, warnings)?;
        if let Some(multiplier) = kcp.get("cwndMultiplier") {
            multiplier.number_in(1, u64::from(u32::MAX))?;
            let why = "has no effect here: windows follow from what is measured";
            warnings.push(Warning::new(multiplier.path(), why));
        }
        if let Some(window) = kcp.get("maxSendingWindow") {
            let bytes = window.number_in(LEAST_BUFFER.max(mtu), MAX_BUFFER_MIB * MIB)?;
            builder = builder.write_buffer(to_usize(bytes));
        } else if dialect == Dialect::Xray26_1 {
            for aged in ["congestion", "writeBufferSize"] {
                if kcp.has(aged) {
                    let message = "is obeyed, but has no effect since Xray 26.4.13";
                    warnings.push(Warning::new(kcp.path_of(aged), message));
                }
            }
            builder = old_policy(&mut kcp, builder, warnings)?;
            kcp.finish(warnings);
            return finish_new(builder, mtu + overhead, masks, path);
        }
        for dead in ["congestion", "readBufferSize", "writeBufferSize"] {
            kcp.dead(dead, " since Xray 26.4.13", warnings);
        }
        kcp.finish(warnings);
    }
    finish_new(builder, mtu + overhead, masks, path)
}

fn finish_new(builder: ConfigBuilder, mtu: u64, masks: Masks, path: &str) -> Result<Config, Error> {
    let builder = builder
        .mtu(to_u16(mtu))
        .header(masks.header)
        .security(masks.security);
    build(builder, path)
}

/// Applies the rules of this crate, and tells a breach at the place in the document.
pub(super) fn build(builder: ConfigBuilder, path: &str) -> Result<Config, Error> {
    builder.build().map_err(|error| {
        let path = format!("{path}.{}", error.field());
        Error::new(path, error.value(), error.expected())
    })
}

/// A capacity in MiB/s as bytes per second.
pub(super) fn capacity(
    cursor: &Cursor<'_>,
    mib: u64,
    warnings: &mut Vec<Warning>,
) -> Result<u64, Error> {
    if mib > MAX_CAPACITY {
        return Err(cursor.error(&format!("0 to {MAX_CAPACITY}")));
    }
    if mib >= WRAP {
        let message = format!("is taken modulo {WRAP} by V2Ray and Xray, but not here");
        warnings.push(Warning::new(cursor.path(), message));
    }
    Ok(mib * MIB)
}

/// What becomes of `congestion` when it is there.
pub(super) fn congestion(builder: ConfigBuilder, on: bool) -> ConfigBuilder {
    if on {
        builder.congestion(Congestion::LossRate)
    } else {
        builder
    }
}

pub(super) fn seed(text: &str) -> Security {
    Security::Aes128Gcm(Seed::new(text))
}

fn capacities(
    kcp: &mut Object<'_>,
    mut builder: ConfigBuilder,
    warnings: &mut Vec<Warning>,
) -> Result<ConfigBuilder, Error> {
    if let Some(uplink) = kcp.get("uplinkCapacity") {
        builder = builder.uplink(capacity(&uplink, uplink.number()?, warnings)?);
    }
    if let Some(downlink) = kcp.get("downlinkCapacity") {
        builder = builder.downlink(capacity(&downlink, downlink.number()?, warnings)?);
    }
    Ok(builder)
}

/// The keys that Xray 26.4.13 gave up.
fn old_policy(
    kcp: &mut Object<'_>,
    mut builder: ConfigBuilder,
    warnings: &mut Vec<Warning>,
) -> Result<ConfigBuilder, Error> {
    if let Some(on) = kcp.get("congestion") {
        builder = congestion(builder, on.bool()?);
    }
    if let Some(size) = kcp.get("writeBufferSize") {
        builder = builder.write_buffer(match size.number_in(0, MAX_BUFFER_MIB)? {
            0 => SMALL_BUFFER,
            mib => to_usize(mib * MIB),
        });
    }
    if let Some(size) = kcp.get("readBufferSize") {
        size.number()?;
        let why = "has no effect, neither upstream nor here";
        warnings.push(Warning::new(size.path(), why));
    }
    Ok(builder)
}

fn read_header(
    cursor: &Cursor<'_>,
    dialect: Dialect,
    warnings: &mut Vec<Warning>,
) -> Result<Header, Error> {
    let mut header = cursor.object()?;
    let Some(kind) = header.get("type") else {
        let expected = "none, srtp, utp, wechat-video, dtls or wireguard";
        return Err(Error::new(header.path_of("type"), "absent", expected));
    };
    let read = match kind.string()?.to_ascii_lowercase().as_str() {
        "none" => Header::None,
        "srtp" => Header::Srtp,
        "utp" => Header::Utp,
        "wechat-video" => Header::WechatVideo,
        "dtls" => Header::Dtls,
        "wireguard" => Header::Wireguard,
        "dns" if dialect == Dialect::Xray25 => dns(header.get("domain"))?,
        _ => {
            let dns = if dialect == Dialect::Xray25 {
                ", dns"
            } else {
                ""
            };
            return Err(kind.error(&format!(
                "none, srtp, utp, wechat-video, dtls{dns} or wireguard"
            )));
        }
    };
    header.finish(warnings);
    Ok(read)
}

/// The header `dns`, for this domain or Xray's default.
pub(super) fn dns(domain: Option<Cursor<'_>>) -> Result<Header, Error> {
    let text = domain.as_ref().map(|domain| domain.string()).transpose()?;
    let text = text.filter(|text| !text.is_empty());
    let header = Header::Dns(text.unwrap_or(Header::DEFAULT_DNS_DOMAIN).to_owned());
    // At once, because sizes are computed from it before the rest is checked.
    if let (Err(error), Some(domain)) = (validate::header(&header), domain) {
        return Err(domain.error(error.expected()));
    }
    Ok(header)
}

/// Both are for numbers that have been checked.
fn to_u16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_and_rates_are_converted() {
        let kcp = json!({"writeBufferSize": 3, "uplinkCapacity": 7, "congestion": true, "tti": 99});
        let mut warnings = Vec::new();
        let cursor = Cursor::root(&kcp);
        let config = read_old(Some(cursor), "kcp", Dialect::V2ray4, &mut warnings).unwrap();
        assert_eq!(config.write_buffer(), 3 << 20);
        assert_eq!(config.uplink(), 7 << 20);
        assert_eq!(config.congestion(), Congestion::LossRate);
        assert_eq!(config.tti(), Duration::from_millis(99));
        assert_eq!(warnings, []);
    }

    #[test]
    fn the_longest_mtu_leaves_room_for_the_masks() {
        let read = |mtu: u64| {
            let masks = Masks {
                header: Header::Srtp,
                security: Security::Simple,
            };
            let kcp = json!({ "mtu": mtu });
            read_new(
                Some(Cursor::root(&kcp)),
                "",
                masks,
                Dialect::Xray,
                &mut Vec::new(),
            )
        };
        assert_eq!(read(65497).unwrap().mtu(), 65507);
        assert_eq!(read(21).unwrap().mtu(), 31);
        for mtu in [0, 20, 65498] {
            assert!(read(mtu).is_err());
        }
    }
}
