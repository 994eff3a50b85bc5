//! Order numbers of this shop, in one plain form each, so that two spellings of one order are one:
//!
//! | written | plain form |
//! |---|---|
//! | `ORD-12345`, `ord 12345`, `ORD12345` (4 to 8 digits) | `ORD-12345` |
//! | `#10293847`, `order no. 10293847`, `订单号：10293847` (6 to 10 digits) | `10293847` |
//! | `XX-2026-000123` (two letters, year, six digits) | `XX-2026-000123` |
//!
//! Not orders: invoice, tracking, ticket and case numbers, even with a `#`.

use super::{before, has_any};

/// How many order numbers of one message are kept.
pub const MAX: usize = 20;

/// What makes a number after it another kind of number.
const OTHERS: &[&str] = &[
    "invoice",
    "inv",
    "tracking",
    "ticket",
    "case",
    "serial",
    "model",
    "part",
    "运单",
    "快递",
    "物流",
    "发票",
    "工单",
    "型号",
    "序列号",
    "税号",
    "电话",
    "手机",
    "phone",
    "tel",
    "confirmation code",
];
/// What makes a bare number after it an order.
const WORDS: &[&str] = &[
    "orders",
    "order",
    "ordernumber",
    "order no",
    "order nr",
    "order number",
    "order num",
    "order id",
    "order ref",
    "order reference",
    "po",
    "订单",
    "订单号",
    "订单编号",
    "单号",
    "订单号码",
    "订单尾号",
    "这单",
    "该单",
    "此单",
];

/// The order numbers in a text, in order of appearance, each once, at most [`MAX`].
#[must_use]
pub fn find(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // The byte after the last order number: numbers in a list after it are orders too.
    let mut last_end: Option<usize> = None;
    let mut at = 0;
    while let Some(start) =
        text.get(at..).and_then(|t| t.find(|c: char| c.is_ascii_alphanumeric())).map(|o| at + o)
    {
        let rest = text.get(start..).unwrap_or("");
        let end = start + rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
        let word = text.get(start..end).unwrap_or("").trim_end_matches('-');
        let end_of_word = start + word.len();
        let (order, order_end) = match shaped(word, text.get(end..).unwrap_or("")) {
            Some((order, more)) => (Some(order), end_of_word + more),
            None => (bare(text, start, word, last_end), end_of_word),
        };
        if let Some(order) = order {
            last_end = Some(order_end);
            if !found.contains(&order) {
                found.push(order);
            }
            if found.len() >= MAX {
                break;
            }
        }
        at = order_end.max(end).max(start + 1);
    }
    found
}

/// `ORD-12345` and `XX-2026-000123`; with how many bytes of what follows belong to it.
fn shaped(word: &str, after: &str) -> Option<(String, usize)> {
    if let Some(tail) = word.get(..3).filter(|p| p.eq_ignore_ascii_case("ord")).and(word.get(3..)) {
        let (digits, more) = if tail.is_empty() {
            let skipped = after.len() - after.trim_start_matches([' ', ':', '#', '_', '.']).len();
            let next = after.get(skipped..)?;
            let digits = next.get(..next.find(|c: char| !c.is_ascii_digit()).unwrap_or(next.len()))?;
            if skipped == 0
                || skipped > 3
                || next.get(digits.len()..)?.starts_with(|c: char| c.is_ascii_alphanumeric())
            {
                return None;
            }
            (digits, skipped + digits.len())
        } else {
            (tail.trim_start_matches('-'), 0)
        };
        return is_number(digits, 4, 8).then(|| (format!("ORD-{digits}"), more));
    }
    let mut parts = word.split('-');
    let (letters, year, number) = (parts.next()?, parts.next()?, parts.next()?);
    let good = parts.next().is_none()
        && letters.len() == 2
        && letters.bytes().all(|b| b.is_ascii_alphabetic())
        && is_number(year, 4, 4)
        && (year.starts_with("20") || year.starts_with("19"))
        && is_number(number, 6, 6);
    good.then(|| (word.to_ascii_uppercase(), 0))
}

/// A bare number: after `#`, after a word for order, or in a list after another order.
fn bare(text: &str, start: usize, word: &str, last_end: Option<usize>) -> Option<String> {
    if !is_number(word, 6, 10) {
        return None;
    }
    let context = before(text, start, 24);
    let context = context.rsplit(['\n', ',', ';', '。', '?', '!']).next().unwrap_or("");
    let listed = last_end.and_then(|end| text.get(end..start)).is_some_and(is_list_separator);
    let context_end =
        context.trim_end_matches([' ', ':', '：', '#', '.', '=', '(', '[', '"', '-', '是', '为']);
    let context_end = context_end.strip_suffix(" is").unwrap_or(context_end);
    let context_end = context_end.trim_end_matches([' ', ':', '#', '.']);
    if listed {
        return Some(word.to_owned());
    }
    let hash = context.trim_end().ends_with('#');
    if has_any(tail_words(context_end), OTHERS) {
        return None;
    }
    let named = WORDS.iter().any(|w| {
        context_end
            .strip_suffix(w)
            .is_some_and(|head| !w.is_ascii() || !head.ends_with(|c: char| c.is_ascii_alphanumeric()))
    });
    (hash || named).then(|| word.to_owned())
}

/// The last two words before the number, or the last seven Chinese characters: what kind of number it is stands there.
fn tail_words(context: &str) -> &str {
    let chinese = context.chars().next_back().is_some_and(crate::fold::is_han);
    let cut = if chinese {
        context.char_indices().rev().nth(6).map_or(0, |(i, _)| i)
    } else {
        context.char_indices().rev().filter(|(_, c)| *c == ' ').nth(1).map_or(0, |(i, _)| i)
    };
    context.get(cut..).unwrap_or(context)
}

/// What may stand between two orders of a list.
fn is_list_separator(between: &str) -> bool {
    let between = between.trim().to_lowercase();
    let between = between.trim_end_matches('#').trim();
    matches!(
        between,
        "," | "、"
            | "/"
            | ";"
            | "&"
            | "and"
            | ", and"
            | "or"
            | "和"
            | "跟"
            | "与"
            | "及"
            | "还有"
            | "以及"
            | "+"
    )
}

fn is_number(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for (text, expected) in [
            ("my order ORD-12345.", &["ORD-12345"][..]),
            ("ord12345 and Ord-87654321", &["ORD-12345", "ORD-87654321"]),
            ("ORD 12345", &["ORD-12345"]),
            ("ORD#4455 please", &["ORD-4455"]),
            ("about #10293847!", &["10293847"]),
            ("AB-2026-000123", &["AB-2026-000123"]),
            ("订单号：10293847、10293848", &["10293847", "10293848"]),
            ("订单10293847还没到", &["10293847"]),
            ("我的订单号是10293847", &["10293847"]),
            ("订单编号 #10293847", &["10293847"]),
            ("order no. 10293847", &["10293847"]),
            ("Order number: 10293847", &["10293847"]),
            ("orders 10293847 and 10293848", &["10293847", "10293848"]),
            ("order number is 10293847", &["10293847"]),
            ("订单ORD-55512没发货", &["ORD-55512"]),
            ("order #10293847 again #10293847", &["10293847"]),
        ] {
            assert_eq!(find(text), expected, "{text}");
        }
    }

    #[test]
    fn traps() {
        for text in [
            "invoice INV-2026-000123",
            "INV-10293847",
            "tracking 1Z999AA10123456784",
            "tracking number #9400100000",
            "ticket #123456",
            "case #1234567",
            "on 2026-03-14",
            "$129900",
            "call 13800138000",
            "快递单号 7531234567",
            "运单号：7531234567",
            "发票号 10293847",
            "order 2 shirts",
            "ORD-123",
            "ORD-123456789",
            "ABC-2026-000123",
            "AB-2026-0001234",
            "#12345",
            "coordinate 123456",
            "order on 20260314x",
        ] {
            assert_eq!(find(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn many_are_cut() {
        let text: String = (0..100).map(|i| format!("ORD-{} ", 10_000 + i)).collect();
        assert_eq!(find(&text).len(), MAX);
    }
}
