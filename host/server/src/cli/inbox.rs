//! `factotum inbox …`

use std::process::ExitCode;

use anyhow::Result;
use factotum_grant::Language;
use serde_json::{Value, json};

use super::{
    args_run::Inbox,
    client::{Client, json_or_file, segment},
    lang::pick,
    output,
};

pub async fn run(command: Inbox, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Inbox::List { mine, closed, limit, cursor } => {
            let yes = |flag: bool| flag.then(|| "true".to_owned());
            let query = [
                ("mine", yes(mine)),
                ("closed", yes(closed)),
                ("limit", Some(limit.to_string())),
                ("cursor", cursor),
            ];
            let page = client.query("/api/v1/inbox", &query).await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            list(&page, language)?;
        }
        Inbox::Show { id } => {
            let item = client.get(&format!("/api/v1/inbox/{}", segment(&id))).await?;
            if json {
                return output::json(&item).map(|()| ExitCode::SUCCESS);
            }
            show(&item, language)?;
        }
        Inbox::Complete { id, outcome, answer } => {
            let body = json!({ "outcome": outcome, "answer": json_or_file(&answer)? });
            let item = client.post(&format!("/api/v1/inbox/{}/complete", segment(&id)), &body).await?;
            if json {
                return output::json(&item).map(|()| ExitCode::SUCCESS);
            }
            let (run, outcome) = (output::text(&item, "/run"), output::text(&item, "/outcome"));
            output::line(&output::printable(&match language {
                Language::English => format!("{outcome}; run {run} goes on"),
                Language::Chinese => format!("{outcome}；运行 {run} 继续执行"),
            }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(page: &Value, language: Language) -> Result<()> {
    let items = page.get("items").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = items
        .map(|item| {
            let asked = match output::text(item, "/assignee") {
                none if none == "-" => output::text(item, "/group"),
                assignee => assignee,
            };
            let columns = ["/id", "/title", "/priority", "/opened_at", "/due", "/flow", "/state"];
            let mut row = columns.map(|pointer| output::text(item, pointer)).to_vec();
            row.insert(2, asked);
            row
        })
        .collect();
    if rows.is_empty() {
        return output::line(pick(language, "nothing waits", "没有待处理事项"));
    }
    match language {
        Language::English => {
            output::table(&["item", "title", "asked", "priority", "since", "due", "flow", "state"], rows)?;
        }
        Language::Chinese => {
            output::table(
                &["事项", "标题", "处理人", "优先级", "开始时间", "截止时间", "流程", "状态"],
                rows,
            )?;
        }
    }
    if let Some(cursor) = page.get("cursor").and_then(Value::as_str) {
        output::note(&match language {
            Language::English => format!("there are more: --cursor {cursor}"),
            Language::Chinese => format!("还有更多：--cursor {cursor}"),
        });
    }
    Ok(())
}

fn show(item: &Value, language: Language) -> Result<()> {
    for (english, chinese, pointer) in [
        ("item", "事项", "/id"),
        ("title", "标题", "/title"),
        ("about", "说明", "/description"),
        ("state", "状态", "/state"),
        ("asked", "处理人", "/assignee"),
        ("group", "处理组", "/group"),
        ("requester", "申请人", "/requester"),
        ("priority", "优先级", "/priority"),
        ("since", "开始时间", "/opened_at"),
        ("due", "截止时间", "/due"),
        ("flow", "流程", "/flow"),
        ("run", "运行", "/run"),
        ("by", "完成人", "/by"),
        ("outcome", "结果", "/outcome"),
    ] {
        let text = output::text(item, pointer);
        if text != "-" {
            output::line(&format!("{:<11}{}", pick(language, english, chinese), output::printable(&text)))?;
        }
    }
    for (english, chinese, name) in [("form", "表单", "form"), ("answer", "答复", "answer")] {
        if let Some(value) = item.get(name) {
            output::line(&format!("\n{}", pick(language, english, chinese)))?;
            output::json(value)?;
        }
    }
    Ok(())
}
