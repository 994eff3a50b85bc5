//! What a message says: its fields, its text, its files, from bytes that a stranger sent (RFC 5322, RFC 2045 and following).
//!
//! The library reads header fields, transfer encodings and character sets. How parts lie inside one another is read here,
//! with bounds: a message that travels inside another one is a file like any other, and is not opened.

mod automatic;
mod charset;
mod header;
mod input;
mod part;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{HeaderValue, Message};
use sha2::{Digest, Sha256};

pub use input::Place;
pub use part::{MAX_ATTACHMENTS, MAX_DEPTH, MAX_PARTS};

/// The most bytes of a message's header fields.
pub const MAX_HEADER_BYTES: usize = 128 << 10;
/// The most addresses of one field.
const MAX_PERSONS: usize = 100;
/// The most characters of a name, and of a file's name.
const MAX_NAME_CHARS: usize = 200;
/// The most characters of a subject.
const MAX_SUBJECT_CHARS: usize = 500;
/// The most messages that a message says it belongs to.
const MAX_REFERENCES: usize = 50;
/// The most header fields that are handed on as they stand, and the most characters of each.
const MAX_FIELDS: usize = 100;
const MAX_FIELD_CHARS: usize = 1_000;

/// How much of a message is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes of the whole message.
    pub max_bytes: usize,
}

/// Someone in a field of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Person {
    /// The name shown to people.
    pub name: Option<String>,
    /// The address; a text without one is kept as the name alone.
    pub address: Option<String>,
}

/// A file that travels with a message, or a part that is no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, without a path; one of ours when it has none.
    pub name: String,
    /// The media type that the sender claims (RFC 6838).
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// The identifier under which the HTML shows it (`cid:`, RFC 2392).
    pub content_id: Option<String>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attachment({:?}, {}, {} bytes)", self.name, self.media_type, self.content.len())
    }
}

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `Message-ID` with its angle brackets, when it is one.
    pub message_id: Option<String>,
    /// Who wrote it, as it says: nothing of it is proved.
    pub from: Vec<Person>,
    /// Where answers go.
    pub reply_to: Vec<Person>,
    /// To whom it goes.
    pub to: Vec<Person>,
    /// Who gets a copy.
    pub cc: Vec<Person>,
    /// The subject, one line.
    pub subject: String,
    /// When it was written, as it says, RFC 3339.
    pub date: Option<String>,
    /// The text; made of the HTML where there is nothing else.
    pub text: String,
    /// The HTML, as it was sent: not safe to show.
    pub html: Option<String>,
    /// The message that it answers.
    pub in_reply_to: Option<String>,
    /// The messages that it belongs to, the first one first.
    pub references: Vec<String>,
    /// Why it is taken to be sent by a machine: an automatic answer, a bounce, a bulk mail (RFC 3834).
    pub automatic: Option<String>,
    /// The mailing list that it came over (RFC 2919).
    pub list: Option<String>,
    /// The header fields as they stand, in their order.
    pub headers: Vec<(String, String)>,
    /// The files.
    pub attachments: Vec<Attachment>,
    /// Whether something was left out because there was too much of it. The raw message has it.
    pub cut: bool,
    /// What is the same for every copy of one message, and for no other: SHA-256.
    ///
    /// With a `Message-ID`, over that, the sender, the date and the body: a message that came twice on two ways differs in
    /// what the servers on the way wrote on top. Without one, over all bytes.
    pub identity: [u8; 32],
}

/// A message that nothing can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Reads a message. Takes memory of a few times its size, and no stack for how its parts nest.
///
/// # Errors
/// When it is too large, or has no header fields or too many.
pub fn read(raw: &[u8], bounds: Bounds) -> Result<Letter, Unreadable> {
    if raw.len() > bounds.max_bytes {
        return Err(Unreadable(format!(
            "it has {} bytes; at most {} are taken (max-message-bytes)",
            raw.len(),
            bounds.max_bytes
        )));
    }
    // The library promises not to panic, and has done so before on broken messages.
    catch_unwind(AssertUnwindSafe(|| letter(raw)))
        .unwrap_or_else(|_| Err(Unreadable("reading it broke off".into())))
}

fn letter(raw: &[u8]) -> Result<Letter, Unreadable> {
    let (head, body) = header::split(raw);
    if head.len() > MAX_HEADER_BYTES {
        return Err(Unreadable(format!("its header fields are longer than {MAX_HEADER_BYTES} bytes")));
    }
    let head = header::readable(head);
    let fields = header::parse(&head).ok_or_else(|| Unreadable("it has no header fields".into()))?;
    let said = part::gather(&fields, body);
    let message_id = fields.message_id().and_then(id);
    let from = persons(fields.header("From"));
    let list = fields.header_raw("List-Id").map(|list| line(list, MAX_NAME_CHARS));
    Ok(Letter {
        identity: identity(raw, message_id.as_deref(), &from, fields.header_raw("Date"), body),
        reply_to: persons(fields.header("Reply-To")),
        to: persons(fields.header("To")),
        cc: persons(fields.header("Cc")),
        subject: fields.subject().map(|subject| line(subject, MAX_SUBJECT_CHARS)).unwrap_or_default(),
        date: fields.date().filter(|date| date.is_valid()).map(mail_parser::DateTime::to_rfc3339),
        in_reply_to: ids(fields.header("In-Reply-To")).pop(),
        references: ids(fields.header("References")),
        automatic: automatic::reason(&fields, said.report),
        list: list.filter(|list| !list.is_empty()),
        headers: as_they_stand(&fields),
        text: said.text,
        html: said.html,
        attachments: said.attachments,
        cut: said.cut,
        message_id,
        from,
    })
}

fn identity(
    raw: &[u8],
    message_id: Option<&str>,
    from: &[Person],
    date: Option<&str>,
    body: &[u8],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    match message_id {
        Some(id) => {
            let sender = from.first().and_then(|person| person.address.as_deref()).unwrap_or_default();
            part(id.as_bytes());
            part(sender.as_bytes());
            part(date.unwrap_or_default().trim().as_bytes());
            // Servers differ in the last line break that they keep.
            part(body.trim_ascii_end());
        }
        None => part(raw),
    }
    hash.finalize().into()
}

/// One line for people: no control character, nothing that turns the reading direction, not too long.
fn line(text: &str, max_chars: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control() || turns(c));
    let mut out = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > max_chars.saturating_mul(4) {
            break;
        }
    }
    match out.char_indices().nth(max_chars) {
        Some((at, _)) => out.get(..at).unwrap_or_default().trim_end().to_owned(),
        None => out,
    }
}

/// Characters that turn the reading direction, with which a name can be made to look like another.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn persons(value: Option<&HeaderValue<'_>>) -> Vec<Person> {
    let Some(addresses) = value.and_then(HeaderValue::as_address) else { return Vec::new() };
    let person = |address: &mail_parser::Addr<'_>| {
        let name = address.name().map(|name| line(name, MAX_NAME_CHARS)).filter(|name| !name.is_empty());
        // RFC 5321, section 4.5.3.1.3.
        let address = address.address().map(str::trim).filter(|text| {
            (3..=254).contains(&text.len())
                && text.contains('@')
                && !text.contains(|c: char| c.is_control() || c == ' ')
        });
        Person { name, address: address.map(str::to_owned) }
    };
    let all = addresses.iter().take(MAX_PERSONS).map(person);
    all.filter(|person| person.name.is_some() || person.address.is_some()).collect()
}

/// A message's identifier (RFC 5322, section 3.6.4) with its angle brackets.
fn id(text: &str) -> Option<String> {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
    let plain = bare.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b',' | b';'));
    ((3..=250).contains(&bare.len()) && plain).then(|| format!("<{bare}>"))
}

fn ids(value: Option<&HeaderValue<'_>>) -> Vec<String> {
    match value {
        Some(HeaderValue::Text(text)) => id(text).into_iter().collect(),
        Some(HeaderValue::TextList(texts)) => {
            texts.iter().filter_map(|text| id(text)).take(MAX_REFERENCES).collect()
        }
        _ => Vec::new(),
    }
}

fn as_they_stand(fields: &Message<'_>) -> Vec<(String, String)> {
    let field = |(name, value): (&str, &str)| {
        let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(80).collect();
        (name, line(value, MAX_FIELD_CHARS))
    };
    fields.headers_raw().take(MAX_FIELDS).map(field).filter(|(name, _)| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests;
