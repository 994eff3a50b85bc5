//! Mail addresses: the everyday part of RFC 5322, section 3.4.1, without quoted local parts and address literals.

/// The first mail address.
#[must_use]
pub fn find(text: &str) -> Option<String> {
    text.match_indices('@').find_map(|(at, _)| around(text, at))
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
}
