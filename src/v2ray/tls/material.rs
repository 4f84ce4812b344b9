//! A certificate with its key, as text or as files.

use std::{fmt, fs, io, path::PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// A certificate with its key, or an authority to trust.
///
/// `Debug` shows file names, but no key.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) chain: Pem,
    pub(super) key: Option<Pem>,
    pub(super) root: bool,
}

/// PEM, here or in a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Pem {
    Text(String),
    File(PathBuf),
}

impl Certificate {
    /// From PEM texts: the certificate, with its chain if it has one, and the key.
    pub fn pem(chain: &str, key: &str) -> Self {
        Self {
            chain: Pem::Text(chain.to_owned()),
            key: Some(Pem::Text(key.to_owned())),
            root: false,
        }
    }

    /// From PEM files, which are read when they are needed.
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            chain: Pem::File(chain.into()),
            key: Some(Pem::File(key.into())),
            root: false,
        }
    }

    /// An authority that a client trusts (`"usage": "verify"`), or the server's own certificate,
    /// from PEM text.
    pub fn root(pem: &str) -> Self {
        Self {
            chain: Pem::Text(pem.to_owned()),
            key: None,
            root: true,
        }
    }

    /// As [`root`](Self::root), from a PEM file.
    pub fn root_file(path: impl Into<PathBuf>) -> Self {
        Self {
            chain: Pem::File(path.into()),
            key: None,
            root: true,
        }
    }

    /// Whether it is an authority to trust.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// The certificates in it; `place` names it in errors.
    pub(super) fn read_chain(&self, place: &str) -> io::Result<Vec<CertificateDer<'static>>> {
        let place = self.chain.place(place, "certificate");
        let pem = self.chain.read(&place)?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match read {
            Ok(chain) if chain.is_empty() => Err(invalid(&place, "holds no certificate")),
            Ok(chain) => Ok(chain),
            Err(error) => Err(invalid(&place, &format!("is not PEM: {error}"))),
        }
    }

    /// The key that belongs to it; `place` names it in errors.
    pub(super) fn read_key(&self, place: &str) -> io::Result<PrivateKeyDer<'static>> {
        let Some(key) = &self.key else {
            return Err(invalid(place, "has no key"));
        };
        let place = key.place(place, "key");
        let pem = key.read(&place)?;
        let labelled = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|error| invalid(&place, &format!("holds no private key: {error}")))?;
        // What kind of key it is shows inside: v2ctl writes "RSA" over every kind.
        let seen = PrivateKeyDer::try_from(labelled.secret_der().to_vec());
        Ok(seen.unwrap_or(labelled))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Certificate");
        debug.field("chain", &self.chain);
        if let Some(key) = &self.key {
            debug.field("key", key);
        }
        debug.field("root", &self.root).finish()
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("(inline)"),
            Self::File(path) => path.fmt(f),
        }
    }
}

impl Pem {
    fn place(&self, place: &str, key: &str) -> String {
        match self {
            Self::Text(_) => format!("{place}.{key}"),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn read(&self, place: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => fs::read(path)
                .map_err(|error| io::Error::new(error.kind(), format!("{place}: {error}"))),
        }
    }
}

pub(super) fn invalid(place: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{place} {what}"))
}
