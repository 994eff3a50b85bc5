//! Clients' certificates: who signed them, whether they still hold, and whose they are.
//!
//! rustls checks the signatures, the times, the purpose and the constraints of a chain. What it leaves aside is read here
//! with `x509-cert`: names other than DNS names, and the common name.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, anyhow};
use factotum_flow::ClientName;
use rustls::{
    CertificateError, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use sha2::{Digest, Sha256};
use x509_cert::{
    certificate::{CertificateInner, Raw},
    der::{Decode, asn1::ObjectIdentifier},
    ext::pkix::{
        SubjectAltName,
        name::{DirectoryString, GeneralName},
    },
};

/// The common name in a subject (X.520, `id-at-commonName`).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// The most certificates of a chain that are looked at.
const MAX_CHAIN: usize = 10;

/// Why a client's certificate does not let it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is no certificate, is out of its time, or no trusted authority signed it: in words.
    Untrusted(String),
    /// It is in order, but it is none of those that are wanted.
    NotListed,
}

/// Who checks clients' certificates against these authorities. A client need not show one.
pub(super) fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| anyhow!("client-authorities: {error}"))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| anyhow!("client-authorities: {error}"))
}

/// Whether a chain, the client's own certificate first, is trusted at this time and is one of `wanted`.
///
/// # Errors
/// Why not.
pub fn check(
    verifier: &dyn ClientCertVerifier,
    chain: &[CertificateDer<'_>],
    wanted: &[ClientName],
    now: SystemTime,
) -> Result<(), Fault> {
    let Some((own, others)) = chain.split_first().filter(|_| chain.len() <= MAX_CHAIN) else {
        return Err(Fault::Untrusted("the chain of certificates is empty or too long".into()));
    };
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    verifier.verify_client_cert(own, others, now).map_err(|error| Fault::Untrusted(words(&error)))?;
    let names = Names::of(own);
    if wanted.iter().any(|one| names.has(one)) { Ok(()) } else { Err(Fault::NotListed) }
}

fn words(error: &rustls::Error) -> String {
    use CertificateError as E;
    match error {
        rustls::Error::InvalidCertificate(fault) => match fault {
            E::Expired | E::ExpiredContext { .. } => "the client's certificate has expired".into(),
            E::NotValidYet | E::NotValidYetContext { .. } => {
                "the client's certificate does not hold yet".into()
            }
            E::UnknownIssuer | E::BadSignature => {
                "no authority that this host trusts for clients signed the client's certificate".into()
            }
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
                "the client's certificate is for another purpose than clients' authentication".into()
            }
            E::BadEncoding => "the client's certificate cannot be read".into(),
            other => format!("the client's certificate does not hold: {other}"),
        },
        other => format!("the client's certificate cannot be checked: {other}"),
    }
}

/// The SHA-256 fingerprint of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate.as_ref()).into()
}

/// Until when a certificate holds; `None` when it cannot be read.
pub(super) fn valid_until(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let read = CertificateInner::<Raw>::from_der(certificate.as_ref()).ok()?;
    Some(read.tbs_certificate().validity().not_after.to_system_time())
}

/// Whose a certificate is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    fingerprint: [u8; 32],
    dns: Vec<String>,
    uri: Vec<String>,
    email: Vec<String>,
    /// Only when there is just one: of several, which one counts would be the reader's choice.
    common: Option<String>,
}

impl Names {
    /// What cannot be read names nobody; the fingerprint is left.
    fn of(certificate: &CertificateDer<'_>) -> Names {
        let mut names = Names { fingerprint: fingerprint(certificate), ..Names::default() };
        let Ok(read) = CertificateInner::<Raw>::from_der(certificate.as_ref()) else { return names };
        let read = read.tbs_certificate();
        if let Ok(Some((_, SubjectAltName(alternatives)))) = read.get_extension::<SubjectAltName>() {
            for name in alternatives {
                match name {
                    GeneralName::DnsName(name) => names.dns.push(name.to_string()),
                    GeneralName::UniformResourceIdentifier(name) => names.uri.push(name.to_string()),
                    GeneralName::Rfc822Name(name) => names.email.push(name.to_string()),
                    _ => {}
                }
            }
        }
        let mut common = read.subject().iter().filter(|attribute| attribute.oid == COMMON_NAME);
        if let (Some(one), None) = (common.next(), common.next()) {
            names.common =
                one.value.decode_as::<DirectoryString>().ok().map(|text| text.value().into_owned());
        }
        names
    }

    fn has(&self, wanted: &ClientName) -> bool {
        match wanted {
            ClientName::Dns(name) => self.dns.iter().any(|one| one.eq_ignore_ascii_case(name)),
            ClientName::Uri(name) => self.uri.contains(name),
            ClientName::Email(name) => self.email.iter().any(|one| same_address(one, name)),
            ClientName::CommonName(name) => self.common.as_ref() == Some(name),
            ClientName::Fingerprint(digest) => self.fingerprint == *digest,
        }
    }
}

/// What stands before the `@` as it is written, the domain in any case (RFC 5321, section 2.4).
fn same_address(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((local, host)), Some((other_local, other_host))) => {
            local == other_local && host.eq_ignore_ascii_case(other_host)
        }
        _ => false,
    }
}
