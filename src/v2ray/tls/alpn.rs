//! The protocols of ALPN, within what a handshake can carry.

use super::TlsSettings;
use crate::v2ray::{
    cursor::Cursor,
    error::{Error, Warning},
};

const LONGEST: usize = 255;
/// With a byte of length for each. The client's hello has 64 KiB for them and everything else.
const MOST: usize = 32 * 1024;

/// What is wrong with a list: what it is, and what it must be.
pub(super) fn check(protocols: &[String]) -> Result<(), (String, String)> {
    let lengths = || protocols.iter().map(String::len);
    if let Some(length) = lengths().find(|length| !(1..=LONGEST).contains(length)) {
        return Err((
            format!("a list with a name of {length} bytes"),
            format!("names of 1 to {LONGEST} bytes"),
        ));
    }
    let sum: usize = lengths().map(|length| 1 + length).sum();
    if sum > MOST {
        return Err((format!("a list of {sum} bytes"), format!("at most {MOST}")));
    }
    Ok(())
}

/// Takes the protocols that are listed here, if there are any. Empty names match nothing with a
/// server of upstream; they come from a comma too many.
pub(super) fn read(
    settings: TlsSettings,
    alpn: &Cursor<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<TlsSettings, Error> {
    let mut protocols = alpn.list()?;
    let listed = protocols.len();
    protocols.retain(|protocol| !protocol.is_empty());
    if protocols.is_empty() {
        return Ok(settings);
    }
    if protocols.len() < listed {
        warnings.push(Warning::new(alpn.path(), "has empty names: passed over"));
    }
    check(&protocols).map_err(|(value, expected)| Error::new(alpn.path(), value, expected))?;
    Ok(settings.with_alpn(protocols))
}
