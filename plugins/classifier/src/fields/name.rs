//! The customer's name: from a form line, an introduction, or the line after a greeting at the end.

/// Form labels before a name, lower-case.
const LABELS: &[&str] = &[
    "name:",
    "full name:",
    "your name:",
    "customer:",
    "customer name:",
    "contact:",
    "contact name:",
    "caller:",
    "contact person:",
    "姓名:",
    "名字:",
    "联系人:",
    "客户:",
    "客户姓名:",
    "收件人:",
    "收货人:",
    "称呼:",
    "您的姓名:",
    "来电人:",
];
/// Introductions in English, lower-case.
const INTRODUCTIONS: &[&str] = &[
    "my name is ",
    "my names ",
    "my name's ",
    "name is ",
    "this is ",
    "i am ",
    "i'm ",
    "im ",
    "caller ",
    "customer ",
    "it's ",
    "mr ",
    "mrs ",
    "ms ",
    "mr. ",
    "mrs. ",
    "ms. ",
];
/// Greetings at the end, lower-case, without their comma.
const CLOSINGS: &[&str] = &[
    "regards",
    "best regards",
    "kind regards",
    "warm regards",
    "best",
    "best wishes",
    "thanks",
    "many thanks",
    "thank you",
    "thanks in advance",
    "thank you in advance",
    "thanks again",
    "thx",
    "cheers",
    "sincerely",
    "yours sincerely",
    "yours faithfully",
    "yours truly",
    "yours",
    "rgds",
    "br",
    "love",
    "ta",
    "respectfully",
    "此致",
    "敬礼",
    "谢谢",
    "祝好",
    "顺祝商祺",
    "致礼",
    "敬上",
];
/// Words with a capital that are no names.
const NOT_NAMES: &[&str] = &[
    "the",
    "a",
    "an",
    "i",
    "not",
    "very",
    "so",
    "really",
    "still",
    "just",
    "sorry",
    "your",
    "my",
    "our",
    "team",
    "customer",
    "support",
    "sent",
    "order",
    "hi",
    "hello",
    "dear",
    "please",
    "thanks",
    "thank",
    "regards",
    "phone",
    "email",
    "happy",
    "angry",
    "writing",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "ps",
    "tel",
    "re",
    "urgent",
    "and",
    "from",
    "in",
    "at",
    "on",
    "for",
    "to",
    "called",
    "says",
    "wants",
    "is",
    "has",
    "was",
    "you",
    "guys",
    "everyone",
    "all",
    "again",
    "looking",
    "here",
    "it",
    "chinese",
    "english",
    "american",
    "british",
    "unacceptable",
    "ridiculous",
    "ord",
    "no",
    "yes",
    "ok",
];
/// The hundred or so most common Chinese family names, with those of two characters.
const FAMILY: &str = "王李张刘陈杨黄赵周吴徐孙马胡朱郭何罗高林郑梁谢唐许冯宋韩邓彭曹曾田于肖潘袁董叶杜丁蒋程余吕魏蔡苏任卢沈姜姚崔钟谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖文施洪季柳莊庄颜倪柯殷詹耿关焦岳齐梅盛童霍刁卓裴温左葛祝柏苗詹甘樊路曲成鲁尤翁骆辛安翟倪祁靳凌蓝路俞卜舒甄張陳劉楊黃趙吳孫馬羅鄭謝許馮韓鄧葉蔣呂蘇盧鍾譚陸賈鄒龔萬錢嚴湯賴莊顏齊溫魯駱藍";
const TITLES: &[&str] = &["先生", "女士", "小姐", "太太", "老师", "同学", "阿姨"];

/// The name in the customer's own words.
#[must_use]
pub fn find(text: &str) -> Option<String> {
    labelled(text).or_else(|| introduced(text)).or_else(|| introduced_chinese(text)).or_else(|| closing(text))
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
                if let Some(name) = chinese(value).or_else(|| latin(value, 4, false)) {
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
            let rest = text.get(at + phrase.len()..).unwrap_or("");
            // After a plain "my name is" small letters count too: people write so in chats.
            let any_case = phrase.starts_with("my name") || *phrase == "name is ";
            if let Some(name) = latin(rest, 3, any_case).or_else(|| chinese(rest)) {
                let title = matches!(*phrase, "mr " | "mrs " | "ms " | "mr. " | "mrs. " | "ms. ");
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

/// `我叫张伟`, `我是王女士`, `客户李先生来电`.
fn introduced_chinese(text: &str) -> Option<String> {
    for phrase in [
        "我叫",
        "我的名字是",
        "我的名字叫",
        "本人姓名",
        "姓名",
        "我是",
        "本人",
        "我姓",
        "联系人",
        "收件人",
        "收货人",
        "客户",
        "顾客",
        "签名",
        "来电人",
    ] {
        for (at, _) in text.match_indices(phrase).take(4) {
            let rest = text.get(at + phrase.len()..).unwrap_or("").trim_start_matches([':', ' ', '是']);
            if let Some(name) = chinese(rest) {
                return Some(name);
            }
        }
    }
    // A title shows a name anywhere: `王女士`.
    for title in ["先生", "女士", "小姐"] {
        for (at, _) in text.match_indices(title).take(4) {
            let head = text.get(..at).unwrap_or("");
            let start = head
                .char_indices()
                .rev()
                .take(3)
                .map(|(i, _)| i)
                .filter(|i| head.get(*i..).is_some_and(|n| n.starts_with(is_family)))
                .min();
            if let Some(start) = start {
                return text.get(start..at + title.len()).map(str::to_owned);
            }
        }
    }
    None
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
        let several = name.contains(' ') || name.starts_with(is_family);
        (several || index + 1 == tail.len()).then_some(name)
    })
}

/// A line that is nothing but a name (with a role behind a comma at most).
fn whole_line(line: &str) -> Option<String> {
    let line = line.trim();
    // What follows the name in the same line: a role, a telephone number, an address.
    let end = line
        .find(|c: char| matches!(c, ',' | '，' | '|' | '(' | '/' | '<' | '+') || c.is_ascii_digit())
        .unwrap_or(line.len());
    let line = line.get(..end).unwrap_or("").trim().trim_end_matches(['.', '!', '。', ':']);
    let line = ["Tel", "Phone", "Mobile", "电话", "手机"]
        .iter()
        .find_map(|w| line.strip_suffix(w))
        .unwrap_or(line)
        .trim();
    if let Some(name) = chinese_only(line) {
        return Some(name);
    }
    let name = latin(line, 4, false)?;
    (name.len() == line.len()).then_some(name)
}

/// A line that is nothing but a Chinese name.
fn chinese_only(line: &str) -> Option<String> {
    let name = chinese(line)?;
    (name.len() == line.trim().len() && name.chars().count() >= 2).then_some(name)
}

/// Up to `words` capitalised words at the start.
fn latin(text: &str, words: usize, any_case: bool) -> Option<String> {
    let text = text.trim_start();
    let mut end = 0;
    let mut at = 0;
    for word in text.split_inclusive(' ').take(words) {
        let bare = word.trim_end().trim_end_matches([',', '.', '!', '?', ';', ':', ')']);
        let core = bare.split(['\n', ',', '.', '-', '(', '!', '?', ';']).next().unwrap_or("");
        let bare = if bare.contains('\n') { core } else { bare };
        let dotted = word.trim_end().ends_with('.');
        let initial = dotted && (bare.len() == 1 || matches!(bare, "Mr" | "Mrs" | "Ms" | "Dr" | "Prof"));
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
            && !NOT_NAMES.contains(&bare.to_ascii_lowercase().as_str());
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

/// A Chinese name at the start: a family name, one or two characters, and a title perhaps.
fn chinese(text: &str) -> Option<String> {
    let text = text.trim_start();
    if !text.starts_with(is_family) {
        return None;
    }
    let length = text.char_indices().find(|(_, c)| !crate::fold::is_han(*c)).map_or(text.len(), |(i, _)| i);
    let run = text.get(..length)?;
    for title in TITLES {
        if let Some(at) = run.find(title).filter(|at| (3..=9).contains(at)) {
            return run.get(..at + title.len()).map(str::to_owned);
        }
    }
    // Without a title the run itself must be the name, or be cut by a word that often follows one.
    let cut = [
        "的", "我", "来", "想", "要", "在", "电", "手", "订", "您", "你", "反", "咨", "打", "说", "投", "于",
        "已", "地", "本", "收", "称", "是", "请", "询", "问", "之",
    ]
    .iter()
    .filter_map(|w| run.get(6..)?.find(w).map(|i| i + 6))
    .min()
    .unwrap_or(length);
    let name = run.get(..cut)?;
    (2..=3).contains(&name.chars().count()).then(|| name.to_owned())
}

fn is_family(c: char) -> bool {
    FAMILY.contains(c)
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
        ] {
            assert_eq!(find(text).as_deref(), expected, "{text}");
        }
        assert_eq!(signature("Jane Doe\nHead of Sales\n").as_deref(), Some("Jane Doe"));
    }
}
