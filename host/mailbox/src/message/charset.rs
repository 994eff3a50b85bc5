//! From bytes in some character set to text.

use mail_parser::decoders::charsets::map::charset_decoder;

/// The text of bytes that claim a character set. A claim that is unknown or wrong is overruled by what the bytes look
/// like.
pub(super) fn decode(bytes: &[u8], claimed: Option<&str>) -> String {
    let claimed = claimed.map(|name| name.trim().to_ascii_lowercase());
    if let Some(text) = claimed.as_deref().and_then(|name| seven_bit(bytes, name)) {
        return text;
    }
    match claimed.as_deref() {
        // The registers of mail programs say less than they send: text that is called GB2312 has letters of its successor.
        Some("gb2312" | "gbk" | "gb18030" | "x-gbk" | "cp936" | "gb_2312-80") => by_name("gb18030", bytes),
        Some("us-ascii" | "ascii" | "utf-8" | "utf8" | "unicode-1-1-utf-8") | None => guess(bytes),
        Some(name) => match charset_decoder(name.as_bytes()) {
            Some(decoder) => decoder(bytes),
            None => guess(bytes),
        },
    }
}

/// The text of bytes that claim nothing: UTF-8 when they are that; what looks like Chinese as GB 18030; else Windows-1252.
pub(super) fn guess(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    // Broken somewhere in the middle or cut off at the end, it is UTF-8 all the same.
    let lossy = String::from_utf8_lossy(bytes);
    let wide = lossy.chars().filter(|c| *c as u32 > 0xff && *c != '\u{fffd}').count();
    if lossy.matches('\u{fffd}').count() < wide {
        return lossy.into_owned();
    }
    by_name(if looks_chinese(bytes) { "gb18030" } else { "windows-1252" }, bytes)
}

fn by_name(name: &str, bytes: &[u8]) -> String {
    charset_decoder(name.as_bytes())
        .map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |decoder| decoder(bytes))
}

/// Whether most bytes beyond ASCII are pairs from the rows of GB 2312 that hold its characters.
fn looks_chinese(bytes: &[u8]) -> bool {
    let (mut pairs, mut others) = (0_usize, 0_usize);
    let mut rest = bytes;
    loop {
        rest = match rest {
            [0xa1..=0xf7, 0xa1..=0xfe, rest @ ..] => {
                pairs += 1;
                rest
            }
            [first, rest @ ..] => {
                others += usize::from(!first.is_ascii());
                rest
            }
            [] => return pairs > 0 && pairs > others.saturating_mul(4),
        };
    }
}

/// Text in seven bits that switches character sets by marks: HZ (RFC 1843), ISO-2022-CN (RFC 1922), ISO-2022-KR (RFC 1557).
/// They write the rows of a set that is known in eight bits without the eighth.
fn seven_bit(bytes: &[u8], name: &str) -> Option<String> {
    let (eight, hz) = match name {
        "hz-gb-2312" | "hz" => ("gb18030", true),
        "iso-2022-cn" => ("gb18030", false),
        "iso-2022-kr" => ("euc-kr", false),
        _ => return None,
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut wide = false;
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return Some(by_name(eight, &out)),
            [b'~', b'{', rest @ ..] if hz => {
                wide = true;
                rest
            }
            [b'~', b'}', rest @ ..] if hz => {
                wide = false;
                rest
            }
            [b'~', b'~', rest @ ..] if hz && !wide => {
                out.push(b'~');
                rest
            }
            [b'~', b'\n', rest @ ..] if hz => rest,
            // Which set the marks stand for; of those that there are, only the first is in use.
            [0x1b, b'$', b')' | b'*' | b'+', _, rest @ ..] if !hz => rest,
            [0x0e, rest @ ..] if !hz => {
                wide = true;
                rest
            }
            [0x0f, rest @ ..] if !hz => {
                wide = false;
                rest
            }
            [line @ (b'\r' | b'\n'), rest @ ..] => {
                wide = false;
                out.push(*line);
                rest
            }
            [byte, rest @ ..] => {
                out.push(if wide && *byte > b' ' { byte | 0x80 } else { *byte });
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets_of_chinese_mail_are_read() {
        let gbk = b"\xb6\xa9\xb5\xa5\xbb\xb9\xc3\xbb\xb5\xbd"; // 订单还没到
        for name in ["gb2312", "GBK", "gb18030"] {
            assert_eq!(decode(gbk, Some(name)), "订单还没到");
        }
        assert_eq!(decode(gbk, None), "订单还没到", "unsaid");
        assert_eq!(decode(gbk, Some("utf-8")), "订单还没到", "a wrong claim");
        assert_eq!(decode(b"\x95\x32\x82\x36", Some("gb2312")), "𠀀", "four bytes, beyond what is claimed");
        assert_eq!(decode(b"\xad\x71\xb3\xe6", Some("big5")), "訂單");
        assert_eq!(decode(b"~{6)5%~} ~~1", Some("hz-gb-2312")), "订单 ~1");
        assert_eq!(decode(b"\x1b$)A\x0e6)5%\x0f 1", Some("iso-2022-cn")), "订单 1");
        assert_eq!(decode(b"\x1b$B%F%9%H\x1b(B", Some("iso-2022-jp")), "テスト");
        assert_eq!(decode("订单".as_bytes(), Some("no-such-set")), "订单");
    }

    #[test]
    fn western_text_that_claims_nothing_does_not_become_chinese() {
        assert_eq!(decode(b"caf\xe9 \x80 5", None), "café € 5");
        assert_eq!(decode(b"\xfcber M\xfcller, na\xefve", Some("us-ascii")), "über Müller, naïve");
        let cut = "还没到".as_bytes();
        assert_eq!(decode(&cut[..8], None), "还没\u{fffd}", "cut off at its end");
    }
}
