//! A certificate authority for tests, and what it signs.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use sha2::{Digest, Sha256};

/// An authority with a key of its own.
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Made {
    /// The certificate.
    pub pem: String,
    /// Its private key.
    pub key: String,
    der: Vec<u8>,
}

impl Authority {
    /// An authority that signs itself.
    pub fn new(name: &str) -> Self {
        Self::made(name, |params, key| params.self_signed(key).unwrap())
    }

    /// An authority under this one.
    pub fn under(&self, name: &str) -> Self {
        Self::made(name, |params, key| params.signed_by(key, &self.issuer).unwrap())
    }

    fn made(name: &str, sign: impl FnOnce(&CertificateParams, &KeyPair) -> rcgen::Certificate) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = sign(&params, &key);
        Self { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server on this machine.
    pub fn server(&self) -> Made {
        self.sign(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = vec![
                SanType::DnsName("localhost".try_into().unwrap()),
                SanType::IpAddress("127.0.0.1".parse().unwrap()),
            ];
        })
    }

    /// A certificate for a client with this DNS name; one that has ended if wanted.
    pub fn client(&self, name: &str, expired: bool) -> Made {
        self.sign(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.distinguished_name.push(DnType::CommonName, name);
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
            if expired {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }
        })
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Made {
        let mut params = CertificateParams::default();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    /// The certificate as a member of the header `Client-Cert-Chain` (RFC 9440).
    pub fn header(&self) -> String {
        format!(":{}:", STANDARD.encode(&self.der))
    }

    /// The certificate as HTTP clients want it.
    pub fn root(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap()
    }
}

impl Made {
    /// Its SHA-256 fingerprint, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The header `Client-Cert` (RFC 9440).
    pub fn header(&self) -> String {
        format!(":{}:", STANDARD.encode(&self.der))
    }

    /// As HTTP clients want it, to show it.
    pub fn identity(&self) -> reqwest::Identity {
        reqwest::Identity::from_pem(format!("{}{}", self.key, self.pem).as_bytes()).unwrap()
    }

    /// Writes both as a host reads them: the key first, and each whole.
    pub fn write(&self, certificate: &Path, key: &Path) {
        for (path, text, mode) in [(key, &self.key, 0o600), (certificate, &self.pem, 0o644)] {
            let draft = path.with_extension("draft");
            fs::write(&draft, text).unwrap();
            fs::set_permissions(&draft, fs::Permissions::from_mode(mode)).unwrap();
            fs::rename(&draft, path).unwrap();
        }
    }
}
