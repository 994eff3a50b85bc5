//! TLS to a mail server: rustls with ring, 1.2 or newer, the system's authorities and the configured one.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{MailboxConfig, MailboxFault};

/// The configuration for one mailbox. A certificate authority's file is read each time, so that a renewed one counts.
pub(crate) fn config(mailbox: &MailboxConfig) -> Result<ClientConfig, MailboxFault> {
    let failed = |e: &dyn std::fmt::Display| MailboxFault::Tls(e.to_string());
    let mut extra = Vec::new();
    if let Some(path) = &mailbox.ca_file {
        let named = |e: &dyn std::fmt::Display| failed(&format_args!("ca-file {}: {e}", path.display()));
        let pem = std::fs::read(path).map_err(|e| named(&e))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            extra.push(certificate.map_err(|e| named(&e))?);
        }
        if extra.is_empty() {
            return Err(named(&"holds no certificate (PEM, -----BEGIN CERTIFICATE-----)"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|e| failed(&e))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| failed(&e))?
        .dangerous() // "a verifier of one's own"; it is the platform's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}
