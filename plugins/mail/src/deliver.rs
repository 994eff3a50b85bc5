//! Hands a written letter to the host.

use factotum_sdk::{
    Fault,
    mail::{Mailbox, Message, send as send_mail},
};

use crate::{
    bindings::exports::factotum::mail::mail::{Delivery, Rendered, Sent},
    sources::configured,
};

/// Sends the letter. The host knows the call's idempotency key and keeps a repeated attempt from sending it twice.
///
/// # Errors
/// What the host says: a business fault when policy or the receiving server refuses it, a technical one when the server
/// is not ready.
pub(crate) fn send(letter: Rendered, delivery: Delivery) -> Result<Sent, Fault> {
    let message = Message {
        sender: sender(delivery.sender, delivery.sender_name)?,
        to: vec![Mailbox { name: delivery.to_name, address: delivery.to }],
        cc: Vec::new(),
        reply_to: delivery.reply_to.map(|address| Mailbox { name: None, address }),
        subject: letter.subject,
        text: letter.text,
        html: Some(letter.html),
        in_reply_to: delivery.in_reply_to,
        attachments: Vec::new(),
    };
    let receipt = send_mail(&message)?;
    Ok(Sent {
        message_id: receipt.message_id,
        subject: message.subject,
        language: letter.language,
        repeated: receipt.repeated,
    })
}

/// The sender: the delivery's own, else the configured one, else the host's (`None`).
fn sender(address: Option<String>, name: Option<String>) -> Result<Option<Mailbox>, Fault> {
    if let Some(address) = address {
        return Ok(Some(Mailbox { name, address }));
    }
    match (configured("sender")?, name) {
        (Some(text), name) => {
            let mut mailbox = parse(&text)?;
            mailbox.name = name.or(mailbox.name);
            Ok(Some(mailbox))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Fault::invalid_input("a sender's name without a sender's address")
            .with_hint("give the sender's address as well, or configure sender")),
    }
}

/// `desk@example.com` or `Desk <desk@example.com>`; the host checks the address itself.
fn parse(text: &str) -> Result<Mailbox, Fault> {
    let text = text.trim();
    let Some(rest) = text.strip_suffix('>') else {
        return Ok(Mailbox { name: None, address: text.to_owned() });
    };
    let (name, address) = rest
        .rsplit_once('<')
        .ok_or_else(|| Fault::invalid_configuration("sender is neither an address nor Name <address>"))?;
    let name = name.trim().trim_matches('"').trim();
    Ok(Mailbox { name: (!name.is_empty()).then(|| name.to_owned()), address: address.trim().to_owned() })
}
