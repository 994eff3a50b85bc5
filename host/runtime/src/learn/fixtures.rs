//! Fixtures: what a learning run is answered with, in place of the world.
//!
//! ```toml
//! [[http]]                                        # the first that fits answers; one with `times` only so often
//! method = "GET"                                  # any, when absent
//! url = "https://erp.example.com/rest/party/*"    # the path as in grants; a query is not looked at …
//! query = { page = "2" }                          # … but for what stands here
//! status = 200
//! headers = { etag = "\"7\"" }
//! json = { id = 7, name = "Li" }                  # or: body = "text"
//! times = 1
//!
//! [[key-value]]                                   # what is in a plugin's own namespace to begin with
//! plugin = "crm"
//! key = "contact/7"
//! json = { name = "Li" }                          # or: value = "text"
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use factotum_grant::{HostPattern, HttpRequest, PathPattern};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::Deserialize;

/// The most answers, and the most keys, of one set.
const MAX_ENTRIES: usize = 1_000;

/// Answers for a learning run.
#[derive(Debug, Default)]
pub struct Fixtures {
    answers: Vec<Answer>,
    /// By plugin and key.
    pub(super) pairs: BTreeMap<(String, String), Vec<u8>>,
}

#[derive(Debug)]
struct Answer {
    method: Option<String>,
    scheme: String,
    host: HostPattern,
    port: u16,
    path: PathPattern,
    query: BTreeMap<String, String>,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// How often it may still answer.
    left: Option<AtomicU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Wire {
    #[serde(default)]
    http: Vec<AnswerWire>,
    #[serde(default)]
    key_value: Vec<PairWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerWire {
    method: Option<String>,
    url: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    json: Option<serde_json::Value>,
    times: Option<u32>,
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairWire {
    plugin: String,
    key: String,
    value: Option<String>,
    json: Option<serde_json::Value>,
}

impl Fixtures {
    /// Reads fixtures from TOML.
    ///
    /// # Errors
    /// What is wrong, and in which entry.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let wire: Wire = toml::from_str(text).map_err(|e| e.to_string().trim().to_owned())?;
        if wire.http.len() > MAX_ENTRIES || wire.key_value.len() > MAX_ENTRIES {
            return Err(format!("at most {MAX_ENTRIES} answers and {MAX_ENTRIES} keys"));
        }
        let answers = wire.http.into_iter().enumerate().map(|(index, answer)| {
            let url = answer.url.clone();
            Answer::read(answer).map_err(|problem| format!("http entry {} ({url}): {problem}", index + 1))
        });
        let pairs = wire.key_value.into_iter().map(|pair| {
            let value = text_or_json(pair.value, pair.json.as_ref())
                .map_err(|problem| format!("key-value entry {:?}: {problem}", pair.key))?;
            Ok(((pair.plugin, pair.key), value.into_bytes()))
        });
        Ok(Self {
            answers: answers.collect::<Result<_, String>>()?,
            pairs: pairs.collect::<Result<_, String>>()?,
        })
    }

    /// The answer to a request; `None` when no fixture fits.
    pub(super) fn answer(&self, request: &HttpRequest<'_>) -> Option<http::Response<Bytes>> {
        let answer = self.answers.iter().find(|answer| answer.fits(request) && answer.take())?;
        let mut response = http::Response::new(answer.body.clone());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers.clone();
        Some(response)
    }
}

impl Answer {
    fn read(wire: AnswerWire) -> Result<Self, String> {
        let rest = wire.url.split_once("://");
        let (scheme, rest) = rest.ok_or("the URL begins with https:// or http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let default_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err("the URL begins with https:// or http://".into()),
        };
        // Read as a URL's authority, so that an address in brackets keeps its colons.
        let uri: Uri =
            format!("http://{}/", authority.trim_start_matches("*.")).parse().map_err(|_| "no such host")?;
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default_port));
        let star = if authority.starts_with("*.") { "*." } else { "" };
        let host = format!("{star}{}", host.trim_matches(['[', ']']));
        let mut headers = HeaderMap::new();
        for (name, value) in &wire.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header"))?;
            let value = HeaderValue::from_str(value).map_err(|_| format!("{name} has no such value"))?;
            headers.insert(name, value);
        }
        if wire.json.is_some() && !headers.contains_key(header::CONTENT_TYPE) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = match (&wire.body, &wire.json) {
            (None, None) => String::new(),
            _ => text_or_json(wire.body, wire.json.as_ref())?,
        };
        Ok(Self {
            method: wire.method,
            scheme: scheme.to_owned(),
            host: host.parse().map_err(|e| format!("{e}"))?,
            port,
            path: path.parse().map_err(|e| format!("{e}"))?,
            query: wire.query,
            status: StatusCode::from_u16(wire.status).map_err(|_| "there is no such status")?,
            headers,
            body: body.into(),
            left: wire.times.map(AtomicU32::new),
        })
    }

    fn fits(&self, request: &HttpRequest<'_>) -> bool {
        let target = &request.target;
        let sent = request.query.unwrap_or_default();
        self.method.as_ref().is_none_or(|method| method == target.method)
            && self.scheme == target.scheme
            && self.port == target.port
            && self.host.matches(target.host)
            && self.path.matches(target.path)
            && self.query.iter().all(|(key, value)| {
                sent.split('&').any(|pair| pair.split_once('=') == Some((key.as_str(), value.as_str())))
            })
    }

    /// Uses up one of its times.
    fn take(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

fn text_or_json(text: Option<String>, json: Option<&serde_json::Value>) -> Result<String, String> {
    match (text, json) {
        (Some(text), None) => Ok(text),
        (None, Some(json)) => Ok(json.to_string()),
        _ => Err("give it as text or as json, one of both".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factotum_grant::{HttpBody, HttpTarget};

    fn asked(
        fixtures: &Fixtures,
        method: &str,
        host: &str,
        path: &str,
        query: Option<&str>,
    ) -> Option<(u16, String)> {
        let target = HttpTarget { scheme: "https", host, port: 443, method, path };
        let answer = fixtures.answer(&HttpRequest { target, query, body: HttpBody::default() })?;
        Some((answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap()))
    }

    #[test]
    fn the_first_that_fits_answers_as_often_as_it_may() {
        let fixtures = Fixtures::from_toml(
            "[[http]]\nurl = \"https://a.shop.test/p/*\"\nquery = { page = \"2\" }\nbody = \"second\"\n\
             [[http]]\nmethod = \"GET\"\nurl = \"https://a.shop.test/p/*\"\njson = { n = 1 }\ntimes = 1\n\
             [[http]]\nurl = \"https://*.shop.test:443/**\"\nstatus = 503\n",
        )
        .unwrap();
        let first = asked(&fixtures, "GET", "a.shop.test", "/p/7", Some("page=1")).unwrap();
        assert_eq!(first, (200, "{\"n\":1}".into()));
        assert_eq!(asked(&fixtures, "GET", "a.shop.test", "/p/7", Some("x=1&page=2")).unwrap().1, "second");
        assert_eq!(asked(&fixtures, "GET", "a.shop.test", "/p/7", None).unwrap().0, 503, "used up");
        assert_eq!(asked(&fixtures, "POST", "b.shop.test", "/", None).unwrap().0, 503);
        assert_eq!(asked(&fixtures, "GET", "a.other", "/p/7", None), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_entry() {
        for (text, word) in [
            ("[[http]]\nurl = \"ftp://a.test/\"", "http entry 1"),
            ("[[http]]\nurl = \"https://a.test/../x\"", "path"),
            ("[[http]]\nurl = \"https://a.test/\"\nbody = \"x\"\njson = 1", "one of both"),
            ("[[http]]\nurl = \"https://a.test/\"\nstatus = 9", "status"),
            ("[[key-value]]\nplugin = \"crm\"\nkey = \"k\"", "one of both"),
            ("[[htttp]]", "htttp"),
        ] {
            let error = Fixtures::from_toml(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
