#![doc = include_str!("../manual/configs.md")]

mod cursor;
mod dialect;
mod entry;
mod error;
mod file;
mod host;
mod kcp;
mod listener;
mod masks;
mod object;
mod ports;
mod read;
mod settings;
mod share;
mod stream;
mod tls;
mod v5;
mod write;

use std::{
    fmt, io,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;

use crate::{config::Config, endpoint::Endpoint};

pub use dialect::Dialect;
pub use error::{Error, Warning};
pub use listener::{MaybeTlsIncoming, MaybeTlsListener};
pub use read::{ReadOptions, Reading, Side, read};
pub use share::{WrittenParams, read_share_params, write_share_params};
pub use stream::MaybeTlsStream;
pub use tls::{Certificate, TlsSettings, TlsVersion};
pub use write::{Written, write};

/// What `streamSettings` say: mKCP, and TLS or not.
///
/// ```
/// use mkcp::{Config, v2ray::{StreamSettings, TlsSettings}};
///
/// let tls = TlsSettings::client("example.org");
/// let settings = StreamSettings::new(Config::default()).with_tls(tls);
/// assert!(settings.tls().is_some());
/// ```
#[derive(Clone, Default)]
pub struct StreamSettings {
    config: Config,
    tls: Option<TlsSettings>,
    /// What rustls has made of `tls` for a client: authorities are read once, and sessions are
    /// resumed from one connection to the next.
    client: Arc<ClientCache>,
}

impl StreamSettings {
    /// mKCP with these settings, without TLS.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// With TLS.
    #[must_use]
    pub fn with_tls(self, tls: TlsSettings) -> Self {
        Self {
            config: self.config,
            tls: Some(tls),
            client: Arc::default(),
        }
    }

    /// The settings of mKCP.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The settings of TLS, if there is to be TLS.
    pub fn tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }

    /// An endpoint has settings of its own. If they differ in what both ends must share, these
    /// would be ignored in silence, with the seed among them.
    fn check_endpoint(&self, endpoint: &Endpoint) -> io::Result<()> {
        let (own, theirs) = (&self.config, endpoint.config());
        if own.header() == theirs.header() && own.security() == theirs.security() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the endpoint has another header or security than the settings",
        ))
    }
}

/// Written once, and rustls keeps its own state whole when a thread panics.
type ClientCache = OnceLock<AssertUnwindSafe<Arc<ClientConfig>>>;

impl fmt::Debug for StreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSettings")
            .field("config", &self.config)
            .field("tls", &self.tls)
            .finish()
    }
}

impl PartialEq for StreamSettings {
    fn eq(&self, other: &Self) -> bool {
        (&self.config, &self.tls) == (&other.config, &other.tls)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{RefUnwindSafe, UnwindSafe};

    use super::*;

    /// A promise that a change of a private field must not break.
    #[test]
    fn settings_can_go_everywhere() {
        fn anywhere<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
        anywhere::<StreamSettings>();
        anywhere::<TlsSettings>();
        anywhere::<ReadOptions>();
        anywhere::<Reading>();
        anywhere::<Written>();
        anywhere::<WrittenParams>();
        anywhere::<Error>();
        anywhere::<Warning>();
    }

    #[test]
    fn debug_shows_settings_only() {
        let settings = StreamSettings::new(Config::default()).with_tls(TlsSettings::new());
        assert!(!format!("{settings:?}").contains("client"));
    }
}
