//! Entries of the audit log as sentences: what did this plugin do, and what was done to it?

use factotum_grant::Language;
use serde_json::Value;

use super::{lang::pick, output};

/// One entry in words: a line, and the differences it tells beneath it.
pub fn told(record: &Value, language: Language) -> Vec<String> {
    let text = |pointer: &str| output::printable(&output::text(record, pointer));
    let entry = Entry { record, language };
    let place = match record.pointer("/entry/run").and_then(Value::as_str) {
        Some(run) => format!("  [{} {}]", pick(language, "run", "运行"), output::printable(run)),
        None => String::new(),
    };
    let mut lines = vec![format!("{}  {}{}{place}", text("/entry/time"), entry.sentence(), entry.outcome())];
    for (name, mark) in [("gained", "+"), ("asks", "+"), ("lost", "-")] {
        lines.extend(
            (1..)
                .map_while(|number| entry.detail(&format!("{name}.{number}")))
                .map(|line| format!("    {mark} {line}")),
        );
        if let Some(rest) = entry.detail(&format!("{name}.more")) {
            lines.push(format!("    {mark} … (+{rest})"));
        }
    }
    if let Some(mend) = entry.detail("mend") {
        lines.push(format!("    {}", pick(language, "the least grant for it:", "所需的最小授权：")));
        lines.extend(mend.lines().map(|line| format!("      {line}")));
    }
    lines
}

struct Entry<'r> {
    record: &'r Value,
    language: Language,
}

impl Entry<'_> {
    fn text(&self, name: &str) -> String {
        output::printable(&output::text(self.record, &format!("/entry/{name}")))
    }

    fn detail(&self, name: &str) -> Option<String> {
        let details = self.record.pointer("/entry/detail")?;
        details.get(name).and_then(Value::as_str).map(output::printable)
    }

    fn outcome(&self) -> String {
        let code = self.detail("code").map_or(String::new(), |code| format!(" ({code})"));
        let words = match self.text("outcome").as_str() {
            "denied" => pick(self.language, "REFUSED", "已拒绝"),
            "business-fault" => pick(self.language, "failed: the matter itself", "失败：业务原因"),
            "technical-fault" => pick(self.language, "failed: technical", "失败：技术原因"),
            _ => return String::new(),
        };
        match self.language {
            Language::English => format!(" — {words}{code}"),
            Language::Chinese => format!("——{words}{code}"),
        }
    }

    /// Who, what, to what.
    fn sentence(&self) -> String {
        let (actor, action, target) = (self.actor(), self.text("action"), self.text("target"));
        let version = self.detail("version").unwrap_or_default();
        let from = self.detail("from").unwrap_or_default();
        let zh = self.language == Language::Chinese;
        let said = match action.as_str() {
            "plugin.call" if self.text("outcome") == "started" => match self.language {
                Language::English => format!("{actor} began to call {target}"),
                Language::Chinese => format!("{actor} 开始调用 {target}"),
            },
            "plugin.call" if zh => format!("{actor} 调用了 {target}"),
            "plugin.call" => format!("{actor} called {target}"),
            "plugin.add" if zh => format!("{actor} 安装了 {target} {version}，或更改了它的授权或设置"),
            "plugin.add" => {
                format!("{actor} installed {target} {version}, or changed its grants or settings")
            }
            "plugin.remove" if zh => format!("{actor} 移除了 {target} {version}"),
            "plugin.remove" => format!("{actor} removed {target} {version}"),
            "plugin.grant" if zh => format!("{actor} 更改了 {target} {version} 的授权"),
            "plugin.grant" => format!("{actor} changed the grants of {target} {version}"),
            "plugin.revoke" if zh => format!("{actor} 收回了 {target} {version} 的授权"),
            "plugin.revoke" => format!("{actor} took grants back from {target} {version}"),
            "plugin.upgrade" if zh => format!("{actor} 将 {target} 从 {from} 升级到 {version}"),
            "plugin.upgrade" => format!("{actor} upgraded {target} from {from} to {version}"),
            "plugin.upgrade.hold" if zh => {
                format!("{actor} 提交了 {target} {version}，它请求更多权限，等待同意")
            }
            "plugin.upgrade.hold" => {
                format!("{actor} brought {target} {version}, which asks for more and waits")
            }
            "plugin.upgrade.agree" if zh => format!("{actor} 同意将 {target} 从 {from} 升级到 {version}"),
            "plugin.upgrade.agree" => format!("{actor} agreed to upgrade {target} from {from} to {version}"),
            "plugin.upgrade.decline" if zh => format!("{actor} 拒绝将 {target} 升级到 {version}"),
            "plugin.upgrade.decline" => format!("{actor} declined to upgrade {target} to {version}"),
            "plugin.learn" if zh => format!("{actor} 用样例试运行了 {target}，以得出所需的授权"),
            "plugin.learn" => format!("{actor} tried {target} on samples, to learn which grants it needs"),
            other => return self.effect(&actor, other, &target),
        };
        said.trim_end().to_owned()
    }

    /// A use of a capability, or an action that has no sentence of its own.
    fn effect(&self, actor: &str, action: &str, target: &str) -> String {
        let zh = self.language == Language::Chinese;
        let count = self.detail("count").map_or(String::new(), |count| {
            if zh { format!("（{count} 次）") } else { format!(" ({count} times)") }
        });
        let Some(used) = action.strip_prefix("capability.") else {
            return format!("{actor} {action} {target}{count}");
        };
        let verb = match used.split_once('.').unwrap_or((used, "")) {
            ("mail", _) => ("sent mail to", "发送邮件给"),
            ("artifacts", "get") => ("read the file", "读取文件"),
            ("artifacts", "info" | "list") => ("looked at the files it stored:", "查看它保存的文件："),
            ("artifacts", "attach") => ("attached to a mail the file", "将文件附加到邮件："),
            ("artifacts", _) => ("stored the file", "保存文件"),
            ("key-value", "get" | "list" | "open") => ("read data in", "读取数据："),
            ("key-value", "delete") => ("deleted data in", "删除数据："),
            ("key-value", _) => ("wrote data in", "写入数据："),
            ("http", "get" | "head" | "options") => ("read", "读取"),
            ("http", method) => return self.request(actor, method, target, &count),
            ("config", _) => ("read its settings:", "读取设置："),
            ("run-context", _) => ("looked up which task it works for:", "查询自己服务的任务："),
            _ => return format!("{actor} {action} {target}{count}"),
        };
        let denied = self.text("outcome") == "denied";
        match (zh, denied) {
            (false, false) => format!("{actor} {} {target}{count}", verb.0),
            (false, true) => format!("{actor} wanted this: {} {target}{count}", verb.0),
            (true, false) => format!("{actor} {} {target}{count}", verb.1),
            (true, true) => format!("{actor} 曾试图：{} {target}{count}", verb.1),
        }
    }

    fn request(&self, actor: &str, method: &str, target: &str, count: &str) -> String {
        let method = method.to_ascii_uppercase();
        match (self.language, self.text("outcome") == "denied") {
            (Language::English, false) => format!("{actor} sent {method} to {target}{count}"),
            (Language::English, true) => format!("{actor} wanted to send {method} to {target}{count}"),
            (Language::Chinese, false) => format!("{actor} 向 {target} 发送了 {method}{count}"),
            (Language::Chinese, true) => format!("{actor} 曾试图向 {target} 发送 {method}{count}"),
        }
    }

    fn actor(&self) -> String {
        let actor = self.text("actor");
        let (kind, name) = actor.split_once(':').unwrap_or((actor.as_str(), ""));
        let (en, zh) = match kind {
            "plugin" => ("the plugin", "插件"),
            "flow" => ("the flow", "流程"),
            "token" => ("the holder of the token", "令牌持有者"),
            "person" => return name.to_owned(),
            "system" => return pick(self.language, "the host", "主机").to_owned(),
            "anonymous" => return pick(self.language, "somebody unknown", "未知人员").to_owned(),
            _ => return actor,
        };
        format!("{} {name}", pick(self.language, en, zh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(actor: &str, action: &str, target: &str, outcome: &str, detail: Value) -> Value {
        json!({ "entry": { "time": "2026-11-21T01:00:00.000Z", "actor": actor, "action": action, "target": target,
            "outcome": outcome, "detail": detail } })
    }

    #[test]
    fn calls_effects_refusals_and_administration_are_told() {
        for (record, english, chinese) in [
            (
                record("flow:support/intake", "plugin.call", "mail/send", "ok", json!({})),
                vec!["the flow support/intake called mail/send"],
                "流程 support/intake 调用了 mail/send",
            ),
            (
                record("plugin:mail", "capability.mail.send", "a@b.test", "ok", json!({})),
                vec!["the plugin mail sent mail to a@b.test"],
                "插件 mail 发送邮件给 a@b.test",
            ),
            (
                record(
                    "plugin:erp",
                    "capability.http.post",
                    "https://x.test/pay",
                    "denied",
                    json!({"mend": "[[http]]\nhost = \"x.test\"", "count": "3"}),
                ),
                vec![
                    "the plugin erp wanted to send POST to https://x.test/pay (3 times) — REFUSED",
                    "the least grant for it:",
                    "[[http]]",
                    "host = \"x.test\"",
                ],
                "插件 erp 曾试图向 https://x.test/pay 发送 POST（3 次）——已拒绝",
            ),
            (
                record(
                    "token:admin",
                    "plugin.upgrade.agree",
                    "erp",
                    "ok",
                    json!({"from": "1.2.0", "version": "1.3.0", "asks.1": "may also fly"}),
                ),
                vec![
                    "the holder of the token admin agreed to upgrade erp from 1.2.0 to 1.3.0",
                    "+ may also fly",
                ],
                "令牌持有者 admin 同意将 erp 从 1.2.0 升级到 1.3.0",
            ),
            (
                record(
                    "token:admin",
                    "plugin.revoke",
                    "erp",
                    "ok",
                    json!({"version": "1.2.0", "lost.1": "may no longer fly"}),
                ),
                vec!["the holder of the token admin took grants back from erp 1.2.0", "- may no longer fly"],
                "令牌持有者 admin 收回了 erp 1.2.0 的授权",
            ),
        ] {
            let lines = told(&record, Language::English);
            let lines: Vec<&str> =
                lines.iter().map(|line| line.trim_start_matches("2026-11-21T01:00:00.000Z").trim()).collect();
            assert_eq!(lines, english);
            assert!(
                told(&record, Language::Chinese)[0].ends_with(chinese),
                "{:?}",
                told(&record, Language::Chinese)
            );
        }
    }

    #[test]
    fn a_target_cannot_write_into_the_readers_screen() {
        let record = record("plugin:x", "capability.artifacts.put", "a\u{1b}[2J.pdf", "ok", json!({}));
        assert!(!told(&record, Language::English).concat().contains('\u{1b}'));
    }
}
