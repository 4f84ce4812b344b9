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
#[non_exhaustive]
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
            path: path.into(),
            value: value.to_string(),
            expected: expected.to_string(),
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
        let path = match self.path.as_str() {
            "" => "the document",
            path => path,
        };
        write!(f, "{path} is {}, must be {}", self.value, self.expected)
    }
}

impl error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Something that was read, or is to be written, and has no effect or not the expected one.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    path: String,
    message: String,
}

impl Warning {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
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
        write!(f, "{} {}", self.path, self.message)
    }
}
