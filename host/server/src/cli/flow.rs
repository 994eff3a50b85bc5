//! `factotum flow …`

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_grant::Language;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    args::Flow,
    client::{ApiError, Client, json_or_file, segment},
    learn, output, plugin,
};

pub async fn run(command: Flow, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Flow::Learn(arguments) => return learn::learn(arguments, client, json, language).await,
        Flow::Check { files, plugins: _ } => {
            return each(&files, client, "/api/v1/flows/check", "is sound", json).await;
        }
        Flow::Test { .. } | Flow::Diagram { .. } => bail!("this asks no host"),
        Flow::Grant { flow, grants, add, yes } => {
            return plugin::grant_flow(&path(&flow)?, &flow, &grants, add, yes, client, json, language).await;
        }
        Flow::Rights { flow, toml } => {
            return plugin::flow_rights(&path(&flow)?, toml, client, json, language).await;
        }
        Flow::Revoke { flow } => {
            return plugin::revoke_flow(&path(&flow)?, &flow, client, json, language).await;
        }
        Flow::Deploy { files } => return each(&files, client, "/api/v1/flows", "is deployed", json).await,
        Flow::List => {
            let list = client.get("/api/v1/flows").await?;
            if json {
                return output::json(&list).map(|()| ExitCode::SUCCESS);
            }
            let rows = list.as_array().into_iter().flatten().map(|info| {
                vec![
                    format!("{}/{}", output::text(info, "/namespace"), output::text(info, "/name")),
                    output::text(info, "/version"),
                    output::text(info, "/title"),
                    output::text(info, "/limits/under_way"),
                    output::text(info, "/limits/queued"),
                    next_start(info),
                ]
            });
            let columns = ["flow", "version", "title", "under way", "queued", "next start"];
            output::table(&columns, rows.collect())?;
        }
        Flow::Show { flow } => {
            let shown = client.get(&format!("/api/v1/flows/{}", path(&flow)?)).await?;
            if json {
                return output::json(&shown).map(|()| ExitCode::SUCCESS);
            }
            output::line(&output::printable(&output::text(&shown, "/source")))?;
        }
        Flow::Run { flow, input, no_wait, timeout, idempotency_key } => {
            let wait = if no_wait { String::new() } else { format!("?wait={timeout}") };
            let mut request = client
                .request(Method::POST, &format!("/api/v1/flows/{}/runs{wait}", path(&flow)?))
                .json(&json_or_file(&input)?);
            if let Some(key) = idempotency_key {
                request = request.header("idempotency-key", key);
            }
            let run = client.send(request).await?;
            if json {
                output::json(&run)?;
            } else if let Some(output) = run.get("output") {
                output::json(output)?;
            } else if let Some(error) = run.get("error") {
                output::json(error)?;
            } else {
                let id = run.get("run_id").or(run.get("id")).and_then(Value::as_str).unwrap_or("-");
                output::line(&format!("{id} goes on; see: factotum run show {id}"))?;
            }
            let state = run.get("state").and_then(Value::as_str);
            return Ok(if matches!(state, Some("faulted" | "stuck" | "cancelled")) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// When a run of a flow starts next by itself: one that is scheduled, or one that waits for its turn.
fn next_start(info: &Value) -> String {
    let of = |pointer| info.pointer(pointer).and_then(Value::as_str);
    // RFC 3339 in UTC sorts as text.
    let next = [of("/next_start"), of("/limits/next")].into_iter().flatten().min();
    next.unwrap_or("-").to_owned()
}

/// Sends each document; all are tried, and one that is refused does not hide the others.
async fn each(
    files: &[std::path::PathBuf],
    client: &Client,
    endpoint: &str,
    done: &str,
    json: bool,
) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match client.post(endpoint, &document(file)?).await {
            Ok(info) if json => output::json(&info)?,
            Ok(info) => {
                output::line(&format!(
                    "{}/{} {} {done}",
                    output::text(&info, "/namespace"),
                    output::text(&info, "/name"),
                    output::text(&info, "/version")
                ))?;
                declassified(&info)?;
                for warning in info.pointer("/warnings").and_then(Value::as_array).into_iter().flatten() {
                    output::note(&warned(warning));
                }
            }
            Err(error) => match error.downcast_ref::<ApiError>() {
                Some(refusal) if refusal.is_refusal() => {
                    if json {
                        output::json(refusal.problem())?;
                    } else {
                        output::error(&refusal.to_string());
                    }
                    code = ExitCode::from(2);
                }
                _ => return Err(error),
            },
        }
    }
    Ok(code)
}

/// Shows what the flow takes labels off, and why, to whoever deploys it.
fn declassified(info: &Value) -> Result<()> {
    for task in info.pointer("/declassified").and_then(Value::as_array).into_iter().flatten() {
        let from: Vec<&str> = task
            .pointer("/from")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        output::line(&format!(
            "  line {}: {} gives on its output as free of data from {}: {}",
            task.pointer("/line").and_then(Value::as_u64).unwrap_or_default(),
            output::text(task, "/path"),
            from.join(", "),
            output::text(task, "/reason")
        ))?;
    }
    Ok(())
}

/// What works, but probably not as meant, in a line.
fn warned(warning: &Value) -> String {
    let text = |pointer| output::printable(&output::text(warning, pointer));
    let number = |pointer| warning.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let hint =
        warning.get("hint").and_then(Value::as_str).map(|hint| format!("; {}", output::printable(hint)));
    format!(
        "warning: {}:{}:{} {}: {}{}",
        text("/file"),
        number("/line"),
        number("/column"),
        text("/path"),
        text("/message"),
        hint.unwrap_or_default()
    )
}

fn document(file: &Path) -> Result<Value> {
    let source = fs::read_to_string(file).with_context(|| format!("the flow document {}", file.display()))?;
    Ok(json!({ "source": source, "file": file.display().to_string() }))
}

pub fn path(flow: &str) -> Result<String> {
    match flow.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(format!("{}/{}", segment(namespace), segment(name)))
        }
        _ => bail!("name the flow as namespace/name, as in support/ticket-intake"),
    }
}
