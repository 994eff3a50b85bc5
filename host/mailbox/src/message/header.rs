//! The header fields of a message or of a part: found, made readable, read.

use std::borrow::Cow;

use mail_parser::{Message, MessageParser};

use super::charset;

/// The header fields with the empty line behind them, and the body.
pub(super) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line == b"\n" || line == b"\r\n" {
            break;
        }
    }
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// The fields, read. None when there are none.
pub(super) fn parse(head: &[u8]) -> Option<Message<'_>> {
    MessageParser::default().parse_headers(head)
}

/// The fields in UTF-8, with encoded words that belong together in one piece.
///
/// Old mail programs write a local character set without saying which. And several cut a long text into encoded words
/// (RFC 2047) in the middle of a character, which no reader of single words can put together.
pub(super) fn readable(head: &[u8]) -> Cow<'_, [u8]> {
    let text: Cow<'_, str> = match std::str::from_utf8(head) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(charset::guess(head)),
    };
    if text.matches("?=").nth(1).is_some() {
        return Cow::Owned(joined(&text).into_bytes());
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// An encoded word: `=?charset?B?payload?=`.
struct Word<'t> {
    charset: &'t str,
    base64: bool,
    payload: &'t str,
    /// What is behind it.
    rest: &'t str,
}

impl<'t> Word<'t> {
    fn at(text: &'t str) -> Option<Self> {
        let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
        let (encoding, rest) = rest.split_once('?')?;
        let (payload, rest) = rest.split_once("?=")?;
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let base64 = encoding.eq_ignore_ascii_case("b");
        let known = base64 || encoding.eq_ignore_ascii_case("q");
        (charset.len() <= 40 && plain(charset) && plain(payload) && known).then_some(Self {
            charset,
            base64,
            payload,
            rest,
        })
    }
}

/// Puts neighbouring encoded words of one kind together.
fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some(first) = Word::at(from) else {
            out.push_str("=?");
            rest = from.get(2..).unwrap_or_default();
            continue;
        };
        let mut payload = first.payload.to_owned();
        rest = first.rest;
        // Base64 can be continued where it has no padding.
        while !first.base64 || (payload.len().is_multiple_of(4) && !payload.ends_with('=')) {
            let next = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let Some(word) = Word::at(next).filter(|word| {
                word.base64 == first.base64 && word.charset.eq_ignore_ascii_case(first.charset)
            }) else {
                break;
            };
            payload.push_str(word.payload);
            rest = word.rest;
        }
        for part in ["=?", first.charset, if first.base64 { "?B?" } else { "?Q?" }, &payload, "?="] {
            out.push_str(part);
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_the_first_empty_line() {
        assert_eq!(
            split(b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\nmore"),
            (&b"A: 1\r\nB: 2\r\n\r\n"[..], &b"body\r\n\r\nmore"[..])
        );
        assert_eq!(split(b"A: 1\n\nbody"), (&b"A: 1\n\n"[..], &b"body"[..]));
        assert_eq!(split(b"\r\nbody"), (&b"\r\n"[..], &b"body"[..]));
        assert_eq!(split(b"A: 1"), (&b"A: 1"[..], &b""[..]));
        assert_eq!(split(b""), (&b""[..], &b""[..]));
    }

    #[test]
    fn words_that_were_cut_inside_of_a_character_are_put_together() {
        let cut = "S: =?GB2312?B?tqm1?=\r\n =?gb2312?B?pbzz?= x\r\n";
        assert_eq!(joined(cut), "S: =?GB2312?B?tqm1pbzz?= x\r\n");
        for kept in [
            "S: =?utf-8?B?YQ==?= =?utf-8?B?Yg==?=",
            "S: =?utf-8?B?YWJj?= =?gbk?B?YWJj?=",
            "S: =?utf-8?B?YWJj?= and =?utf-8?B?YWJj?=",
            "S: =? ?= =?a?x?b?= =?",
        ] {
            assert_eq!(joined(kept), kept);
        }
        assert_eq!(joined("=?utf-8?q?=E4=BD?= =?UTF-8?Q?=A0?="), "=?utf-8?Q?=E4=BD=A0?=");
    }
}
