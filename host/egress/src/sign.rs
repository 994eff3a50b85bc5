//! Signs the body of a request with a secret (HMAC-SHA256, RFC 2104), so that the receiver knows the sender and the secret
//! itself never travels.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose};
use factotum_grant::{SignatureEncoding, Signing};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use crate::request::may_carry_secret;

/// Puts the signature, and the time when it is signed too, into `headers`, over whatever stood there.
pub(crate) fn sign(
    signing: &Signing,
    key: &[u8],
    body: &[u8],
    now: SystemTime,
    headers: &mut HeaderMap,
) -> Result<(), &'static str> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| "it is no key for HMAC")?;
    if let Some(name) = &signing.timestamp {
        let seconds =
            now.duration_since(UNIX_EPOCH).map_err(|_| "the host's clock is before 1970")?.as_secs();
        let text = seconds.to_string();
        mac.update(text.as_bytes());
        mac.update(b".");
        put(headers, name, &text)?;
    }
    mac.update(body);
    let signature = mac.finalize().into_bytes();
    let text = match signing.encoding {
        SignatureEncoding::Hex => hex::encode(signature),
        SignatureEncoding::Base64 => general_purpose::STANDARD.encode(signature),
    };
    put(headers, &signing.header, &format!("{}{text}", signing.prefix))
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(may_carry_secret)
        .ok_or("the grant names a header that cannot carry a signature")?;
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "the grant's prefix cannot stand in a header")?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn signing(timestamp: Option<&str>, encoding: SignatureEncoding) -> Signing {
        let timestamp = timestamp.map(Into::into);
        Signing { header: "X-Signature".into(), prefix: "v1=".into(), encoding, timestamp }
    }

    #[test]
    fn the_signature_is_that_of_the_rfc() {
        // RFC 4231, section 4.3 (test case 2).
        let mut headers = HeaderMap::new();
        headers.insert("x-signature", "forged".parse().unwrap());
        let body = b"what do ya want for nothing?";
        sign(&signing(None, SignatureEncoding::Hex), b"Jefe", body, SystemTime::now(), &mut headers).unwrap();
        assert_eq!(
            headers.get_all("x-signature").iter().collect::<Vec<_>>(),
            ["v1=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"]
        );
    }

    #[test]
    fn the_time_is_signed_with_the_body() {
        let at = |seconds: u64, body: &[u8]| {
            let mut headers = HeaderMap::new();
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            sign(&signing(Some("X-Time"), SignatureEncoding::Base64), b"key", body, now, &mut headers)
                .unwrap();
            assert_eq!(headers["x-time"], seconds.to_string());
            headers["x-signature"].to_str().unwrap().to_owned()
        };
        assert_eq!(at(17, b"a"), at(17, b"a"));
        assert_ne!(at(17, b"a"), at(18, b"a"));
        assert_ne!(at(17, b"a"), at(17, b"b"));
        assert!(at(17, b"a").ends_with('='));
    }

    #[test]
    fn a_header_of_the_connection_carries_no_signature() {
        for name in ["host", "content-length", "transfer-encoding", "bad name"] {
            let signing = Signing { header: name.into(), ..signing(None, SignatureEncoding::Hex) };
            assert!(sign(&signing, b"k", b"", SystemTime::now(), &mut HeaderMap::new()).is_err(), "{name}");
        }
    }
}
