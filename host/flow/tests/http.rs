//! `call: http` and `call: openapi`: what is asked of the host, how secrets are named, and what is told at deploy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{Flow, HttpSite, Outcome};
use serde_json::{Value, json};
use support::{Fake, document, parse, problems, run};

fn web(answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Fake {
    let mut fx = Fake::echo();
    fx.web = Some(Box::new(move |call| answer(&call.uri)));
    fx
}

async fn sent(tasks: &str, input: Value) -> Value {
    let fx = web(|_| (200, json!({"fine": true})));
    let outcome = run(&parse(tasks), input, &fx).await;
    assert_eq!(outcome, Outcome::Completed(json!({"fine": true})));
    let requests = fx.requests.lock().unwrap();
    assert_eq!(requests.len(), 1);
    requests[0].clone()
}

#[tokio::test]
async fn a_request_is_made_of_its_arguments() {
    let tasks = "do:
- c:
    call: http
    with:
      method: post
      endpoint: https://api.example.com/orders/{id}/{empty}?q={q}
      headers: { x-a: '${ .id }', x-b: '5', x-c: '${ null }', x-d: '${ 6 }' }
      query: { page: '2', tag: '${ .tags }' }
      body: { at: '${ .id }', keep: [1] }
      redirect: true
";
    let found = sent(tasks, json!({"id": "a/b c", "q": true, "tags": ["x", "y"]})).await;
    assert_eq!(
        found,
        json!({
            "method": "POST", "uri": "https://api.example.com/orders/a%2Fb%20c/?q=true",
            "headers": [["x-a", "a/b c"], ["x-b", "5"], ["x-d", "6"]], "query": [["page", "2"], ["tag", "x"], ["tag", "y"]],
            "body": {"at": "a/b c", "keep": [1]}, "authentication": null, "redirect": true,
        })
    );
    let tasks = "do:\n- c: { call: http, with: { method: GET, endpoint: '${ .to }', headers: '${ .h }' } }";
    let found = sent(tasks, json!({"to": "https://x.example/a", "h": {"k": "v"}})).await;
    assert_eq!((&found["uri"], &found["headers"]), (&json!("https://x.example/a"), &json!([["k", "v"]])));
    assert_eq!(found["body"], Value::Null);
}

#[tokio::test]
async fn input_cannot_climb_or_be_more_than_a_text() {
    let tasks = "do:\n- c: { call: http, with: { method: GET, endpoint: 'https://x.example/a/{id}/b' } }";
    for (id, said) in [
        (json!(".."), "climbs out of its folder"),
        (json!("."), "climbs out of its folder"),
        (json!({"a": 1}), "{id} must be a text"),
        (json!("x".repeat(9000)), "the most is 8192"),
    ] {
        let fx = web(|_| panic!("nothing is sent"));
        let Outcome::Faulted(error) = run(&parse(tasks), json!({"id": id}), &fx).await else { panic!() };
        assert!(error.status == 400 && error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn the_output_is_content_raw_or_the_response() {
    let task = |output: &str| {
        format!(
            "do:\n- c: {{ call: http, with: {{ method: GET, endpoint: 'https://x.example/', output: {output} }} }}"
        )
    };
    let fx = || web(|_| (200, json!([1])));
    assert_eq!(run(&parse(&task("content")), json!({}), &fx()).await, Outcome::Completed(json!([1])));
    assert_eq!(run(&parse(&task("raw")), json!({}), &fx()).await, Outcome::Completed(json!("base64 of [1]")));
    let Outcome::Completed(found) = run(&parse(&task("response")), json!({}), &fx()).await else { panic!() };
    assert_eq!((&found["statusCode"], &found["content"]), (&json!(200), &json!([1])));
}

#[tokio::test]
async fn a_failing_status_can_be_caught() {
    let tasks = "do:
- t:
    try: [ { c: { call: http, with: { method: GET, endpoint: 'https://x.example/' } } } ]
    catch: { errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/communication', status: 302 } }, as: e, do: [ { s: { set: { was: '${ $e.status }' } } } ] }
";
    let fx = web(|_| (302, json!(null)));
    assert_eq!(run(&parse(tasks), json!({}), &fx).await, Outcome::Completed(json!({"was": 302})));
}

fn authenticated(policy: &str) -> String {
    format!(
        "use:\n  secrets: [shop, other]\n  authentications:\n    named: {{ digest: {{ use: shop }} }}\ndo:\n- c:\n    call: http\n    with:\n      method: GET\n      endpoint: {{ uri: 'https://x.example/', authentication: {policy} }}"
    )
}

#[tokio::test]
async fn every_scheme_reaches_the_host_with_secrets_by_name_only() {
    for (policy, expected) in [
        (
            "{ basic: { username: '${ .user }', password: '${ $secrets.shop.pass }' } }",
            "Basic { username: Literal(\"ann\"), password: Secret { name: \"shop\", member: Some(\"pass\") } }",
        ),
        (
            "{ bearer: { token: '${ $secret.shop }' } }",
            "Bearer { token: Secret { name: \"shop\", member: None } }",
        ),
        ("{ bearer: { use: shop } }", "Bearer { token: Secret { name: \"shop\", member: Some(\"token\") } }"),
        (
            "{ use: named }",
            "Digest { username: Secret { name: \"shop\", member: Some(\"username\") }, password: Secret { name: \"shop\", member: Some(\"password\") } }",
        ),
        (
            "{ oauth2: { authority: 'https://id.example/{user}', grant: client_credentials, client: { id: me, secret: '${ $secrets.shop.key }', authentication: client_secret_basic }, scopes: [a], audiences: [b] } }",
            "OAuth2 { authority: \"https://id.example/ann\", token_path: \"/oauth2/token\", discover: false, grant: \"client_credentials\", client_basic: true, client: Some((Literal(\"me\"), Secret { name: \"shop\", member: Some(\"key\") })), user: None, scopes: [\"a\"], audiences: [\"b\"] }",
        ),
        (
            "{ oidc: { authority: 'https://id.example', grant: password, username: ann, password: '${ $secrets.shop.key }', endpoints: { token: /t } } }",
            "OAuth2 { authority: \"https://id.example\", token_path: \"/t\", discover: true, grant: \"password\", client_basic: false, client: None, user: Some((Literal(\"ann\"), Secret { name: \"shop\", member: Some(\"key\") })), scopes: [], audiences: [] }",
        ),
    ] {
        let tasks = authenticated(policy);
        let found = sent(&tasks, json!({"user": "ann"})).await;
        assert_eq!(found["authentication"], json!(expected), "{policy}");
        assert_eq!(parse(&tasks).secrets(), ["shop"]);
    }
}

#[test]
fn a_secret_is_named_as_a_whole_and_nowhere_else() {
    for (policy, expected) in [
        (
            "{ bearer: { token: '${ $secrets.shop | ascii_upcase }' } }",
            "a secret is named as a whole, not computed with",
        ),
        (
            "{ bearer: { token: '${ $secrets.shpo }' } }",
            "the secret \"shpo\" is not listed in use.secrets; did you mean \"shop\"?",
        ),
        ("{ basic: { use: unknown } }", "the secret \"unknown\" is not listed in use.secrets; list it"),
        ("{ basic: { username: a } }", "\"password\" is missing"),
        ("{ basic: { username: a, password: b }, bearer: { token: c } }", "an authentication is one of"),
        ("{ use: nobody }", "there is no authentication \"nobody\""),
        ("{ certificate: {} }", "unknown key \"certificate\""),
        ("{ oauth2: { use: shop } }", "`use` is refused, because a whole policy out of a secret"),
        (
            "{ oauth2: { authority: 'https://i.example', grant: authorization_code } }",
            "nobody sits before a browser in a flow",
        ),
        ("{ oauth2: { authority: 'https://i.example', grant: client_credentials } }", "needs `client`"),
        (
            "{ oauth2: { authority: 'https://i.example', grant: password } }",
            "needs `username` and `password`",
        ),
        (
            "{ oidc: { authority: 'https://i.example', grant: client_credentials, client: { id: a, secret: b, authentication: private_key_jwt } } }",
            "no keys are held here",
        ),
        (
            "{ oauth2: { authority: 'https://i.example', grant: client_credentials, client: { id: a, secret: b }, request: { encoding: application/json } } }",
            "a token is asked for with a form",
        ),
    ] {
        let found = problems(&authenticated(policy));
        assert!(found.contains(expected), "{policy}\n  expected: {expected}\n  found: {found}");
    }
    for elsewhere in [
        "use: { secrets: [shop] }\ndo:\n- c: { call: http, with: { method: GET, endpoint: 'https://x.example/', headers: { k: '${ $secrets.shop }' } } }",
        "use: { secrets: [shop] }\ndo:\n- c: { set: { k: '${ $secrets.shop }' } }",
    ] {
        assert!(problems(elsewhere).contains("an expression never sees a secret"), "{elsewhere}");
    }
}

#[test]
fn a_deployer_is_told_where_requests_go_and_with_which_secrets() {
    let flow = parse(
        "use:\n  secrets: [shop, unused]\n  functions:\n    get: { call: http, with: { method: get, endpoint: { uri: 'https://x.example/{id}', authentication: { bearer: { use: shop } } } } }\ndo:\n- a: { call: get, with: { query: { a: '1' } } }\n- b: { call: http, with: { method: PUT, endpoint: '${ .to }' } }\n- c: { call: openapi, with: { document: { endpoint: 'https://y.example/api.json' }, operationId: o } }",
    );
    let sites = flow.https();
    let site = |i: usize| {
        let HttpSite { path, method, endpoint, described, secrets, .. } = &sites[i];
        json!([path, method, endpoint, described, secrets])
    };
    assert_eq!(site(0), json!(["/do/0/a", "GET", "https://x.example/{id}", false, ["shop"]]));
    assert_eq!(site(1), json!(["/do/1/b", "PUT", null, false, []]));
    assert_eq!(site(2), json!(["/do/2/c", null, "https://y.example/api.json", true, []]));
    assert_eq!((sites.len(), flow.secrets()), (3, ["shop".to_owned()].as_slice()));
    assert_eq!((sites[1].line, sites[1].column), (8, 51));
}

#[tokio::test]
async fn an_operation_is_read_out_of_its_document() {
    let described = json!({"openapi": "3.0.0", "servers": [{"url": "https://api.example.com/v1"}], "paths": {
        "/pets/{id}": {"get": {"operationId": "getPet", "parameters": [
            {"name": "id", "in": "path", "required": true}, {"name": "full", "in": "query"}]}}}});
    let tasks = "do:
- c:
    call: openapi
    with:
      document: { endpoint: 'https://docs.example.com/openapi.json' }
      operationId: getPet
      parameters: { id: '${ .id }', full: true }
      authentication: { bearer: { token: t } }
";
    // A service may hand its description out as YAML.
    for document in [described.clone(), Value::String(described.to_string())] {
        let fx = web(move |uri| match uri {
            "https://docs.example.com/openapi.json" => (200, document.clone()),
            _ => (200, json!({"name": "Milou"})),
        });
        let flow = parse(tasks);
        let outcome = run(&flow, json!({"id": 7}), &fx).await;
        assert_eq!(outcome, Outcome::Completed(json!({"name": "Milou"})));
        assert_eq!(fx.keys("http"), ["/do/0/c!document", "/do/0/c"]);
        let sent = fx.requests.lock().unwrap()[1].clone();
        assert_eq!(sent["uri"], "https://api.example.com/v1/pets/7");
        assert_eq!(sent["query"], json!([["full", "true"]]));
        assert_eq!(sent["authentication"], "Bearer { token: Literal(\"t\") }");
        let second = Fake::echo();
        *second.journal.lock().unwrap() = fx.journal.lock().unwrap().clone();
        assert_eq!(run(&flow, json!({"id": 7}), &second).await, outcome);
    }
    let fx = web(|_| (200, json!("not: [a document")));
    let Outcome::Faulted(error) = run(&parse(tasks), json!({"id": 7}), &fx).await else { panic!() };
    assert!(error.to_string().contains("is no OpenAPI document"), "{error}");
}

#[test]
fn a_json_document_is_a_flow_too() {
    let json = json!({"document": {"dsl": "1.0.3", "namespace": "t", "name": "f", "version": "1.0.0"},
        "do": [{"c": {"call": "http", "with": {"method": "GET", "endpoint": "https://x.example/"}}}]});
    assert!(Flow::parse(&json.to_string(), "t.json").is_ok());
    assert!(!document("").is_empty());
}
