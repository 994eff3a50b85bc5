//! TLS for outgoing connections: rustls with ring, 1.2 or newer, the system's authorities and those of the
//! configuration.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    client::danger::ServerCertVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::EgressError;

/// The configuration that every connection shares. `extra_roots`: PEM files with the certificates of private
/// authorities, trusted beside the system's.
pub(crate) fn config(extra_roots: &[Vec<u8>]) -> Result<ClientConfig, EgressError> {
    let setup = |e: &dyn std::fmt::Display| EgressError::Setup(e.to_string());
    let mut extra = Vec::new();
    for pem in extra_roots {
        let before = extra.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            extra.push(certificate.map_err(|e| setup(&format_args!("an extra root certificate: {e}")))?);
        }
        if extra.len() == before {
            return Err(setup(
                &"a file of extra root certificates holds none (PEM, -----BEGIN CERTIFICATE-----)",
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| setup(&e))?
        .dangerous() // "a verifier of one's own"; it is the platform's
        .with_custom_certificate_verifier(verifier(extra, provider)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, EgressError> {
    let no_extra = extra.is_empty();
    match rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider)) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        // A container without certificates must still start: plain HTTP to its neighbours works, and every HTTPS
        // connection fails with "unknown issuer".
        Err(error) if no_extra => {
            tracing::warn!(%error, "no root certificates on this system; outgoing HTTPS will be refused");
            Ok(Arc::new(TrustNobody(provider)))
        }
        Err(error) => Err(EgressError::Setup(format!("an extra root certificate: {error}"))),
    }
}

/// Verifies no certificate at all: what is left when there are no authorities to trust.
#[derive(Debug)]
struct TrustNobody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustNobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
