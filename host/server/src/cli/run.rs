//! `factotum run …`

use std::process::ExitCode;

use anyhow::Result;
use factotum_grant::Language;
use serde_json::Value;

use super::{
    args::Run,
    client::{Client, segment},
    output, repair, replay,
};

pub async fn run(command: Run, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Run::List { flow, state, limit, cursor } => {
            let query =
                [("flow", flow), ("state", state), ("limit", Some(limit.to_string())), ("cursor", cursor)];
            let page = client.query("/api/v1/runs", &query).await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            let rows = page.get("runs").and_then(Value::as_array).into_iter().flatten().map(|run| {
                let mut row: Vec<String> = ["/id", "/flow", "/state", "/started_at", "/ended_at", "/trigger"]
                    .map(|pointer| output::text(run, pointer))
                    .to_vec();
                row.push(output::text(run, why(run, language)));
                row
            });
            output::table(&["run", "flow", "state", "started", "ended", "by", "reason"], rows.collect())?;
            if let Some(cursor) = page.get("cursor").and_then(Value::as_str) {
                output::note(&format!("there are more: --cursor {cursor}"));
            }
        }
        Run::Show { id } => {
            let run = client.get(&format!("/api/v1/runs/{}", segment(&id))).await?;
            if json {
                return output::json(&run).map(|()| ExitCode::SUCCESS);
            }
            show(&run, language)?;
        }
        Run::Retry(retry) => return repair::retry(retry, client, json).await,
        Run::Cancel(cancel) => return repair::cancel(cancel, client, json).await,
        Run::Replay(what) => return replay::replay(&what, client, json).await,
        Run::Suspend { id, reason } => return repair::suspend(&id, reason, client, json).await,
        Run::Resume { id } => return repair::resume(&id, client, json).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it stands why a run is as it is: for one that waits for its turn, what for.
fn why(run: &Value, language: Language) -> &'static str {
    match (run.get("queued"), language) {
        (None, _) => "/reason",
        (Some(_), Language::English) => "/queued/reason",
        (Some(_), Language::Chinese) => "/queued/reason_zh",
    }
}

fn show(run: &Value, language: Language) -> Result<()> {
    for (label, pointer) in [
        ("run", "/id"),
        ("flow", "/flow"),
        ("version", "/flow_version"),
        ("state", "/state"),
        ("started", "/started_at"),
        ("ended", "/ended_at"),
        ("starts", "/queued/starts_at"),
        ("reason", why(run, language)),
    ] {
        let text = output::text(run, pointer);
        if text != "-" {
            output::line(&format!("{label:<9}{}", output::printable(&text)))?;
        }
    }
    output::line("")?;
    let rows = run.get("history").and_then(Value::as_array).into_iter().flatten().map(|event| {
        let ended = if event.get("error").is_some() {
            output::text(event, "/error/detail")
        } else if event.get("output").is_some() {
            "ok".into()
        } else {
            String::new()
        };
        vec![
            output::text(event, "/at"),
            output::text(event, "/event"),
            output::text(event, "/task"),
            output::text(event, "/function"),
            output::text(event, "/attempt"),
            output::text(event, "/elapsed_ms"),
            ended,
        ]
    });
    output::table(&["at", "event", "task", "function", "attempt", "ms", "outcome"], rows.collect())?;
    if let Some(output) = run.get("output") {
        output::line("\noutput")?;
        output::json(output)?;
    }
    if let Some(error) = run.get("error") {
        output::line("\nerror")?;
        output::json(error)?;
    }
    Ok(())
}
