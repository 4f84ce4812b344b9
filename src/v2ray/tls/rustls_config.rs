//! Settings become configurations of rustls, with ring whatever the process has chosen.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{
    Certificate, TlsSettings, TlsVersion, alpn,
    material::invalid,
    verify::{AcceptAll, Trusting},
};

type Versions = &'static [&'static SupportedProtocolVersion];

const BOTH: Versions = &[&TLS13, &TLS12];
const ONLY_12: Versions = &[&TLS12];
const ONLY_13: Versions = &[&TLS13];

impl TlsSettings {
    /// The configuration of a server.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the file or the field, if there is no certificate, or one of them
    /// is broken, has no key or another one's; errors of reading files; `InvalidInput` if the
    /// oldest version is newer than the newest, or if a protocol's name is empty or too long.
    pub fn server_config(&self) -> io::Result<Arc<ServerConfig>> {
        let provider = Arc::new(ring::default_provider());
        let mut keys = Vec::new();
        for (place, certificate) in self.places().filter(|(_, c)| !c.root) {
            keys.push(Arc::new(certified(&place, certificate, &provider)?));
        }
        if keys.is_empty() {
            return Err(invalid(
                "certificates",
                "has none with a key, but a server needs one",
            ));
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.protocol_versions()?)
            .map_err(refused)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName(keys)));
        config.alpn_protocols = self.alpn_bytes()?;
        Ok(Arc::new(config))
    }

    /// The configuration of a client.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the file or the field, if a certificate is broken; errors of
    /// reading files or the system's authorities; `InvalidInput` if the oldest version is newer
    /// than the newest, or if a protocol's name is empty or too long.
    pub fn client_config(&self) -> io::Result<Arc<ClientConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.protocol_versions()?)
            .map_err(refused)?;
        let builder = if self.allow_insecure {
            let verifier = AcceptAll(Arc::clone(&provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            let own = self.own_roots()?;
            let roots = self.roots(&own)?;
            if own.is_empty() {
                builder.with_root_certificates(roots)
            } else {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(trusting(roots, own, &provider)?)
            }
        };
        let mut config = builder.with_no_client_auth();
        // Upstream too passes over a client's certificate that has no key.
        let own = self.places().find(|(_, c)| !c.root && c.key.is_some());
        if let Some((place, certificate)) = own {
            let key = certified(&place, certificate, &provider)?;
            config.client_auth_cert_resolver = Arc::new(Always(Arc::new(key)));
        }
        config.alpn_protocols = self.alpn_bytes()?;
        Ok(Arc::new(config))
    }

    /// The system's, if they are wanted, and these.
    fn roots(&self, own: &[(String, CertificateDer<'static>)]) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for (place, der) in own {
            let added = roots.add(der.clone());
            added.map_err(|error| invalid(place, &format!("is no authority: {error}")))?;
        }
        if self.system_roots {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if let Some(error) = system.errors.first().filter(|_| roots.is_empty()) {
                let text = format!("cannot read the system's authorities: {error}");
                return Err(io::Error::other(text));
            }
        }
        Ok(roots)
    }

    fn own_roots(&self) -> io::Result<Vec<(String, CertificateDer<'static>)>> {
        let mut own = Vec::new();
        for (place, certificate) in self.places().filter(|(_, c)| c.root) {
            let chain = certificate.read_chain(&place)?;
            own.extend(chain.into_iter().map(|der| (place.clone(), der)));
        }
        Ok(own)
    }

    fn places(&self) -> impl Iterator<Item = (String, &Certificate)> {
        let numbered = self.certificates.iter().enumerate();
        numbered.map(|(index, certificate)| (format!("certificates[{index}]"), certificate))
    }

    fn protocol_versions(&self) -> io::Result<Versions> {
        match (self.min_version, self.max_version) {
            (TlsVersion::Tls12, TlsVersion::Tls13) => Ok(BOTH),
            (TlsVersion::Tls12, TlsVersion::Tls12) => Ok(ONLY_12),
            (TlsVersion::Tls13, TlsVersion::Tls13) => Ok(ONLY_13),
            (TlsVersion::Tls13, TlsVersion::Tls12) => {
                Err(invalid("minVersion", "is 1.3, newer than maxVersion"))
            }
        }
    }

    /// Checked, because rustls takes lists for granted that no handshake can carry.
    fn alpn_bytes(&self) -> io::Result<Vec<Vec<u8>>> {
        alpn::check(&self.alpn)
            .map_err(|(is, must)| invalid("alpn", &format!("is {is}, must be {must}")))?;
        let protocols = self.alpn.iter();
        Ok(protocols
            .map(|protocol| protocol.clone().into_bytes())
            .collect())
    }
}

fn trusting(
    roots: RootCertStore,
    own: Vec<(String, CertificateDer<'static>)>,
    provider: &Arc<CryptoProvider>,
) -> io::Result<Arc<Trusting>> {
    let roots = Arc::new(roots);
    let webpki = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
    let webpki = webpki.build().map_err(io::Error::other)?;
    let own = own.into_iter().map(|(_, der)| der).collect();
    Ok(Arc::new(Trusting::new(webpki, own)))
}

fn certified(
    place: &str,
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> io::Result<CertifiedKey> {
    let chain = certificate.read_chain(place)?;
    let key = certificate.read_key(place)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let what = format!("has a key that cannot be used with its certificate: {error}");
        invalid(&format!("{place} ({certificate:?})"), &what)
    })
}

fn refused(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// A server's certificates, of which it shows the one that the client asks for.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().and_then(|name| {
            let name = ServerName::try_from(name).ok()?;
            self.0.iter().find(|key| is_for(key, &name))
        });
        wanted.or_else(|| self.0.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

/// The certificate of a client that has one.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
