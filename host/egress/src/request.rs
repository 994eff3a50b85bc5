//! Makes a caller's request normal: what is checked is what is sent, and nothing in it can be read in two ways.

use std::borrow::Cow;

use bytes::Bytes;
use factotum_grant::{HttpBody, HttpRequest, HttpTarget};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use url::{Host, Url};

use crate::EgressError;

/// The most header fields of a request or an answer.
pub const MAX_HEADERS: usize = 128;
/// The most bytes of all header fields of a request or an answer.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// The most bytes of a URL.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Header fields that a caller may not set; a request with one is refused, so that nobody believes it was sent.
///
/// They speak about the connection, which is the host's own (RFC 9110, section 7.6.1), change the method or the path behind
/// the grant's back, or pretend that the request came through a proxy, from someone else or for another host (RFC 7239 and
/// its forerunners, `X-Forwarded-*`). Three fields are treated one by one:
/// - `Host` may only say what the URL says already, and is then left to the client.
/// - `Content-Length` may only say the length the body has, and is then left to the client.
/// - `Accept-Encoding` is dropped: the host chooses an encoding that it can bound and scrub.
///
/// A field that the rule injects (such as `Authorization`) is replaced, whatever the caller put there.
pub const HEADER_RULES: &[&str] = &[
    "connection",
    "expect",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Whether the field `name` is none of a caller's business.
pub(crate) fn is_refused_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("proxy-") || name.starts_with("x-forwarded-") || HEADER_RULES.contains(&name)
}

/// Whether a field may carry what the host puts in.
pub(crate) fn may_carry_secret(name: &HeaderName) -> bool {
    !is_refused_header(name) && *name != header::HOST && *name != header::CONTENT_LENGTH
}

/// The parts of a URL that the grant speaks about, and the URL in the form that is checked and sent.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    /// Lower case, ASCII, no brackets, no trailing dot.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Makes the target normal. Decimal, octal and hexadecimal IPv4 addresses become dotted ones, `.` and `..` segments are
/// worked in, the host is lower case and has no trailing dot.
pub(crate) fn target(uri: &Uri) -> Result<Target, EgressError> {
    let invalid = |problem: &str| EgressError::InvalidRequest(problem.into());
    let authority =
        uri.authority().ok_or_else(|| invalid("the URL names no host; write it in full, with https://"))?;
    // Also an empty user (`https://@host`): whoever reads the log would read another host than the one called.
    if authority.as_str().contains('@') {
        return Err(invalid(
            "the URL holds a user name or a password; let the grant inject a secret instead",
        ));
    }
    let text = uri.to_string();
    if text.len() > MAX_URL_BYTES {
        return Err(EgressError::TooLarge { what: "the URL", limit: MAX_URL_BYTES as u64 });
    }
    let mut url = Url::parse(&text).map_err(|e| EgressError::InvalidRequest(format!("the URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("the URL's scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "the URL holds a user name or a password; let the grant inject a secret instead",
        ));
    }
    let host = match url.host() {
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Domain(name)) => {
            let plain = name.strip_suffix('.').unwrap_or(name).to_owned();
            if plain.len() > 253 || plain.split('.').any(|label| label.is_empty() || label.len() > 63) {
                return Err(invalid("the URL's host is no host name"));
            }
            if plain.len() != name.len() {
                url.set_host(Some(&plain)).map_err(|_| invalid("the URL's host is no host name"))?;
            }
            plain
        }
        None => return Err(invalid("the URL names no host")),
    };
    let port = url
        .port_or_known_default()
        .filter(|port| *port != 0)
        .ok_or_else(|| invalid("the URL's port is 0"))?;
    Ok(Target { url, host, port })
}

/// Whether the method may be sent at all, whatever the grant says.
pub(crate) fn check_method(method: &Method) -> Result<(), EgressError> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(EgressError::InvalidRequest(format!("the method {method} is never sent")));
    }
    Ok(())
}

/// The header fields to send, without those that are the client's own business. See [`HEADER_RULES`].
pub(crate) fn headers(given: &HeaderMap, target: &Target, body_len: usize) -> Result<HeaderMap, EgressError> {
    let refused = |name: &str, why: &str| EgressError::InvalidRequest(format!("the header {name} {why}"));
    check_size(given).map_err(|limit| EgressError::TooLarge { what: "the request's header", limit })?;
    let mut kept = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        if is_refused_header(name) {
            return Err(refused(name.as_str(), "is the host's own; leave it out"));
        }
        if name == header::HOST {
            if !names_target(value, target) {
                return Err(refused("host", "names another host than the URL"));
            }
        } else if name == header::CONTENT_LENGTH {
            let length = value.to_str().ok().filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
            if length.and_then(|v| v.parse().ok()) != Some(body_len) {
                return Err(refused("content-length", "is not the length of the body"));
            }
        } else if name != header::ACCEPT_ENCODING {
            kept.append(name, value.clone());
        }
    }
    if !kept.contains_key(header::USER_AGENT) {
        kept.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("factotum/", env!("CARGO_PKG_VERSION"))),
        );
    }
    Ok(kept)
}

/// Shows a request in the form in which grants are asked about it, without sending it.
///
/// # Errors
/// [`EgressError::InvalidRequest`] and [`EgressError::TooLarge`], for what would never be sent.
pub fn look_at<T>(
    request: &http::Request<Bytes>,
    look: impl FnOnce(&HttpRequest<'_>) -> T,
) -> Result<T, EgressError> {
    let target = target(request.uri())?;
    check_method(request.method())?;
    headers(request.headers(), &target, request.body().len())?;
    Ok(as_checked(request.method(), &target, request.headers(), request.body(), look))
}

/// Shows `look` the request in the form that the grant reads. The door and who only looks at it see the same.
pub(crate) fn as_checked<T>(
    method: &Method,
    target: &Target,
    headers: &HeaderMap,
    body: &[u8],
    look: impl FnOnce(&HttpRequest<'_>) -> T,
) -> T {
    look(&HttpRequest {
        target: HttpTarget {
            scheme: target.url.scheme(),
            host: &target.host,
            port: target.port,
            method: method.as_str(),
            path: target.url.path(),
        },
        query: target.url.query(),
        body: HttpBody {
            bytes: body,
            content_type: content_type(headers),
            content_encoding: content_encoding(headers).as_deref(),
        },
    })
}

/// The media type that the grant reads. Of several, servers pick as they like, so it is then none.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let first = fields.next()?;
    if fields.next().is_some() { Some("several") } else { Some(first.to_str().unwrap_or("not ASCII")) }
}

/// The content encoding that the grant reads. Several fields mean what one with commas means (RFC 9110, section 5.3).
fn content_encoding(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut fields =
        headers.get_all(header::CONTENT_ENCODING).iter().map(|field| field.to_str().unwrap_or("not ASCII"));
    let first = fields.next()?;
    Some(fields.fold(Cow::Borrowed(first), |all, next| Cow::Owned(format!("{all}, {next}"))))
}

/// Whether a `Host` field says what the URL says.
fn names_target(value: &HeaderValue, target: &Target) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let host = target.url.host_str().unwrap_or_default();
    value.eq_ignore_ascii_case(host) && target.url.port().is_none()
        || value.eq_ignore_ascii_case(&format!("{host}:{}", target.port))
}

/// Checks count and bytes of header fields; an error is the limit that was passed.
pub(crate) fn check_size(headers: &HeaderMap) -> Result<(), u64> {
    // `: ` and CRLF count too, as on the wire.
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        Err(MAX_HEADER_BYTES as u64)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(url: &str) -> Result<(String, String, u16), EgressError> {
        let target = target(&url.parse().map_err(|e| EgressError::InvalidRequest(format!("{e}")))?)?;
        Ok((target.url.to_string(), target.host, target.port))
    }

    #[test]
    fn odd_spellings_of_a_host_become_one() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://127.0.0.1./",
        ] {
            assert_eq!(normal(url).unwrap(), ("http://127.0.0.1/".into(), "127.0.0.1".into(), 80), "{url}");
        }
        assert_eq!(
            normal("https://[::FFFF:127.0.0.1]:8443/x").unwrap().1,
            "::ffff:127.0.0.1".parse::<std::net::Ipv6Addr>().unwrap().to_string()
        );
        assert_eq!(normal("https://API.Example.COM./a").unwrap().0, "https://api.example.com/a");
        assert_eq!(normal("https://api.example.com:443/a?q=1").unwrap().0, "https://api.example.com/a?q=1");
    }

    #[test]
    fn paths_are_worked_out_before_the_check() {
        assert_eq!(normal("https://a.test/files/../admin").unwrap().0, "https://a.test/admin");
        assert_eq!(normal("https://a.test/files/%2e%2e/admin").unwrap().0, "https://a.test/admin");
    }

    #[test]
    fn what_cannot_be_a_target() {
        for url in [
            "https://user@a.test/",
            "https://user:pw@a.test/",
            "https://@a.test/",
            "https://:@a.test/",
            "ftp://a.test/",
            "/only/a/path",
            "a.test",
            "http://a.test:0/",
            "http://a..test/",
            "http://a.test../",
            "http://256.256.256.256/",
            "http://0x100000000/",
            "*",
        ] {
            assert!(normal(url).is_err(), "{url}: {:?}", normal(url));
        }
        assert!(matches!(
            normal(&format!("https://a.test/{}", "x".repeat(9000))),
            Err(EgressError::TooLarge { .. })
        ));
    }

    fn clean(pairs: &[(&str, &str)]) -> Result<HeaderMap, EgressError> {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers(&map, &target(&"https://a.test:8443/".parse().unwrap()).unwrap(), 3)
    }

    #[test]
    fn smuggling_headers_are_refused() {
        for (name, value) in [
            ("Transfer-Encoding", "chunked"),
            ("Connection", "x-key"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Upgrade", "websocket"),
            ("Keep-Alive", "1"),
            ("Proxy-Authorization", "x"),
            ("Proxy-Connection", "close"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("X-Method-Override", "DELETE"),
            ("X-Original-URL", "/admin"),
            ("X-Rewrite-Url", "/admin"),
            ("X-Forwarded-Host", "evil.test"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("Forwarded", "for=127.0.0.1"),
            ("X-Real-IP", "127.0.0.1"),
            ("Expect", "100-continue"),
            ("HTTP2-Settings", "x"),
            ("Host", "evil.test"),
            ("Host", "a.test"),
            ("Host", "a.test:443"),
            ("Content-Length", "4"),
            ("Content-Length", "+3"),
            ("Content-Length", ""),
        ] {
            assert!(
                matches!(clean(&[(name, value)]), Err(EgressError::InvalidRequest(_))),
                "{name}: {value}"
            );
        }
        // Two that disagree: the one that lies is found.
        assert!(clean(&[("Content-Length", "3"), ("Content-Length", "5")]).is_err());
    }

    #[test]
    fn harmless_headers_are_kept() {
        let kept = clean(&[
            ("Host", "A.test:8443"),
            ("Content-Length", "3"),
            ("Accept-Encoding", "br"),
            ("X-A", "1"),
            ("X-A", "2"),
        ])
        .unwrap();
        assert_eq!(kept.get_all("x-a").iter().count(), 2);
        assert!(
            !kept.contains_key("host")
                && !kept.contains_key("content-length")
                && !kept.contains_key("accept-encoding")
        );
        assert!(kept[header::USER_AGENT].to_str().unwrap().starts_with("factotum/"));
    }

    #[test]
    fn headers_are_bounded() {
        let many: Vec<(String, &str)> = (0..200).map(|i| (format!("x-{i}"), "1")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        assert!(matches!(clean(&many), Err(EgressError::TooLarge { .. })));
        assert!(matches!(clean(&[("x-long", &"x".repeat(70_000))]), Err(EgressError::TooLarge { .. })));
    }

    #[test]
    fn methods_that_are_never_sent() {
        assert!(check_method(&Method::CONNECT).is_err() && check_method(&Method::TRACE).is_err());
        assert!(check_method(&Method::PATCH).is_ok());
    }
}
