//! The client of a host's API.

use std::{fmt, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{args::Global, trust};
use crate::serve::{ADDRESS_FILE, CERTIFICATE_FILE, TOKEN_FILE};

/// Talks to one host.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    token: String,
}

/// A problem document that the host answered with.
#[derive(Debug)]
pub struct ApiError {
    status: u16,
    problem: Value,
}

impl ApiError {
    /// Whether the host refused the request, rather than failed at it.
    pub fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// The problem document.
    pub fn problem(&self) -> &Value {
        &self.problem
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let member = |name: &str| self.problem.get(name).and_then(Value::as_str);
        let text = member("detail").or(member("title")).unwrap_or("the host refused without a word");
        f.write_str(&super::output::printable(text))?;
        if let Some(problems) = self.problem.get("problems").and_then(Value::as_array) {
            for problem in problems {
                write!(f, "\n  {}", super::output::printable(&flow_problem(problem)))?;
            }
        }
        if let Some(hint) = member("hint") {
            write!(f, "\n  hint: {}", super::output::printable(hint))?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

/// A problem of a flow document in the form editors know: `file:line:column path: message; hint`.
fn flow_problem(problem: &Value) -> String {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| problem.get(name).and_then(Value::as_u64).unwrap_or_default();
    let hint = match text("hint") {
        "" => String::new(),
        hint => format!("; {hint}"),
    };
    format!(
        "{}:{}:{} {}: {}{hint}",
        text("file"),
        number("line"),
        number("column"),
        text("path"),
        text("message")
    )
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(330))
}

impl Client {
    /// The client for the host that the arguments name, or the local one.
    pub fn new(global: &Global) -> Result<Self> {
        let token = || match &global.token {
            Some(token) => Ok(token.clone()),
            None => fs::read_to_string(global.data.join(TOKEN_FILE)).with_context(|| {
                format!("no token: give --token, or --data of the local host ({})", global.data.display())
            }),
        };
        let Some(server) = &global.server else {
            let server = fs::read_to_string(global.data.join(ADDRESS_FILE)).with_context(|| {
                format!(
                    "no host runs on {}; start one with: factotum serve --data {}; or name one with --server URL",
                    global.data.display(),
                    global.data.display()
                )
            })?;
            return Self::local(&global.data, server.trim(), token()?.trim());
        };
        let mut builder = builder();
        if let Some(path) = &global.ca {
            builder = trust::with_authorities(builder, path)?;
        }
        Self::build(builder, server.trim(), token()?.trim())
    }

    /// The client for the host on this data folder, which is known by what it left there.
    pub fn local(data: &Path, server: &str, token: &str) -> Result<Self> {
        let mut builder = builder();
        if server.starts_with("https:") {
            let path = data.join(CERTIFICATE_FILE);
            let fingerprint = fs::read_to_string(&path)
                .with_context(|| format!("the fingerprint of the host's certificate, {}", path.display()))?;
            builder = trust::with_fingerprint(builder, &fingerprint)?;
        }
        Self::build(builder, server, token)
    }

    fn build(builder: reqwest::ClientBuilder, server: &str, token: &str) -> Result<Self> {
        let http = builder.build()?;
        Ok(Self { http, server: server.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    /// What to do when a host does not answer.
    fn silence(&self) -> String {
        let hint = if self.server.starts_with("https:") {
            "is it running (factotum serve), and is its certificate trusted here (--ca FILE)?"
        } else {
            "is it running? (factotum serve)"
        };
        format!("the host at {} does not answer; {hint}", self.server)
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server)).bearer_auth(&self.token)
    }

    /// A request without the token.
    pub fn open(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server))
    }

    /// Sends and reads a JSON answer; null for an empty one.
    pub async fn send(&self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await.with_context(|| self.silence())?;
        let status = response.status();
        let body = response.bytes().await.context("the host's answer broke off")?;
        let value =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or(Value::Null) };
        if status.is_success() {
            return Ok(value);
        }
        if value.is_null() {
            bail!("the host at {} answered with HTTP {status}", self.server);
        }
        Err(ApiError { status: status.as_u16(), problem: value }.into())
    }

    /// GET what is no JSON.
    pub async fn get_text(&self, path: &str) -> Result<String> {
        let response = self.request(Method::GET, path).send().await.with_context(|| self.silence())?;
        let status = response.status();
        let body = response.text().await.context("the host's answer broke off")?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_str(&body) {
            Ok(problem) => Err(ApiError { status: status.as_u16(), problem }.into()),
            Err(_) => bail!("the host at {} answered with HTTP {status}", self.server),
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET with a query.
    pub async fn query(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<Value> {
        let mut url = url_query(path, query);
        if url.ends_with('?') {
            url.pop();
        }
        self.get(&url).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}

/// The path with the query's given parts, percent-encoded.
fn url_query(path: &str, query: &[(&str, Option<String>)]) -> String {
    let mut parts = Vec::new();
    for (name, value) in query {
        if let Some(value) = value {
            parts.push(format!("{name}={}", segment(value)));
        }
    }
    format!("{path}?{}", parts.join("&"))
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
pub fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An argument that is text, or `@FILE`, or `@-` for standard input.
pub fn text_or_file(argument: &str) -> Result<String> {
    match argument.strip_prefix('@') {
        None => Ok(argument.to_owned()),
        Some("-") => std::io::read_to_string(std::io::stdin()).context("standard input"),
        Some(path) => fs::read_to_string(path).with_context(|| format!("the file {path}")),
    }
}

/// The same, as JSON.
pub fn json_or_file(argument: &str) -> Result<Value> {
    let text = text_or_file(argument)?;
    serde_json::from_str(&text)
        .map_err(|e| anyhow::anyhow!("this is no JSON: {e}; in a shell, put it in single quotes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(segment("../x?y#z"), "..%2Fx%3Fy%23z");
        assert_eq!(segment("订"), "%E8%AE%A2");
        assert_eq!(url_query("/a", &[("b", Some("c d".into())), ("e", None)]), "/a?b=c%20d");
    }
}
