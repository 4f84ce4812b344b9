//! TLS for a run: the server makes a certificate, which the client is to be given.

use std::{fs, io, path::Path, sync::Arc};

use mkcp::{
    Stream,
    tls::{
        self, TlsStream,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig,
            pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        },
    },
};

/// Whom the certificate is for.
const NAME: &str = "localhost";

/// Makes a key and a certificate for this run, and writes the certificate to a file.
pub(crate) fn server(certificate: &Path) -> io::Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
    fs::write(certificate, made.cert.pem()).map_err(|error| of_file(certificate, &error))?;
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    tls::server_config(vec![made.cert.der().clone()], key)
}

/// The client's side of all streams.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// Trusts the certificates in a PEM file and no others.
    pub(crate) fn trusting(certificates: &Path) -> io::Result<Self> {
        let bad = |error| of_file(certificates, &error);
        let pem = fs::read(certificates).map_err(bad)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| bad(io::Error::other(error)))?;
            roots
                .add(certificate)
                .map_err(|error| bad(io::Error::other(error)))?;
        }
        if roots.is_empty() {
            return Err(bad(io::Error::other("no certificate in PEM form")));
        }
        Ok(Self {
            config: tls::client_config(roots)?,
            name: ServerName::try_from(NAME).map_err(io::Error::other)?,
        })
    }

    pub(crate) fn wrap(&self, stream: Stream) -> io::Result<TlsStream> {
        tls::connect(stream, self.config.clone(), self.name.clone())
    }
}

fn of_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("--tls {}: {error}", path.display()))
}
