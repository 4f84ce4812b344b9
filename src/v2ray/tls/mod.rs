//! What a configuration says about TLS.

mod alpn;
mod material;
pub(super) mod read;
mod rustls_config;
pub(super) mod v5;
mod verify;
pub(super) mod write;

use std::{io, path::PathBuf};

use rustls::pki_types::ServerName;

pub use material::Certificate;
pub(super) use read::read;

/// The protocols that are offered and accepted when nothing is said, as upstream.
const DEFAULT_ALPN: [&str; 2] = ["h2", "http/1.1"];

/// A version of TLS that can be asked for. Older ones are not to be had.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// TLS as configuration files describe it, for either side.
///
/// Certificate files are read by [`server_config`](Self::server_config) and
/// [`client_config`](Self::client_config), not before, so that a file can be read, converted and
/// written on another machine.
///
/// ```
/// use mkcp::v2ray::TlsSettings;
///
/// # let made = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
/// # let (cert_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let server = TlsSettings::server(&cert_pem, &key_pem);
/// let client = TlsSettings::client("example.org").with_root(&cert_pem).with_system_roots(false);
/// server.server_config()?;
/// client.client_config()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    certificates: Vec<Certificate>,
    server_name: Option<String>,
    alpn: Vec<String>,
    allow_insecure: bool,
    system_roots: bool,
    min_version: TlsVersion,
    max_version: TlsVersion,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            server_name: None,
            alpn: DEFAULT_ALPN.map(str::to_owned).to_vec(),
            allow_insecure: false,
            system_roots: true,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
        }
    }
}

/// Making.
impl TlsSettings {
    /// Those of an empty `tlsSettings` object: enough for a client, but not for a server.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a client of the server of this name, which is checked against its certificate.
    pub fn client(server_name: impl Into<String>) -> Self {
        Self::new().with_server_name(server_name)
    }

    /// For a server with this certificate, chain included, and its key, both as PEM text.
    pub fn server(cert_pem: &str, key_pem: &str) -> Self {
        Self::new().with_certificate(Certificate::pem(cert_pem, key_pem))
    }

    /// As [`server`](Self::server), from PEM files.
    pub fn server_files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new().with_certificate(Certificate::files(cert, key))
    }

    /// The name that the server must have. Without one it is the host that is dialled.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// One more certificate. A server shows the first that is made out to the name that the
    /// client asks for, else the first of all. A client shows the first if it is asked for one.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// One more authority that a client trusts, as PEM text. It may be the very certificate that
    /// the server shows; name and dates are checked all the same.
    #[must_use]
    pub fn with_root(self, pem: &str) -> Self {
        self.with_certificate(Certificate::root(pem))
    }

    /// As [`with_root`](Self::with_root), from a PEM file.
    #[must_use]
    pub fn with_root_file(self, path: impl Into<PathBuf>) -> Self {
        self.with_certificate(Certificate::root_file(path))
    }

    /// Whether a client trusts the authorities that the system trusts. Default: yes.
    #[must_use]
    pub fn with_system_roots(mut self, trusted: bool) -> Self {
        self.system_roots = trusted;
        self
    }

    /// The protocols to offer or accept, best first. Default: `h2`, `http/1.1`.
    ///
    /// Names have 1 to 255 bytes, which is checked by [`server_config`](Self::server_config) and
    /// [`client_config`](Self::client_config).
    #[must_use]
    pub fn with_alpn<T: Into<String>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Whether a client takes any certificate, so that whoever is on the path can read and change
    /// everything. Default: no.
    #[must_use]
    pub fn with_allow_insecure(mut self, allow: bool) -> Self {
        self.allow_insecure = allow;
        self
    }

    /// The oldest and the newest version. Default: both that there are.
    #[must_use]
    pub fn with_versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        self.min_version = min;
        self.max_version = max;
        self
    }
}

/// Looking.
impl TlsSettings {
    /// The name to check the server's certificate against: what is configured, else `fallback`,
    /// the host that is dialled. An address is a name too.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is neither a domain name nor an address.
    pub fn server_name(&self, fallback: &str) -> io::Result<ServerName<'static>> {
        let name = self.configured_server_name().unwrap_or(fallback);
        ServerName::try_from(name.to_owned()).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("serverName is {name:?}, must be a domain name or an address: {error}"),
            )
        })
    }

    /// The name that was configured.
    pub fn configured_server_name(&self) -> Option<&str> {
        self.server_name.as_deref().filter(|name| !name.is_empty())
    }

    /// The certificates, in order.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// See [`with_alpn`](Self::with_alpn).
    pub fn alpn(&self) -> &[String] {
        &self.alpn
    }

    /// See [`with_allow_insecure`](Self::with_allow_insecure).
    pub fn allow_insecure(&self) -> bool {
        self.allow_insecure
    }

    /// See [`with_system_roots`](Self::with_system_roots).
    pub fn system_roots(&self) -> bool {
        self.system_roots
    }

    /// The oldest and the newest version.
    pub fn versions(&self) -> (TlsVersion, TlsVersion) {
        (self.min_version, self.max_version)
    }

    fn has_default_alpn(&self) -> bool {
        self.alpn == DEFAULT_ALPN
    }
}
