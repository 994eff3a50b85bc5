//! How a session begins: connect, encrypt, ask what the server can do, sign in.

use std::sync::Arc;
use std::time::Duration;

use imap_codec::AuthenticateDataCodec;
use imap_codec::encode::Encoder;
use imap_codec::imap_types::auth::{AuthMechanism, AuthenticateData};
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::response::{Capability, Data, GreetingKind, Response};
use imap_codec::imap_types::secret::Secret;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Can, Session, ended_well};
use crate::fault::words;
use crate::wire::{Transport, Wire, broken};
use crate::{MailboxConfig, MailboxFault, TlsMode, tls};

/// What may come around a message, in bytes.
const AROUND: usize = 256 << 10;

impl Session {
    /// Connects, encrypts and signs in.
    ///
    /// # Errors
    /// See [`MailboxFault`]; nothing was sent in the clear that must not be.
    pub async fn open(config: &MailboxConfig, password: &SecretString) -> Result<Self, MailboxFault> {
        let address = (config.host.as_str(), config.effective_port());
        let connecting = tokio::time::timeout(config.timeout(), TcpStream::connect(address)).await;
        let stream = connecting
            .map_err(|_| MailboxFault::Timeout(config.timeout().as_secs()))?
            .map_err(|e| MailboxFault::Unavailable(words(&e.to_string())))?;
        // Commands are small, and each waits for its answer.
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Transport> = match config.tls {
            TlsMode::Implicit => encrypted(config, Box::new(stream)).await?,
            TlsMode::Starttls | TlsMode::None => Box::new(stream),
        };
        let most = config.max_message_bytes.saturating_add(AROUND);
        let mut session = Self {
            wire: Wire::new(stream, most, config.timeout()),
            can: Can::default(),
            commands: 0,
            changed: false,
            most,
            may_idle: config.idle,
            poll: Duration::from_secs(config.poll_seconds),
        };
        let greeting = session.wire.greeting().await?;
        if greeting.kind == GreetingKind::Bye {
            return Err(MailboxFault::Unavailable(words(greeting.text.inner())));
        }
        let mut signed_in = greeting.kind == GreetingKind::PreAuth;
        if config.tls == TlsMode::Starttls {
            if signed_in {
                return Err(MailboxFault::Tls("the server skips it".into()));
            }
            session = session.start_tls(config).await?;
            signed_in = false;
        }
        if !signed_in {
            session.capabilities().await?;
            session.sign_in(&config.username, password).await?;
        }
        // What it can do is often said again to who has signed in.
        session.capabilities().await?;
        Ok(session)
    }

    async fn start_tls(mut self, config: &MailboxConfig) -> Result<Self, MailboxFault> {
        self.capabilities().await?;
        if !self.can.starttls {
            return Err(MailboxFault::Tls("the server does not offer STARTTLS".into()));
        }
        self.run("STARTTLS", CommandBody::StartTLS, |_| {}).await?;
        // What came in the clear behind the answer is dropped with the old wire.
        let stream = encrypted(config, self.wire.into_stream()).await?;
        Ok(Self { wire: Wire::new(stream, self.most, config.timeout()), can: Can::default(), ..self })
    }

    async fn capabilities(&mut self) -> Result<(), MailboxFault> {
        let mut can = Can { login: true, ..Can::default() };
        self.run("asking what the server can do", CommandBody::Capability, |answer| {
            if let Response::Data(Data::Capability(all)) = answer {
                for one in all.into_iter() {
                    match one {
                        Capability::Idle => can.idle = true,
                        Capability::Move => can.moving = true,
                        Capability::UidPlus => can.uid_plus = true,
                        Capability::SaslIr => can.initial = true,
                        Capability::LoginDisabled => can.login = false,
                        Capability::StartTls => can.starttls = true,
                        Capability::Auth(AuthMechanism::Plain) => can.plain = true,
                        _ => {}
                    }
                }
            }
        })
        .await?;
        self.can = can;
        Ok(())
    }

    /// Signs in with SASL PLAIN (RFC 4616), else with LOGIN.
    async fn sign_in(&mut self, username: &str, password: &SecretString) -> Result<(), MailboxFault> {
        let plain = format!("\0{username}\0{}", password.expose_secret()).into_bytes();
        let ended = if self.can.plain && self.can.initial {
            let body = CommandBody::authenticate_with_ir(AuthMechanism::Plain, plain);
            let tag = self.send(body).await?;
            self.until(&tag).await?
        } else if self.can.plain {
            let tag = self.send(CommandBody::authenticate(AuthMechanism::Plain)).await?;
            let _ = self.wire.asked_on().await.map_err(denied)?;
            let data = AuthenticateData::Continue(Secret::new(plain.into()));
            let line = AuthenticateDataCodec::default().encode(&data).dump();
            self.wire.send(&line).await?;
            self.until(&tag).await?
        } else if self.can.login {
            let body = CommandBody::login(username, password.expose_secret())
                .map_err(|_| MailboxFault::Denied("the name or the password cannot be sent".into()))?;
            let tag = self.send(body).await?;
            self.until(&tag).await?
        } else {
            return Err(MailboxFault::Denied("the server offers no way that is known here".into()));
        };
        ended_well("signing in", &ended).map_err(denied)
    }
}

async fn encrypted(
    config: &MailboxConfig,
    stream: Box<dyn Transport>,
) -> Result<Box<dyn Transport>, MailboxFault> {
    let name = ServerName::try_from(config.host.clone()).map_err(|_| {
        MailboxFault::Tls(format!("{:?} is no name that a certificate can have", config.host))
    })?;
    let connector = TlsConnector::from(Arc::new(tls::config(config)?));
    let encrypting = tokio::time::timeout(config.timeout(), connector.connect(name, stream)).await;
    let stream = encrypting
        .map_err(|_| MailboxFault::Timeout(config.timeout().as_secs()))?
        .map_err(|e| MailboxFault::Tls(words(&broken(&e).to_string())))?;
    Ok(Box::new(stream))
}

fn denied(fault: MailboxFault) -> MailboxFault {
    match fault {
        MailboxFault::Refused { words, .. } => MailboxFault::Denied(words),
        other => other,
    }
}
