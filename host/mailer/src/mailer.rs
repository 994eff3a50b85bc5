//! The mailer: one way out, chosen by the configuration.

use std::fmt;

use secrecy::SecretString;

use crate::{MailConfig, MailFault, MailMessage, Mailbox, SetupError, compose, outbox::Outbox, smtp::Smtp};

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The `Message-ID` it carries, with angle brackets.
    pub message_id: String,
    /// True when it was there already and nothing was written. Only the outbox can know; with a server, the caller's
    /// record of completed calls must.
    pub repeated: bool,
}

/// Sends mail. Cheap to share; one for the whole host.
pub struct Mailer {
    sender: Mailbox,
    transport: Transport,
}

enum Transport {
    Outbox(Outbox),
    Smtp(Box<Smtp>),
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("sender", &self.sender).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Builds the mailer. `password` is the value of the secret that `smtp.password-secret` names. Connects to nobody
    /// yet.
    ///
    /// # Errors
    /// What cannot work: no or two ways out, a sender that is no address, no encryption to another machine, a
    /// certificate file that cannot be read, a folder that cannot be made.
    pub fn new(config: &MailConfig, password: Option<SecretString>) -> Result<Self, SetupError> {
        let sender: lettre::message::Mailbox = config.sender.parse().map_err(|_| {
            SetupError(format!("sender = {:?} is no mailbox such as Desk <desk@example.com>", config.sender))
        })?;
        let sender = Mailbox { name: sender.name, address: sender.email.to_string() };
        compose::mailbox(&sender, "sender").map_err(|fault| SetupError(fault.message))?;
        let transport = match (&config.outbox, &config.smtp) {
            (Some(folder), None) => Transport::Outbox(Outbox::open(folder.clone())?),
            (None, Some(smtp)) => Transport::Smtp(Box::new(Smtp::new(smtp, password)?)),
            _ => {
                return Err(SetupError(
                    "name one way out: outbox = \"folder\", or the section [mail.smtp]".into(),
                ));
            }
        };
        Ok(Self { sender, transport })
    }

    /// The default sender.
    #[must_use]
    pub fn default_sender(&self) -> &Mailbox {
        &self.sender
    }

    /// Sends `mail` under `idempotency_key`: the same key gives the same `Message-ID`, so that a repeated attempt is
    /// the same mail. A connection that breaks after the whole mail went out leaves open whether it arrived; the
    /// attempt that follows carries the same `Message-ID`, by which receiving servers and people tell.
    ///
    /// With several recipients it goes to all or to none.
    ///
    /// # Errors
    /// See [`MailFault`] and the crate's head.
    pub async fn send(&self, mail: &MailMessage, idempotency_key: &str) -> Result<Receipt, MailFault> {
        let composed = compose::compose(mail, &self.sender, idempotency_key)?;
        let repeated = match &self.transport {
            Transport::Outbox(outbox) => outbox.put(&composed.message_id, composed.bytes).await?,
            Transport::Smtp(smtp) => {
                smtp.send(composed.message.envelope(), &composed.bytes).await?;
                false
            }
        };
        tracing::debug!(message_id = composed.message_id, repeated, "mail sent");
        Ok(Receipt { message_id: composed.message_id, repeated })
    }
}
