//! Who a server of TLS is, for tests.

use std::sync::Arc;

use mkcp::tls::{
    self,
    rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer},
};
use rcgen::{Certificate, CertificateParams, KeyPair};

/// A certificate that vouches for itself, and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

impl Identity {
    /// By these names.
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        Self::of(CertificateParams::new(names).unwrap())
    }

    pub(crate) fn of(parameters: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, key }
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        tls::server_config(vec![self.certificate.der().clone()], self.private_key()).unwrap()
    }

    /// Trusts this identity and nobody else.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        tls::client_config(self.roots()).unwrap()
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}
