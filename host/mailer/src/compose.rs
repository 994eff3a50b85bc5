//! From a checked message to the bytes that travel (RFC 5322, RFC 2045 and following).

use lettre::{
    Address, Message,
    message::{
        Attachment as Part, Body, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
};
use sha2::{Digest, Sha256};

use crate::MailFault;

/// The most recipients (to and cc) of one mail.
pub const MAX_RECIPIENTS: usize = 50;
/// The most attachments of one mail.
pub const MAX_ATTACHMENTS: usize = 20;
/// The most bytes of a whole mail as it travels, attachments encoded.
pub const MAX_MAIL_BYTES: usize = 25 << 20;
/// The most bytes of the plain text, and of the HTML.
const MAX_TEXT_BYTES: usize = 2 << 20;
/// The most characters of a subject. Folded and encoded it stays far below RFC 5322's 998 for a line.
const MAX_SUBJECT_CHARS: usize = 300;
/// The most characters of a person's or a file's name.
const MAX_NAME_CHARS: usize = 200;

/// A mailbox (RFC 5322, section 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name shown to people.
    pub name: Option<String>,
    /// The address, `local@domain`.
    pub address: String,
}

/// A file that travels with the mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The file's name, without a path.
    pub name: String,
    /// The media type (RFC 6838).
    pub media_type: String,
    /// The bytes.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attachment({:?}, {}, {} bytes)", self.name, self.media_type, self.content.len())
    }
}

/// A mail to send: the contract's `mail-out.message`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailMessage {
    /// The sender; the configured one when absent.
    pub sender: Option<Mailbox>,
    /// The recipients; at least one.
    pub to: Vec<Mailbox>,
    /// Recipients of a copy.
    pub cc: Vec<Mailbox>,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
    /// The subject, one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// The `Message-ID` this mail answers. One that is no `Message-ID` is left out: a customer's odd mail program must
    /// not keep the answer from them.
    pub in_reply_to: Option<String>,
    /// Files that travel with the mail.
    pub attachments: Vec<Attachment>,
}

/// `Auto-Submitted` (RFC 3834, section 5): tells other machines not to answer, which is what ends mail loops.
#[derive(Clone)]
struct AutoSubmitted(String);

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.into()))
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

/// The `Message-ID` of the mail that is sent under `idempotency_key`, with its angle brackets. `domain` is the sender's.
#[must_use]
pub fn message_id(idempotency_key: &str, domain: &str) -> String {
    let digest = Sha256::digest(idempotency_key.as_bytes());
    // 160 bits: no two keys meet, and the header stays on one line.
    let short: String = hex::encode(digest).chars().take(40).collect();
    format!("<{short}@{domain}>")
}

/// Whether `id` has the form of a [`message_id`] of mails from `sender` (an address, or a name and an address in angle
/// brackets): such a mail that comes back in must not be answered.
#[must_use]
pub fn is_own_message_id(id: &str, sender: &str) -> bool {
    let domain = sender.trim().trim_end_matches('>').rsplit('@').next().unwrap_or_default();
    let Some((short, of)) = id.trim_start_matches('<').trim_end_matches('>').split_once('@') else {
        return false;
    };
    short.len() == 40
        && short.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && of.eq_ignore_ascii_case(domain)
}

/// A mail, ready to travel.
pub(crate) struct Composed {
    pub(crate) message: Message,
    pub(crate) bytes: Vec<u8>,
    pub(crate) message_id: String,
}

/// Checks every part of `mail` and puts it together.
pub(crate) fn compose(
    mail: &MailMessage,
    default_sender: &Mailbox,
    key: &str,
) -> Result<Composed, MailFault> {
    if mail.to.is_empty() {
        return Err(MailFault::invalid("the mail has no recipient"));
    }
    if mail.to.len().saturating_add(mail.cc.len()) > MAX_RECIPIENTS {
        return Err(MailFault::invalid(format!("the mail has more than {MAX_RECIPIENTS} recipients")));
    }
    if mail.attachments.len() > MAX_ATTACHMENTS {
        return Err(MailFault::invalid(format!("the mail has more than {MAX_ATTACHMENTS} attachments")));
    }
    if mail.text.len() > MAX_TEXT_BYTES || mail.html.as_ref().is_some_and(|html| html.len() > MAX_TEXT_BYTES)
    {
        return Err(MailFault::invalid(format!("the mail's text is larger than {MAX_TEXT_BYTES} bytes")));
    }
    let raw: usize = mail.attachments.iter().map(|a| a.content.len()).sum();
    if raw > MAX_MAIL_BYTES {
        return Err(too_large());
    }
    let subject = one_line(&mail.subject, "the subject", MAX_SUBJECT_CHARS)?;
    let sender = mailbox(mail.sender.as_ref().unwrap_or(default_sender), "the sender")?;
    let id = message_id(key, sender.email.domain());
    let replies = mail.in_reply_to.as_deref().and_then(valid_message_id);
    let automatic = if replies.is_some() { "auto-replied" } else { "auto-generated" };
    let mut builder = Message::builder()
        .from(sender)
        .subject(subject)
        .message_id(Some(id.clone()))
        .header(AutoSubmitted(automatic.into()));
    for to in &mail.to {
        builder = builder.to(mailbox(to, "a recipient")?);
    }
    for cc in &mail.cc {
        builder = builder.cc(mailbox(cc, "a recipient of a copy")?);
    }
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(mailbox(reply_to, "the reply address")?);
    }
    if let Some(id) = replies {
        builder = builder.in_reply_to(id.clone()).references(id);
    }
    let message = body(builder, mail)?;
    let bytes = message.formatted();
    if bytes.len() > MAX_MAIL_BYTES {
        return Err(too_large());
    }
    Ok(Composed { message, bytes, message_id: id })
}

fn too_large() -> MailFault {
    MailFault::invalid(format!(
        "the mail is larger than {MAX_MAIL_BYTES} bytes; store the file and send a link"
    ))
}

/// Plain text alone, or both forms as alternatives; attachments around them.
fn body(builder: lettre::message::MessageBuilder, mail: &MailMessage) -> Result<Message, MailFault> {
    let failed = |e| MailFault::technical("internal", format!("the mail cannot be put together: {e}"));
    let plain = SinglePart::plain(mail.text.clone());
    let both =
        mail.html.as_ref().map(|html| MultiPart::alternative_plain_html(mail.text.clone(), html.clone()));
    if mail.attachments.is_empty() {
        return match both {
            Some(both) => builder.multipart(both),
            None => builder.singlepart(plain),
        }
        .map_err(failed);
    }
    let mut mixed = match both {
        Some(both) => MultiPart::mixed().multipart(both),
        None => MultiPart::mixed().singlepart(plain),
    };
    for attachment in &mail.attachments {
        let name = one_line(&attachment.name, "an attachment's name", MAX_NAME_CHARS)?;
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(MailFault::invalid(format!("{name:?} is no file name; leave the path out")));
        }
        let media_type = ContentType::parse(&attachment.media_type).map_err(|_| {
            MailFault::invalid(format!("attachment {name:?}: no media type such as application/pdf"))
        })?;
        // Always base64: what only happens to be ASCII keeps its bytes as well, line ends included.
        let content = Body::new_with_encoding(attachment.content.clone(), ContentTransferEncoding::Base64)
            .map_err(|_| MailFault::technical("internal", "an attachment cannot be encoded"))?;
        mixed = mixed.singlepart(Part::new(name.to_owned()).body(content, media_type));
    }
    builder.multipart(mixed).map_err(failed)
}

/// Text that may stand in a header: one line, no control characters, no reordering of what people read.
fn one_line<'a>(text: &'a str, what: &str, max_chars: usize) -> Result<&'a str, MailFault> {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(bad) {
        return Err(MailFault::invalid(format!("{what} holds a line break or a control character")));
    }
    if text.chars().count() > max_chars {
        return Err(MailFault::invalid(format!("{what} is longer than {max_chars} characters")));
    }
    Ok(text.trim())
}

/// A checked mailbox. A domain with other letters than ASCII is written as `xn--…` (RFC 5891), so that every server takes it.
pub(crate) fn mailbox(given: &Mailbox, what: &str) -> Result<lettre::message::Mailbox, MailFault> {
    let invalid = || MailFault::invalid(format!("{what} is no mail address such as jane@example.com"));
    let name = match given.name.as_deref() {
        Some(name) => Some(one_line(name, &format!("{what}'s name"), MAX_NAME_CHARS)?.to_owned()),
        None => None,
    };
    let (local, domain) = given.address.rsplit_once('@').ok_or_else(invalid)?;
    // RFC 5321, section 4.5.3.1: 64 octets before the @, 254 in all.
    if given.address.len() > 254 || local.len() > 64 || given.address.contains(char::is_control) {
        return Err(invalid());
    }
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => url::Host::parse(domain).map_err(|_| invalid())?.to_string(),
    };
    let address = Address::new(local, domain).map_err(|_| invalid())?;
    Ok(lettre::message::Mailbox::new(name.filter(|n| !n.is_empty()), address))
}

/// The `Message-ID` in `given` with its brackets, when it is one (RFC 5322, section 3.6.4, without comments and folding).
fn valid_message_id(given: &str) -> Option<String> {
    let bare = given.trim();
    let bare = bare.strip_prefix('<').and_then(|b| b.strip_suffix('>')).unwrap_or(bare);
    let plain =
        bare.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'(' | b')' | b',' | b';'));
    let (left, right) = bare.split_once('@')?;
    (plain && bare.len() <= 250 && !left.is_empty() && !right.is_empty()).then(|| format!("<{bare}>"))
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
