//! From a raw message to the customer's own words: bounded, without quoted replies, signatures, markup and invisible
//! characters; once as written (for names and numbers) and once folded (for rules and the model).

use crate::{focus, fold};

/// How many bytes from the start of a text are looked at.
pub const HEAD_BYTES: usize = 12 * 1024;
/// How many bytes from the end of a longer text are looked at too: signatures stand there.
pub const TAIL_BYTES: usize = 4 * 1024;

/// Fewer letters than this (a Chinese character is three) are no message of their own when something is quoted below them.
const FEW: usize = 8;
/// More lines than this after `--` are no signature.
const SIGNATURE_LINES: usize = 10;

/// A message, ready to be classified.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Subject and the customer's own words, cleaned, as written.
    pub own: String,
    /// The signature, cleaned, as written.
    pub signature: String,
    /// What was quoted or forwarded, cleaned, as written.
    pub quoted: String,
    /// `own`, folded: see [`fold::fold`].
    pub folded: String,
    /// The requests in `folded`: see [`focus::requests`].
    pub focus: String,
}

impl Prepared {
    /// Prepares a message. Work is bounded by [`HEAD_BYTES`] + [`TAIL_BYTES`], however long the text.
    #[must_use]
    pub fn new(subject: Option<&str>, text: &str) -> Self {
        let mut prepared = Self::default();
        if let Some(subject) = subject {
            let subject = clean(head(subject, 1024));
            prepared.own.push_str(strip_reply_marks(subject.trim()));
            prepared.own.push('\n');
        }
        let tail =
            if text.len() > HEAD_BYTES { tail(text, TAIL_BYTES.min(text.len() - HEAD_BYTES)) } else { "" };
        let mut cleaned = clean(head(text, HEAD_BYTES));
        if !tail.is_empty() {
            cleaned.push('\n');
            cleaned.push_str(&clean(tail));
        }
        let before = prepared.own.len();
        prepared.split(&cleaned);
        let body = prepared.own.get(before..).unwrap_or("");
        let letters: usize =
            body.chars().filter(|c| c.is_alphanumeric()).map(|c| if fold::is_han(c) { 3 } else { 1 }).sum();
        if letters < FEW && !prepared.quoted.is_empty() {
            // Next to nothing but what is forwarded or quoted: then that is the message.
            prepared.own.push_str(&std::mem::take(&mut prepared.quoted));
        }
        prepared.folded = fold::fold(&prepared.own);
        prepared.focus = focus::requests(&prepared.folded, subject.is_some());
        prepared
    }

    /// True when the customer wrote nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.trim().is_empty()
    }

    /// Sorts the lines of a cleaned text into own words, signature and quotation. Answers below what they answer
    /// ("bottom posting") and between its lines are own words too.
    fn split(&mut self, text: &str) {
        #[derive(PartialEq)]
        enum Part {
            Own,
            Signature,
            Quoted,
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut part = Part::Own;
        let mut began = false;
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with('>') {
                push_line(&mut self.quoted, line.trim_start_matches(['>', ' ']));
                // The quotation is marked line by line, so that what is not marked is not part of it.
                part = Part::Own;
                continue;
            }
            let signed = *line == "--" && lines.len() - at <= SIGNATURE_LINES;
            // `From: jane@example.com` opens a quotation below other words, but a form at the start of a message.
            if starts_quotation(line) && (began || !line.contains("rom:")) {
                part = Part::Quoted;
            } else if part == Part::Own && signed {
                part = Part::Signature;
                continue;
            }
            match part {
                Part::Quoted => push_line(&mut self.quoted, line),
                Part::Signature => push_line(&mut self.signature, line),
                Part::Own if is_device_line(line) => {}
                Part::Own => {
                    began |= line.chars().any(char::is_alphanumeric);
                    push_line(&mut self.own, line);
                }
            }
        }
    }
}

fn push_line(to: &mut String, line: &str) {
    to.push_str(line);
    to.push('\n');
}

/// The first `bytes` bytes, cut at a character boundary.
fn head(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// The last `bytes` bytes, cut at a character boundary.
fn tail(text: &str, bytes: usize) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(bytes))..).unwrap_or("")
}

/// Removes `Re:`, `Fwd:`, `回复:` and the like from the start of a subject.
fn strip_reply_marks(subject: &str) -> &str {
    let mut rest = subject;
    loop {
        let before = rest;
        for mark in ["re:", "fw:", "fwd:", "aw:", "回复:", "答复:", "转发:"] {
            if rest.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)) {
                rest = rest.get(mark.len()..).unwrap_or("").trim_start();
            }
        }
        if rest.len() == before.len() {
            return rest;
        }
    }
}

/// True for the line with which mail programs open what they quote.
fn starts_quotation(line: &str) -> bool {
    let lower = line.get(..line.floor_char_boundary(160)).unwrap_or(line).to_ascii_lowercase();
    (lower.starts_with("on ") && lower.ends_with("wrote:"))
        || (lower.starts_with('在') && lower.ends_with("写道:"))
        || (lower.starts_with("于") && lower.ends_with("写道:"))
        || (lower.starts_with("--")
            && (lower.contains("original message") || lower.contains("forwarded message")))
        || (lower.starts_with("--")
            && (lower.contains("原始邮件") || lower.contains("转发邮件") || lower.contains("原邮件")))
        || (lower.starts_with("from:") && lower.contains('@'))
        || (lower.starts_with("发件人:") && lower.contains('@'))
        || lower.starts_with("begin forwarded message")
}

/// True for the lines that phones add.
fn is_device_line(line: &str) -> bool {
    let lower = line.get(..line.floor_char_boundary(60)).unwrap_or(line).to_ascii_lowercase();
    ["sent from my", "get outlook for", "sent via", "发自我的", "从我的", "来自我的"]
        .iter()
        .any(|start| lower.starts_with(start))
}

/// Removes markup and invisible characters, and brings full-width ASCII and typographic marks to their plain form.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or("");
        if c == '<'
            && let Some((breaks, next)) = markup(after)
        {
            out.push(if breaks { '\n' } else { ' ' });
            rest = next;
            continue;
        }
        if c == '&'
            && let Some((decoded, next)) = entity(after)
        {
            out.push(decoded);
            rest = next;
            continue;
        }
        if let Some(plain) = plain(c) {
            out.push(plain);
        }
        rest = after;
    }
    out
}

/// The plain form of a character, or nothing for an invisible one.
fn plain(c: char) -> Option<char> {
    Some(match c {
        // Zero-width and direction marks, soft hyphen, byte-order mark, variation selectors, other controls.
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}'
        | '\u{ad}'
        | '\u{fe00}'..='\u{fe0f}' => return None,
        '\n' | '\t' => c,
        c if c.is_control() => return None,
        '\u{3000}' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' => ' ',
        // Full-width ASCII stands at a fixed distance from ASCII (Unicode, block Halfwidth and Fullwidth Forms).
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{2018}' | '\u{2019}' | '\u{2032}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2010}'..='\u{2013}' | '\u{2212}' => '-',
        c => c,
    })
}

/// Reads an HTML tag whose `<` was just read: whether it breaks the line, and what follows. A mail address in angle
/// brackets, or a lone `<`, is not a tag.
fn markup(after: &str) -> Option<(bool, &str)> {
    let body = after.get(..after.floor_char_boundary(300)).unwrap_or(after);
    let end = body.find('>')?;
    let tag = body.get(..end)?;
    let name = tag.trim_start_matches('/');
    let name = name.get(..name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len()))?;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > 10 {
        return None;
    }
    let follows = tag.trim_start_matches('/').get(name.len()..)?;
    if !(follows.is_empty() || follows.starts_with([' ', '/', '\n', '\t']))
        || name.len() + tag.matches('@').count() > 10
    {
        return None;
    }
    let breaks = ["br", "p", "div", "tr", "li", "h1", "h2", "h3", "blockquote"]
        .iter()
        .any(|b| name.eq_ignore_ascii_case(b));
    Some((breaks, after.get(end + 1..)?))
}

/// Reads a character reference whose `&` was just read.
fn entity(after: &str) -> Option<(char, &str)> {
    [
        ("nbsp;", ' '),
        ("amp;", '&'),
        ("lt;", '<'),
        ("gt;", '>'),
        ("quot;", '"'),
        ("#39;", '\''),
        ("apos;", '\''),
    ]
    .iter()
    .find_map(|(name, c)| Some((*c, after.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_replies_and_signatures_leave_the_own_words() {
        let p = Prepared::new(
            Some("Re: RE: your order"),
            "Still nothing.\n\nOn Mon, 3 Mar 2026 at 10:00, Shop <help@shop.example> wrote:\n> We sent a refund\n",
        );
        assert_eq!(p.folded.trim(), "your order\nstill nothing.");
        assert!(p.quoted.contains("We sent a refund"));
        let p = Prepared::new(None, "Hello\n-- \nJane Doe\n+1 555 010 9999");
        assert_eq!(p.own.trim(), "Hello");
        assert!(p.signature.contains("Jane Doe"));
        let p = Prepared::new(None, "还没收到\n在 2026年3月1日，客服 写道：\n> 已发货");
        assert_eq!(p.own.trim(), "还没收到");
        let p = Prepared::new(None, "help\nSent from my iPhone");
        assert_eq!(p.own.trim(), "help");
    }

    #[test]
    fn a_forward_without_words_is_the_message() {
        let p = Prepared::new(
            None,
            "---------- Forwarded message ----------\nFrom: Ann <ann@example.com>\nmy parcel is lost",
        );
        assert!(p.folded.contains("my parcel is lost"));
    }

    #[test]
    fn own_words_below_and_between_quoted_lines_are_kept() {
        let p = Prepared::new(
            Some("Re: hi"),
            "On Monday Shop wrote:\n> Did it arrive?\n\nNo it did not.\n> Anything else?\nNo thanks.",
        );
        assert!(
            p.own.contains("No it did not.")
                && p.own.contains("No thanks.")
                && !p.own.contains("Did it arrive")
        );
    }

    #[test]
    fn forms_are_no_quotations_and_rules_no_signatures() {
        let p = Prepared::new(
            Some("Contact form"),
            "From: jane@example.com\nMessage: my kettle leaks\n---\nsent by the form",
        );
        assert!(p.own.contains("my kettle leaks") && p.own.contains("sent by the form"));
        let p = Prepared::new(
            Some("FW: help"),
            "---------- Forwarded message ----------\nFrom: Ann <ann@example.com>\nmy parcel is lost",
        );
        assert!(p.folded.contains("my parcel is lost"));
    }

    #[test]
    fn markup_and_invisible_characters_go() {
        let p = Prepared::new(
            None,
            "<p>Hi&nbsp;<b>there</b><br/>a < b, <jane@example.com> ca\u{200b}ll ＯＲＤ－１２３４５</p>",
        );
        assert_eq!(
            p.own.split_whitespace().collect::<Vec<_>>().join(" "),
            "Hi there a < b, <jane@example.com> call ORD-12345"
        );
    }

    #[test]
    fn a_long_text_is_looked_at_from_both_ends() {
        let text = format!("start {} end", "字".repeat(100_000));
        let p = Prepared::new(None, &text);
        assert!(p.own.starts_with("start") && p.own.trim_end().ends_with("end"));
        assert!(p.own.len() < HEAD_BYTES + TAIL_BYTES + 16);
    }
}
