//! The settings that are a choice among named things, with their names as text.

use std::{error, fmt, str::FromStr};

/// The packet header: a few bytes in front of every datagram that make it look like another
/// protocol. Receivers skip them unread, so only the length must be the same at both ends.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Header {
    /// No header.
    #[default]
    None,
    /// A secure real-time audio or video call (4 bytes).
    Srtp,
    /// BitTorrent's µTP (4 bytes).
    Utp,
    /// A WeChat video call (13 bytes).
    WechatVideo,
    /// DTLS 1.2 (13 bytes).
    Dtls,
    /// WireGuard (4 bytes).
    Wireguard,
    /// A DNS query for this domain (16 bytes and the encoded name). Only Xray knows it.
    Dns(String),
}

impl Header {
    /// The domain that Xray queries when none is configured.
    pub const DEFAULT_DNS_DOMAIN: &'static str = "www.baidu.com";
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Srtp => "srtp",
            Self::Utp => "utp",
            Self::WechatVideo => "wechat-video",
            Self::Dtls => "dtls",
            Self::Wireguard => "wireguard",
            Self::Dns(domain) => return write!(f, "dns:{domain}"),
        })
    }
}

impl FromStr for Header {
    type Err = ParseOptionError;

    /// Reads V2Ray's names, Xray's `wechat`, and `dns` or `dns:DOMAIN`; case does not matter.
    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        let lower = text.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "none" => Self::None,
            "srtp" => Self::Srtp,
            "utp" => Self::Utp,
            "wechat-video" | "wechat" => Self::WechatVideo,
            "dtls" => Self::Dtls,
            "wireguard" => Self::Wireguard,
            "dns" => Self::Dns(Self::DEFAULT_DNS_DOMAIN.to_owned()),
            _ => match text.split_at_checked(4) {
                Some((prefix, domain)) if prefix.eq_ignore_ascii_case("dns:") => {
                    Self::Dns(domain.to_owned())
                }
                _ => {
                    return Err(ParseOptionError::new(
                        "header",
                        text,
                        "none, srtp, utp, wechat-video, dtls, wireguard or dns[:DOMAIN]",
                    ));
                }
            },
        })
    }
}

/// How datagrams are protected.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// Not at all: bare segments, as Xray sends them since 26.1.31 unless told otherwise.
    None,
    /// A keyless checksum and scrambling, as V2Ray and V2Fly do without a seed. It detects noise
    /// but protects against nobody: anyone can read, forge and recognise such datagrams.
    #[default]
    Simple,
    /// AES-128-GCM with a key from this seed. Whoever does not know the seed can neither read nor
    /// forge, but he can record and repeat.
    #[doc = include_str!("../manual/security.md")]
    Aes128Gcm(Seed),
}

impl fmt::Display for Security {
    /// The name without the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Simple => "simple",
            Self::Aes128Gcm(_) => "aes-128-gcm",
        })
    }
}

/// A shared secret from which the key is made. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Seed(Vec<u8>);

impl Seed {
    /// Any bytes, in configuration files the UTF-8 of a string. Empty is a seed too.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The congestion controller.
#[doc = include_str!("../manual/congestion.md")]
#[doc = include_str!("../manual/controllers.svg")]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Congestion {
    /// Measures the path's bandwidth and delay and sends at that rate (BBR,
    /// draft-ietf-ccwg-bbr). Needs no settings, keeps queues short, and does not collapse under
    /// random loss: what is lost while no queue stands is sent in addition.
    #[default]
    Bbr,
    /// Sends at [`Config::uplink`](crate::Config::uplink), whatever is lost. On a path that carries
    /// less, the rest is dropped there and sent again.
    Fixed,
    /// V2Ray's `"congestion": true`: a window that shrinks when more than 15 % is lost and grows
    /// when less than 5 % is.
    LossRate,
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bbr => "bbr",
            Self::Fixed => "fixed",
            Self::LossRate => "loss-rate",
        })
    }
}

impl FromStr for Congestion {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "bbr" => Self::Bbr,
            "fixed" => Self::Fixed,
            "loss-rate" => Self::LossRate,
            _ => {
                return Err(ParseOptionError::new(
                    "congestion",
                    text,
                    "bbr, fixed or loss-rate",
                ));
            }
        })
    }
}

/// A set of choices for a purpose.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Fast and fair with no tuning: [`Congestion::Bbr`].
    #[default]
    Balanced,
    /// The configured capacity, whatever is lost: [`Congestion::Fixed`].
    Aggressive,
    /// As the Go programs decide how much to send: [`Congestion::LossRate`].
    GoCompatible,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balanced => "balanced",
            Self::Aggressive => "aggressive",
            Self::GoCompatible => "go-compatible",
        })
    }
}

impl FromStr for Profile {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "balanced" => Self::Balanced,
            "aggressive" => Self::Aggressive,
            "go-compatible" => Self::GoCompatible,
            _ => {
                return Err(ParseOptionError::new(
                    "profile",
                    text,
                    "balanced, aggressive or go-compatible",
                ));
            }
        })
    }
}

impl Profile {
    pub(super) fn congestion(self) -> Congestion {
        match self {
            Self::Balanced => Congestion::Bbr,
            Self::Aggressive => Congestion::Fixed,
            Self::GoCompatible => Congestion::LossRate,
        }
    }
}

/// A text that names no [`Header`], [`Congestion`] or [`Profile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseOptionError {
    option: &'static str,
    text: String,
    expected: &'static str,
}

impl ParseOptionError {
    pub(crate) fn new(option: &'static str, text: &str, expected: &'static str) -> Self {
        Self {
            option,
            text: text.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for ParseOptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown {} {:?}, must be {}",
            self.option, self.text, self.expected
        )
    }
}

impl error::Error for ParseOptionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_any_case() {
        for profile in [
            Profile::Balanced,
            Profile::Aggressive,
            Profile::GoCompatible,
        ] {
            let name = profile.to_string();
            assert_eq!(name.parse(), Ok(profile));
            assert_eq!(name.to_ascii_uppercase().parse(), Ok(profile));
        }
        let error = "turbo".parse::<Profile>().unwrap_err();
        let text = "unknown profile \"turbo\", must be balanced, aggressive or go-compatible";
        assert_eq!(error.to_string(), text);
    }
}
