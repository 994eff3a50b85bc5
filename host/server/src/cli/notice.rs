//! `factotum notice …`

use std::process::ExitCode;

use anyhow::Result;
use factotum_grant::Language;
use serde_json::Value;

use super::{args_run::Notice, client::Client, lang::pick, output};

pub async fn run(command: Notice, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    let Notice::List { limit } = command;
    let page = client.get(&format!("/api/v1/notices?limit={limit}")).await?;
    if json {
        return output::json(&page).map(|()| ExitCode::SUCCESS);
    }
    let items = page.get("notices").and_then(Value::as_array).into_iter().flatten();
    let columns = ["/state", "/to", "/subject", "/since", "/tries", "/next", "/error"];
    let rows: Vec<Vec<String>> =
        items.map(|item| columns.iter().map(|column| output::text(item, column)).collect()).collect();
    if rows.is_empty() {
        output::line(pick(language, "every notice was mailed", "所有通知均已发出"))?;
        return Ok(ExitCode::SUCCESS);
    }
    match language {
        Language::English => {
            output::table(&["state", "to", "subject", "since", "tries", "next try", "error"], rows)?;
        }
        Language::Chinese => {
            output::table(&["状态", "收件人", "主题", "等待自", "已尝试", "下次尝试", "错误"], rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
