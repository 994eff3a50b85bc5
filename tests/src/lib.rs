//! What whole-program tests share: a server process of the built binary, a client for it, and the command line.
//!
//! The built release folder is named by `FACTOTUM_DIST` (`cargo xtask test` sets it). Without it a test says that it was
//! skipped; in CI that is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::missing_panics_doc
)] // test support: whatever goes wrong here fails the test

mod counter;
mod disk;
mod imap;
mod pki;
mod smtp;

pub use counter::{Counter, Received};
pub use disk::SmallDisk;
pub use imap::Imap;
pub use pki::{Authority, Made};
pub use smtp::Smtp;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, ClientBuilder, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a test waits for what must come, before it says that it did not: a machine full of other work stops everything
/// for seconds, again and again.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The release folder, or `None` with a word on what is skipped.
pub fn dist(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("FACTOTUM_DIST").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: {test}: FACTOTUM_DIST is not set; run cargo xtask test");
    }
    found
}

/// The file of a component that only tests use, or `None` with a word on what is skipped.
pub fn guest(test: &str, name: &str) -> Option<String> {
    let found = std::env::var("FACTOTUM_GUEST_DIR").ok().map(|dir| format!("{dir}/{name}.wasm"));
    if found.is_none() {
        println!("skipped: {test}: FACTOTUM_GUEST_DIR is not set; run cargo xtask test");
    }
    found
}

/// An environment variable that a server script set, or `None` with a word on what is skipped.
pub fn server_variable(test: &str, name: &str) -> Option<String> {
    let found = std::env::var(name).ok();
    if found.is_none() {
        println!("skipped: {test}: {name} is not set; the test server did not start");
    }
    found
}

/// A server process with a data folder of its own. Killed when dropped.
pub struct Server {
    child: Option<Child>,
    data: PathBuf,
    /// Holds the data folder, unless that was given, and the log.
    temp: TempDir,
    dist: PathBuf,
    config: Option<PathBuf>,
    envs: Vec<(String, String)>,
    address: String,
    token: String,
    /// For requests; no timeouts shorter than a slow machine needs.
    pub http: Client,
}

impl Server {
    /// Starts a server with the defaults.
    pub fn start(dist: &Path) -> Self {
        Self::with_config(dist, "", &[])
    }

    /// Starts a server with a configuration file and environment variables.
    pub fn with_config(dist: &Path, config: &str, envs: &[(&str, &str)]) -> Self {
        Self::at(dist, None, config, envs)
    }

    /// The same on a data folder that exists.
    pub fn at(dist: &Path, data: Option<&Path>, config: &str, envs: &[(&str, &str)]) -> Self {
        let http = Client::builder().timeout(Duration::from_secs(120)).no_proxy();
        Self::with_client(dist, data, config, envs, http)
    }

    /// The same with a client of the test's own, such as one that trusts the host's authority.
    pub fn with_client(
        dist: &Path,
        data: Option<&Path>,
        config: &str,
        envs: &[(&str, &str)],
        http: ClientBuilder,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temp = tempfile::tempdir().unwrap();
        let config = (!config.is_empty()).then(|| {
            let path = temp.path().join("factotum.toml");
            fs::write(&path, config).unwrap();
            path
        });
        let http = http.build().unwrap();
        let mut server = Self {
            child: None,
            data: data.unwrap_or(temp.path()).to_owned(),
            temp,
            dist: dist.to_owned(),
            config,
            envs: envs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            address: String::new(),
            token: String::new(),
            http,
        };
        server.restart();
        server
    }

    /// Starts the process again on the same data, and waits until it is ready.
    pub fn restart(&mut self) {
        self.launch();
        self.wait_until_ready();
    }

    /// Starts the process again on the same data.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        let data = self.data();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(self.dist.join("factotum"));
        command.arg("serve").arg("--data").arg(&data).args(["--listen", "127.0.0.1:0"]);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.envs(self.envs.iter().map(|(k, v)| (k, v)));
        let _ = fs::remove_file(data.join("address"));
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Waits until it is ready.
    pub fn wait_until_ready(&mut self) {
        let data = self.data();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().expect("it was started").try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            if let Ok(address) = fs::read_to_string(data.join("address")) {
                self.address = address.trim().to_owned();
                self.token = fs::read_to_string(data.join("admin.token")).unwrap().trim().to_owned();
                if self
                    .http
                    .get(format!("{}/readyz", self.address))
                    .send()
                    .is_ok_and(|r| r.status().is_success())
                {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "the server is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The process, for signals.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Waits for the process to end by itself; `None` when it still runs after `limit`.
    pub fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.as_mut().expect("it was started").try_wait().unwrap() {
                self.child = None;
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// Waits for a process that was killed from outside.
    pub fn reap(&mut self) {
        self.child.take().expect("it ran").wait().unwrap();
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// The release folder.
    pub fn dist(&self) -> &Path {
        &self.dist
    }

    /// The base of every URL.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The admin token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.temp.path().join("server.log")
    }

    /// Runs the command line against this server.
    pub fn cli(&self, args: &[&str]) -> Output {
        Command::new(self.dist.join("factotum"))
            .args(args)
            .arg("--data")
            .arg(self.data())
            .env_remove("FACTOTUM_SERVER")
            .env_remove("FACTOTUM_TOKEN")
            .output()
            .unwrap()
    }

    /// Runs the command line, which must succeed; returns its standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.cli(args);
        assert!(
            output.status.success(),
            "factotum {args:?}: {}\n{}\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs the command line, which must fail; returns its exit code and standard error.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.cli(args);
        assert!(!output.status.success(), "factotum {args:?} succeeded: {}", text(&output.stdout));
        (output.status.code().unwrap_or(-1), text(&output.stderr))
    }

    /// Runs the command line with `--json`, which must succeed.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        let text = self.ok(&all);
        serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("factotum {args:?} printed no JSON ({e}): {text}"))
    }

    /// A request with the token.
    pub fn api(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.address)).bearer_auth(&self.token)
    }

    /// A message to a webhook.
    pub fn hook(&self, flow: &str, body: &Value) -> Response {
        self.http.post(format!("{}/hooks/{flow}", self.address)).json(body).send().unwrap()
    }

    /// Installs a shipped plugin with these grants.
    #[track_caller]
    pub fn install(&self, name: &str, grants: &str) {
        self.install_as(name, name, grants, &[]);
    }

    /// Installs a shipped plugin under a name of its own, with grants and configuration.
    #[track_caller]
    pub fn install_as(&self, name: &str, alias: &str, grants: &str, config: &[&str]) {
        let grants_file = self.data().join(format!("{alias}-grants.toml"));
        fs::write(&grants_file, grants).unwrap();
        let wasm = self.dist.join("plugins").join(format!("{name}.wasm"));
        let mut args = vec![
            "plugin",
            "add",
            wasm.to_str().unwrap(),
            "--grants",
            grants_file.to_str().unwrap(),
            "--as",
            alias,
        ];
        for pair in config {
            args.extend(["--config", pair]);
        }
        self.ok(&args);
    }

    /// Installs what the shipped intake flow needs, and deploys it.
    #[track_caller]
    pub fn install_intake(&self) {
        self.install("classifier", "config = true");
        self.install("crm", "run-context = true\n[key-value]");
        self.install("mail", "config = true\n[mail]\nrecipients = [\"*\"]");
        self.deploy_shipped("ticket-intake");
    }

    /// Deploys a shipped flow.
    #[track_caller]
    pub fn deploy_shipped(&self, flow: &str) {
        let path = self.dist.join("flows/support").join(format!("{flow}.yaml"));
        self.ok(&["flow", "deploy", path.to_str().unwrap()]);
    }

    /// Deploys a document.
    #[track_caller]
    pub fn deploy(&self, name: &str, document: &str) {
        let path = self.data().join(format!("{name}.yaml"));
        fs::write(&path, document).unwrap();
        self.ok(&["flow", "deploy", path.to_str().unwrap()]);
    }

    /// The audit log must hold.
    #[track_caller]
    pub fn audit_holds(&self) -> Value {
        let report = self.json(&["audit", "verify"]);
        assert_eq!(report["findings"], json!([]), "{report}");
        report
    }

    /// All runs, over all pages.
    pub fn all_runs(&self) -> Vec<Value> {
        let mut runs = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Value =
                self.api("GET", &format!("/api/v1/runs?limit=500{cursor}")).send().unwrap().json().unwrap();
            runs.extend(page["runs"].as_array().unwrap().iter().cloned());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return runs,
            }
        }
    }

    /// Waits until no run is under way.
    #[track_caller]
    pub fn settle(&self, limit: Duration) -> Vec<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let runs = self.all_runs();
            if runs.iter().all(|run| run["state"] != "running" && run["state"] != "waiting") {
                return runs;
            }
            assert!(Instant::now() < deadline, "runs are still under way: {runs:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The mails in the outbox folder.
    pub fn outbox(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data().join("outbox")) else { return Vec::new() };
        let mut mails: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "eml"))
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect();
        mails.sort();
        mails
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// A problem document: its content type, its members; returns it.
#[track_caller]
pub fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status().as_u16(), status, "{response:?}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().unwrap();
    for member in ["type", "title", "status", "detail", "code"] {
        assert!(!problem[member].is_null(), "{member} is missing: {problem}");
    }
    assert_eq!(problem["status"], status);
    problem
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A message as the intake flow takes it.
pub fn message(from: &str, text: &str) -> Value {
    json!({ "channel": "web", "from": from, "name": "Jane Doe", "subject": "Where is my parcel?", "text": text })
}
