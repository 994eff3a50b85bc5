//! What the flow computed, as a request.

use bytes::Bytes;
use factotum_egress::{Login, OAuth2, OAuthGrant, Part, Way};
use factotum_flow::{Authentication, Credential, FlowError, HttpCall};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use url::Url;

/// Tells repeated requests apart from new ones (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The methods that change nothing (RFC 9110, section 9.2.1): to repeat one needs no key.
const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Where a request goes, without its query: that may hold a customer's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub method: String,
    /// Scheme, host, port and path.
    pub target: String,
}

impl Place {
    pub fn of(method: &Method, uri: &http::Uri) -> Self {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        // A user in a URL is refused before it is sent; the log does not need to know it.
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let target = format!("{}://{authority}{}", uri.scheme_str().unwrap_or_default(), uri.path());
        Self { method: method.to_string(), target }
    }
}

/// The request, with an idempotency key when its method changes something and the flow gives none itself.
pub(crate) fn prepare(call: &HttpCall<'_>, key: &str) -> Result<http::Request<Bytes>, FlowError> {
    let wrong = |what: &str| FlowError::configuration(what.to_owned()).with("kind", "business");
    let method = Method::from_bytes(call.method.as_bytes())
        .map_err(|_| wrong("the method is no HTTP method; write one such as GET or POST"))?;
    let mut url = Url::parse(&call.uri).map_err(|_| {
        wrong("the endpoint is no absolute URI; write it with its scheme, as in https://api.example.com/v1")
    })?;
    url.set_fragment(None);
    if !call.query.is_empty() {
        let mut query =
            url.query().filter(|query| !query.is_empty()).map_or_else(String::new, |q| format!("{q}&"));
        let pairs: Vec<String> =
            call.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        query.push_str(&pairs.join("&"));
        url.set_query(Some(&query));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong(&format!("{:?} is no name of a header", short(name))))?;
        // The value may be a customer's: it is not repeated.
        let value = HeaderValue::from_str(value)
            .map_err(|_| wrong(&format!("the header {name} holds a character that no header may hold")))?;
        headers.append(name, value);
    }
    let body = match &call.body {
        None => Bytes::new(),
        Some(Value::String(text)) => {
            with(&mut headers, "text/plain; charset=utf-8");
            Bytes::copy_from_slice(text.as_bytes())
        }
        Some(value) => {
            with(&mut headers, "application/json");
            serde_json::to_vec(value).map_err(|e| wrong(&format!("the body: {e}")))?.into()
        }
    };
    if !SAFE.contains(&method) && !headers.contains_key(IDEMPOTENCY_KEY) {
        let value = HeaderValue::from_str(key).map_err(|_| wrong("the idempotency key cannot be sent"))?;
        headers.insert(IDEMPOTENCY_KEY, value);
    }
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() =
        url.as_str().parse().map_err(|_| wrong("the endpoint is no URI that can be sent"))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn with(headers: &mut HeaderMap, media_type: &'static str) {
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A flow's authentication policy, as the door out knows it. `holder` is whose grant it is used under.
pub(crate) fn login(holder: &str, policy: &Authentication) -> Result<Login, FlowError> {
    let part = |credential: &Credential| match credential {
        Credential::Literal(text) => Part::Literal(text.clone()),
        Credential::Secret { name, member } => Part::Secret { name: name.clone(), member: member.clone() },
    };
    let pair =
        |pair: &Option<(Credential, Credential)>| pair.as_ref().map(|(one, two)| (part(one), part(two)));
    let way = match policy {
        Authentication::Basic { username, password } => {
            Way::Basic { username: part(username), password: part(password) }
        }
        Authentication::Bearer { token } => Way::Bearer { token: part(token) },
        Authentication::Digest { username, password } => {
            Way::Digest { username: part(username), password: part(password) }
        }
        Authentication::OAuth2 {
            authority,
            token_path,
            discover,
            grant,
            client_basic,
            client,
            user,
            scopes,
            audiences,
        } => {
            let grant = match grant.as_str() {
                "client_credentials" => OAuthGrant::ClientCredentials,
                "password" => OAuthGrant::Password,
                other => {
                    let problem = format!("the OAuth 2.0 grant {:?} is not supported", short(other));
                    return Err(FlowError::configuration(problem)
                        .with("kind", "business")
                        .with("hint", "use client_credentials or password"));
                }
            };
            Way::OAuth2(OAuth2 {
                authority: authority.clone(),
                token_path: token_path.clone(),
                discover: *discover,
                grant,
                client: pair(client),
                client_in_header: *client_basic,
                user: pair(user),
                scopes: scopes.clone(),
                audiences: audiences.clone(),
            })
        }
    };
    Ok(Login { holder: holder.to_owned(), way })
}

#[cfg(test)]
mod tests {
    use super::*;
    use factotum_flow::HttpOutput;
    use serde_json::{Map, json};

    fn call<'a>(method: &str, uri: &str, metadata: &'a Map<String, Value>) -> HttpCall<'a> {
        HttpCall {
            idempotency_key: None,
            method: method.into(),
            uri: uri.into(),
            headers: Vec::new(),
            query: Vec::new(),
            body: None,
            authentication: None,
            redirect: false,
            output: HttpOutput::Content,
            from: Default::default(),
            host_retries: true,
            metadata,
            deadline: None,
        }
    }

    #[test]
    fn what_changes_something_carries_a_key_and_what_reads_does_not() {
        let metadata = Map::new();
        for (method, keyed) in
            [("GET", false), ("HEAD", false), ("POST", true), ("PUT", true), ("DELETE", true)]
        {
            let request = prepare(&call(method, "https://a.test/", &metadata), "key-1").unwrap();
            assert_eq!(request.headers().contains_key("idempotency-key"), keyed, "{method}");
        }
        let mut own = call("POST", "https://a.test/", &metadata);
        own.headers.push(("Idempotency-Key".into(), "mine".into()));
        assert_eq!(prepare(&own, "key-1").unwrap().headers()["idempotency-key"], "mine");
    }

    #[test]
    fn query_and_body_are_encoded_once() {
        let metadata = Map::new();
        let mut request = call("POST", "https://a.test/x?a=1#top", &metadata);
        request.query = vec![("q".into(), "Zoë & co=+".into()), ("page".into(), "2".into())];
        request.body = Some(json!({"n": 1}));
        let sent = prepare(&request, "k").unwrap();
        assert_eq!(sent.uri(), "https://a.test/x?a=1&q=Zo%C3%AB%20%26%20co%3D%2B&page=2");
        assert_eq!(sent.headers()["content-type"], "application/json");
        assert_eq!(&sent.body()[..], br#"{"n":1}"#);
        assert_eq!(
            Place::of(sent.method(), sent.uri()).target,
            "https://a.test/x",
            "no query in what is logged"
        );
        request.headers = vec![("Content-Type".into(), "text/csv".into())];
        request.body = Some(json!("a,b"));
        let sent = prepare(&request, "k").unwrap();
        assert_eq!(
            (sent.headers()["content-type"].to_str().unwrap(), &sent.body()[..]),
            ("text/csv", &b"a,b"[..])
        );
    }

    #[test]
    fn what_is_no_request_is_the_flow_s_error_and_repeats_no_data() {
        let metadata = Map::new();
        let mut header = call("GET", "https://a.test/", &metadata);
        header.headers.push(("X-Name".into(), "customer\nJane".into()));
        for bad in [call("G T", "https://a.test/", &metadata), call("GET", "/relative", &metadata), header] {
            let error = prepare(&bad, "k").unwrap_err();
            assert_eq!(error.status, 400);
            assert!(!error.to_value().to_string().contains("Jane"), "{error}");
        }
    }
}
