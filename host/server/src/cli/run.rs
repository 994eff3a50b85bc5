//! `factotum run …`

use std::process::ExitCode;

use anyhow::Result;
use factotum_grant::Language;
use serde_json::Value;

use super::{
    args::Run,
    client::{Client, segment},
    output, repair, replay, sla,
};

pub async fn run(command: Run, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Run::List { flow, state, sla, limit, cursor } => {
            let limit = Some(limit.to_string());
            let query =
                [("flow", flow), ("state", state), ("sla", sla), ("limit", limit), ("cursor", cursor)];
            let page = client.query("/api/v1/runs", &query).await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            let rows = page.get("runs").and_then(Value::as_array).into_iter().flatten().map(|run| {
                let text = |pointer| output::text(run, pointer);
                let (id, flow, state) = (text("/id"), text("/flow"), text("/state"));
                let clocks = run.get("sla").map_or("-".into(), sla::line);
                vec![
                    id,
                    flow,
                    state,
                    clocks,
                    text("/started_at"),
                    text("/ended_at"),
                    text("/trigger"),
                    text(why(run, language)),
                ]
            });
            let head = ["run", "flow", "state", "sla", "started", "ended", "by", "reason"];
            output::table(&head, rows.collect())?;
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
        ("content", "/removed"),
    ] {
        let text = output::text(run, pointer);
        if text != "-" {
            output::line(&format!("{label:<9}{}", output::printable(&text)))?;
        }
    }
    for clock in run.pointer("/sla/clocks").and_then(Value::as_array).into_iter().flatten() {
        let name = output::text(clock, "/clock");
        let due =
            clock.get("due").map_or(String::new(), |_| format!(" (due {})", output::text(clock, "/due")));
        output::line(&format!("{name:<9}{}{due}", sla::clock(clock)))?;
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
