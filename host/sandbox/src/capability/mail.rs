//! `factotum:host/mail-out`: asks the grant for the sender and for every recipient, then hands the mail on.

use factotum_grant::{Capability, check_mail};

use super::{bindings::factotum::host::mail_out as wit, bindings::factotum::types::faults::Fault, to_guest};
use crate::{CallFault, MailAttachment, MailMailbox, MailMessage, state::State};

/// The most recipients of one mail.
const MAX_RECIPIENTS: usize = 100;

impl wit::Host for State {
    async fn send(&mut self, message: wit::Message) -> wasmtime::Result<Result<wit::Receipt, Fault>> {
        let message = MailMessage {
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
                .map(|a| MailAttachment { name: a.name, media_type: a.media_type, content: a.content })
                .collect(),
        };
        Ok(self.send_mail(message).await.map_err(to_guest))
    }
}

fn mailbox(m: wit::Mailbox) -> MailMailbox {
    MailMailbox { name: m.name, address: m.address }
}

impl State {
    async fn send_mail(&mut self, message: MailMessage) -> Result<wit::Receipt, CallFault> {
        let recipients: Vec<String> =
            message.to.iter().chain(&message.cc).map(|mailbox| mailbox.address.clone()).collect();
        if message.to.is_empty() || recipients.len() > MAX_RECIPIENTS {
            let found = recipients.len();
            return Err(CallFault::business(
                "invalid-input",
                format!("a mail has 1 to {MAX_RECIPIENTS} recipients, this one {found}"),
            ));
        }
        let target = recipients.join(", ");
        let sender = message.sender.as_ref().map(|s| s.address.as_str());
        let grant = self.grants().mail.as_ref();
        if let Err(denial) = check_mail(grant, sender, recipients.iter().map(String::as_str)) {
            self.uses.deny(&self.identity.name, "send", &target, &denial);
            return Err(CallFault::business("denied", denial.message));
        }
        let backends = self.backends().clone();
        let result = backends.mail.send(&self.identity.name, &self.context, message).await;
        self.note(Capability::Mail, "send", &target, &result, |fault| fault.code.clone());
        result.map(|receipt| wit::Receipt { message_id: receipt.message_id, repeated: receipt.repeated })
    }
}
