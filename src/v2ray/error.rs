//! What is wrong, or odd, in a configuration, and where.

use std::{error, fmt, io};

/// A setting that was refused, with its place in the document.
///
/// Seeds and keys are never shown.
///
/// ```
/// use mkcp::v2ray::{self, ReadOptions};
///
/// let json = r#"{"network": "kcp", "kcpSettings": {"tti": 5}}"#;
/// let error = v2ray::read(json, &ReadOptions::new()).unwrap_err();
/// assert_eq!(error.path(), "kcpSettings.tti");
/// assert_eq!(error.to_string(), "kcpSettings.tti is 5, must be 10 to 100");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    path: String,
    value: String,
    expected: String,
}

impl Error {
    pub(super) fn new(
        path: impl Into<String>,
        value: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self {
            path: clean(path.into()),
            value: clean(value.to_string()),
            expected: clean(expected.to_string()),
        }
    }

    /// Where it stands, such as `outbounds[1].streamSettings.kcpSettings.mtu`; empty if the
    /// document as a whole was refused.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The refused value, as text.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would have been accepted, as text.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = place(&self.path);
        write!(f, "{place} is {}, must be {}", self.value, self.expected)
    }
}

impl error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Something that was read, or is to be written, and has no effect or not the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    path: String,
    message: String,
}

impl Warning {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: clean(path.into()),
            message: clean(message.into()),
        }
    }

    /// The field, as [`Error::path`].
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is to be known about it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", place(&self.path), self.message)
    }
}

fn place(path: &str) -> &str {
    match path {
        "" => "the document",
        path => path,
    }
}

/// Escapes what would forge lines of a log, or their order on the screen: keys and names are
/// anybody's.
fn clean(text: String) -> String {
    let forges =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(forges) {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if forges(c) => cleaned.extend(c.escape_default()),
            c => cleaned.push(c),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_on_their_line() {
        let warning = Warning::new("a\n2026 ERROR", "is odd\u{1b}[2J\u{202e}");
        assert_eq!(
            warning.to_string(),
            "a\\n2026 ERROR is odd\\u{1b}[2J\\u{202e}"
        );
        let error = Error::new("", "\r", "ä\t");
        assert_eq!(error.to_string(), "the document is \\r, must be ä\\t");
    }
}
