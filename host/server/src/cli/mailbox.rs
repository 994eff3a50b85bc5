//! `factotum mailbox …`

use std::process::ExitCode;

use anyhow::Result;
use factotum_grant::Language;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    args_run::Mailbox,
    client::{Client, segment},
    lang::pick,
    output,
};

pub async fn run(command: Mailbox, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Mailbox::List => {
            let page = client.get("/api/v1/mailboxes").await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            list(&page, language)?;
        }
        Mailbox::Show { mailbox } => {
            let page = client.get(&format!("/api/v1/mailboxes/{}/aside", segment(&mailbox))).await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            show(&page, language)?;
        }
        Mailbox::Retry { mailbox, id } => {
            let path = format!("/api/v1/mailboxes/{}/aside/{}/retry", segment(&mailbox), segment(&id));
            let started = client.post(&path, &json!({})).await?;
            if json {
                return output::json(&started).map(|()| ExitCode::SUCCESS);
            }
            let run = output::text(&started, "/run_id");
            output::line(&format!("{} {run}", pick(language, "run", "运行")))?;
        }
        Mailbox::Dismiss { mailbox, id } => {
            let path = format!("/api/v1/mailboxes/{}/aside/{}", segment(&mailbox), segment(&id));
            client.send(client.request(Method::DELETE, &path)).await?;
            output::line(pick(language, "forgotten", "已移除"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(page: &Value, list: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let items = page.get(list).and_then(Value::as_array).into_iter().flatten();
    let row = |item| columns.iter().map(|pointer| output::text(item, pointer)).collect();
    items.map(row).collect()
}

fn list(page: &Value, language: Language) -> Result<()> {
    let columns = [
        "/mailbox",
        "/folder",
        "/state",
        "/flow",
        "/last_message_at",
        "/taken",
        "/skipped",
        "/aside",
        "/error",
    ];
    let rows = rows(page, "mailboxes", &columns);
    if rows.is_empty() {
        return output::line(pick(
            language,
            "there is no mailbox; an administrator sets one up: [mailboxes.NAME] in the configuration file",
            "尚未配置邮箱；管理员可在配置文件中添加 [mailboxes.NAME]",
        ));
    }
    match language {
        Language::English => output::table(
            &["mailbox", "folder", "state", "flow", "last message", "taken", "skipped", "aside", "error"],
            rows,
        ),
        Language::Chinese => output::table(
            &["邮箱", "文件夹", "状态", "流程", "最近邮件", "已处理", "已跳过", "已搁置", "错误"],
            rows,
        ),
    }
}

fn show(page: &Value, language: Language) -> Result<()> {
    let rows = rows(page, "aside", &["/id", "/folder", "/kept_at", "/from", "/subject", "/raw", "/reason"]);
    if rows.is_empty() {
        return output::line(pick(language, "nothing is kept aside", "没有被搁置的邮件"));
    }
    match language {
        Language::English => {
            output::table(&["message", "folder", "since", "from", "subject", "raw artifact", "reason"], rows)
        }
        Language::Chinese => {
            output::table(&["邮件", "文件夹", "时间", "发件人", "主题", "原始邮件", "原因"], rows)
        }
    }
}
