//! Certificates of an authority of our own: which are let in, and what happens to files that are wrong.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use factotum_flow::ClientName;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

use super::*;

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        self.sign(change).0.der().clone()
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn trusting(authority: &Authority) -> Arc<dyn ClientCertVerifier> {
    let der = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    clients::verifier(vec![der], Arc::new(rustls::crypto::ring::default_provider())).unwrap()
}

fn partner(params: &mut CertificateParams) {
    params.distinguished_name.push(DnType::CommonName, "Partner Orders");
    params.subject_alt_names = vec![
        SanType::DnsName("Hooks.Partner.example".try_into().unwrap()),
        SanType::URI("spiffe://partner.example/orders".try_into().unwrap()),
        SanType::Rfc822Name("Orders@Partner.example".try_into().unwrap()),
    ];
}

#[test]
fn a_certificate_is_known_by_each_of_its_names_and_by_no_other() {
    let authority = Authority::new("Partners");
    let verifier = trusting(&authority);
    let certificate = authority.client(partner);
    let own = fingerprint(&certificate);
    let ask = |wanted: ClientName| {
        check(verifier.as_ref(), std::slice::from_ref(&certificate), &[wanted], SystemTime::now())
    };
    for good in [
        ClientName::Dns("hooks.partner.example".into()),
        ClientName::Uri("spiffe://partner.example/orders".into()),
        ClientName::Email("Orders@partner.example".into()),
        ClientName::CommonName("Partner Orders".into()),
        ClientName::Fingerprint(own),
    ] {
        assert_eq!(ask(good.clone()), Ok(()), "{good:?}");
    }
    for bad in [
        ClientName::Dns("partner.example".into()),
        ClientName::Dns("partner orders".into()),
        ClientName::Uri("spiffe://partner.example/Orders".into()),
        ClientName::Email("orders@partner.example".into()),
        ClientName::CommonName("partner orders".into()),
        ClientName::CommonName("hooks.partner.example".into()),
        ClientName::Fingerprint([0; 32]),
    ] {
        assert_eq!(ask(bad.clone()), Err(Fault::NotListed), "{bad:?}");
    }
    let several = [ClientName::Dns("other.example".into()), ClientName::CommonName("Partner Orders".into())];
    assert_eq!(
        check(verifier.as_ref(), std::slice::from_ref(&certificate), &several, SystemTime::now()),
        Ok(()),
        "any of them"
    );
    assert_eq!(check(verifier.as_ref(), &[certificate], &[], SystemTime::now()), Err(Fault::NotListed));
}

#[test]
fn names_that_are_ambiguous_or_wild_name_nobody() {
    let authority = Authority::new("Partners");
    let verifier = trusting(&authority);
    let ask = |certificate: &CertificateDer<'static>, wanted: ClientName| {
        check(verifier.as_ref(), std::slice::from_ref(certificate), &[wanted], SystemTime::now())
    };
    let wild = authority.client(|params| {
        params.subject_alt_names = vec![SanType::DnsName("*.partner.example".try_into().unwrap())];
    });
    assert_eq!(ask(&wild, ClientName::Dns("hooks.partner.example".into())), Err(Fault::NotListed));
    // One common name inside another's place: a name is compared whole.
    let nul = authority.client(|params| params.distinguished_name.push(DnType::CommonName, "Partner\0.evil"));
    assert_eq!(ask(&nul, ClientName::CommonName("Partner".into())), Err(Fault::NotListed));
    let unnamed = authority.client(|_| {});
    let own = fingerprint(&unnamed);
    assert_eq!(ask(&unnamed, ClientName::Fingerprint(own)), Ok(()));
}

#[test]
fn who_signed_and_when_and_what_for_is_checked_first() {
    let (authority, other) = (Authority::new("Partners"), Authority::new("Partners"));
    let verifier = trusting(&authority);
    let now = SystemTime::now();
    let ask = |chain: &[CertificateDer<'static>], at: SystemTime| match check(
        verifier.as_ref(),
        chain,
        &[ClientName::CommonName("Partner Orders".into())],
        at,
    ) {
        Err(Fault::Untrusted(why)) => why,
        other => panic!("{other:?}"),
    };
    let foreign = other.client(partner);
    assert!(ask(&[foreign], now).contains("no authority that this host trusts"));
    let expired = authority.client(|params| {
        partner(params);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    assert!(ask(std::slice::from_ref(&expired), now).contains("has expired"));
    let back_then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800 + 86_400 * 100);
    let wanted = [ClientName::CommonName("Partner Orders".into())];
    assert_eq!(check(verifier.as_ref(), &[expired], &wanted, back_then), Ok(()));
    let server = authority.client(|params| {
        partner(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(ask(&[server], now).contains("another purpose"));
    assert!(ask(&[CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])], now).contains("cannot be read"));
    assert!(ask(&[], now).contains("empty or too long"));
    let good = authority.client(partner);
    assert!(ask(&vec![good; 11], now).contains("empty or too long"));
}

#[test]
fn wrong_files_are_named_and_leave_what_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key, authorities) =
        (dir.path().join("host.pem"), dir.path().join("host.key"), dir.path().join("partners.pem"));
    let authority = Authority::new("Ours");
    let host = |name: &str| {
        let (made, key) = authority.sign(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        });
        (made.pem(), key.serialize_pem())
    };
    let (first, first_key) = host("one.example");
    write(&certificate, &first, 0o644);
    write(&key, &first_key, 0o640);
    write(&authorities, &authority.pem, 0o644);
    let files = TlsConfig {
        certificate: Some(certificate.clone()),
        key: Some(key.clone()),
        client_authorities: vec![authorities.clone()],
    };
    let fails = |files: &TlsConfig| format!("{:#}", Tls::open(files.clone()).unwrap_err());
    let why = fails(&files);
    assert!(why.contains("host.key") && why.contains("chmod 600"), "{why}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(fails(&TlsConfig { key: None, ..files.clone() }).contains("no key"));
    assert!(fails(&TlsConfig { certificate: None, ..files.clone() }).contains("no certificate"));
    let nowhere = TlsConfig { client_authorities: vec![dir.path().join("none.pem")], ..files.clone() };
    assert!(fails(&nowhere).contains("none.pem"));
    let no_pem = TlsConfig { client_authorities: vec![key.clone()], ..files.clone() };
    assert!(fails(&no_pem).contains("holds none"));

    let tls = Tls::open(files).unwrap();
    let present = tls.present();
    assert!(present.server.is_some() && present.clients.is_some() && !tls.renew().unwrap());
    // Half of a renewal: the new certificate with the old key holds nothing up.
    let (second, second_key) = host("two.example");
    write(&certificate, &second, 0o644);
    assert!(format!("{:#}", tls.renew().unwrap_err()).contains("host.pem"));
    assert_eq!(tls.present().certificate, present.certificate);
    write(&key, &second_key, 0o600);
    assert!(tls.renew().unwrap() && !tls.renew().unwrap());
    assert_ne!(tls.present().certificate, present.certificate);
    // The authorities count as well.
    write(&authorities, &Authority::new("Theirs").pem, 0o644);
    assert!(tls.renew().unwrap());
}
