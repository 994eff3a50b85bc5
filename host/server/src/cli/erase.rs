//! `factotum erase`: one customer's data.

use std::process::ExitCode;

use anyhow::Result;
use factotum_grant::Language;
use serde_json::{Value, json};

use super::{
    args::Erase,
    client::{Client, text_or_file},
    lang::pick,
    output,
};

/// Ends with 1 when something is left.
pub async fn run(command: Erase, client: &Client, as_json: bool, language: Language) -> Result<ExitCode> {
    let subject = text_or_file(&command.subject)?;
    let body = json!({
        "subject": subject.trim_end_matches(['\r', '\n']),
        "path": command.path,
        "cancel": command.cancel,
        "cap": command.cap,
        "preview": command.dry_run,
    });
    let told = client.post("/api/v1/erasures", &body).await?;
    let is_complete = told.get("complete").and_then(Value::as_bool).unwrap_or_default();
    let code = if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        return output::json(&told).map(|()| code);
    }
    for line in report(&told, language) {
        output::line(&output::printable(&line))?;
    }
    Ok(code)
}

/// The report, line by line.
fn report(told: &Value, language: Language) -> Vec<String> {
    let say = |english: &'static str, chinese: &'static str| pick(language, english, chinese);
    let preview = told.get("preview").and_then(Value::as_bool).unwrap_or_default();
    let mut lines = vec![if preview {
        say("Nothing was erased yet. It would be:", "尚未删除任何数据。将要删除:").to_owned()
    } else {
        say("Erased:", "已删除:").to_owned()
    }];
    let list = |name: &str| told.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let runs = list("runs");
    let (done, not): (Vec<&Value>, Vec<&Value>) =
        runs.iter().partition(|run| run.get("erased").and_then(Value::as_bool).unwrap_or_default());
    let mut part = |what: &str, items: Vec<String>| {
        lines.push(format!("{what}: {}", items.len()));
        lines.extend(items.into_iter().map(|item| format!("  {item}")));
    };
    let run_line = |run: &&Value| format!("{} {}", output::text(run, "/run_id"), output::text(run, "/flow"));
    part(
        say("contents of runs (input, history, output)", "流程运行的内容(输入、历史、输出)"),
        done.iter().map(run_line).collect(),
    );
    let texts = |name: &str| -> Vec<String> {
        list(name).iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
    };
    part(say("artifacts", "文件"), texts("artifacts"));
    let key = |key: &Value| format!("{} {}", output::text(key, "/namespace"), output::text(key, "/key"));
    part(say("keys with their values", "键值"), list("keys").iter().map(key).collect());
    part(say("events", "事件"), texts("events"));
    part(say("mails in the outbox folder", "发件箱文件夹中的邮件"), texts("mails"));
    if let Some(kept @ 1..) = told.get("kept_aside").and_then(Value::as_u64) {
        part(say("messages of mailboxes that were kept aside", "邮箱中被搁置的邮件"), vec![kept.to_string()]);
    }
    if let Some(starts @ 1..) = told.get("starts").and_then(Value::as_u64) {
        part(say("starts that rates look back at", "速率限制记录的启动"), vec![starts.to_string()]);
    }
    let closed = list("closed");
    if !closed.is_empty() {
        let count = told.get("closed_count").and_then(Value::as_u64).unwrap_or_default();
        let more = count.saturating_sub(closed.len() as u64);
        let mut lines: Vec<String> = closed
            .iter()
            .map(|one| format!("{}: {}", output::text(one, "/what"), output::text(one, "/why")))
            .collect();
        if more > 0 {
            lines.push(format!("… {more}"));
        }
        part(
            say(
                "left, because the host cannot look inside: look yourself",
                "主机无法查看其内容，未处理，请自行检查",
            ),
            lines,
        );
    }
    if !not.is_empty() {
        part(
            say("runs that are left", "未删除的流程运行"),
            not.iter().map(|run| format!("{}: {}", run_line(run), output::text(run, "/why"))).collect(),
        );
    }
    let left = texts("left");
    if !left.is_empty() {
        part(say("remarks", "备注"), left);
    }
    let count = |name: &str| output::text(told, &format!("/looked_at/{name}"));
    lines.push(format!(
        "{}: {} / {} / {} / {} / {} / {}",
        say(
            "looked through (runs / artifacts / keys / events / mails / audit entries)",
            "已检查(运行 / 文件 / 键 / 事件 / 邮件 / 审计记录)"
        ),
        count("runs"),
        count("artifacts"),
        count("keys"),
        count("events"),
        count("mails"),
        count("audit_entries")
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_was_erased_and_what_is_left_in_either_language() {
        let told = json!({
            "preview": false, "complete": false,
            "runs": [
                {"run_id": "r1", "flow": "a/b", "state": "completed", "erased": true},
                {"run_id": "r2", "flow": "a/b", "state": "waiting", "erased": false, "why": "the run is not over: waiting"},
            ],
            "artifacts": ["x"], "keys": [{"namespace": "crm", "key": "k"}], "events": [7], "mails": ["m.eml"],
            "looked_at": {"runs": 2, "artifacts": 1, "keys": 1, "events": 1, "mails": 1, "audit_entries": 9},
            "left": ["the cap was reached"], "starts": 3,
            "closed": [{"what": "artifact 7 invoice.pdf", "why": "the text of a PDF is not read"}], "closed_count": 5,
        });
        let english = report(&told, Language::English).join("\n");
        for part in [
            "Erased:",
            "  r1 a/b",
            "r2 a/b: the run is not over",
            "crm k",
            "  7",
            "m.eml",
            "cap",
            "artifact 7 invoice.pdf: the text of a PDF is not read",
            "… 4",
            "rates look back at: 1",
            "2 / 1 / 1 / 1 / 1 / 9",
        ] {
            assert!(english.contains(part), "{part}: {english}");
        }
        let chinese = report(&told, Language::Chinese).join("\n");
        assert!(chinese.contains("已删除") && chinese.contains("未删除的流程运行: 1"), "{chinese}");
        let preview = json!({"preview": true});
        assert!(report(&preview, Language::English)[0].contains("Nothing was erased yet"));
    }
}
