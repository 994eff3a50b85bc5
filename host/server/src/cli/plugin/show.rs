//! `factotum plugin show`: what can this plugin do to me? As text for people; the details are for `--json` and `--toml`.

use factotum_grant::Language;
use serde_json::Value;

use super::words;
use crate::cli::{lang::pick, output};

/// The lines that are shown.
pub fn told(info: &Value, language: Language) -> Vec<String> {
    let text = |pointer: &str| output::printable(&output::text(info, pointer));
    let mut lines = vec![format!("{} {}", text("/name"), text("/version"))];
    let description = words(info, "/manifest/description", language);
    if description != "-" {
        lines.push(description);
    }
    if let Some(reason) = info.get("unavailable").and_then(Value::as_str) {
        lines.push(format!(
            "{} {}",
            pick(language, "It cannot be called:", "目前无法调用："),
            output::printable(reason)
        ));
    }
    let mut section = |title: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(entries.into_iter().map(|entry| format!("  - {entry}")));
        }
    };
    let code = pick(language, "en", "zh");
    let list = |pointer: &str| info.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    section(
        pick(language, "What it may do here:", "它在这里可以做什么："),
        list(&format!("/may/{code}")).filter_map(Value::as_str).map(output::printable).collect(),
    );
    section(
        pick(language, "Why it asks for this:", "它为什么需要这些："),
        list("/manifest/asks")
            .map(|ask| words(ask, "/reason", language))
            .filter(|words| words != "-")
            .collect(),
    );
    section(
        pick(language, "What it offers:", "它提供的功能："),
        list("/functions").map(|function| output::printable(&signature(function))).collect(),
    );
    let name = text("/name");
    lines.extend([
        String::new(),
        match language {
            Language::English => format!(
                "Everything else is refused, and every refusal is noted. What it did: factotum audit list --plugin {name}"
            ),
            Language::Chinese => {
                format!("其余一切都会被拒绝并记录在案。查看它做过什么：factotum audit list --plugin {name}")
            }
        },
        match language {
            Language::English => {
                format!("Installed {} by {}; sha256 {}", text("/installed_at"), text("/installed_by"), text("/digest"))
            }
            Language::Chinese => format!(
                "由 {} 于 {} 安装；sha256 {}",
                text("/installed_by"),
                text("/installed_at"),
                text("/digest")
            ),
        },
    ]);
    lines
}

/// A function in a line: its name, and the members its input takes.
fn signature(function: &Value) -> String {
    let name = output::text(function, "/name");
    if let Some(reason) = function.get("not_callable").and_then(Value::as_str) {
        return format!("{name}  (not callable from flows: {reason})");
    }
    let required: Vec<&str> = function
        .pointer("/input_schema/required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let params: Vec<String> = function
        .pointer("/input_schema/properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|properties| properties.keys())
        .map(|key| if required.contains(&key.as_str()) { key.clone() } else { format!("{key}?") })
        .collect();
    format!("{name}({})", params.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_office_manager_reads_what_it_may_do_in_either_language() {
        let info = json!({
            "name": "mail", "version": "0.1.0", "digest": "ab12", "installed_at": "2026-11-21T01:00:00Z",
            "installed_by": "token:admin",
            "manifest": {
                "description": { "en": "Writes letters.\u{1b}[2J", "zh": "撰写邮件。" },
                "asks": [{ "capability": "mail", "reason": { "en": "Sends them.", "zh": "发送邮件。" } }],
            },
            "may": { "en": ["It can send mail to anybody at a.test."], "zh": ["它可以发送邮件给 a.test 的任何人。"] },
            "functions": [{ "name": "send", "input_schema": { "required": ["to"], "properties": { "to": {}, "cc": {} } } }],
        });
        assert_eq!(
            told(&info, Language::English),
            [
                "mail 0.1.0",
                "Writes letters.\\u{1b}[2J",
                "",
                "What it may do here:",
                "  - It can send mail to anybody at a.test.",
                "",
                "Why it asks for this:",
                "  - Sends them.",
                "",
                "What it offers:",
                "  - send(cc?, to)",
                "",
                "Everything else is refused, and every refusal is noted. What it did: factotum audit list --plugin mail",
                "Installed 2026-11-21T01:00:00Z by token:admin; sha256 ab12",
            ]
        );
        let chinese = told(&info, Language::Chinese).join("\n");
        for part in
            ["撰写邮件。", "它在这里可以做什么：", "它可以发送邮件给 a.test 的任何人。", "  - 发送邮件。"]
        {
            assert!(chinese.contains(part), "{chinese}");
        }
    }
}
