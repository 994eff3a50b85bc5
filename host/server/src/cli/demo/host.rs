//! The demo's server: this very program as a process of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use tokio::process::{Child, Command};

use crate::{
    cli::client::Client,
    serve::{ADDRESS_FILE, TOKEN_FILE},
};

/// The first start compiles nothing and still may take a while on a small machine.
const START: Duration = Duration::from_secs(60);
/// How long the server may take to stop in good order.
const STOP: Duration = Duration::from_secs(30);

/// A running server.
pub struct ServerProcess {
    child: Child,
    data: PathBuf,
    address: String,
}

impl ServerProcess {
    /// Starts a server on a free port of this machine and waits until it takes work.
    pub async fn start(data: &Path, config: Option<&Path>) -> Result<Self> {
        let log = fs::File::create(data.join("server.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--data").arg(data).args([
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ]);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting the server")?;
        let mut server = Self { child, data: data.to_owned(), address: String::new() };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = server.child.try_wait()? {
                let log = fs::read_to_string(data.join("server.log")).unwrap_or_default();
                bail!("the server ended at once ({status}): {}", log.trim());
            }
            if let Ok(address) = fs::read_to_string(data.join(ADDRESS_FILE)) {
                server.address = address.trim().to_owned();
                let client = server.client()?;
                if client.open(Method::GET, "/readyz").send().await.is_ok_and(|r| r.status().is_success()) {
                    return Ok(server);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "the server was not ready within {} s; see {}",
            START.as_secs(),
            data.join("server.log").display()
        )
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client with its token.
    pub fn client(&self) -> Result<Client> {
        let token = fs::read_to_string(self.data.join(TOKEN_FILE)).context("the server's token")?;
        Client::local(&self.data, &self.address, token.trim())
    }

    /// Stops it in good order.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status =
            tokio::time::timeout(STOP, self.child.wait()).await.context("the server did not stop")??;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}
