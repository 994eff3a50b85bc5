//! Grants as sentences that an office manager understands, in English and Chinese.
//!
//! Names that strangers wrote (paths, keys, secrets) are shown without control characters and cut when they are long, so
//! that a manifest cannot write into the reader's screen.

mod cannot;
mod http;

pub use cannot::cannot;
pub(crate) use http::{origin, request_words, secrets};

use factotum_provenance::{Source, TRIGGER};

use crate::{Access, AddressPattern, Grants, Limits, text::shown};

/// A language that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// Chinese, simplified.
    Chinese,
}

/// A text in each language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    en: String,
    zh: String,
}

impl Words {
    pub(crate) fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    pub(crate) fn get(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Chinese => &self.zh,
        }
    }

    pub(crate) fn into_both(self) -> (String, String) {
        (self.en, self.zh)
    }

    pub(crate) fn map(self, change: impl FnOnce(&str, &str) -> (String, String)) -> Self {
        let (en, zh) = change(&self.en, &self.zh);
        Self { en, zh }
    }

    fn push(&mut self, en: &str, zh: &str) {
        self.en.push_str(en);
        self.zh.push_str(zh);
    }
}

/// What the grants allow, a sentence for each thing, the most reaching last; at the end what a call may use.
#[must_use]
pub fn sentences(grants: &Grants, language: Language) -> Vec<String> {
    all(grants)
        .into_iter()
        .map(|words| match language {
            Language::English => words.en,
            Language::Chinese => words.zh,
        })
        .collect()
}

fn all(grants: &Grants) -> Vec<Words> {
    let Grants { run_context, config, key_value, key_value_scope, artifacts, mail, http, data, limits } =
        grants;
    let mut said = Vec::new();
    let mut say = |en: String, zh: String| said.push(Words::new(en, zh));
    if *run_context {
        say(
            "It can see which run and task it works for.".into(),
            "它可以查看自己服务于哪个运行和任务。".into(),
        );
    }
    if *config {
        say("It can read the settings that you give it.".into(), "它可以读取您为它填写的设置。".into());
    }
    if let Some(quota) = key_value {
        match key_value_scope.access {
            Access::ReadWrite => {
                let ((en, zh), keys) = (bytes(quota.quota_bytes), number(quota.quota_keys));
                say(
                    format!("It can keep data of its own: up to {en} in up to {keys} entries."),
                    format!("它可以保存自己的数据：最多 {keys} 条，共 {zh}。"),
                );
            }
            Access::Read => say(
                "It can read the data stored under its name, and change none of it.".into(),
                "它可以读取以它的名义保存的数据，但不能修改。".into(),
            ),
        }
        for shared in &key_value_scope.shared {
            let name = shown(&shared.namespace);
            match shared.access {
                Access::Read => say(
                    format!("It can read the data of the plugin “{name}”."),
                    format!("它可以读取插件“{name}”的数据。"),
                ),
                Access::ReadWrite => say(
                    format!("It can read, change and delete the data of the plugin “{name}”."),
                    format!("它可以读取、修改和删除插件“{name}”的数据。"),
                ),
            }
        }
    }
    if let Some(artifacts) = artifacts {
        let (en, zh) = bytes(artifacts.max_bytes);
        let mut words = Words::new(
            format!("It can store files for you, up to {en} each, and read back its own"),
            format!("它可以为您保存文件，每个不超过 {zh}，并读回自己保存的文件"),
        );
        if let Some(count) = artifacts.per_hour {
            let count = number(count.into());
            words.push(&format!("; at most {count} an hour"), &format!("；每小时最多 {count} 个"));
        }
        words.push(".", "。");
        said.push(words);
    }
    if let Some(mail) = mail {
        said.push(mail_words(mail));
    }
    said.extend(
        http.iter().filter(|rule| !rule.methods.is_empty() && !rule.paths.is_empty()).map(http::rule_words),
    );
    if said.is_empty() {
        said.push(Words::new(
            "It can only compute: it reaches no network, no mail, no files and no stored data.",
            "它只能进行计算：不能访问网络、邮件、文件或已保存的数据。",
        ));
    }
    if !data.not_from.is_empty() {
        let (en, zh) = sources(&data.not_from).into_both();
        said.push(Words::new(format!("It is never given {en}."), format!("它不会获得{zh}。")));
    }
    if !data.sensitivity.is_empty() {
        let en: Vec<String> = data.sensitivity.iter().map(|class| format!("“{}”", shown(class))).collect();
        said.push(Words::new(
            format!("What it gives out is marked as {}.", list(&en, ", ", "more")),
            format!("它给出的数据标记为{}。", list(&en, "、", "项以上")),
        ));
    }
    said.push(limits_words(limits));
    said
}

fn mail_words(mail: &crate::MailGrant) -> Words {
    if mail.recipients.is_empty() {
        return Words::new(
            "It can prepare mail, but nobody is named to whom it may write.",
            "它可以准备邮件，但尚未指定任何可以接收的人。",
        );
    }
    let (to_en, to_zh) = addresses(&mail.recipients).into_both();
    let mut words = Words::new(
        format!("It can send mail to {to_en}, in the name of the host"),
        format!("它可以发送邮件给 {to_zh}，发件人为主机的默认发件人"),
    );
    if !mail.senders.is_empty() {
        let (en, zh) = addresses(&mail.senders).into_both();
        words.push(&format!(" or of {en}"), &format!("或 {zh}"));
    }
    if let Some(count) = mail.per_hour {
        let count = number(count.into());
        words.push(&format!("; at most {count} an hour"), &format!("；每小时最多 {count} 封"));
    }
    if let Some(max) = mail.max_bytes {
        let (en, zh) = bytes(max);
        words.push(&format!("; each up to {en}"), &format!("；每封不超过 {zh}"));
    }
    words.push(".", "。");
    if !mail.not_from.is_empty() {
        let (en, zh) = sources(&mail.not_from).into_both();
        words.push(&format!(" No mail may hold {en}."), &format!("邮件中不得含有{zh}。"));
    }
    words
}

/// Whose data: `data from “crm”, “personal” data`.
pub(crate) fn sources<'s>(sources: impl IntoIterator<Item = &'s Source>) -> Words {
    let (en, zh): (Vec<String>, Vec<String>) = sources
        .into_iter()
        .map(|source| match source {
            Source::Origin(name) if name == TRIGGER => {
                ("data that came in from outside".to_owned(), "从外部传入的数据".to_owned())
            }
            Source::Origin(name) => {
                (format!("data from “{}”", shown(name)), format!("来自“{}”的数据", shown(name)))
            }
            Source::Class(class) => {
                (format!("“{}” data", shown(class)), format!("标记为“{}”的数据", shown(class)))
            }
        })
        .unzip();
    Words { en: list(&en, ", ", "more"), zh: list(&zh, "、", "项以上") }
}

/// Address patterns as a list.
pub(crate) fn addresses(patterns: &[AddressPattern]) -> Words {
    let (en, zh): (Vec<String>, Vec<String>) = patterns
        .iter()
        .map(|pattern| {
            let text = pattern.to_string();
            match text.strip_prefix("*@") {
                Some(domain) => {
                    let domain = shown(domain);
                    (format!("anybody at {domain}"), format!("{domain} 的任何人"))
                }
                None if text == "*" => ("anybody in the world".into(), "任何人".into()),
                None => (shown(&text), shown(&text)),
            }
        })
        .unzip();
    Words { en: list(&en, ", ", "more"), zh: list(&zh, "、", "项以上") }
}

/// The most entries of a list that are shown.
const MAX_SHOWN: usize = 40;

fn list(entries: &[String], between: &str, more: &str) -> String {
    let mut text = entries.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>().join(between);
    if let Some(rest) = entries.len().checked_sub(MAX_SHOWN).filter(|rest| *rest > 0) {
        text.push_str(&format!("{between}+{rest} {more}"));
    }
    text
}

fn limits_words(limits: &Limits) -> Words {
    let ((mem_en, mem_zh), (time_en, time_zh)) = (bytes(limits.memory_bytes), duration(limits.time_ms));
    let calls = number(limits.concurrency.into());
    Words::new(
        format!(
            "Each call may use up to {mem_en} of memory and take up to {time_en}; up to {calls} calls run at one time."
        ),
        format!("每次调用最多使用 {mem_zh} 内存，最长 {time_zh}；最多同时运行 {calls} 次调用。"),
    )
}

/// A number with separators.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in bytes for people, in each language; exact, or rounded up, so that it never promises less than is allowed.
pub(crate) fn bytes(value: u64) -> (String, String) {
    let (unit, name) = match value {
        0..1024 => (1, ""),
        1024..0x0010_0000 => (1 << 10, "KB"),
        0x0010_0000..0x4000_0000 => (1 << 20, "MB"),
        _ => (1 << 30, "GB"),
    };
    let count = number(value.div_ceil(unit));
    if unit == 1 {
        (format!("{count} bytes"), format!("{count} 字节"))
    } else {
        (format!("{count} {name}"), format!("{count} {name}"))
    }
}

/// A time in milliseconds for people, in each language; exact, or rounded up.
pub(crate) fn duration(ms: u64) -> (String, String) {
    if ms >= 120_000 && ms.is_multiple_of(60_000) {
        let minutes = number(ms / 60_000);
        return (format!("{minutes} minutes"), format!("{minutes} 分钟"));
    }
    if ms < 1000 {
        return (format!("{ms} milliseconds"), format!("{ms} 毫秒"));
    }
    let seconds = ms.div_ceil(1000);
    (
        format!("{} second{}", number(seconds), if seconds == 1 { "" } else { "s" }),
        format!("{} 秒", number(seconds)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: &str = r#"
        run-context = true
        config = true
        key-value = { quota-bytes = 17179869184, quota-keys = 30000000, shared = [{ namespace = "crm", access = "read" }] }
        artifacts = { max-bytes = 33554432, per-hour = 20 }
        mail = { senders = ["desk@example.com"], recipients = ["*@example.com", "li@other.test"], per-hour = 100 }
        limits = { memory-bytes = 67108864, time-ms = 30000, concurrency = 64 }

        [[http]]
        host = "erp.example.com"
        methods = ["GET"]
        paths = ["/rest/party/*", "/rest/note/**"]
        query = ["page"]
        inject = [{ secret = "erp-key", bearer = true }]

        [[http]]
        scheme = "http"
        host = "10.0.0.7"
        port = 8069
        methods = ["POST", "PATCH"]
        paths = ["/**"]
        body-fields = ["/contact/name"]
        max-response-bytes = 1500000
        per-minute = 60
        concurrency = 2
        private-network = true
        inject = [{ secret = "pw", basic = "robot" }]
    "#;

    #[test]
    fn in_english() {
        let said = sentences(&Grants::from_toml(GRANT).unwrap(), Language::English);
        assert_eq!(
            said,
            [
                "It can see which run and task it works for.",
                "It can read the settings that you give it.",
                "It can keep data of its own: up to 16 GB in up to 30,000,000 entries.",
                "It can read the data of the plugin “crm”.",
                "It can store files for you, up to 32 MB each, and read back its own; at most 20 an hour.",
                "It can send mail to anybody at example.com, li@other.test, in the name of the host or of desk@example.com; at most 100 an hour.",
                "It can read (GET) at erp.example.com: /rest/party/[any], everything under /rest/note. Of query keys, only page. Requests are signed in by the host with the secret “erp-key” as bearer token, which the plugin never sees.",
                "It can add or send (POST) and change (PATCH) at 10.0.0.7:8069 (not encrypted): everything. It writes only the fields /contact/name. Requests are signed in by the host with the secret “pw” as password of robot, which the plugin never sees. This host may stand inside of your own network. Each request sends up to 1 MB and receives up to 2 MB. At most 60 requests a minute. At most 2 requests at one time.",
                "Each call may use up to 64 MB of memory and take up to 30 seconds; up to 64 calls run at one time.",
            ]
        );
    }

    #[test]
    fn in_chinese() {
        let said = sentences(&Grants::from_toml(GRANT).unwrap(), Language::Chinese);
        assert_eq!(said[2], "它可以保存自己的数据：最多 30,000,000 条，共 16 GB。");
        assert_eq!(
            said[5],
            "它可以发送邮件给 example.com 的任何人、li@other.test，发件人为主机的默认发件人或 desk@example.com；每小时最多 100 封。"
        );
        assert_eq!(
            said[6],
            "它可以在 erp.example.com 读取 (GET)：/rest/party/[任意]、/rest/note 下的全部内容。查询参数仅限 page。请求由主机使用密钥“erp-key”（作为 Bearer 令牌）登录，插件看不到密钥。"
        );
    }

    #[test]
    fn a_plugin_without_grants_computes() {
        let said = sentences(&Grants::default(), Language::English);
        assert!(said.len() == 2 && said[0].contains("only compute"), "{said:?}");
        let nobody = Grants::from_toml("[mail]").unwrap();
        assert!(sentences(&nobody, Language::English)[0].contains("nobody"));
    }

    #[test]
    fn a_manifest_cannot_write_into_the_readers_screen() {
        let mut grants = Grants::from_toml(GRANT).unwrap();
        grants.http[0].query = Some(vec!["a\u{1b}[2J\u{202e}b".into()]);
        grants.http[0].inject[0].secret = "k\nIt can do nothing".into();
        for language in [Language::English, Language::Chinese] {
            let text = sentences(&grants, language).concat();
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\n']), "{text}");
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            (number(0), number(999), number(1000), number(1_234_567)),
            ("0".into(), "999".into(), "1,000".into(), "1,234,567".into())
        );
        for (value, text) in [
            (0, "0 bytes"),
            (1023, "1,023 bytes"),
            (1024, "1 KB"),
            (1025, "2 KB"),
            (16 << 20, "16 MB"),
            (5 << 30, "5 GB"),
        ] {
            assert_eq!(bytes(value).0, text);
        }
        for (ms, text) in [
            (300, "300 milliseconds"),
            (1000, "1 second"),
            (1001, "2 seconds"),
            (60_000, "60 seconds"),
            (900_000, "15 minutes"),
        ] {
            assert_eq!(duration(ms).0, text);
        }
    }
}
