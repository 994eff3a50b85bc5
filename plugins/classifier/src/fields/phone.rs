//! Telephone numbers as customers write them: international (E.164 with separators), Chinese mobile, landline and service
//! numbers, North American, British; other shapes only after a word such as `phone` or `电话`.

use super::{before, has_any};

const WORDS: &[&str] = &[
    "phone",
    "tel",
    "mobile",
    "cell",
    "call me",
    "call back",
    "callback",
    "reach me",
    "contact",
    "text me",
    "whatsapp",
    "number is",
    "ring me",
    "电话",
    "手机",
    "联系方式",
    "联系我",
    "号码",
    "致电",
    "回电",
    "来电",
    "微信",
];
const OTHERS: &[&str] = &[
    "order",
    "ord",
    "invoice",
    "inv-",
    "tracking",
    "track",
    "ticket",
    "case",
    "ref",
    "serial",
    "sn",
    "account no",
    "iban",
    "card",
    "订单",
    "单号",
    "运单",
    "发票",
    "税号",
    "编号",
    "卡号",
    "序列号",
    "工单",
    "customer number is",
    "account number is",
    "order number is",
    "卡尾号",
    "客户号",
    "合同",
    "contract",
    "customer no",
    "customer number",
    "meter",
];

/// The first telephone number, as written.
#[must_use]
pub fn find(text: &str) -> Option<String> {
    let mut at = 0;
    while let Some(offset) = text.get(at..)?.find(|c: char| c.is_ascii_digit() || c == '+' || c == '(') {
        let start = at + offset;
        let end = start + run(text.get(start..)?);
        if let Some(number) = judge(text, start, end) {
            return Some(number);
        }
        at = end;
    }
    None
}

/// The length of the run of digits and separators at the start; at least one byte.
fn run(text: &str) -> usize {
    let mut end = 1;
    let mut separators = 0;
    let mut last = ' ';
    for (at, c) in text.char_indices().take(32) {
        match c {
            '0'..='9' => {
                separators = 0;
                end = at + 1;
            }
            '+' if at == 0 => {}
            // A sentence ended.
            ' ' if last == '.' => break,
            ' ' | '-' | '.' | '(' | ')' | '/' if separators < 2 => separators += 1,
            _ => break,
        }
        last = c;
    }
    end
}

/// The number that stands in a run, if it is one for telephones.
fn judge(text: &str, start: usize, end: usize) -> Option<String> {
    let written = text.get(start..end)?;
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    let touches = |c: Option<char>| {
        c.is_some_and(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '#' | '_' | '$' | '€' | '£' | '¥' | '-' | '/' | '@')
        })
    };
    let next = text.get(end..)?.chars().next();
    if touches(text.get(..start)?.chars().next_back())
        || next.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '%' | '元' | '@'))
    {
        return None;
    }
    let context = before(text, start, 26);
    let context = context.rsplit(['\n', '?', '？', '!', '。']).next().unwrap_or("");
    // Whichever word stands nearer to the number decides; what kind of number it is not must stand in the same piece.
    let nearest = |words: &[&str]| words.iter().filter_map(|w| context.rfind(w).map(|i| i + w.len())).max();
    let (for_phone, for_other) = (nearest(WORDS), nearest(OTHERS));
    let apart = |end: usize| {
        context
            .get(end..)
            .is_some_and(|rest| rest.contains(|c: char| c.is_ascii_digit() || matches!(c, ',' | ';')))
    };
    if for_other.is_some() && for_other >= for_phone && !for_other.is_some_and(apart) {
        return None;
    }
    let groups: Vec<usize> =
        written.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|l| *l > 0).collect();
    let plus = written.starts_with('+');
    let good = match digits.len() {
        _ if is_date(written, &digits) => false,
        8..=15 if plus => true,
        11 if is_chinese_mobile(&digits) && (groups == [11] || groups == [3, 4, 4]) => true,
        13 if digits.strip_prefix("86").is_some_and(is_chinese_mobile) => true,
        10 if digits.starts_with("400") => true,
        10 if groups == [3, 3, 4] => true,
        11 if digits.starts_with('1') && groups == [1, 3, 3, 4] => true,
        7 if groups == [3, 4] => true,
        9 if groups == [3, 3, 3] => true,
        10..=12 if digits.starts_with('0') && !digits.starts_with("00") => true,
        11..=15 if digits.starts_with("00") => true,
        7..=15 => for_phone.is_some(),
        _ => false,
    };
    let written = written.trim_end_matches([' ', '-', '.', '(', '/']);
    let written = if written.starts_with('(') && !written.contains(')') {
        written.trim_start_matches('(')
    } else {
        written
    };
    good.then(|| written.to_owned())
}

/// Mainland mobile numbers: 11 digits from 13 to 19.
fn is_chinese_mobile(digits: &str) -> bool {
    digits.len() == 11
        && digits.starts_with('1')
        && digits.get(1..2).is_some_and(|d| has_any(d, &["3", "4", "5", "6", "7", "8", "9"]))
}

/// `2026-03-14`, `14/03/2026`, `20260314`: eight digits with a year at an end.
fn is_date(written: &str, digits: &str) -> bool {
    let year = |text: Option<&str>| text.is_some_and(|y| y.starts_with("19") || y.starts_with("20"));
    digits.len() == 8
        && !written.starts_with('+')
        && (year(digits.get(..4)) && digits.get(4..6).is_some_and(|m| m <= "12")
            || written.contains(['-', '/', '.']) && year(digits.get(4..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers() {
        for (text, expected) in [
            ("call me on +44 20 7946 0958 please", "+44 20 7946 0958"),
            ("phone: (555) 010-4477.", "(555) 010-4477"),
            ("my cell 555-010-4477", "555-010-4477"),
            ("Tel 555.010.4477", "555.010.4477"),
            ("1-800-555-0199", "1-800-555-0199"),
            ("我的电话13800138000，谢谢", "13800138000"),
            ("手机 138-0013-8000", "138-0013-8000"),
            ("+86 138 0013 8000", "+86 138 0013 8000"),
            ("010-62345678", "010-62345678"),
            ("客服400-820-8820", "400-820-8820"),
            ("07700 900123 is my number", "07700 900123"),
            ("order 10293847, phone 555-0134", "555-0134"),
            ("Order ORD-33981, Rashid Khan, 0131 496 0772", "0131 496 0772"),
            ("0044 20 7946 0958", "0044 20 7946 0958"),
            ("06 12 34 56 78", "06 12 34 56 78"),
            ("ring 01632960118 after six", "01632960118"),
            ("0912555018 林小姐", "0912555018"),
            ("Order ORD-19028. 0171 5550 338", "0171 5550 338"),
            ("Bob, 555-0134", "555-0134"),
            ("612 345 678", "612 345 678"),
        ] {
            assert_eq!(find(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_telephone_number() {
        for text in [
            "order ORD-12345",
            "#10293847",
            "订单号 10293847",
            "订单号：13800138000",
            "on 2026-03-14",
            "14/03/2026",
            "20260314",
            "$1,299.00",
            "1Z999AA10123456784",
            "INV-2026-000123",
            "AB-2026-000123",
            "tracking 940010000000000000",
            "运单号75312345678901",
            "2 of 3",
            "10 - 12",
            "4111 1111 1111 1111",
            "my customer number is 00291833",
            "电话没人接，人呢？77120044",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
