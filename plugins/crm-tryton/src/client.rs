//! Tryton's REST interface: one request, and what its answers mean.
//!
//! Tryton answers a refusal of its own rules with 400 and JSON (`message`, `description`), and everything that it does not
//! understand with 400 and HTML; 401 and 404 are HTML too. HTML never gets into a fault.

use factotum_sdk::{
    Fault, config, context,
    http::{Request, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::query::Query;

/// How long one request may take, in milliseconds.
const TIMEOUT_MS: u64 = 20_000;
/// How often a record is numbered before the host has to try again later.
const MAX_NUMBERINGS: u32 = 4;
/// The code of the fault when Tryton gave one number twice.
const CLASH: &str = "number-clash";
/// So much of Tryton's own words goes into a fault.
const MAX_MESSAGE_CHARS: usize = 300;

/// Where Tryton is.
pub struct Client {
    base: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    description: Option<String>,
}

impl Client {
    /// The client for the configured `base-url`.
    pub fn configured() -> Result<Self, Fault> {
        let url = config::require("base-url")?;
        let base = url.trim().trim_end_matches('/');
        let (scheme, rest) = base.split_once("://").unwrap_or_default();
        let good = matches!(scheme, "http" | "https")
            && rest.split_once('/').is_some_and(|(host, path)| !host.is_empty() && !path.is_empty())
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "?#@\\".contains(c));
        if !good {
            return Err(Fault::invalid_configuration("base-url is no address of a Tryton database")
                .with_hint("server and database name, such as https://erp.example.com/erp; the key is a secret of the grant"));
        }
        Ok(Self { base: base.to_owned() })
    }

    /// The records of `model` that match.
    pub fn search<T: DeserializeOwned>(&self, model: &str, query: &Query) -> Result<Vec<T>, Fault> {
        self.send("GET", model, &query.text(), None::<&()>)?.json()
    }

    /// One record, or `None` when there is none.
    pub fn read<T: DeserializeOwned>(&self, model: &str, id: i64, query: &Query) -> Result<Option<T>, Fault> {
        let target = format!("{model}/{id}");
        match self.send("GET", &target, &query.text(), None::<&()>) {
            Ok(response) => response.json().map(Some),
            Err(fault) if fault.code == "not-found" => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Makes a record. Numbers it again when Tryton gave two records made at once the same number.
    pub fn create<T: DeserializeOwned>(
        &self,
        model: &str,
        query: &Query,
        values: &impl Serialize,
    ) -> Result<T, Fault> {
        let mut attempt = 1;
        loop {
            match self.send("POST", model, &query.text(), Some(values)) {
                Err(fault) if fault.code == CLASH && attempt < MAX_NUMBERINGS => attempt += 1,
                result => return result?.json(),
            }
        }
    }

    /// Changes a record.
    pub fn write<T: DeserializeOwned>(
        &self,
        model: &str,
        id: i64,
        query: &Query,
        values: &impl Serialize,
    ) -> Result<T, Fault> {
        self.send("PUT", &format!("{model}/{id}"), &query.text(), Some(values))?.json()
    }

    fn send(
        &self,
        method: &str,
        target: &str,
        query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response, Fault> {
        let mut request = Request::new(method, format!("{}/rest/model/{target}?{query}", self.base))
            .header("accept", "application/json")
            // Refusals in one language, whatever the user's own.
            .header("accept-language", "en");
        if let Some(body) = body {
            request = request.json(body)?;
        }
        request.timeout_ms = Some(TIMEOUT_MS.min(context::current().remaining_ms));
        let response = request.send()?;
        // Tryton answers a write with 204 when the user may write, and may not read what was written.
        if response.status == 204 {
            return Err(Fault::denied(format!(
                "Tryton: {method} {target}: done, but the user may not read the result"
            ))
            .with_hint("give the user of the REST key read access to it"));
        }
        if (200..300).contains(&response.status) {
            Ok(response)
        } else {
            Err(fault(response, method, target))
        }
    }
}

fn fault(response: Response, method: &str, target: &str) -> Fault {
    let what = format!("Tryton: {method} {target}");
    match response.status {
        300..=399 => Fault::invalid_configuration(format!("{what}: redirected, HTTP {}", response.status))
            .with_hint("set base-url to where the redirect leads, https rather than http for one"),
        400 => match serde_json::from_slice::<Refusal>(&response.body) {
            // The plugin sets no unique field, so it is Tryton's own number that is taken: its sequences give one twice
            // when two records are made at once (SQLite, or a sequence without gaps).
            Ok(refusal) if method == "POST" && refusal.message.contains("must be unique") => {
                Fault { code: CLASH.into(), ..Fault::unavailable(format!("{what}: {}", words(&refusal))) }
            }
            Ok(refusal) => Fault::invalid_input(format!("{what}: refused: {}", words(&refusal))),
            Err(_) => Fault::invalid_configuration(format!("{what}: not understood, HTTP 400")).with_hint(
                "does base-url name the right database, and are the modules party and sale_complaint of Tryton 8 active?",
            ),
        },
        401 => Fault::denied(format!("{what}: the REST key is missing or not accepted"))
            .with_hint("a key of a user application of kind REST, validated, as the secret that the grant injects as bearer"),
        _ => match response.error_for_status(&what) {
            Err(fault) => fault,
            Ok(_) => Fault::internal(what),
        },
    }
}

fn words(refusal: &Refusal) -> String {
    let description = refusal.description.as_deref().unwrap_or_default();
    let all = format!("{} {description}", refusal.message);
    let line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use factotum_sdk::{FaultKind, testing};

    const HTML: &str = "<!doctype html><title>Bad</title><p>Unable to get RPC method</p>";

    fn answer(status: u16, body: &'static str) -> Fault {
        testing::set_config("base-url", "https://erp.example/db/");
        testing::on_http(move |_| Ok(Response { status, headers: vec![], body: body.into() }));
        let client = Client::configured().unwrap();
        client.search::<serde_json::Value>("party.party", &Query::default()).unwrap_err()
    }

    #[test]
    fn answers_become_the_right_kind_of_fault() {
        for (status, body, kind, code) in [
            (400, HTML, FaultKind::Business, "invalid-configuration"),
            (400, r#"{"status": 400, "message": "Not valid."}"#, FaultKind::Business, "invalid-input"),
            (401, HTML, FaultKind::Business, "denied"),
            (403, HTML, FaultKind::Business, "denied"),
            (404, HTML, FaultKind::Business, "not-found"),
            (302, "", FaultKind::Business, "invalid-configuration"),
            (204, "", FaultKind::Business, "denied"),
            (409, HTML, FaultKind::Business, "conflict"),
            (429, "", FaultKind::Technical, "rate-limited"),
            (500, HTML, FaultKind::Technical, "unavailable"),
            (504, HTML, FaultKind::Technical, "timeout"),
            (200, HTML, FaultKind::Technical, "internal"),
        ] {
            let fault = answer(status, body);
            assert_eq!((fault.kind, fault.code.as_str()), (kind, code), "{status}: {fault:?}");
            assert!(fault.message.len() < 500 && !fault.message.contains('<'), "{fault:?}");
        }
    }

    #[test]
    fn a_refusal_keeps_trytons_words_and_bounds_them() {
        let fault = answer(400, r#"{"message": "The phone number\n is not valid.", "description": null}"#);
        assert_eq!(fault.message, "Tryton: GET party.party: refused: The phone number is not valid.");
    }

    #[test]
    fn a_number_given_twice_is_asked_for_again_and_then_left_to_the_host() {
        testing::reset();
        testing::set_config("base-url", "https://erp.example/db");
        testing::on_http(|_| {
            let sent = testing::with(|world| world.requests.len());
            let (status, body) = match sent {
                1 | 2 => (400, r#"{"message": "The code on party must be unique."}"#),
                _ => (200, r#"{"id": 7}"#),
            };
            Ok(Response { status, headers: vec![], body: body.into() })
        });
        let client = Client::configured().unwrap();
        let made: serde_json::Value = client.create("party.party", &Query::default(), &()).unwrap();
        assert_eq!(made["id"], 7);

        testing::on_http(|_| {
            let body = r#"{"message": "The code on party must be unique."}"#;
            Ok(Response { status: 400, headers: vec![], body: body.into() })
        });
        let fault = client.create::<serde_json::Value>("party.party", &Query::default(), &()).unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Technical, CLASH));
    }

    #[test]
    fn the_plugin_sends_no_credentials() {
        answer(401, "");
        let sent = testing::with(|world| world.requests.last().cloned()).unwrap();
        assert!(sent.header_names().all(|name| !name.eq_ignore_ascii_case("authorization")));
        assert!(sent.url.starts_with("https://erp.example/db/rest/model/party.party?"), "{}", sent.url);
    }

    trait HeaderNames {
        fn header_names(&self) -> impl Iterator<Item = &str>;
    }

    impl HeaderNames for Request {
        fn header_names(&self) -> impl Iterator<Item = &str> {
            self.headers.iter().map(|(name, _)| name.as_str())
        }
    }

    #[test]
    fn a_wrong_base_url_is_named() {
        for bad in [
            "",
            "erp.example/db",
            "ftp://erp.example/db",
            "https://erp.example",
            "https://erp.example/",
            "https://user:key@erp.example/db",
            "https://erp.example/db?x=1",
        ] {
            testing::set_config("base-url", bad);
            let fault = Client::configured().err().unwrap();
            assert_eq!(fault.code, "invalid-configuration", "{bad}");
        }
        testing::reset();
        assert_eq!(Client::configured().err().unwrap().code, "invalid-configuration");
    }
}
