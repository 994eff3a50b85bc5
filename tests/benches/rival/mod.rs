//! The systems beside which Factotum is measured: installed by name, started on loopback, stopped at the end.

#![allow(clippy::unwrap_used, missing_docs)] // a bench: whatever goes wrong ends it

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// A running system.
pub struct Rival {
    base: String,
    processes: Vec<Process>,
    _data: tempfile::TempDir,
}

/// A process with all that it started. Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

impl Rival {
    /// Where a piece of work is asked for.
    pub fn url(&self, work: &str) -> String {
        format!("{}/{work}", self.base)
    }

    /// Waits until it answers a message.
    fn ready(mut self) -> Result<Self, String> {
        let client = client();
        let deadline = Instant::now() + PATIENCE;
        let message = serde_json::json!({"name": "jane", "text": "hello"});
        loop {
            for process in &mut self.processes {
                if let Ok(Some(status)) = process.0.try_wait() {
                    return Err(format!("it ended with {status}"));
                }
            }
            let answered = |work| {
                let answer = client.post(self.url(work)).json(&message).send();
                answer.is_ok_and(|answer| answer.status().is_success())
            };
            if answered("three") && answered("reply") {
                return Ok(self);
            }
            if Instant::now() > deadline {
                return Err(format!("it did not answer within {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Node-RED: HTTP in, function nodes, response.
pub fn node_red() -> Result<Rival, String> {
    let home = install("node-red", &["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"])?;
    let data = tempfile::tempdir().map_err(|e| e.to_string())?;
    for file in ["settings.js", "flows.json"] {
        fs::copy(home.join(file), data.path().join(file)).map_err(|e| e.to_string())?;
    }
    let port = free_port();
    let process = start(
        Command::new(home.join("node_modules/.bin/node-red"))
            .arg("--userDir")
            .arg(data.path())
            .env("RIVAL_PORT", port.to_string()),
        data.path(),
    )?;
    let base = format!("http://127.0.0.1:{port}/bench");
    Rival { base, processes: vec![process], _data: data }.ready()
}

/// Restate: its server, and a service written with its SDK.
pub fn restate() -> Result<Rival, String> {
    let home = install("restate", &["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"])?;
    let data = tempfile::tempdir().map_err(|e| e.to_string())?;
    let [service, ingress, admin, fabric] = [free_port(), free_port(), free_port(), free_port()];
    let modules = home.join("node_modules");
    let sdk = start(
        Command::new(modules.join(".bin/node"))
            .arg(home.join("service.mjs"))
            .env("SERVICE_PORT", service.to_string())
            .env("RESTATE_LOGGING", "ERROR")
            .env("NODE_ENV", "production"),
        data.path(),
    )?;
    let binary = modules.join(format!("@restatedev/restate-server-linux-{}/bin/restate-server", npm_arch()));
    let server = start(
        Command::new(binary)
            .arg("--base-dir")
            .arg(data.path())
            .env("RESTATE_LOG_FILTER", "error")
            .env("RESTATE_DISABLE_TELEMETRY", "true")
            .env("RESTATE_BIND_ADDRESS", format!("127.0.0.1:{fabric}"))
            .env("RESTATE_ADVERTISED_ADDRESS", format!("http://127.0.0.1:{fabric}"))
            .env("RESTATE_INGRESS__BIND_ADDRESS", format!("127.0.0.1:{ingress}"))
            .env("RESTATE_ADMIN__BIND_ADDRESS", format!("127.0.0.1:{admin}")),
        data.path(),
    )?;
    let base = format!("http://127.0.0.1:{ingress}/bench");
    let rival = Rival { base, processes: vec![sdk, server], _data: data };
    let client = client();
    let deadline = Instant::now() + PATIENCE;
    let deployment = serde_json::json!({"uri": format!("http://127.0.0.1:{service}")});
    let register = || client.post(format!("http://127.0.0.1:{admin}/deployments")).json(&deployment).send();
    while !register().is_ok_and(|answer| answer.status().is_success()) {
        if Instant::now() > deadline {
            return Err(format!("its service could not be registered within {PATIENCE:?}"));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    rival.ready()
}

/// n8n: SQLite, main mode.
pub fn n8n() -> Result<Rival, String> {
    let home = install("n8n", &["npx", "--yes", "pnpm@10", "install", "--reporter=silent"])?;
    let data = tempfile::tempdir().map_err(|e| e.to_string())?;
    let [port, broker] = [free_port(), free_port()];
    let n8n = |args: &[&str]| {
        let mut command = Command::new(home.join("node_modules/.bin/n8n"));
        command
            .args(args)
            .env("N8N_USER_FOLDER", data.path())
            .env("N8N_PORT", port.to_string())
            .env("N8N_LISTEN_ADDRESS", "127.0.0.1")
            .env("N8N_RUNNERS_BROKER_PORT", broker.to_string())
            .env("N8N_DIAGNOSTICS_ENABLED", "false")
            .env("N8N_PERSONALIZATION_ENABLED", "false")
            .env("N8N_VERSION_NOTIFICATIONS_ENABLED", "false")
            .env("N8N_LOG_LEVEL", "error")
            .env("DB_TYPE", "sqlite");
        command
    };
    let workflows = home.join("workflows.json");
    let once = |args: &[&str]| {
        let output = n8n(args).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("n8n {args:?}: {said}")) }
    };
    once(&["import:workflow", &format!("--input={}", workflows.display())])?;
    for id in ["rivalthree000011", "rivalreply000012"] {
        once(&["publish:workflow", &format!("--id={id}")])?;
    }
    let process = start(&mut n8n(&["start"]), data.path())?;
    let base = format!("http://127.0.0.1:{port}/webhook/bench");
    Rival { base, processes: vec![process], _data: data }.ready()
}

/// Copies a folder of `tests/rivals` below the target folder and installs there what it names; once for each content.
fn install(name: &str, command: &[&str]) -> Result<PathBuf, String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals").join(name);
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rivals").join(name);
    fs::create_dir_all(&to).map_err(|e| e.to_string())?;
    let mut stamp = String::new();
    for entry in fs::read_dir(&from).map_err(|e| e.to_string())?.flatten() {
        let text = fs::read_to_string(entry.path()).map_err(|e| e.to_string())?;
        fs::write(to.join(entry.file_name()), &text).map_err(|e| e.to_string())?;
        if entry.file_name() == "package.json" || entry.file_name() == "pnpm-workspace.yaml" {
            stamp.push_str(&text);
        }
    }
    let done = to.join(".installed");
    if fs::read_to_string(&done).is_ok_and(|had| had == stamp) {
        return Ok(to);
    }
    println!("installing {name}");
    let (program, args) = command.split_first().ok_or("nothing installs it")?;
    let mut install = Command::new(program);
    install.args(args).current_dir(&to);
    // Native modules are built against the headers that Debian ships, where it does.
    if Path::new("/usr/include/node/node.h").exists() {
        install.env("npm_config_nodedir", "/usr");
    }
    let output = install.output().map_err(|e| format!("{program} cannot be run: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    fs::write(&done, stamp).map_err(|e| e.to_string())?;
    Ok(to)
}

fn start(command: &mut Command, folder: &Path) -> Result<Process, String> {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
    let log = log.map_err(|e| e.to_string())?;
    let errors = log.try_clone().map_err(|e| e.to_string())?;
    let program = command.get_program().to_owned();
    command.current_dir(folder).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().map(Process).map_err(|e| format!("{} cannot be started: {e}", program.display()))
}

fn client() -> reqwest::blocking::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap()
}

/// A port that nothing uses at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_or(0, |at| at.port())
}

fn npm_arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" }
}
