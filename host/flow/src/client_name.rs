//! Which clients' certificates a webhook takes (`auth: { mtls: … }`): by a name in them, or by their fingerprint.
//!
//! ```yaml
//! mtls:
//!   dns: [hooks.partner.example]               # subject alternative names (RFC 5280, section 4.2.1.6)
//!   uri: ['spiffe://partner.example/orders']
//!   email: [orders@partner.example]
//!   commonName: [Partner Orders]               # the subject's common name, for certificates of private authorities
//!   fingerprint: ['9f:86:d0:81:…']             # SHA-256 of the certificate
//! ```
//!
//! One of all these is enough. Names are compared whole: a pattern that takes many names belongs into the choice of the
//! authority, not here.

use crate::decode::{At, Decoder, shorten};

/// The most names and fingerprints of one webhook.
const MAX_CLIENTS: usize = 64;
/// The longest name, in bytes.
const MAX_NAME: usize = 512;

/// A name or a fingerprint that a client's certificate may have. Certificates are compared with it by whoever reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientName {
    /// A DNS name among the subject alternative names, in lower case.
    Dns(String),
    /// A URI among them, as it is written.
    Uri(String),
    /// A mail address among them; what follows the `@` is in lower case (RFC 5321, section 2.4).
    Email(String),
    /// The common name of the subject, when it has just one.
    CommonName(String),
    /// The SHA-256 digest of the certificate's DER encoding.
    Fingerprint([u8; 32]),
}

/// What reads an entry; `None` for a wrong one.
type Reads = fn(&str) -> Option<ClientName>;

/// The keys of `mtls`, each with what reads an entry and what it says of a wrong one.
const KINDS: [(&str, Reads, &str); 5] = [
    ("dns", dns, "a DNS name without wildcards, such as hooks.partner.example"),
    ("uri", uri, "a URI with its scheme, such as spiffe://partner.example/orders"),
    ("email", email, "a mail address, such as orders@partner.example"),
    ("commonName", common_name, "1 to 64 characters, as they stand in the subject"),
    (
        "fingerprint",
        fingerprint,
        "the SHA-256 digest of the certificate, 64 hexadecimal digits: openssl x509 -noout -fingerprint -sha256 -in FILE",
    ),
];

/// Decodes `mtls`. What names nobody would let nobody in, so it is an error.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Vec<ClientName>> {
    let object = d.object(at, &KINDS.map(|(key, ..)| key))?;
    let mut clients = Vec::new();
    let mut whole = true;
    for (key, read, wants) in KINDS {
        let Some(at) = object.get(key) else { continue };
        let Some(items) = d.list(&at) else {
            whole = false;
            continue;
        };
        if items.is_empty() {
            d.error_hint(&at, "this list names nobody", "name at least one, or leave the key out");
            whole = false;
        }
        for (index, node) in items.iter().enumerate() {
            let at = at.child(&index.to_string(), node);
            let Some(text) = d.text(&at) else {
                whole = false;
                continue;
            };
            match read(text).filter(|_| text.len() <= MAX_NAME) {
                Some(client) => clients.push(client),
                None => {
                    let message = format!("\"{}\" can stand in no certificate there", shorten(text, 60));
                    d.error_hint(&at, message, wants);
                    whole = false;
                }
            }
        }
    }
    if whole && clients.is_empty() {
        d.error_hint(
            &object.at,
            "mutual TLS must say whose certificates it takes",
            "name them: dns, uri, email, commonName or fingerprint, each a list",
        );
        return None;
    }
    if clients.len() > MAX_CLIENTS {
        d.error(&object.at, format!("a webhook takes at most {MAX_CLIENTS} names and fingerprints"));
        return None;
    }
    whole.then_some(clients)
}

fn dns(text: &str) -> Option<ClientName> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| ClientName::Dns(text.to_ascii_lowercase()))
}

fn uri(text: &str) -> Option<ClientName> {
    // RFC 3986, section 3.1; what follows is compared as it is.
    let (scheme, rest) = text.split_once(':')?;
    let first = scheme.bytes().next()?.is_ascii_alphabetic();
    let scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (first && scheme && !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()))
        .then(|| ClientName::Uri(text.to_owned()))
}

fn email(text: &str) -> Option<ClientName> {
    let (local, host) = text.rsplit_once('@')?;
    let ClientName::Dns(host) = dns(host)? else { return None };
    (!local.is_empty() && local.bytes().all(|b| b.is_ascii_graphic() && b != b'@'))
        .then(|| ClientName::Email(format!("{local}@{host}")))
}

fn common_name(text: &str) -> Option<ClientName> {
    // The bound of X.520's ub-common-name.
    let fits = (1..=64).contains(&text.chars().count())
        && text.trim() == text
        && !text.contains(|c: char| c.is_control() || c == '*');
    fits.then(|| ClientName::CommonName(text.to_owned()))
}

fn fingerprint(text: &str) -> Option<ClientName> {
    let mut digits = Vec::with_capacity(64);
    // With colons between the bytes as OpenSSL prints them, or without any.
    let parts: Vec<&str> = text.split(':').collect();
    let shape = match parts.as_slice() {
        [whole] => whole.len() == 64,
        bytes => bytes.len() == 32 && bytes.iter().all(|byte| byte.len() == 2),
    };
    if !shape {
        return None;
    }
    for digit in parts.concat().chars() {
        digits.push(u8::try_from(digit.to_digit(16)?).ok()?);
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
    }
    Some(ClientName::Fingerprint(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_one_form_and_malformed_ones_not_at_all() {
        assert_eq!(dns("Hooks.Partner.example"), Some(ClientName::Dns("hooks.partner.example".into())));
        for bad in ["", "*.partner.example", "a..b", "a.", "-a.b", "a b", "käse.de", &"a".repeat(64)] {
            assert_eq!(dns(bad), None, "{bad}");
        }
        assert_eq!(email("Ann@Partner.Example"), Some(ClientName::Email("Ann@partner.example".into())));
        for bad in ["ann", "@b.c", "a@b@c.d", "a b@c.d", "a@", "a@*.c"] {
            assert_eq!(email(bad), None, "{bad}");
        }
        assert!(uri("spiffe://partner.example/a").is_some() && uri("urn:x").is_some());
        for bad in ["partner.example/a", ":x", "1a:x", "a:", "a: b"] {
            assert_eq!(uri(bad), None, "{bad}");
        }
        assert!(common_name("客服 Partner").is_some());
        for bad in ["", " a", "a\n", "*", &"a".repeat(65)] {
            assert_eq!(common_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_same_with_and_without_colons() {
        let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i * 8 + 7).unwrap());
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [pairs.join(":"), pairs.concat(), pairs.concat().to_lowercase()] {
            assert_eq!(fingerprint(&text), Some(ClientName::Fingerprint(bytes)), "{text}");
        }
        for bad in [
            "",
            &pairs.concat()[1..],
            &pairs.join(":")[3..],
            &pairs.join("-"),
            &"zz".repeat(32),
            // Two and thirty parts, but not of two digits each.
            &format!("{}:", pairs.join(":").replacen(':', "", 1)),
        ] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
    }
}
