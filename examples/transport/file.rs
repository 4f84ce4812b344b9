//! Settings from a configuration file of V2Ray, V2Fly or Xray.

use std::{fs, path::PathBuf};

use clap::Args;
use mkcp::v2ray::{self, ReadOptions, Reading, Side};

/// Which file, and which part of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// Take the settings from a configuration file of V2Ray, V2Fly or Xray
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The inbound or outbound of the file that has this tag, if there are several over kcp
    #[arg(long, value_name = "TAG", requires = "config")]
    tag: Option<String>,

    /// The inbound that listens at this port, or the outbound that connects to it
    #[arg(long, value_name = "PORT", requires = "config", conflicts_with = "tag")]
    port: Option<u16>,
}

impl ConfigFile {
    pub(crate) fn is_given(&self) -> bool {
        self.config.is_some()
    }

    /// What the file says about a side. Oddities are logged.
    pub(crate) fn read(&self, side: Side) -> Result<Reading, String> {
        let path = self.config.as_ref().ok_or("--config is missing")?;
        let name = path.display();
        let json = fs::read_to_string(path).map_err(|error| format!("--config {name}: {error}"))?;
        let mut options = ReadOptions::new();
        if let Some(tag) = &self.tag {
            options = options.tag(tag);
        }
        if let Some(port) = self.port {
            options = options.port(port);
        }
        let result = v2ray::read(&json, &options.clone().side(side)).or_else(|error| {
            // Settings that stand alone belong to either side.
            let alone = v2ray::read(&json, &options);
            let alone = alone.ok().filter(|reading| reading.side().is_none());
            alone.ok_or(error)
        });
        let reading = result.map_err(|error| format!("--config {name}: {error}"))?;
        for warning in reading.warnings() {
            log::warn!("{name}: {warning}");
        }
        Ok(reading)
    }
}
