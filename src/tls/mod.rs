#![doc = include_str!("../manual/tls.md")]

mod duplex;
mod ending;
mod error;
mod handshake;
mod incoming;
mod listener;
mod records;
mod stats;
mod stream;

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

pub use error::TlsError;
pub use listener::{TlsIncoming, TlsListener};
pub use rustls;
pub use stats::TlsStats;
pub use stream::{TlsInfo, TlsStream};

use crate::stream::Stream;
use stream::HANDSHAKE_TIMEOUT;

/// The protocols that V2Ray offers and accepts unless it is told otherwise.
pub(crate) const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// Puts TLS into a stream, as its client.
///
/// It returns at once; the handshake runs at the first read or write. `name` is what the server's
/// certificate must be for; a domain is sent along (SNI), an address is not.
///
/// # Errors
///
/// `InvalidInput` if rustls refuses the configuration.
pub fn connect(
    stream: Stream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<TlsStream> {
    let tls = ClientConnection::new(config, name.clone())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let limit = Some(HANDSHAKE_TIMEOUT);
    Ok(TlsStream::new(
        stream,
        tls.into(),
        Some(name),
        limit,
        Arc::default(),
    ))
}

/// Puts TLS into a stream, as its server. A [`TlsListener`] does it for all that it accepts.
///
/// It returns at once; the handshake runs at the first read or write.
///
/// # Errors
///
/// `InvalidInput` if rustls refuses the configuration.
pub fn accept(stream: Stream, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
    let tls = listener::server(&config)?;
    let limit = Some(HANDSHAKE_TIMEOUT);
    Ok(TlsStream::new(stream, tls, None, limit, Arc::default()))
}

/// A configuration for servers as V2Ray has it by default: TLS 1.2 and 1.3, the protocols `h2` and
/// `http/1.1`, no client certificates. For more, build one with rustls.
///
/// # Errors
///
/// `InvalidInput` if the key is of no known kind or does not belong to the first certificate.
pub fn server_config(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> io::Result<Arc<ServerConfig>> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        });
    let mut config = config.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    config.alpn_protocols = ALPN.map(|name| name.as_bytes().to_vec()).to_vec();
    Ok(Arc::new(config))
}

/// A configuration for clients as V2Ray has it by default: TLS 1.2 and 1.3, the protocols `h2` and
/// `http/1.1`, no client certificate. For more, build one with rustls.
///
/// # Errors
///
/// None that can be provoked; they are those of rustls.
pub fn client_config(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = ALPN.map(|name| name.as_bytes().to_vec()).to_vec();
    Ok(Arc::new(config))
}

/// Named, because a process may have chosen another default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
