//! The seam to the mailer: whoever really hands a mail over for delivery.

use async_trait::async_trait;
use factotum_mailer::{Attachment, Mailbox, Mailer};
use factotum_sandbox::{CallFault, FaultKind, MailMailbox, MailMessage, MailReceipt};

/// Hands mails over for delivery.
#[async_trait]
pub(crate) trait Courier: Send + Sync {
    /// Hands one mail over. When this returns without a fault, the receiving side has taken it. The same key gives the
    /// same `Message-ID` (RFC 5322, section 3.6.4).
    async fn deliver(&self, message: MailMessage, key: &str) -> Result<MailReceipt, CallFault>;
}

#[async_trait]
impl Courier for Mailer {
    async fn deliver(&self, message: MailMessage, key: &str) -> Result<MailReceipt, CallFault> {
        let mail = factotum_mailer::MailMessage {
            sender: message.sender.map(mailbox),
            to: message.to.into_iter().map(mailbox).collect(),
            cc: message.cc.into_iter().map(mailbox).collect(),
            reply_to: message.reply_to.map(mailbox),
            subject: message.subject,
            text: message.text,
            html: message.html,
            in_reply_to: message.in_reply_to,
            attachments: message
                .attachments
                .into_iter()
                .map(|a| Attachment { name: a.name, media_type: a.media_type, content: a.content })
                .collect(),
        };
        let receipt = self.send(&mail, key).await.map_err(|fault| CallFault {
            kind: match fault.kind {
                factotum_mailer::FaultKind::Business => FaultKind::Business,
                factotum_mailer::FaultKind::Technical => FaultKind::Technical,
            },
            code: fault.code.to_owned(),
            message: fault.message,
            hint: fault.hint,
            retry_after_ms: fault.retry_after_ms,
            detail: None,
        })?;
        Ok(MailReceipt { message_id: receipt.message_id, repeated: receipt.repeated })
    }
}

fn mailbox(mailbox: MailMailbox) -> Mailbox {
    Mailbox { name: mailbox.name, address: mailbox.address }
}
