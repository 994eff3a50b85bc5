//! The customer's name: from a form line, an introduction, the line after a greeting at the end, beside a telephone
//! number, or after the last sentence.

mod chinese;
mod words;

use words::{ADJECTIVES, CLOSINGS, CONTACT_LABELS, FIRMS, INTRODUCTIONS, LABELS, NOT_NAMES, TITLES};

/// The name in the customer's own words.
#[must_use]
pub fn find(text: &str) -> Option<String> {
    labelled(text)
        .or_else(|| introduced(text))
        .or_else(|| chinese::introduced(text))
        .or_else(|| closing(text))
        .or_else(|| beside_contact(text))
        .or_else(|| at_the_end(text))
}

/// The name in a signature: its first line, if it looks like one.
#[must_use]
pub fn signature(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty())?;
    whole_line(line)
}

/// `Name: Jane Doe`, at the start of a line or after another form field.
fn labelled(text: &str) -> Option<String> {
    for line in text.lines().take(200) {
        let lower = line.to_ascii_lowercase();
        for label in LABELS {
            for (at, _) in lower.match_indices(label).take(4) {
                // `username:` and `company name:` are no names of people.
                let before = lower.get(..at).unwrap_or("").trim_end();
                if before.ends_with(|c: char| c.is_ascii_alphanumeric()) || before.ends_with("公司") {
                    continue;
                }
                let value = line.get(at + label.len()..).unwrap_or("").trim_start_matches([' ', ':']);
                if let Some(name) = chinese::announced(value).or_else(|| latin(value, 4, false)) {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// `my name is Jane Doe`, `Hi, Jane here`.
fn introduced(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    for phrase in INTRODUCTIONS {
        for (at, _) in lower.match_indices(phrase).take(8) {
            if lower.get(..at).is_some_and(|h| h.ends_with(|c: char| c.is_alphanumeric())) {
                continue;
            }
            if lower
                .get(..at)
                .is_some_and(|h| ["dear ", "hi ", "hello "].iter().any(|greeting| h.ends_with(greeting)))
            {
                continue;
            }
            let rest = text.get(at + phrase.len()..).unwrap_or("");
            // After a plain "my name is" small letters count too: people write so in chats.
            let any_case = phrase.starts_with("my name") || *phrase == "name is ";
            if let Some(name) = latin(rest, 3, any_case).or_else(|| chinese::announced(rest)) {
                let title = TITLES.contains(&phrase.trim_end_matches([' ', '.']));
                let shown = if title {
                    text.get(at..at + phrase.len() + name.len()).unwrap_or(&name).to_owned()
                } else {
                    name
                };
                return Some(shown);
            }
        }
    }
    // `Jane here`, at the start or after a comma only.
    let here = lower.find(" here")?;
    let word = text.get(..here)?.rsplit([',', '\n', '!']).next()?.trim();
    latin(word, 2, false).filter(|name| name.len() == word.len())
}

/// The line after `Regards,`, or `- Jane` at the end.
fn closing(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let tail = lines.get(lines.len().saturating_sub(8)..).unwrap_or(&[]);
    for (index, line) in tail.iter().enumerate() {
        let lower = line.to_lowercase();
        let bare = lower.trim_end_matches([',', '.', '!', ' ', ':', '，', '。']);
        if CLOSINGS.contains(&bare) {
            if let Some(name) = tail.get(index + 1).and_then(|next| whole_line(next)) {
                return Some(name);
            }
            continue;
        }
        // `Thanks, Jane` or `Cheers Tom` in one line.
        for closing in CLOSINGS {
            let Some(rest) = lower.strip_prefix(closing).and(line.get(closing.len()..)) else { continue };
            if rest.starts_with([',', ' ', '!', '.', '-'])
                && let Some(name) = whole_line(rest.trim_start_matches([',', ' ', '!', '.', '-']))
            {
                return Some(name);
            }
        }
    }
    let last = tail.last()?;
    if let Some(name) =
        last.strip_prefix(['-', '~', '—']).map(|l| l.trim_start_matches(['-', '—', ' '])).and_then(whole_line)
        && lines.len() > 1
    {
        return Some(name);
    }
    // `… thanks, Jane` at the end of the last line.
    if let Some((head, tail_word)) = last.rsplit_once([',', '-', '!']) {
        let head = head.to_lowercase();
        let closes = |c: &str| {
            head.strip_suffix(c).is_some_and(|h| h.is_empty() || h.ends_with([' ', '.', '!', ',', '?', '。']))
        };
        if CLOSINGS.iter().any(|c| closes(c))
            && let Some(name) = whole_line(tail_word.trim())
        {
            return Some(name);
        }
    }
    // A line at the end that is a name of two words or more, or the last line with one; contact lines may follow it.
    let from = tail.len().saturating_sub(4).max(1);
    tail.iter().enumerate().skip(from).find_map(|(index, line)| {
        let name = whole_line(line)?;
        let several = name.contains(' ') || name.starts_with(chinese::is_family);
        (several || index + 1 == tail.len()).then_some(name)
    })
}

/// `Lorna McBride, call …` is not told from other words, but what stands right before a telephone number or a mail
/// address is: `Rashid Khan, 020 7946 0881`, `林佳颖 0912-555-018`.
fn beside_contact(text: &str) -> Option<String> {
    [super::phone::find(text), super::email::written(text)].into_iter().flatten().find_map(|contact| {
        let head = text
            .get(..text.find(contact.as_str())?)?
            .trim_end_matches([' ', ',', ':', '(', '-', '<', '+', '.']);
        let labelled = CONTACT_LABELS.iter().find_map(|label| {
            head.strip_suffix(label).filter(|rest| !rest.ends_with(|c: char| c.is_ascii_alphanumeric()))
        });
        let head = labelled.unwrap_or(head).trim_end_matches([' ', ',', ':', '(', '-', '.', '\n']);
        let piece = head.rsplit(['.', ',', ';', ':', '!', '?', ')', '\n', '。']).next()?.trim();
        // The capitalised words at its end: all of it, or two and more.
        let starts = std::iter::once(0).chain(piece.match_indices(' ').map(|(at, _)| at + 1));
        let name = starts
            .filter_map(|at| piece.get(at..))
            .find(|rest| latin(rest, 4, false).is_some_and(|n| n.len() == rest.len()));
        name.filter(|name| {
            (name.len() == piece.len() && labelled.is_none() || name.contains(' ')) && !is_firm(name)
        })
        .map(str::to_owned)
        .or_else(|| chinese::before_contact(head))
    })
}

/// A name after the last sentence: `… went wrong. Marisol Vega`, `… 订单 10293847，罗斌`, `… can I try? Ingrid`.
fn at_the_end(text: &str) -> Option<String> {
    let own = |line: &&str| {
        !line.is_empty() && super::email::written(line).is_none() && super::phone::find(line).is_none()
    };
    let line = text.lines().rev().map(str::trim).take(6).find(own)?;
    if line.ends_with(['?', '!']) {
        return None;
    }
    let stopped = line.ends_with(['.', '。']);
    let line = line.trim_end_matches(['.', '。', ' ', ')']);
    // What has digits in it is a customer number or the like, behind the name.
    let mut pieces = line.rsplit([' ', ',', '.', ':', ';', '!', '?', '。', '、', '—', '-', '(', '/', '~']);
    let chinese_piece = pieces.find(|piece| !piece.contains(|c: char| c.is_ascii_digit()))?;
    if chinese_piece.len() < text.trim().len() && chinese::stands_alone(chinese_piece) {
        return Some(chinese_piece.to_owned());
    }
    let cut = |c: char| {
        !c.is_alphanumeric() && !matches!(c, ' ' | ',' | '\'' | '&' | '.' | '-') || matches!(c, '—')
    };
    let sentence = line.rsplit(cut).next()?;
    let mut start = sentence.match_indices(['.', '-']).filter_map(|(at, _)| {
        // An initial's or a title's point ends no sentence.
        let word = sentence.get(..at)?.rsplit(' ').next()?;
        let ends = sentence.get(at + 1..)?.starts_with(' ')
            && word.len() > 1
            && !matches!(word, "no" | "nr" | "No" | "St")
            && !TITLES.contains(&word.to_lowercase().as_str());
        ends.then_some(at + 1)
    });
    let sentence = sentence.get(start.next_back().unwrap_or(0)..)?.trim_matches([' ', '-']);
    let (first, last) = (sentence.split(',').next()?.trim(), sentence.rsplit(',').next()?.trim());
    let whole = |piece: &&str| {
        latin(piece, 4, false).is_some_and(|name| name.len() == piece.len()) && !is_firm(piece)
    };
    let several = |piece: &&str| piece.contains(' ') && whole(piece);
    let numbered =
        sentence.strip_suffix(last).is_some_and(|head| head.contains(|c: char| c.is_ascii_digit()));
    let begins = sentence.len() < line.len() || sentence.len() < text.trim().len();
    Some(first)
        .filter(|piece| begins && sentence.len() <= 60 && several(piece))
        .or(Some(last).filter(|piece| numbered && whole(piece) && piece.len() > 2))
        .or(Some(sentence).filter(|piece| {
            !stopped
                && !ADJECTIVES.iter().any(|end| piece.ends_with(end))
                && sentence.len() < line.len()
                && (3..=14).contains(&piece.len())
                && text.len() > 40
                && whole(piece)
        }))
        .map(str::to_owned)
}

/// True for the name of a company.
fn is_firm(name: &str) -> bool {
    name.split([' ', ','])
        .any(|word| FIRMS.contains(&word.trim_end_matches('.').to_ascii_lowercase().as_str()))
}

/// A line that is nothing but a name (with a role behind a comma at most).
fn whole_line(line: &str) -> Option<String> {
    let line = line.trim();
    // What follows the name in the same line: a role, a telephone number, an address.
    let end = line
        .find(|c: char| matches!(c, ',' | '，' | '|' | '(' | '/' | '<' | '+') || c.is_ascii_digit())
        .unwrap_or(line.len());
    // `Pack 2 of 3` is no name, `Jane Doe 0131 496 0772` is.
    let digits = line.get(end..).unwrap_or("");
    let digits = digits.split(char::is_alphabetic).next().unwrap_or("");
    if digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().filter(char::is_ascii_digit).count() < 7
    {
        return None;
    }
    let line = line.get(..end).unwrap_or("").trim().trim_end_matches(['.', '!', '。', ':']);
    let line = ["Tel", "Phone", "Mobile", "电话", "手机"]
        .iter()
        .find_map(|w| line.strip_suffix(w))
        .unwrap_or(line)
        .trim();
    if chinese::stands_alone(line) {
        return Some(line.to_owned());
    }
    let name = latin(line, 4, false)?;
    (name.len() == line.len()).then_some(name)
}

/// Up to `words` capitalised words at the start.
fn latin(text: &str, words: usize, any_case: bool) -> Option<String> {
    let text = text.trim_start();
    let mut end = 0;
    let mut at = 0;
    for word in text.split_inclusive(' ').take(words) {
        if end > 0 && word == "& " {
            at += word.len();
            continue;
        }
        let bare = word.trim_end().trim_end_matches([',', '.', '!', '?', ';', ':', ')']);
        let core = bare.split(['\n', ',', '.', '-', '(', '!', '?', ';']).next().unwrap_or("");
        let bare = if bare.contains('\n') { core } else { bare };
        let dotted = word.trim_end().ends_with('.');
        let initial =
            dotted && (bare.len() == 1 || matches!(bare, "Mr" | "Mrs" | "Ms" | "Dr" | "Prof" | "Miss"));
        let good = bare.len() <= 20
            && bare
                .chars()
                .all(|c| (c.is_alphabetic() && !crate::fold::is_han(c)) || matches!(c, '\'' | '-'))
            && bare
                .chars()
                .next()
                .is_some_and(|c| c.is_uppercase() || (any_case && end == 0 && c.is_alphabetic()))
            && (bare.len() >= 2 || initial)
            && (bare.len() <= 3 || !bare.chars().skip(1).all(char::is_uppercase))
            && NOT_NAMES.binary_search(&bare.to_lowercase().as_str()).is_err();
        if !good {
            break;
        }
        end = at + bare.len();
        at += word.len();
        if word.trim_end().len() != bare.len() && !initial {
            break;
        }
    }
    (end > 1).then(|| text.get(..end).map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("Name: Jane Doe\nPhone: 555", Some("Jane Doe")),
            ("姓名:张伟\n电话:138", Some("张伟")),
            ("Hi, my name is Tom O'Brien and I", Some("Tom O'Brien")),
            ("Hello, this is Maria Garcia from Leeds.", Some("Maria Garcia")),
            ("I'm Jake, where is it", Some("Jake")),
            ("I'm very angry", None),
            ("I am Not happy", None),
            ("text\n\nKind regards,\nJane Doe", Some("Jane Doe")),
            ("text\nThanks, Bob", Some("Bob")),
            ("where is it? Thanks, Bob", Some("Bob")),
            ("my order is late\n- Sam", Some("Sam")),
            ("我叫李小明，订单没到", Some("李小明")),
            ("我是王女士，想退货", Some("王女士")),
            ("客户刘先生来电反映", Some("刘先生")),
            ("问题反馈\n谢谢\n陈静", Some("陈静")),
            ("我是在你们这里买的", None),
            ("我是老客户", None),
            ("Mrs. Patel called", Some("Mrs. Patel")),
            ("Caller: Mrs. Okafor. Says the refund", Some("Mrs. Okafor")),
            ("Order: 1. Name: Marcus Hill, phone 555", Some("Marcus Hill")),
            ("Company name: Acme Traders\nUsername: Joe", None),
            ("It is still broken.\n\nRachel Boyd\nPhone: 07700 900456", Some("Rachel Boyd")),
            ("请马上处理\n周敏 13566667777", Some("周敏")),
            ("There is no J. Smith here. Where is it?", None),
            ("where is my order", None),
            (
                "Guten Tag,\nwo bleibt mein Paket?\nMit freundlichen Grüßen\nUwe Brandner",
                Some("Uwe Brandner"),
            ),
            ("Guten Tag, ich bin bis Montag nicht da.", None),
            ("Waits for a call back. Lorna McBride, 0131 496 0772", Some("Lorna McBride")),
            ("Never got it. Order ORD-33981, Rashid Khan", Some("Rashid Khan")),
            ("I did the reset already. What else can I try? Ingrid", Some("Ingrid")),
            ("It has been weeks and nothing happened. Unbelievable", None),
            ("It has been weeks. Worst Service. Never Again.", None),
            ("Pack 2 of 3 holds two left panels.", None),
            ("Dear Ms Becker, my CV is attached.\nKind regards, Dmitri Volkov", Some("Dmitri Volkov")),
            ("Please cancel it. Thanks, Joanna Price", Some("Joanna Price")),
            ("没有人回电，请书面答复。钟鸣,客户号88121", Some("钟鸣")),
            ("Ask the carrier. Anton, 555-013-0047", Some("Anton")),
            ("I'm 17 and I like plants.", None),
            ("第三次了还没退。林佳穎 0912-555-018", Some("林佳穎")),
            ("东西一直没到\n采购部 蒋文斌\n0512-66550183", Some("蒋文斌")),
            ("我是欧阳娜娜，订单没到", Some("欧阳娜娜")),
            ("麻烦尽快处理，谢谢", None),
            ("周五能到吗，周末", None),
            ("说好的退款呢，钱呢", None),
        ] {
            assert_eq!(find(text).as_deref(), expected, "{text}");
        }
        assert_eq!(signature("Jane Doe\nHead of Sales\n").as_deref(), Some("Jane Doe"));
    }
}
