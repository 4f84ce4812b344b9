//! Reading a document: what may be asked for, and what comes out.

use std::io::Read;

use json_comments::StripComments;
use serde_json::Value;

use super::{
    Dialect, StreamSettings,
    cursor::Cursor,
    error::{Error, Warning},
    file, settings,
};

/// Which end of a connection settings belong to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that listens.
    Inbound,
    /// The one that connects.
    Outbound,
}

/// How to read a document, and which part of it.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub(super) dialect: Option<Dialect>,
    pub(super) tag: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) side: Option<Side>,
}

impl ReadOptions {
    /// The dialect is recognised, and the file has but one network that is kcp.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads as this dialect, whatever it looks like.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// The inbound or outbound with this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// The inbound that listens on this port, or the outbound that connects to it.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Only inbounds, or only outbounds.
    pub fn side(mut self, side: Side) -> Self {
        self.side = Some(side);
        self
    }
}

/// What a document says.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub(super) settings: StreamSettings,
    pub(super) dialect: Dialect,
    pub(super) side: Option<Side>,
    pub(super) tag: Option<String>,
    pub(super) address: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) warnings: Vec<Warning>,
}

impl Reading {
    /// The settings.
    pub fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    /// The settings, to keep.
    pub fn into_settings(self) -> StreamSettings {
        self.settings
    }

    /// The dialect that was recognised or asked for.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The side; `None` for bare `streamSettings`.
    pub fn side(&self) -> Option<Side> {
        self.side
    }

    /// The tag of the inbound or outbound; the name of a share link.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Where an inbound listens (`None`: everywhere), or the host that an outbound connects to.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The port of an inbound, or that an outbound connects to; of several the one that was asked
    /// for, else the first.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Everything that was read and has no effect, or not the expected one.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Reads a configuration of V2Ray, V2Fly or Xray: a whole file, one inbound or outbound of it, or
/// a `streamSettings` object.
///
/// Comments (`//`, `#`, `/* */`) are legal, and keys are matched without regard to case.
///
/// # Errors
///
/// The first value that is refused, with its place; a document that is no JSON; a network that is
/// not kcp; a file from which none, or more than one, would be chosen.
///
/// ```
/// use mkcp::{Header, v2ray::{self, ReadOptions}};
///
/// let json = r#"{
///     "inbounds": [{
///         "tag": "in", "port": 443, "protocol": "vmess",
///         "streamSettings": {
///             "network": "kcp",
///             "kcpSettings": {"header": {"type": "srtp"}, "readBufferSize": 2} // as it was
///         }
///     }]
/// }"#;
/// let reading = v2ray::read(json, &ReadOptions::new().tag("in"))?;
/// assert_eq!(reading.settings().config().header(), &Header::Srtp);
/// assert_eq!(reading.port(), Some(443));
/// let path = reading.warnings()[0].path();
/// assert_eq!(path, "inbounds[0].streamSettings.kcpSettings.readBufferSize");
/// # Ok::<(), v2ray::Error>(())
/// ```
pub fn read(json: &str, options: &ReadOptions) -> Result<Reading, Error> {
    let document = parse(json)?;
    let mut warnings = Vec::new();
    let root = Cursor::root(&document).object()?;
    let chosen = file::choose(root, options, &mut warnings)?;
    let (settings, dialect) =
        settings::read(chosen.stream, chosen.shared, options.dialect, &mut warnings)?;
    Ok(Reading {
        settings,
        dialect,
        side: chosen.side,
        tag: chosen.tag,
        address: chosen.address,
        port: chosen.port,
        warnings,
    })
}

pub(super) fn parse(json: &str) -> Result<Value, Error> {
    let not_json = |error: String| Error::new("", format!("not JSON ({error})"), "JSON");
    let json = json.trim_start_matches('\u{feff}');
    let mut text = String::with_capacity(json.len());
    StripComments::new(json.as_bytes())
        .read_to_string(&mut text)
        .map_err(|error| not_json(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| not_json(error.to_string()))
}
