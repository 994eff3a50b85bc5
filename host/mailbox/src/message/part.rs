//! The parts of a message (RFC 2046): how they lie inside one another, which are text, which are files.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Message, MimeHeaders};

use super::{Attachment, MAX_NAME_CHARS, charset, header, line};

/// The most parts of one message, at all depths.
pub const MAX_PARTS: usize = 500;
/// How deep parts may lie inside one another; what lies deeper stays in one piece.
pub const MAX_DEPTH: usize = 10;
/// The most files of one message.
pub const MAX_ATTACHMENTS: usize = 100;
/// The most bytes of a part's header fields; a part with more is a file without a name.
const MAX_PART_HEADER: usize = 16 << 10;
/// The most bytes of a text part that are looked at.
const MAX_TEXT_PART: usize = 1 << 20;
/// The most bytes of all text, and of all HTML.
const MAX_TEXT: usize = 512 << 10;

/// What was found in a message.
#[derive(Default)]
pub(super) struct Said {
    pub text: String,
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
    /// Something was left out.
    pub cut: bool,
    /// The message is a report on the delivery of another one (RFC 6522).
    pub report: bool,
    parts: usize,
}

/// Looks through a message.
pub(super) fn gather(fields: &Message<'_>, body: &[u8]) -> Said {
    let mut said = Said::default();
    said.part(Some(fields), body, 0, false);
    said
}

/// What a part is, in lower case: `text`, `plain`.
fn kind(fields: Option<&Message<'_>>) -> (String, String) {
    let Some(kind) = fields.and_then(MimeHeaders::content_type) else {
        return ("text".into(), "plain".into());
    };
    let token = |text: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        ((1..=64).contains(&text.len()) && text.bytes().all(fine)).then(|| text.to_ascii_lowercase())
    };
    match (token(kind.ctype()), kind.subtype().and_then(token)) {
        (Some(kind), Some(sub)) => (kind, sub),
        // RFC 2045, section 5.2: a word alone, as some programs write it, means nothing.
        (Some(kind), None) if kind == "text" => (kind, "plain".into()),
        _ => ("application".into(), "octet-stream".into()),
    }
}

impl Said {
    /// Takes up a part. `alternative`: it is one form of several of the same.
    fn part(&mut self, fields: Option<&Message<'_>>, body: &[u8], depth: usize, alternative: bool) {
        self.parts += 1;
        let (kind, sub) = kind(fields);
        let content_type = fields.and_then(MimeHeaders::content_type);
        if kind == "multipart"
            && depth < MAX_DEPTH
            && let Some(boundary) =
                content_type.and_then(|t| t.attribute("boundary")).filter(|b| !b.is_empty())
        {
            if depth == 0 && sub == "report" {
                let report = content_type.and_then(|t| t.attribute("report-type")).unwrap_or_default();
                // A receipt that a person's program sends is a machine's message, too.
                self.report = report.starts_with("delivery") || report.starts_with("disposition");
            }
            self.several(body, boundary.as_bytes(), depth, sub == "alternative");
            return;
        }
        let content = decoded(fields, body);
        let named = fields.and_then(MimeHeaders::attachment_name);
        let attached = fields.and_then(MimeHeaders::content_disposition).is_some_and(|d| d.is_attachment());
        if kind == "text" && matches!(sub.as_str(), "plain" | "html") && !attached && named.is_none() {
            self.cut |= content.len() > MAX_TEXT_PART;
            let content = content.get(..MAX_TEXT_PART).unwrap_or(&content);
            let text = charset::decode(content, content_type.and_then(|t| t.attribute("charset")));
            return self.readable(&text, sub == "html", alternative);
        }
        if self.attachments.len() >= MAX_ATTACHMENTS {
            self.cut = true;
            return;
        }
        let number = self.attachments.len() + 1;
        let name = named.map(file_name).filter(|name| !name.is_empty()).unwrap_or_else(|| {
            let ending = match (kind.as_str(), sub.as_str()) {
                ("message", _) => ".eml",
                ("text", "calendar") => ".ics",
                ("text", "html") => ".html",
                ("text", _) => ".txt",
                ("image", "png") => ".png",
                ("image", "jpeg") => ".jpg",
                ("application", "pdf") => ".pdf",
                _ => ".bin",
            };
            format!("attachment-{number}{ending}")
        });
        let content_id = fields.and_then(MimeHeaders::content_id).map(|id| line(id, MAX_NAME_CHARS));
        self.attachments.push(Attachment {
            name,
            media_type: format!("{kind}/{sub}"),
            content,
            content_id: content_id.filter(|id| !id.is_empty()),
        });
    }

    /// Takes up the parts between the boundaries.
    fn several(&mut self, body: &[u8], boundary: &[u8], depth: usize, alternative: bool) {
        let (text, html) = (self.text.len(), self.html.as_ref().map_or(0, String::len));
        for part in between(body, boundary) {
            if self.parts >= MAX_PARTS {
                self.cut = true;
                break;
            }
            let (head, inner) = header::split(part);
            if head.len() > MAX_PART_HEADER {
                self.cut = true;
                self.parts += 1;
                continue;
            }
            let head = header::readable(head);
            self.part(header::parse(&head).as_ref(), inner, depth + 1, alternative);
        }
        // HTML that has no plain form beside it.
        if alternative && self.text.len() == text {
            let grown = self.html.as_ref().and_then(|all| all.get(html..)).unwrap_or_default();
            if !grown.is_empty() {
                let plain = html_to_text(grown);
                self.readable(&plain, false, false);
            }
        }
    }

    /// Adds text that people read.
    fn readable(&mut self, text: &str, html: bool, alternative: bool) {
        if html && !alternative {
            let plain = html_to_text(text);
            self.cut |= add(&mut self.text, &plain);
        }
        if html {
            self.cut |= add(self.html.get_or_insert_default(), text);
        } else {
            self.cut |= add(&mut self.text, text);
        }
    }
}

/// Adds as much as there is room for; whether something was left out.
fn add(all: &mut String, more: &str) -> bool {
    let more = more.trim_end();
    if !all.is_empty() && !more.is_empty() {
        all.push('\n');
    }
    let room = MAX_TEXT.saturating_sub(all.len());
    let end = more.floor_char_boundary(room.min(more.len()));
    // A zero byte is nothing that anyone wrote, and databases choke on it.
    all.extend(more.get(..end).unwrap_or_default().chars().filter(|c| *c != '\0'));
    end < more.len()
}

/// A file's name without its path, and without what makes names look like others.
fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    line(last, MAX_NAME_CHARS).trim_start_matches('.').trim().to_owned()
}

/// A part's bytes without its transfer encoding (RFC 2045, section 6). One that breaks the rules of its encoding is read
/// as far as it goes.
fn decoded(fields: Option<&Message<'_>>, body: &[u8]) -> Vec<u8> {
    let encoding = fields.and_then(MimeHeaders::content_transfer_encoding).unwrap_or_default();
    let encoding = encoding.trim();
    if encoding.eq_ignore_ascii_case("base64") {
        base64_decode(body).unwrap_or_else(|| {
            let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
            let mut letters: Vec<u8> = body.iter().copied().filter(letter).collect();
            letters.truncate(letters.len() - letters.len() % 4);
            base64_decode(&letters).unwrap_or_else(|| body.to_vec())
        })
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        quoted_printable_decode(body).unwrap_or_else(|| body.to_vec())
    } else {
        body.to_vec()
    }
}

/// The parts between the lines of a boundary (RFC 2046, section 5.1.1), without the line break that belongs to the next
/// boundary. A last one that no boundary ends goes to the end.
fn between<'b>(body: &'b [u8], boundary: &[u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut parts = Vec::new();
    let (mut begun, mut at) = (None, 0_usize);
    for whole in body.split_inclusive(|byte| *byte == b'\n') {
        let begins = at;
        at += whole.len();
        let Some(rest) = whole.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary)) else {
            continue;
        };
        let (last, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
        if !rest.trim_ascii().is_empty() {
            continue;
        }
        if let Some(from) = begun.take() {
            parts.push(body.get(from..begins).map(without_break).unwrap_or_default());
        }
        if last || parts.len() > MAX_PARTS {
            return parts.into_iter();
        }
        begun = Some(at);
    }
    parts.extend(begun.and_then(|from| body.get(from..)));
    parts.into_iter()
}

fn without_break(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}
