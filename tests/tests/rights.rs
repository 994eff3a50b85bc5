//! What a plugin may do, from the command line: taken back while a call is under way, learned from a flow on fixtures,
//! asked for by an upgrade that is held, declined and agreed to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use factotum_tests::{PATIENCE, Server, dist, guest, text};
use serde_json::{Value, json};

/// A server that answers each request with `ok` after a while, and counts them.
fn counting() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let (mut reader, mut line) = (BufReader::new(&stream), String::new());
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" {
                        seen.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(20));
                        let answered = write!(&stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                        if answered.is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    (port, count)
}

/// A file in the server's data folder.
fn file(server: &Server, name: &str, content: impl AsRef<[u8]>) -> String {
    let path: PathBuf = server.data().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What is on record of a plugin, and by it.
fn actions(server: &Server, plugin: &str) -> Vec<Value> {
    let listed = server.json(&["audit", "list", "--plugin", plugin, "--limit", "100"]);
    listed["records"].as_array().unwrap().iter().map(|record| record["entry"].clone()).collect()
}

/// The hostile guest as `stranger`, with requests to that port granted.
fn stranger(server: &Server, wasm: &str, port: u16) {
    let grants = format!(
        "run-context = true\nconfig = true\n[key-value]\n[artifacts]\n[mail]\nrecipients = []\n\
         [[http]]\nscheme = \"http\"\nhost = \"127.0.0.1\"\nport = {port}\nmethods = [\"GET\"]\npaths = [\"/\"]\n\
         private-network = true\n[limits]\ntime-ms = 120000\n"
    );
    let grants = file(server, "stranger.toml", grants);
    server.ok(&["plugin", "add", wasm, "--as", "stranger", "--version", "1.0.0", "--grants", &grants]);
}

/// Waits until some requests have arrived.
fn some(count: &AtomicU64) {
    let begun = Instant::now();
    while count.load(Ordering::SeqCst) < 5 {
        assert!(begun.elapsed() < PATIENCE, "no request arrives");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_direct_call_that_a_killed_host_was_making_is_on_record() {
    let test = "a_direct_call_that_a_killed_host_was_making_is_on_record";
    let (Some(dist), Some(wasm)) = (dist(test), guest(test, "guest_hostile")) else { return };
    let mut server = Server::start(&dist);
    let (port, count) = counting();
    stranger(&server, &wasm, port);
    let with = json!({ "url": format!("http://127.0.0.1:{port}/"), "count": 4_000 });
    let request = server.api("POST", "/api/v1/plugins/stranger/call/many-requests").json(&with);
    let call = std::thread::spawn(move || request.send());
    some(&count);
    server.kill();
    assert!(call.join().unwrap().is_err(), "nobody answers");
    server.restart();
    let all = actions(&server, "stranger");
    let begun = all.iter().find(|entry| entry["action"] == "plugin.call").expect("an entry of the call");
    assert_eq!(
        (&begun["outcome"], &begun["target"], &begun["actor"]),
        (&json!("started"), &json!("stranger/overflow.many-requests"), &json!("token:admin"))
    );
    let told = server.ok(&["audit", "list", "--plugin", "stranger"]);
    assert!(told.contains("began to call stranger/overflow.many-requests"), "{told}");
    server.audit_holds();
}

#[test]
fn a_call_under_way_is_refused_its_next_request_when_the_grant_is_taken_back() {
    let test = "a_call_under_way_is_refused_its_next_request_when_the_grant_is_taken_back";
    let (Some(dist), Some(wasm)) = (dist(test), guest(test, "guest_hostile")) else { return };
    let server = Server::start(&dist);
    let (port, count) = counting();
    stranger(&server, &wasm, port);
    let wanted = 4_000;
    let with = json!({ "url": format!("http://127.0.0.1:{port}/"), "count": wanted }).to_string();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| server.ok(&["plugin", "call", "stranger/many-requests", "--with", &with]));
        some(&count);
        let told = server.ok(&["plugin", "revoke", "stranger", "http"]);
        let sent = count.load(Ordering::SeqCst);
        assert!(told.contains("may no longer send requests"), "{told}");
        let answered: u64 = call.join().unwrap().trim().parse().unwrap();
        let last = count.load(Ordering::SeqCst);
        // One was on its way; the call itself went on and came to its end.
        assert!(last <= sent + 1, "{sent} requests had been sent, and then there were {last}");
        assert!(answered >= 4 && answered <= last && last < wanted, "{answered} of {last}");
    });
    let all = actions(&server, "stranger");
    let of = |action: &str, outcome: &str| {
        all.iter().any(|record| record["action"] == action && record["outcome"] == outcome)
    };
    assert!(of("plugin.revoke", "ok"), "{all:#?}");
    assert!(all.iter().any(|record| record["outcome"] == "denied"), "{all:#?}");
    let shown = server.ok(&["plugin", "show", "stranger"]);
    assert!(!shown.contains("127.0.0.1"), "{shown}");
    server.audit_holds();
}

#[test]
fn what_a_flow_needs_is_learned_granted_narrower_and_then_enough() {
    let Some(dist) = dist("what_a_flow_needs_is_learned_granted_narrower_and_then_enough") else { return };
    let server = Server::start(&dist);
    let nowhere = "run-context = true\nconfig = true\n[[http]]\nhost = \"erp.shop.test\"\nmethods = [\"GET\"]\n\
                   paths = [\"/nowhere\"]\n";
    server.install_as("crm-tryton", "erp", nowhere, &["base-url=https://erp.shop.test/erp"]);
    server.deploy(
        "look",
        "
document: { dsl: '1.0.3', namespace: t, name: look, version: '1.0.0' }
do:
  - look:
      call: erp/find-contacts
      with: { query: { email: '${ .email }' } }
",
    );
    let fixtures =
        "[[http]]\nmethod = \"GET\"\nurl = \"https://erp.shop.test/erp/rest/model/party.party\"\njson = []\n";
    let fixtures = file(&server, "fixtures.toml", fixtures);
    let out = server.data().join("proposal.toml");
    let out = out.to_str().unwrap();
    let input = r#"{"email": "li@shop.test"}"#;
    let learn = |lang: &str| {
        let args = ["flow", "learn", "t/look", "--input", input, "--fixtures", &fixtures];
        server.ok(&[&args[..], &["--plugin", "erp", "--out", out, "--lang", lang]].concat())
    };
    let told = learn("en");
    for words in [
        "Nothing was sent, written or done",
        "run 1: completed",
        "erp 0.1.0 attempted",
        "Of this, today's grant lacks:",
        "factotum plugin grant erp --add FILE",
    ] {
        assert!(told.contains(words), "{words:?} is not in: {told}");
    }
    assert!(learn("zh").contains("其中当前授权缺少"), "in Chinese as well");
    let proposal = fs::read_to_string(out).unwrap();
    assert!(proposal.contains("party.party") && !proposal.contains("li@shop.test"), "{proposal}");

    // Whoever is not asked has not agreed.
    let (_, refused) = server.fails(&["plugin", "grant", "erp", "--add", out]);
    assert!(refused.contains("--yes") && refused.contains("party.party"), "{refused}");
    assert!(learn("en").contains("today's grant lacks"), "nothing was changed");
    server.ok(&["plugin", "grant", "erp", "--add", out, "--remove", "run-context", "--yes"]);
    let shown = server.ok(&["plugin", "show", "erp", "--toml"]);
    assert!(shown.contains("party.party") && !shown.contains("run-context = true"), "{shown}");
    let again = learn("en");
    let lacks = again.lines().skip_while(|line| !line.contains("lacks")).nth(1).unwrap_or_default();
    assert!(!lacks.contains("requests"), "what was granted is enough: {again}");
    let (code, message) = server.fails(&["flow", "learn", "t/nowhere", "--input", "{}"]);
    assert!(code == 2 && message.contains("t/nowhere"), "{message}");
    let learned =
        actions(&server, "erp").into_iter().filter(|record| record["action"] == "plugin.learn").count();
    assert_eq!(learned, 4);
    server.audit_holds();
}

/// A plugin `shop` of this version: it adds, and asks for requests to these paths.
fn shop(version: &str, plus: u32, paths: &str) -> Vec<u8> {
    let mut bytes = wat::parse_str(format!(
        r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance))
            (core module $m (func (export "add") (param i32) (result i32)
                local.get 0 i32.const {plus} i32.add))
            (core instance $i (instantiate $m))
            (func (export "add") (param "a" u32) (result u32) (canon lift (core func $i "add"))))"#
    ))
    .unwrap();
    let manifest = format!(
        "name = \"shop\"\nversion = \"{version}\"\n[[asks]]\ncapability = \"http\"\nreason.en = \"It looks orders up.\"\n\
         [[grants.http]]\nhost = \"api.shop.test\"\nmethods = [\"GET\"]\npaths = {paths}\n"
    );
    // A custom section (WebAssembly core specification, binary format): its length takes two bytes here.
    let mut content = vec![17];
    content.extend(b"factotum:manifest");
    content.extend(manifest.bytes());
    let length = u16::try_from(content.len()).unwrap();
    assert!((0x80..0x4000).contains(&length));
    bytes.extend([0, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    bytes.extend(content);
    bytes
}

#[test]
fn an_upgrade_that_asks_for_more_is_held_declined_and_agreed_to_from_the_command_line() {
    let Some(dist) =
        dist("an_upgrade_that_asks_for_more_is_held_declined_and_agreed_to_from_the_command_line")
    else {
        return;
    };
    let server = Server::start(&dist);
    let old = file(&server, "1.2.wasm", shop("1.2.0", 2, "[\"/orders/*\"]"));
    let new = file(&server, "1.3.wasm", shop("1.3.0", 3, "[\"/orders/*\", \"/invoices/*\"]"));
    server.ok(&["plugin", "add", &old, "--grant-suggested"]);
    server.deploy(
        "add",
        "
document: { dsl: '1.0.3', namespace: t, name: add, version: '1.0.0' }
do:
  - add: { call: shop/add, with: { a: '${ .a }' } }
",
    );
    let added = || server.json(&["flow", "run", "t/add", "--input", r#"{"a": 1}"#])["output"].clone();
    assert!(server.ok(&["plugin", "pending"]).is_empty());

    for decision in ["decline", "agree"] {
        let held = server.cli(&["plugin", "upgrade", "shop", &new]);
        assert_eq!(held.status.code(), Some(3), "{}", text(&held.stderr));
        let told = text(&held.stdout);
        assert!(told.contains("may also send requests") && told.contains("/invoices/[any]"), "{told}");
        assert!(!told.contains("/orders"), "only what is new: {told}");
        let pending = server.ok(&["plugin", "pending"]);
        assert!(pending.contains("shop 1.2.0 → 1.3.0") && pending.contains("--agree 1.3.0"), "{pending}");
        assert_eq!(added(), json!(3), "the old version goes on");
        if decision == "decline" {
            let told = server.ok(&["plugin", "upgrade", "shop", "--decline"]);
            assert!(told.contains("declined"), "{told}");
            assert!(server.ok(&["plugin", "pending"]).is_empty());
            let (_, message) = server.fails(&["plugin", "upgrade", "shop", "--agree", "1.3.0", "--yes"]);
            assert!(message.contains("no such upgrade"), "{message}");
        }
    }
    // Whoever is not asked has not agreed; who says yes has, and the flow takes it when it is told to.
    let (_, message) = server.fails(&["plugin", "upgrade", "shop", "--agree"]);
    assert!(message.contains("/invoices/[any]") && message.contains("--yes"), "{message}");
    assert_eq!(server.json(&["plugin", "list"]).as_array().unwrap().len(), 1);
    let told = server.ok(&["plugin", "upgrade", "shop", "--agree", "--yes", "--redeploy"]);
    assert!(told.contains("installed shop 1.3.0") && told.contains("takes the new version now"), "{told}");
    assert_eq!(added(), json!(4));
    assert!(server.ok(&["plugin", "pending"]).is_empty());

    let all = actions(&server, "shop");
    let mut steps: Vec<_> = all
        .iter()
        .filter_map(|record| record["action"].as_str())
        .filter(|action| *action != "plugin.call")
        .collect();
    steps.sort_unstable();
    assert_eq!(
        steps,
        [
            "plugin.add",
            "plugin.upgrade.agree",
            "plugin.upgrade.decline",
            "plugin.upgrade.hold",
            "plugin.upgrade.hold"
        ]
    );
    server.audit_holds();
}
