//! Which hosts the command line believes over TLS: those whose certificate leads to an authority that this machine trusts,
//! or to the one that `--ca` names; and the local host by the fingerprint in its data folder.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow};
use reqwest::{Certificate, ClientBuilder};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::tls;

/// Trusts the authorities of a PEM file as well.
///
/// # Errors
/// When the file holds none.
pub fn with_authorities(client: ClientBuilder, path: &Path) -> Result<ClientBuilder> {
    let pem = fs::read(path).with_context(|| format!("the authorities {}", path.display()))?;
    let authorities =
        Certificate::from_pem_bundle(&pem).ok().filter(|authorities| !authorities.is_empty()).ok_or_else(
            || anyhow!("{} holds no certificate (PEM, -----BEGIN CERTIFICATE-----)", path.display()),
        )?;
    Ok(client.tls_certs_merge(authorities))
}

/// Trusts the host with this very certificate and no other, whatever names it has.
///
/// # Errors
/// When the text is no fingerprint.
pub fn with_fingerprint(client: ClientBuilder, text: &str) -> Result<ClientBuilder> {
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(text.trim(), &mut fingerprint)
        .context("the file with the fingerprint of the host's certificate; start the host again")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous() // "a verifier of one's own"; it is stricter than names and authorities
        .with_custom_certificate_verifier(Arc::new(Known { fingerprint, provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(client.tls_backend_preconfigured(config))
}

/// One certificate, known by its fingerprint.
#[derive(Debug)]
struct Known {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if tls::fingerprint(own) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
