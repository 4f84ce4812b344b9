//! The header and seed of a link, as both ends are told.

use std::fmt;

use mkcp::{Config, Header};
use serde_json::{Value, json};

/// Every header that v2ray knows.
const HEADERS: [Header; 6] = [
    Header::None,
    Header::Srtp,
    Header::Utp,
    Header::WechatVideo,
    Header::Dtls,
    Header::Wireguard,
];
/// No seed, a seed, and the empty seed, which is one too.
const SEEDS: [Option<&str>; 3] = [None, Some("correct horse"), Some("")];

#[derive(Clone, Debug)]
pub(crate) struct Link {
    header: Header,
    seed: Option<&'static str>,
    /// v2ray's settings for TLS inside the stream, if there is any.
    tls: Option<Value>,
}

impl Link {
    pub(crate) fn new(header: Header, seed: Option<&'static str>) -> Self {
        Self {
            header,
            seed,
            tls: None,
        }
    }

    /// With TLS, as v2ray is told.
    pub(crate) fn with_tls(self, settings: &Value) -> Self {
        Self {
            tls: Some(settings.clone()),
            ..self
        }
    }

    /// Every header with every seed: 18 links.
    pub(crate) fn all() -> Vec<Self> {
        let with_seeds = |header: &Header| SEEDS.map(|seed| Self::new(header.clone(), seed));
        HEADERS.iter().flat_map(with_seeds).collect()
    }

    /// One link as v2ray is by default, and one with all that may be switched on.
    pub(crate) fn two() -> Vec<Self> {
        vec![
            Self::new(Header::None, None),
            Self::new(Header::WechatVideo, Some("correct horse")),
        ]
    }

    /// For this library.
    pub(crate) fn config(&self) -> Config {
        let mut builder = Config::builder().header(self.header.clone());
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        builder.build().unwrap()
    }

    /// For v2ray: its defaults, but for header and seed.
    pub(crate) fn stream_settings(&self) -> Value {
        let mut settings = json!({ "header": { "type": self.header.to_string() } });
        if let Some(seed) = self.seed {
            settings["seed"] = json!(seed);
        }
        let mut settings = json!({ "network": "kcp", "kcpSettings": settings });
        if let Some(tls) = &self.tls {
            settings["security"] = json!("tls");
            settings["tlsSettings"] = tls.clone();
        }
        settings
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            None => write!(f, "{} without a seed", self.header),
            Some(seed) => write!(f, "{} with seed {seed:?}", self.header),
        }
    }
}
