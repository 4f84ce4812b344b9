//! Settings: what they mean, their defaults, ranges and costs.
//!
//! A [`Config`] is always valid: only [`ConfigBuilder::build`] makes one, and all rules are
//! checked there (`validate.rs`). What follows from the settings is computed in `derive.rs`.

#[allow(missing_docs)]
#[cfg_attr(not(feature = "internal"), allow(dead_code, unreachable_pub))]
pub mod derive;
mod options;
pub(crate) mod validate;

use std::time::Duration;

use crate::error::ConfigError;

pub use options::{Congestion, Header, ParseOptionError, Profile, Security, Seed};

const MIB: u64 = 1024 * 1024;

/// How connections behave and look on the wire.
///
/// Both ends must agree on [`security`](Self::security) and on the length of the
/// [`header`](Self::header); nothing is negotiated. Everything else may differ. The defaults are
/// those of V2Ray where it has any that have an effect.
///
/// ```
/// use std::time::Duration;
/// use mkcp::{Config, Header};
///
/// let config = Config::builder()
///     .header(Header::Srtp)
///     .seed("correct horse battery staple")
///     .idle_timeout(Duration::from_secs(60))
///     .build()?;
/// assert_eq!(config.mtu(), 1350);
/// # Ok::<(), mkcp::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    mtu: u16,
    tti: Duration,
    uplink: u64,
    downlink: u64,
    congestion: Congestion,
    header: Header,
    security: Security,
    read_buffer: usize,
    write_buffer: usize,
    keepalive: Duration,
    idle_timeout: Duration,
    linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mtu: 1350,
            tti: Duration::from_millis(50),
            uplink: 5 * MIB,
            downlink: 20 * MIB,
            congestion: Congestion::Bbr,
            header: Header::None,
            security: Security::Simple,
            read_buffer: 16 * MIB as usize,
            write_buffer: 2 * MIB as usize,
            keepalive: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Starts from the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The longest datagram that is sent, in bytes of UDP payload, packet header and security
    /// included.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The transmission time interval that the peer is believed to keep.
    pub fn tti(&self) -> Duration {
        self.tti
    }

    /// The sending capacity in bytes per second, used by [`Congestion::Fixed`] and
    /// [`Congestion::LossRate`].
    pub fn uplink(&self) -> u64 {
        self.uplink
    }

    /// The receiving capacity in bytes per second; the window that a connection begins with follows
    /// from it.
    pub fn downlink(&self) -> u64 {
        self.downlink
    }

    /// The congestion controller.
    pub fn congestion(&self) -> Congestion {
        self.congestion
    }

    /// The packet header in front of every datagram.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How datagrams are protected.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// How many received bytes a connection holds for its reader, at most.
    pub fn read_buffer(&self) -> usize {
        self.read_buffer
    }

    /// How many written bytes wait to be sent, at most.
    pub fn write_buffer(&self) -> usize {
        self.write_buffer
    }

    /// After how long without sending anything a Ping is sent.
    pub fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// After how long without hearing anything a connection is given up.
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// For how long a closed connection goes on trying to deliver what was written.
    pub fn linger(&self) -> Duration {
        self.linger
    }
}

/// Collects settings for a [`Config`].
///
/// Setters take any value; [`build`](Self::build) checks them all, because the interesting rules
/// compare fields.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ConfigBuilder {
    config: Config,
    profile: Profile,
    congestion: Option<Congestion>,
    keepalive: Option<Duration>,
}

impl ConfigBuilder {
    /// A set of choices for a purpose. What is set explicitly wins, in whatever order.
    ///
    /// Default: [`Profile::Balanced`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The longest datagram to send, in bytes of UDP payload, packet header and security included.
    ///
    /// Default 1350; from the least that holds an acknowledgement (27 with the default security)
    /// to 65507. Peers written in Go read at most 2048 bytes, and paths rarely carry more than
    /// 1472 (IPv4) or 1452 (IPv6) unfragmented.
    pub fn mtu(mut self, bytes: u16) -> Self {
        self.config.mtu = bytes;
        self
    }

    /// The transmission time interval: peers written in Go send, and repeat, at such ticks.
    ///
    /// This side sends when it may, not at ticks; for it the interval is an upper bound of delayed
    /// acknowledgements and part of its retransmission timeout. Default 50 ms; 10 ms to 1 s.
    pub fn tti(mut self, interval: Duration) -> Self {
        self.config.tti = interval;
        self
    }

    /// The sending capacity in bytes per second. [`Congestion::Fixed`] sends at this rate, and
    /// [`Congestion::LossRate`] starts from it; [`Congestion::Bbr`] measures instead.
    ///
    /// Default 5 MiB/s; 0 to 1 TiB/s. As upstream, never less than 8 segments per interval.
    pub fn uplink(mut self, bytes_per_second: u64) -> Self {
        self.config.uplink = bytes_per_second;
        self
    }

    /// The receiving capacity in bytes per second. The receive window begins with what arrives at
    /// this rate within one interval, and grows with what the path turns out to carry, up to
    /// `read_buffer`. Peers that flood are told less.
    ///
    /// Default 20 MiB/s; 0 to 1 TiB/s.
    pub fn downlink(mut self, bytes_per_second: u64) -> Self {
        self.config.downlink = bytes_per_second;
        self
    }

    /// The congestion controller. Default: that of the profile.
    pub fn congestion(mut self, congestion: Congestion) -> Self {
        self.congestion = Some(congestion);
        self
    }

    /// The packet header that disguises datagrams. Both ends must use one of the same length.
    /// Default: none.
    pub fn header(mut self, header: Header) -> Self {
        self.config.header = header;
        self
    }

    /// How datagrams are protected. Both ends must use the same. Default: [`Security::Simple`].
    pub fn security(mut self, security: Security) -> Self {
        self.config.security = security;
        self
    }

    /// Short for [`Security::Aes128Gcm`] keyed by this seed, which says what a seed protects from
    /// and what not. An empty seed is a key too.
    pub fn seed(self, seed: impl Into<Vec<u8>>) -> Self {
        self.security(Security::Aes128Gcm(Seed::new(seed)))
    }

    /// How many received bytes a connection may hold for its reader. The receive window grows with
    /// what the path needs, four times what arrives in a round trip or eight where segments get
    /// lost, as far as this leaves room for it. An idle connection holds none.
    ///
    /// Default 16 MiB; 64 KiB to 1 GiB, and at least 16 times `mtu`.
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.config.read_buffer = bytes;
        self
    }

    /// How many written bytes may wait to be sent. Those that have been sent are held until they
    /// are acknowledged, up to eight times as many where the path is long or loses much.
    ///
    /// Default 2 MiB; 64 KiB to 1 GiB.
    pub fn write_buffer(mut self, bytes: usize) -> Self {
        self.config.write_buffer = bytes;
        self
    }

    /// After how long without sending anything a Ping is sent. It keeps NAT mappings open and
    /// tells a Go peer, which gives up after 30 s, that this side lives.
    ///
    /// Default 10 s, or a third of `idle_timeout` if that is less; 1 s to 1 hour, and less than
    /// `idle_timeout`.
    pub fn keepalive(mut self, every: Duration) -> Self {
        self.keepalive = Some(every);
        self
    }

    /// After how long without hearing anything a connection is given up as dead: a server's whose
    /// peer has not proven its address after two and a half keep-alive intervals, or 12 s if that is
    /// more, where that is less.
    ///
    /// Default 30 s; 6 s to 24 hours. A healthy Go peer may be silent for 5 s, one of this library
    /// for its `keepalive`.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// For how long a closed connection goes on trying to deliver what was written, in the
    /// background or in `Stream::close`.
    ///
    /// Default 10 s; 0 (give up at once) to 1 hour.
    pub fn linger(mut self, time: Duration) -> Self {
        self.config.linger = time;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// The first setting that is out of range, with its value and the range.
    pub fn build(mut self) -> Result<Config, ConfigError> {
        let third = self.config.idle_timeout / 3;
        let keepalive = self.config.keepalive.min(third);
        self.config.keepalive = self.keepalive.unwrap_or(keepalive);
        self.config.congestion = self.congestion.unwrap_or_else(|| self.profile.congestion());
        validate::check(&self.config)?;
        Ok(self.config)
    }
}
