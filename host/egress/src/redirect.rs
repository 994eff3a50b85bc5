//! What follows from an answer that says to ask elsewhere (RFC 9110, section 15.4). Nothing is sent here: whoever follows
//! sends what comes out as a request of its own, and it is checked like one.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use url::Url;

use crate::EgressError;

/// The request that an answer leads to.
#[derive(Debug)]
pub struct Redirect {
    /// To be sent, and to be checked first.
    pub request: http::Request<Bytes>,
    /// Whether it goes where the first one went: same scheme, host and port. Credentials stay behind otherwise.
    pub same_origin: bool,
}

/// Header fields that are for the place they were written for.
const FOR_ONE_ORIGIN: [header::HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
/// Header fields that speak of a body.
const ABOUT_BODY: [header::HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
];

/// The request that `answer` to this request leads to; `None` when it leads nowhere.
///
/// # Errors
/// [`EgressError::Protocol`] when the place it names is none.
pub fn redirected(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    answer: &http::Response<Bytes>,
) -> Result<Option<Redirect>, EgressError> {
    let status = answer.status();
    let known = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = answer.headers().get(header::LOCATION).filter(|_| known) else { return Ok(None) };
    let host = uri.host().unwrap_or_default().to_owned();
    let wrong = || EgressError::Protocol {
        host: host.clone(),
        problem: "it leads elsewhere, to a place that cannot be read".into(),
    };
    let from = Url::parse(&uri.to_string()).map_err(|_| wrong())?;
    let mut to = from.join(location.to_str().map_err(|_| wrong())?).map_err(|_| wrong())?;
    to.set_fragment(None);
    let same_origin = from.origin() == to.origin();
    // 303 asks for another thing; 301 and 302 are taken for it by everybody when the first one was a POST.
    let asks_anew = match status {
        StatusCode::SEE_OTHER => *method != Method::GET && *method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
        _ => false,
    };
    let mut request = http::Request::new(if asks_anew { Bytes::new() } else { body.clone() });
    *request.method_mut() = if asks_anew { Method::GET } else { method.clone() };
    *request.uri_mut() = to.as_str().parse().map_err(|_| wrong())?;
    *request.headers_mut() = headers.clone();
    request.headers_mut().remove(header::HOST);
    if asks_anew {
        ABOUT_BODY.iter().for_each(|name| drop(request.headers_mut().remove(name)));
    }
    if !same_origin {
        FOR_ONE_ORIGIN.iter().for_each(|name| drop(request.headers_mut().remove(name)));
    }
    Ok(Some(Redirect { request, same_origin }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(method: Method, status: u16, location: &str) -> Option<Redirect> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        headers.insert("idempotency-key", "k".parse().unwrap());
        let answer = http::Response::builder().status(status).header("location", location);
        let uri = "https://a.test/x/y?z=1".parse().unwrap();
        let body = Bytes::from_static(b"body");
        redirected(&method, &uri, &headers, &body, &answer.body(Bytes::new()).unwrap()).unwrap()
    }

    #[test]
    fn the_method_and_the_body_stay_or_go_as_the_status_says() {
        for (method, status, becomes) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::PUT, 302, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::POST, 307, Method::POST),
            (Method::DELETE, 308, Method::DELETE),
        ] {
            let next = follow(method.clone(), status, "../z").unwrap();
            assert_eq!(next.request.uri(), "https://a.test/z", "{method} {status}");
            assert_eq!(*next.request.method(), becomes, "{method} {status}");
            let kept = becomes == method;
            assert_eq!(next.request.body().is_empty(), !kept, "{method} {status}");
            assert_eq!(next.request.headers().contains_key("content-type"), kept, "{method} {status}");
            assert!(next.same_origin && next.request.headers().contains_key("authorization"));
            assert_eq!(next.request.headers()["idempotency-key"], "k");
        }
        assert!(follow(Method::GET, 304, "/z").is_none() && follow(Method::GET, 200, "/z").is_none());
    }

    #[test]
    fn credentials_do_not_go_to_another_origin() {
        for location in ["https://b.test/", "http://a.test/", "https://a.test:8443/", "//b.test/x"] {
            let next = follow(Method::GET, 302, location).unwrap();
            assert!(!next.same_origin, "{location}");
            assert!(!next.request.headers().contains_key("authorization"), "{location}");
        }
    }
}
