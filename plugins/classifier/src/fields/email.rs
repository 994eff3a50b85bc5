//! Mail addresses: the everyday part of RFC 5322, section 3.4.1, without quoted local parts and address literals.

/// The first mail address; one that was written to hide from machines (`jane [at] example [dot] com`) in its plain form.
#[must_use]
pub fn find(text: &str) -> Option<String> {
    written(text).or_else(|| hidden(text))
}

/// The first mail address that stands in the text letter by letter.
#[must_use]
pub fn written(text: &str) -> Option<String> {
    text.match_indices('@').find_map(|(at, _)| around(text, at))
}

/// How an at sign is written out, lower-case; the bare word only counts when the dot is written out too.
const ATS: &[&str] = &[" @ ", "[at]", "(at)", "{at}", "<at>", " at "];
const DOTS: &[&str] = &["[dot]", "(dot)", "{dot}", " dot ", " . "];
/// Ends of addresses that are believed after words alone.
const TOPS: &[&str] = &[
    "com", "org", "net", "edu", "info", "io", "cn", "tw", "hk", "sg", "uk", "ie", "de", "at", "ch", "fr",
    "es", "it", "nl", "be", "eu", "se", "dk", "no", "fi", "pl", "pt", "jp", "au", "nz", "ca", "us", "in",
    "br", "example",
];
/// How many places of one text are tried.
const TRIES: usize = 16;

/// An address whose marks are written out or set apart.
fn hidden(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    ATS.iter().find_map(|mark| {
        lower.match_indices(mark).take(TRIES).find_map(|(at, _)| {
            // What stands around the mark, with dots instead of words for dots, up to where something else begins.
            let from = text.floor_char_boundary(at.saturating_sub(80));
            let after = at + mark.len();
            let to = text.floor_char_boundary((after + 120).min(text.len()));
            let plain = |part: &str| {
                DOTS.iter().fold(part.to_owned(), |part, dot| {
                    let lower = part.to_ascii_lowercase();
                    let mut out = String::with_capacity(part.len());
                    let mut last = 0;
                    for (at, _) in lower.match_indices(dot) {
                        out.push_str(part.get(last..at).unwrap_or("").trim_end());
                        out.push('.');
                        last = at + dot.len();
                    }
                    out.push_str(part.get(last..).unwrap_or("").trim_start_matches(if last > 0 {
                        " "
                    } else {
                        ""
                    }));
                    out
                })
            };
            let (head, tail) = (text.get(from..at)?, text.get(after..to)?);
            let spelled = |part: &str| {
                let lower = part.to_ascii_lowercase();
                DOTS.iter().any(|dot| lower.contains(dot))
            };
            let (local, domain) = (plain(head), plain(tail));
            let address =
                format!("{}@{}", local.trim_end().rsplit(char::is_whitespace).next()?, domain.trim_start());
            // The bare word "at" is too common: there the dot must be written out too, before a well-known end.
            written(&address).filter(|address| {
                *mark != " at "
                    || spelled(tail) && address.rsplit('.').next().is_some_and(|top| TOPS.contains(&top))
            })
        })
    })
}

/// The address around an at sign.
fn around(text: &str, at: usize) -> Option<String> {
    let head = text.get(..at)?;
    let in_local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-');
    // 64 and 255 bytes: RFC 5321, section 4.5.3.1.
    let start =
        head.char_indices().rev().take(64).take_while(|(_, c)| in_local(*c)).last().map_or(at, |(i, _)| i);
    let local = head.get(start..)?.trim_start_matches(['.', '-']);
    let tail = text.get(at + 1..)?;
    let end =
        tail.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))).unwrap_or(tail.len());
    let domain = tail.get(..end.min(255))?.trim_end_matches(['.', '-']);
    let (host, top) = domain.rsplit_once('.')?;
    let good = !local.is_empty()
        && !local.ends_with('.')
        && !host.is_empty()
        && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic());
    good.then(|| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("write to jane.doe+shop@mail.example.com.", Some("jane.doe+shop@mail.example.com")),
            ("邮箱zhang_wei@qq.com谢谢", Some("zhang_wei@qq.com")),
            ("<jane@example.co.uk>", Some("jane@example.co.uk")),
            ("@shop on social, a@b, x@.com, 5 @ 10.00", None),
            ("first @handle then me@example.org", Some("me@example.org")),
        ] {
            assert_eq!(find(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_that_hide_from_machines() {
        for (text, expected) in [
            ("mail is tess.van [at] example.org please", Some("tess.van@example.org")),
            ("naomi dot clarke at example dot com", Some("naomi.clarke@example.com")),
            ("use anouk.visser @ example.nl from now on", Some("anouk.visser@example.nl")),
            ("jane(at)example(dot)co(dot)uk", Some("jane@example.co.uk")),
            ("I looked at example.com and saw it", None),
            ("meet me at the dot on the map at noon", None),
            ("5 @ 10.00 each", None),
        ] {
            assert_eq!(find(text).as_deref(), expected, "{text}");
        }
    }
}
