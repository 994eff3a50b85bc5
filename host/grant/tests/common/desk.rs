//! A grant like that of a real connector, and the requests it makes.

use factotum_grant::{Effective, Grants, HttpBody, HttpRequest, HttpTarget, Narrowing};

/// A connector to an ERP, a mail API and a file store: 8 rules, 40 paths.
pub fn effective() -> Effective {
    let mut text = String::new();
    for (host, methods) in [
        ("files.example.com", "[\"GET\"]"),
        ("*.cdn.example.com", "[\"GET\"]"),
        ("10.0.0.7", "[\"GET\"]"),
        ("api.mail.example.com", "[\"POST\"]"),
        ("erp.example.com", "[\"DELETE\"]"),
        ("erp.example.com", "[\"GET\"]"),
        ("erp.example.com", "[\"POST\", \"PUT\"]"),
    ] {
        text.push_str(&format!(
            "[[http]]\nhost = \"{host}\"\nmethods = {methods}\nquery = [\"page\", \"limit\", \"filter[state]\"]\npaths = [\"/erp/rest/party\", \"/erp/rest/party/*\", \"/erp/rest/complaint\", \"/erp/rest/complaint/*\", \"/erp/rest/note/**\"]\ninject = [{{ secret = \"key\", bearer = true }}]\n"
        ));
    }
    text.push_str(
        "[[http]]\nhost = \"erp.example.com\"\nmethods = [\"PATCH\"]\npaths = [\"/erp/rest/party/*\"]\nbody-fields = [\"/party/name\", \"/party/addresses/*/street\", \"/party/tags\"]\n",
    );
    text.push_str("[mail]\nrecipients = [\"*@example.com\"]\n[key-value]\n");
    let flow: Narrowing =
        toml::from_str("[[http]]\nhost = \"erp.example.com\"\n[[http]]\nmethods = [\"GET\"]").unwrap();
    Effective::new(&Narrowing::default(), &Grants::from_toml(&text).unwrap(), &flow).unwrap()
}

fn request(
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    body: HttpBody<'static>,
) -> HttpRequest<'static> {
    HttpRequest {
        target: HttpTarget { scheme: "https", host: "erp.example.com", port: 443, method, path },
        query,
        body,
    }
}

/// Requests that are allowed, each with a name.
pub fn requests() -> Vec<(&'static str, HttpRequest<'static>)> {
    let json = |bytes| HttpBody { bytes, content_type: Some("application/json"), content_encoding: None };
    vec![
        ("GET with a query", request("GET", "/erp/rest/complaint/4711", Some("page=2&limit=50&filter%5Bstate%5D=open"), HttpBody::default())),
        ("POST, any body", request("POST", "/erp/rest/note/party/7", None, json(br#"{"text":"called back"}"#))),
        (
            "PATCH, body fields",
            request(
                "PATCH",
                "/erp/rest/party/7",
                None,
                json(br#"{"party":{"name":"Li Wei","tags":["vip","zh"],"addresses":[{"street":"Main St 1"},{"street":"Side St 2"}]}}"#),
            ),
        ),
    ]
}
