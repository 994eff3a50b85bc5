//! What a reverse proxy says of whom it speaks for: the caller's address (`X-Forwarded-For`, or `Forwarded` of RFC 7239) and
//! its certificate (`Client-Cert` and `Client-Cert-Chain` of RFC 9440). Only read here; whether the proxy is believed is
//! decided in `callers`.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// The client's certificate (RFC 9440, section 2.2).
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// The certificates that lead from it to its authority (RFC 9440, section 2.3).
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The most proxies that one request has come through.
const MAX_HOPS: usize = 32;
/// The most bytes of these headers together.
const MAX_BYTES: usize = 64 << 10;
/// The most certificates of a chain.
const MAX_CHAIN: usize = 10;

/// Where the proxies write the caller's address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressHeader {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), the `for` of each element.
    Forwarded,
}

/// The addresses that the proxies wrote, the nearest first. `None` where one wrote something else, such as a name that it
/// made up (RFC 7239, section 6.3); what stands before that is not looked at.
pub fn addresses(headers: &HeaderMap, header: AddressHeader) -> Vec<Option<IpAddr>> {
    let name = match header {
        AddressHeader::XForwardedFor => X_FORWARDED_FOR,
        AddressHeader::Forwarded => FORWARDED,
    };
    let mut found = Vec::new();
    let mut bytes = 0;
    // Several fields of one name are one list (RFC 9110, section 5.3): the last is the nearest.
    for field in headers.get_all(name).iter().rev() {
        bytes += field.len();
        let Some(field) = field.to_str().ok().filter(|_| bytes <= MAX_BYTES) else {
            found.push(None);
            return found;
        };
        let elements = match header {
            // It knows no quotes: a caller who begins one must not swallow what the proxies add.
            AddressHeader::XForwardedFor => field.split(',').collect(),
            AddressHeader::Forwarded => divided(field, b','),
        };
        for element in elements.into_iter().rev() {
            let address = match header {
                AddressHeader::XForwardedFor => address(element),
                AddressHeader::Forwarded => forwarded_for(element),
            };
            found.push(address);
            if address.is_none() || found.len() >= MAX_HOPS {
                return found;
            }
        }
    }
    found
}

/// The parts of a text between delimiters that do not stand in quotes (RFC 9110, section 5.6.4).
fn divided(text: &str, by: u8) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == by && !quoted => {
                parts.push(text.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

/// The `for` of an element of `Forwarded` (RFC 7239, section 4), when it is there once and an address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in divided(element, b';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            if found.is_some() {
                return None;
            }
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            found = Some(address(bare)?);
        }
    }
    found
}

/// An address, alone or with a port; IPv6 may stand in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The certificates that a proxy hands on, the client's own first, each as DER; `None` without any.
///
/// # Errors
/// What is wrong with the headers, in words.
pub fn certificates(headers: &HeaderMap) -> Result<Option<Vec<Vec<u8>>>, &'static str> {
    let mut own = headers.get_all(CLIENT_CERT).iter();
    let Some(first) = own.next() else {
        return if headers.contains_key(CLIENT_CERT_CHAIN) {
            Err("Client-Cert-Chain comes without Client-Cert")
        } else {
            Ok(None)
        };
    };
    // Of two, which one the proxy wrote could not be told.
    if own.next().is_some() {
        return Err("Client-Cert stands there more than once");
    }
    let mut bytes = first.len();
    let text = first.to_str().map_err(|_| "Client-Cert is no text")?;
    let mut chain = vec![binary(text).ok_or("Client-Cert is no byte sequence (RFC 8941, section 3.3.5)")?];
    for field in headers.get_all(CLIENT_CERT_CHAIN) {
        bytes += field.len();
        let text = field.to_str().map_err(|_| "Client-Cert-Chain is no text")?;
        for member in text.split(',') {
            if chain.len() >= MAX_CHAIN || bytes > MAX_BYTES {
                return Err("Client-Cert-Chain is too long");
            }
            chain.push(binary(member).ok_or("Client-Cert-Chain is no list of byte sequences (RFC 8941)")?);
        }
    }
    Ok(Some(chain))
}

/// A byte sequence of a structured field: base64 between colons (RFC 8941, section 3.3.5), not empty.
fn binary(text: &str) -> Option<Vec<u8>> {
    // Section 4.2.7 has readers take it without its padding.
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let inner = text.trim_matches([' ', '\t']).strip_prefix(':')?.strip_suffix(':')?;
    if inner.is_empty() || inner.len() > MAX_BYTES {
        return None;
    }
    GeneralPurpose::new(&STANDARD, padding).decode(inner).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        map
    }

    fn listed(header: AddressHeader, fields: &[(&'static str, &str)]) -> Vec<String> {
        let show = |address: Option<IpAddr>| address.map_or("?".to_owned(), |address| address.to_string());
        addresses(&headers(fields), header).into_iter().map(show).collect()
    }

    #[test]
    fn the_nearest_address_comes_first_up_to_what_is_none() {
        let x = |fields: &[(&'static str, &str)]| listed(AddressHeader::XForwardedFor, fields);
        assert_eq!(
            x(&[("x-forwarded-for", "192.0.2.1, 2001:db8::1,10.0.0.1:4711")]),
            ["10.0.0.1", "2001:db8::1", "192.0.2.1"]
        );
        assert_eq!(
            x(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "10.0.0.1")]),
            ["10.0.0.1", "192.0.2.1"]
        );
        assert_eq!(x(&[("x-forwarded-for", "192.0.2.1, spoof, 10.0.0.1")]), ["10.0.0.1", "?"]);
        assert_eq!(x(&[("x-forwarded-for", "::ffff:192.0.2.1")]), ["192.0.2.1"]);
        assert_eq!(x(&[("x-forwarded-for", "")]), ["?"]);
        assert_eq!(
            x(&[("x-forwarded-for", "\"a, 192.0.2.1")]),
            ["192.0.2.1", "?"],
            "no quote hides what a proxy adds"
        );
        assert!(x(&[("forwarded", "for=192.0.2.1")]).is_empty(), "only the header that was chosen");
        let long = ["1.2.3.4"; 1000].join(",");
        assert_eq!(x(&[("x-forwarded-for", &long)]).len(), MAX_HOPS);
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_shows() {
        let f = |text: &str| listed(AddressHeader::Forwarded, &[("forwarded", text)]);
        // RFC 7239, section 4 and 7.1.
        assert_eq!(f("For=\"[2001:db8:cafe::17]:4711\""), ["2001:db8:cafe::17"]);
        assert_eq!(f("for=192.0.2.60;proto=http;by=203.0.113.43"), ["192.0.2.60"]);
        assert_eq!(f("for=192.0.2.43, for=\"[2001:db8:cafe::17]\""), ["2001:db8:cafe::17", "192.0.2.43"]);
        for hidden in
            ["for=_hidden", "for=unknown", "for=\"_gazonk\"", "proto=http", "for", "for=1.2.3.4;for=5.6.7.8"]
        {
            assert_eq!(f(hidden), ["?"], "{hidden}");
        }
        // A comma in quotes divides nothing, so nobody smuggles an element in.
        assert_eq!(f("host=\"a,for=6.6.6.6\";for=192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(f("host=\"a\\\",for=6.6.6.6\";for=192.0.2.1"), ["192.0.2.1"]);
        assert_eq!(f("for=\"192.0.2.1"), ["?"]);
    }

    #[test]
    fn certificates_are_read_once_and_whole_or_not_at_all() {
        let read = |fields: &[(&'static str, &str)]| certificates(&headers(fields));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("client-cert", ":AQID:")]), Ok(Some(vec![vec![1, 2, 3]])));
        assert_eq!(
            read(&[
                ("client-cert", ":AQ:"),
                ("client-cert-chain", ":Ag==:, :Aw==:"),
                ("client-cert-chain", ":BA==:")
            ]),
            Ok(Some(vec![vec![1], vec![2], vec![3], vec![4]]))
        );
        for bad in ["", "AQID", ":AQID", "::", ":A Q:", ":AQID:;a=1", ":-_==:", "\":AQID:\""] {
            assert!(read(&[("client-cert", bad)]).is_err(), "{bad}");
            assert!(read(&[("client-cert", ":AQID:"), ("client-cert-chain", bad)]).is_err(), "{bad}");
        }
        assert!(read(&[("client-cert", ":AQID:"), ("client-cert", ":AQID:")]).is_err());
        assert!(read(&[("client-cert-chain", ":AQID:")]).is_err());
        let long = [":AQID:"; 20].join(",");
        assert!(read(&[("client-cert", ":AQID:"), ("client-cert-chain", &long)]).is_err());
    }
}
