//! `factotum:host/mail-out`: asks the grant for the sender and for every recipient, then hands the mail on.

use std::sync::Arc;

use factotum_grant::Capability;

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

/// The bytes of a mail as the plugin hands it over: all of its texts, and the attachments before they are encoded.
fn size(message: &MailMessage) -> u64 {
    let texts =
        [Some(&message.subject), Some(&message.text), message.html.as_ref(), message.in_reply_to.as_ref()];
    let texts = texts.into_iter().flatten().map(String::len);
    let attachments =
        message.attachments.iter().flat_map(|a| [a.name.len(), a.media_type.len(), a.content.len()]);
    texts.chain(attachments).fold(0, |sum: u64, len| sum.saturating_add(len as u64))
}

impl State {
    pub(super) async fn send_mail(&mut self, message: MailMessage) -> Result<wit::Receipt, CallFault> {
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
        let right = self.right();
        let addresses = recipients.iter().map(String::as_str);
        let allowed = right
            .effective
            .check_mail_with(sender, addresses, &self.data.carried())
            .and_then(|()| right.effective.check_mail_size(size(&message)));
        if let Err(denial) = allowed {
            self.deny("send", &target, &denial);
            return Err(CallFault::business("denied", denial.message));
        }
        let ledger = Arc::clone(&self.identity().ledger);
        let counted =
            right.begin_mail(&ledger).map_err(|too_often| self.too_often("send", &target, too_often))?;
        drop(right);
        let backends = self.backends().clone();
        let result = backends.mail.send(&self.identity().name, &self.context, message).await;
        // An earlier attempt sent and counted it. One that failed stays counted: it may have arrived.
        if counted && result.as_ref().is_ok_and(|receipt| receipt.repeated) {
            ledger.mails.give_back();
        }
        self.note(Capability::Mail, "send", &target, &result, |fault| fault.code.clone());
        result.map(|receipt| wit::Receipt { message_id: receipt.message_id, repeated: receipt.repeated })
    }
}
