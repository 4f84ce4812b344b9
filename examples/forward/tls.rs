//! TLS as the parameters of an `mkcp://` address ask for it.

use std::{fmt, sync::Arc};

use mkcp::tls::{
    self,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

/// The parameters, unread.
#[derive(Debug, Default)]
pub(crate) struct TlsParameters<'a> {
    pub(crate) sni: Option<&'a str>,
    pub(crate) alpn: Option<&'a str>,
    pub(crate) insecure: bool,
    pub(crate) ca: Option<&'a str>,
    pub(crate) cert: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

impl TlsParameters<'_> {
    /// What a client needs to connect to `host`.
    pub(crate) fn client(
        &self,
        host: &str,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let name = self.sni.unwrap_or(host).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| format!("sni is {:?}, must be a host name", self.sni.unwrap_or(host)))?;
        let config = tls::client_config(self.roots()?).map_err(|error| error.to_string())?;
        let mut config = Arc::unwrap_or_clone(config);
        if let Some(alpn) = self.alpn {
            config.alpn_protocols = protocols(alpn);
        }
        if self.insecure {
            let trusting = Arc::new(Trusting::new());
            config.dangerous().set_certificate_verifier(trusting);
        }
        Ok((Arc::new(config), name))
    }

    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let (Some(cert), Some(key)) = (self.cert, self.key) else {
            return Err("tls is 1, so there must be cert=FILE and key=FILE".to_owned());
        };
        let certificates = certificates("cert", cert)?;
        let private_key = private_key(key)?;
        let config = tls::server_config(certificates, private_key)
            .map_err(|error| unusable("key", key, error))?;
        let mut config = Arc::unwrap_or_clone(config);
        if let Some(alpn) = self.alpn {
            config.alpn_protocols = protocols(alpn);
        }
        Ok(Arc::new(config))
    }

    /// Whom a client trusts: those in the file, else those whom the system trusts.
    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = self.ca {
            for certificate in certificates("ca", file)? {
                let added = roots.add(certificate);
                added.map_err(|error| unusable("ca", file, error))?;
            }
        } else if !self.insecure {
            let native = rustls_native_certs::load_native_certs();
            for error in native.errors {
                log::warn!("certificates that the system trusts: {error}");
            }
            roots.add_parsable_certificates(native.certs);
        }
        Ok(roots)
    }
}

/// What kind of key it is shows inside: v2ctl labels every kind as RSA.
fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    let labelled =
        PrivateKeyDer::from_pem_file(file).map_err(|error| unusable("key", file, error))?;
    let looked_at = PrivateKeyDer::try_from(labelled.secret_der().to_vec());
    Ok(looked_at.unwrap_or(labelled))
}

fn certificates(parameter: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |error| unusable(parameter, file, error);
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(unusable)?
        .collect::<Result<_, _>>()
        .map_err(unusable)?;
    if certificates.is_empty() {
        return Err(format!(
            "{parameter} is {file:?}, must be a PEM file with certificates"
        ));
    }
    Ok(certificates)
}

fn unusable(parameter: &str, file: &str, error: impl fmt::Display) -> String {
    format!("{parameter} is {file:?}, must be a PEM file: {error}")
}

fn protocols(list: &str) -> Vec<Vec<u8>> {
    let names = list.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.as_bytes().to_vec()).collect()
}

/// Takes any certificate, as long as the peer has its key.
#[derive(Debug)]
struct Trusting(WebPkiSupportedAlgorithms);

impl Trusting {
    fn new() -> Self {
        Self(ring::default_provider().signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
