//! Secrets end to end: set over the API, put into a plugin's request by the host, and found nowhere on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_tests::{PATIENCE, Server, dist, text};
use rand::RngExt;
use serde_json::json;

/// A server that a plugin talks to. It answers with an error whose text echoes every header that it got.
struct Echo {
    port: u16,
    authorization: Receiver<String>,
}

impl Echo {
    fn start() -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, authorization) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(&stream);
                let (mut headers, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    headers.push_str(&line);
                    line.clear();
                }
                let found = headers.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
                });
                let found = found.unwrap_or_default();
                if sender.send(found.clone()).is_err() {
                    return;
                }
                // What the connector passes on of an error, word for word.
                let body = json!({ "message": format!("not {found}"), "description": headers }).to_string();
                let _ = write!(
                    &stream,
                    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-echo: {found}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Echo { port, authorization }
    }

    /// What the next request bore.
    #[track_caller]
    fn bore(&self) -> String {
        self.authorization.recv_timeout(PATIENCE).expect("the plugin's request arrives")
    }
}

/// A connector whose grant has the secret `crm-key` put into its requests to `echo`.
fn install(server: &Server, echo: &Echo) {
    let grants = format!(
        "run-context = true\nconfig = true\n[[http]]\nscheme = \"http\"\nhost = \"127.0.0.1\"\nport = {}\nmethods = [\"GET\", \"POST\", \"PUT\"]\npaths = [\"/db/rest/model/**\"]\nprivate-network = true\ninject = [{{ secret = \"crm-key\", bearer = true }}]\n",
        echo.port
    );
    let url = format!("base-url=http://127.0.0.1:{}/db", echo.port);
    server.install_as("crm-tryton", "crm", &grants, &[&url, "default-type=other"]);
}

/// Has the plugin send a request; what the caller is told of the error it gets.
fn call(server: &Server) -> String {
    let with = json!({ "query": { "email": "jane@example.com" } }).to_string();
    let (_, told) = server.fails(&["plugin", "call", "crm/find-contacts", "--with", &with]);
    told
}

/// Runs `factotum secret set` with the value on standard input.
#[track_caller]
fn set(server: &Server, args: &[&str], value: &str) -> String {
    let mut child = Command::new(server.dist().join("factotum"))
        .args(["secret", "set"])
        .args(args)
        .arg("--data")
        .arg(server.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{value}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn fresh(name: &str) -> String {
    format!("{name}-{:032x}", rand::rng().random::<u128>())
}

/// The files under `folder` that hold `value`, plainly or in an encoding that somebody may have put it in.
fn holding(folder: &Path, value: &str) -> Vec<String> {
    // Base64 of a text in the middle of another depends on where it begins; each start drops the digits it shares.
    let encoded = (0..3).map(|skip| {
        let digits = STANDARD.encode(&value.as_bytes()[skip..]);
        digits[..(value.len() - skip) / 3 * 4].to_owned()
    });
    let mut needles: Vec<Vec<u8>> = encoded.map(String::into_bytes).collect();
    needles.extend([value.as_bytes().to_vec(), hex::encode(value).into_bytes()]);
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            files += 1;
            let mut bytes = Vec::new();
            fs::File::open(&entry).unwrap().read_to_end(&mut bytes).unwrap();
            let holds = |needle: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
            if needles.iter().any(holds) {
                found.push(entry.display().to_string());
            }
        }
    }
    assert!(files > 5, "the folder was looked through");
    found
}

#[test]
fn a_secret_set_over_the_api_reaches_the_request_and_no_file() {
    let Some(dist) = dist("secret_at_rest") else { return };
    let echo = Echo::start();
    let mut server = Server::start(&dist);
    install(&server, &echo);
    call(&server);
    assert!(echo.authorization.try_recv().is_err(), "without the secret nothing is sent");
    let log = server.log();
    assert!(log.contains("set it with: factotum secret set crm-key"), "the log says what is missing: {log}");
    let (first, second) = (fresh("first"), fresh("second"));

    set(&server, &["crm-key"], &first);
    let mut told = call(&server);
    assert_eq!(echo.bore(), format!("Bearer {first}"));
    let said = set(&server, &["crm-key", "--overlap", "24h"], &second);
    assert!(said.contains("version 2") && said.contains("accept version 1 until"), "{said}");
    told += &call(&server);
    assert_eq!(echo.bore(), format!("Bearer {second}"), "the rotated value counts at once");

    // A flow's run, whose journal keeps the error that the echo was in.
    server.deploy("look", "document:\n  dsl: '1.0.3'\n  namespace: t\n  name: look\n  version: '1.0.0'\n  metadata: { trigger: { webhook: { auth: none, reply: sync } } }\ndo:\n  - find: { call: crm/find-contacts, with: { query: { email: jane@example.com } } }\n");
    let answer = server.hook("t/look", &json!({}));
    let run = answer.headers()["factotum-run"].to_str().unwrap().to_owned();
    assert_eq!(echo.bore(), format!("Bearer {second}"));
    told += &answer.text().unwrap();
    told += &server.ok(&["run", "show", &run, "--json"]);
    told += &server.ok(&["secret", "list", "--json"]);
    told += &server.ok(&["audit", "export"]);

    server.ok(&["secret", "rotate-master"]);
    told += &call(&server);
    assert_eq!(echo.bore(), format!("Bearer {second}"));
    server.kill();
    server.restart();
    told += &call(&server);
    assert_eq!(
        echo.bore(),
        format!("Bearer {second}"),
        "it is there after kill -9 and under the new master key"
    );
    server.audit_holds();

    told += &server.log();
    assert!(told.contains("***"), "the echo came back with the secret masked: {told}");
    for value in [&first, &second] {
        assert!(!told.contains(value.as_str()));
        assert_eq!(holding(&server.data(), value), Vec::<String>::new());
    }
    server.ok(&["secret", "remove", "crm-key"]);
    call(&server);
    assert!(echo.authorization.try_recv().is_err(), "without the secret nothing is sent");
}

#[test]
fn the_search_above_finds_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let value = fresh("value");
    for (name, content) in [
        ("a", format!("x{value}y")),
        ("b", hex::encode(&value)),
        ("c", STANDARD.encode(&value)),
        ("d", STANDARD.encode(format!("Bearer {value} and more"))),
        ("e", STANDARD.encode(format!("Basic: {value} and more"))),
        ("f", "nothing".to_owned()),
    ] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("file"), content).unwrap();
    }
    assert_eq!(holding(dir.path(), &value).len(), 5);
}

#[test]
fn a_host_with_another_master_key_says_so_and_changes_nothing() {
    let Some(dist) = dist("master_key") else { return };
    let data = tempfile::tempdir().unwrap();
    let keys: Vec<String> = (0..2).map(|_| hex::encode(rand::rng().random::<[u8; 32]>())).collect();
    // The keys are in the process's environment, as a supervisor would put them there.
    let envs = [("TEST_KEY_ONE", keys[0].as_str()), ("TEST_KEY_TWO", keys[1].as_str())];
    let one = "master-key = { env = \"TEST_KEY_ONE\" }\n";
    let two = "master-key = { env = \"TEST_KEY_TWO\" }\n";
    let mut server = Server::with_config(&dist, one, &envs);
    let echo = Echo::start();
    install(&server, &echo);
    let value = fresh("kept");
    set(&server, &["crm-key"], &value);
    let (_, refused) = server.fails(&["secret", "rotate-master"]);
    assert!(refused.contains("environment variable TEST_KEY_ONE"), "{refused}");
    server.kill();

    let config = data.path().join("other.toml");
    let start = |text_of_config: &str| {
        fs::write(&config, text_of_config).unwrap();
        let output = Command::new(dist.join("factotum"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(server.data())
            .envs(envs)
            .output()
            .unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let said = start(two);
    assert!(said.contains("sealed under master key") && said.contains("TEST_KEY_TWO"), "{said}");
    assert!(said.contains("previous key"), "the mend is named: {said}");
    let said = start("master-key = { env = \"TEST_KEY_NOT_SET\" }\n");
    assert!(said.contains("TEST_KEY_NOT_SET") && said.contains("not set"), "{said}");
    for said in [said, start("master-key = { file = \"/nowhere/master.key\" }\n")] {
        assert!(!said.contains(&keys[0]) && !said.contains(&keys[1]), "{said}");
    }

    // The same step with the old key named once: everything is sealed anew, and the old key is not needed any more.
    let step = format!("{two}previous-master-keys = [{{ env = \"TEST_KEY_ONE\" }}]\n");
    for config in [step.as_str(), two] {
        fs::write(server.data().join("factotum.toml"), config).unwrap();
        server.restart();
        call(&server);
        assert_eq!(echo.bore(), format!("Bearer {value}"));
        server.kill();
    }
    for secret in [&value, &keys[0], &keys[1]] {
        assert_eq!(holding(&server.data(), secret), Vec::<String>::new());
    }
}
