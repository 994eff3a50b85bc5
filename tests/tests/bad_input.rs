//! Bad input gets a problem that says what, where and the mend; nothing that was taken is lost by it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use factotum_tests::{Server, dist, message, problem, text};
use serde_json::json;

fn post(
    server: &Server,
    path: &str,
    content_type: &str,
    body: impl Into<reqwest::blocking::Body>,
) -> reqwest::blocking::Response {
    let request =
        server.http.post(format!("{}{path}", server.address())).header("content-type", content_type);
    request.body(body).send().unwrap()
}

#[test]
fn a_webhook_refuses_what_it_cannot_take() {
    let Some(dist) = dist("webhook_refuses") else { return };
    let server = Server::start(&dist);
    server.install_intake();
    let hook = "/hooks/support/ticket-intake";

    let found = problem(post(&server, hook, "application/json", "{\"channel\": \"web\","), 400);
    assert!(found["detail"].as_str().unwrap().contains("line 1"), "{found}");
    let found = problem(post(&server, hook, "text/plain", "hello"), 415);
    assert!(found["hint"].as_str().unwrap().contains("Content-Type"), "{found}");
    let found = problem(
        post(
            &server,
            hook,
            "application/json",
            json!({ "channel": "pigeon", "from": "a", "text": "b" }).to_string(),
        ),
        422,
    );
    assert!(
        found["detail"].as_str().unwrap().contains("channel") || found.to_string().contains("channel"),
        "{found}"
    );
    problem(post(&server, hook, "application/json", "[".repeat(100_000)), 400);
    let found = problem(post(&server, "/hooks/support/no-such-flow", "application/json", "{}"), 404);
    assert!(found["hint"].as_str().unwrap().contains("support/ticket-intake"), "{found}");
    problem(server.http.get(format!("{}{hook}", server.address())).send().unwrap(), 405);
    problem(server.http.get(format!("{}/nowhere", server.address())).send().unwrap(), 404);

    // 50 MB: the host says no and reads no further; a client that insists on sending sees the connection close.
    let big = vec![b' '; 50 << 20];
    let sent = server
        .http
        .post(format!("{}{hook}", server.address()))
        .header("content-type", "application/json")
        .body(big)
        .send();
    if let Ok(response) = sent {
        problem(response, 413);
    }

    assert!(server.all_runs().is_empty(), "a refused message left a run");
    assert_eq!(server.hook("support/ticket-intake", &message("jane@example.com", "hello")).status(), 200);
    server.audit_holds();
}

#[test]
fn a_flow_that_is_not_sound_is_refused_with_its_place() {
    let Some(dist) = dist("flow_refused") else { return };
    let server = Server::start(&dist);
    server.install("classifier", "config = true");
    let check = |body: &str| {
        let path = server.data().join("f.yaml");
        let head = "document: { dsl: '1.0.3', namespace: t, name: f, version: '1.0.0' }\n";
        std::fs::write(&path, format!("{head}{body}")).unwrap();
        let (code, message) = server.fails(&["flow", "check", path.to_str().unwrap()]);
        assert_eq!(code, 2, "{message}");
        message
    };
    // An unknown key, with line and path.
    let found = check("do:\n  - a:\n      set: { x: 1 }\n      outptu: { as: . }\n");
    assert!(
        found.contains("f.yaml:5:7")
            && found.contains("/do/0/a")
            && found.contains("outptu")
            && found.contains("output"),
        "{found}"
    );
    // A wrong type in `with`, checked against the plugin's WIT types.
    let found = check("do:\n  - a:\n      call: classifier/classify\n      with: { message: { text: 7 } }\n");
    assert!(
        found.contains("f.yaml:4")
            && found.contains("/do/0/a/with/message/text")
            && found.contains("a string"),
        "{found}"
    );
    // A missing and an unknown parameter.
    let found = check("do:\n  - a:\n      call: classifier/classify\n      with: { mesage: {} }\n");
    assert!(found.contains("missing \"message\"") && found.contains("mesage"), "{found}");
    // A plugin and a function that do not exist.
    let found = check("do:\n  - a: { call: nobody/does }\n  - b: { call: classifier/klassify }\n");
    assert!(found.contains("nobody") && found.contains("klassify"), "{found}");
    // An expression that is no jq.
    let found = check("do:\n  - a: { set: { x: '${ .a | }' } }\n");
    assert!(found.contains("f.yaml:3") && found.contains("/do/0/a/set/x"), "{found}");
    // Sound, but probably not as meant: said beside the answer.
    let path = server.data().join("g.yaml");
    let doubtful = "document: { dsl: '1.0.3', namespace: t, name: g, version: '1.0.0' }\ndo:\n  - a:\n      set: { x: 1 }\n      metadata: { declassify: { from: [clasifier], reason: A number } }\n";
    std::fs::write(&path, doubtful).unwrap();
    let told = server.cli(&["flow", "check", path.to_str().unwrap()]);
    assert!(told.status.success() && text(&told.stdout).contains("is sound"), "{told:?}");
    let warned = text(&told.stderr);
    assert!(warned.contains("warning: ") && warned.contains("\"clasifier\""), "{warned}");
    // Not YAML at all.
    let found = check("do: [}\n");
    assert!(found.contains("f.yaml:2"), "{found}");
    assert!(server.json(&["flow", "list"]).as_array().unwrap().is_empty());
}

#[test]
fn a_jq_error_in_a_run_names_its_task() {
    let Some(dist) = dist("jq_error") else { return };
    let server = Server::start(&dist);
    server.deploy("jq", "document:\n  dsl: '1.0.3'\n  namespace: t\n  name: jq\n  version: '1.0.0'\n  metadata: { trigger: { webhook: { auth: none, reply: sync } } }\ndo:\n  - add: { set: { sum: '${ .a + .b }' } }\n");
    let answer = server.hook("t/jq", &json!({ "a": 1, "b": "x" }));
    let run = answer.headers()["factotum-run"].to_str().unwrap().to_owned();
    let found = problem(answer, 400);
    assert!(found["type"].as_str().unwrap().ends_with("/errors/expression"), "{found}");
    assert_eq!(found["instance"], "/do/0/add", "{found}");
    assert_eq!(server.json(&["run", "show", &run])["state"], "faulted");
    // The next message is not hurt.
    assert_eq!(
        server.hook("t/jq", &json!({ "a": 1, "b": 2 })).json::<serde_json::Value>().unwrap(),
        json!({ "sum": 3 })
    );
}

#[test]
fn the_api_wants_the_token_and_says_so() {
    let Some(dist) = dist("token") else { return };
    let server = Server::start(&dist);
    for (method, path) in [
        ("GET", "/api/v1/plugins"),
        ("POST", "/api/v1/flows"),
        ("GET", "/api/v1/audit/export"),
        ("GET", "/api/v1/runs"),
    ] {
        let url = format!("{}{path}", server.address());
        problem(server.http.request(method.parse().unwrap(), &url).send().unwrap(), 401);
        problem(server.http.request(method.parse().unwrap(), &url).bearer_auth("wrong").send().unwrap(), 401);
    }
    let refused = server.json(&["audit", "list", "--action", "auth.refused"]);
    assert_eq!(refused["records"].as_array().unwrap().len(), 8);
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/api/v1/openapi.json", 200)] {
        assert_eq!(server.http.get(format!("{}{path}", server.address())).send().unwrap().status(), status);
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(server.data().join("admin.token")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_command_line_says_what_is_missing() {
    let Some(dist) = dist("cli_errors") else { return };
    let server = Server::start(&dist);
    let (code, message) = server.fails(&["plugin", "show", "nobody"]);
    assert_eq!(code, 2);
    assert!(
        message.starts_with("error: there is no plugin \"nobody\"") && message.contains("hint:"),
        "{message}"
    );
    let (_, message) = server.fails(&["plugin", "call", "nobody"]);
    assert!(message.contains("classifier/classify"), "{message}");
    let (_, message) = server.fails(&["flow", "run", "nobody"]);
    assert!(message.contains("namespace/name"), "{message}");
    let (_, message) = server.fails(&["flow", "run", "a/b", "--input", "{no}"]);
    assert!(message.contains("no JSON"), "{message}");
    let elsewhere = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(dist.join("factotum"))
        .args(["run", "list", "--data"])
        .arg(elsewhere.path())
        .env_remove("FACTOTUM_SERVER")
        .output()
        .unwrap();
    assert!(factotum_tests::text(&output.stderr).contains("factotum serve"), "{output:?}");
    // A second host on the same data is told so.
    let output = std::process::Command::new(dist.join("factotum"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .output()
        .unwrap();
    assert!(
        !output.status.success() && factotum_tests::text(&output.stderr).contains("in use"),
        "{output:?}"
    );
}
