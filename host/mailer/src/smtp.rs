//! SMTP (RFC 5321) over connections that are kept and used again.
//!
//! The pool is our own: lettre's takes a connection back even when the sending on it was cancelled half-way, and its
//! asynchronous reads have no time limit. Here one limit spans the whole attempt, and a connection that did not finish
//! its work is closed.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters, TlsVersion},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::{MailFault, SetupError, SmtpConfig, TlsMode};

/// How long a connection is kept unused. Servers close theirs after 5 minutes (RFC 5321, section 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(60);
/// The most characters of a server's words that are passed on.
const MAX_REPLY_CHARS: usize = 300;

pub(crate) struct Smtp {
    host: String,
    port: u16,
    mode: TlsMode,
    tls: Option<TlsParameters>,
    login: Option<(String, SecretString)>,
    hello: ClientId,
    timeout: Duration,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    permits: Semaphore,
}

impl Smtp {
    pub(crate) fn new(config: &SmtpConfig, password: Option<SecretString>) -> Result<Self, SetupError> {
        config.check(password.is_some())?;
        let tls = match config.tls {
            TlsMode::None => None,
            TlsMode::Starttls | TlsMode::Implicit => Some(tls(config)?),
        };
        Ok(Self {
            host: config.host.clone(),
            port: config.effective_port(),
            mode: config.tls,
            tls,
            login: config.username.clone().zip(password),
            hello: ClientId::default(),
            timeout: Duration::from_millis(config.timeout_ms),
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(config.max_connections as usize),
        })
    }

    /// Sends one mail within the time limit.
    pub(crate) async fn send(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), MailFault> {
        tokio::time::timeout(self.timeout, self.attempt(envelope, bytes)).await.map_err(|_| {
            MailFault::technical(
                "timeout",
                format!("{} did not take the mail within {} ms", self.server(), self.timeout.as_millis()),
            )
        })?
    }

    async fn attempt(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), MailFault> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| MailFault::technical("internal", "the mailer is being shut down"))?;
        let mut connection = match self.kept().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = connection.send(envelope, bytes).await;
        // A connection that failed, or whose sending was cancelled, is dropped, which closes it.
        match sent {
            Ok(_) => {
                if !connection.has_broken() {
                    self.keep(connection);
                }
                Ok(())
            }
            Err(error) => Err(self.sending_failed(&error)),
        }
    }

    /// A kept connection that still answers.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = self.idle.lock().ok()?.pop()?;
            if since.elapsed() < IDLE && connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.retain(|(_, since)| since.elapsed() < IDLE);
            idle.push((connection, Instant::now()));
        }
    }

    /// Connects, encrypts and logs in. Whatever goes wrong here is between the two servers and no fault of the mail.
    async fn connect(&self) -> Result<AsyncSmtpConnection, MailFault> {
        let implicit = if self.mode == TlsMode::Implicit { self.tls.clone() } else { None };
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, implicit, None)
                .await
                .map_err(|e| {
                    self.unavailable(&e, "connecting", "check host, port and tls under [mail.smtp]")
                })?;
        if self.mode == TlsMode::Starttls
            && let Some(tls) = self.tls.clone()
        {
            connection
                .starttls(tls, &self.hello)
                .await
                .map_err(|e| self.unavailable(&e, "encrypting", "check tls and ca-file under [mail.smtp]"))?;
        }
        if let Some((username, password)) = &self.login {
            let credentials = Credentials::new(username.clone(), password.expose_secret().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|e| {
                self.unavailable(
                    &e,
                    "logging in",
                    "check username and the secret of password-secret under [mail.smtp]",
                )
            })?;
        }
        Ok(connection)
    }

    fn server(&self) -> String {
        format!("the mail server {}:{}", self.host, self.port)
    }

    fn unavailable(&self, error: &Error, doing: &str, hint: &str) -> MailFault {
        let code = if error.is_timeout() { "timeout" } else { "unavailable" };
        MailFault::technical(code, format!("{}: {doing}: {}", self.server(), words(error))).with_hint(hint)
    }

    /// What a failure after the login means (RFC 5321, section 4.2).
    fn sending_failed(&self, error: &Error) -> MailFault {
        let message = format!("{}: {}", self.server(), words(error));
        let status = error.status().map_or(0, u16::from);
        match status {
            // Authentication required, or no longer valid: between the servers (RFC 4954, section 6).
            530 | 534 | 535 | 538 => MailFault::technical("unavailable", message)
                .with_hint("set username and password-secret under [mail.smtp]"),
            550 | 551 | 553 => MailFault::business("recipient-refused", message)
                .with_hint("check the recipient's address, and that the server may send for this sender"),
            500..=599 => MailFault::business("denied", message),
            _ if error.is_client() => MailFault::invalid(message),
            _ if error.is_timeout() => MailFault::technical("timeout", message),
            _ => MailFault::technical("unavailable", message),
        }
    }
}

/// The error with its causes, as one short line: a server's words are a stranger's words.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REPLY_CHARS).collect()
}

fn tls(config: &SmtpConfig) -> Result<TlsParameters, SetupError> {
    let mut tls = TlsParameters::builder(config.host.clone()).set_min_tls_version(TlsVersion::Tlsv12);
    if let Some(path) = &config.ca_file {
        let error = |e: &dyn std::fmt::Display| SetupError(format!("smtp: ca-file {}: {e}", path.display()));
        let pem = std::fs::read(path).map_err(|e| error(&e))?;
        if !pem.windows(27).any(|w| w == b"-----BEGIN CERTIFICATE-----") {
            return Err(error(&"holds no certificate (PEM, -----BEGIN CERTIFICATE-----)"));
        }
        tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| error(&e))?);
    }
    tls.build_rustls().map_err(|e| SetupError(format!("smtp: {e}")))
}
