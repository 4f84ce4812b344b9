//! Endpoints of QUIC (quinn), whose client trusts the certificate that its server made.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

use crate::sockets;

/// The name in the certificate.
pub const NAME: &str = "bench";

/// A server, which leaves its certificate in a file.
pub fn server(
    address: SocketAddr,
    certificate: &Path,
    transport: TransportConfig,
) -> io::Result<Endpoint> {
    let socket = sockets::udp(address)?;
    let mut config = server_config(certificate)?;
    config.transport_config(transport.into());
    let (own, runtime) = (EndpointConfig::default(), Arc::new(TokioRuntime));
    Endpoint::new(own, Some(config), socket, runtime)
}

/// A server's defaults, with a certificate of its own that it leaves in a file.
pub fn server_config(certificate: &Path) -> io::Result<ServerConfig> {
    let key = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
    let own = CertificateDer::from(key.cert);
    fs::write(certificate, &own)?;
    let private = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    ServerConfig::with_single_cert(vec![own], private.into()).map_err(io::Error::other)
}

/// A client, which trusts the certificate in the file.
pub fn client(certificate: &Path, transport: TransportConfig) -> io::Result<Endpoint> {
    let socket = sockets::udp((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let mut config = client_config(certificate)?;
    config.transport_config(transport.into());
    let (own, runtime) = (EndpointConfig::default(), Arc::new(TokioRuntime));
    let mut endpoint = Endpoint::new(own, None, socket, runtime)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// A client's defaults, with trust in the certificate in the file and in no other.
pub fn client_config(certificate: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from(fs::read(certificate)?);
    roots.add(certificate).map_err(io::Error::other)?;
    ClientConfig::with_root_certificates(Arc::new(roots)).map_err(io::Error::other)
}
