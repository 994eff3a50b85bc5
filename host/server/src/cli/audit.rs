//! `factotum audit …`

use std::{
    fs,
    io::{self, BufReader, Write},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use factotum_grant::Language;
use reqwest::Method;
use serde_json::Value;

use super::{args::Audit, audit_words, client::Client, output};

pub async fn run(command: Audit, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Audit::List { actor, action, outcome, run, plugin, limit, cursor } => {
            // Whoever asks about one plugin asks what it did; a table of codes is no answer to that.
            let in_words = plugin.is_some();
            let query = [
                ("actor", actor),
                ("action", action),
                ("outcome", outcome),
                ("run", run),
                ("plugin", plugin),
                ("limit", Some(limit.to_string())),
                ("cursor", cursor.map(|c| c.to_string())),
            ];
            let page = client.query("/api/v1/audit", &query).await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            let records = || page.get("records").and_then(Value::as_array).into_iter().flatten();
            if in_words {
                for record in records() {
                    for line in audit_words::told(record, language) {
                        output::line(&line)?;
                    }
                }
                return more(&page);
            }
            let rows = records().map(|record| {
                [
                    "/sequence",
                    "/entry/time",
                    "/entry/actor",
                    "/entry/action",
                    "/entry/target",
                    "/entry/outcome",
                    "/entry/run",
                ]
                .map(|pointer| output::text(record, pointer))
                .to_vec()
            });
            output::table(&["entry", "time", "actor", "action", "target", "outcome", "run"], rows.collect())?;
            more(&page)
        }
        Audit::Verify { file: None } => verdict(&client.get("/api/v1/audit/verify").await?, json),
        Audit::Verify { file: Some(path) } => {
            let file = fs::File::open(&path).with_context(|| format!("the export {}", path.display()))?;
            let report = factotum_audit::verify_export(&mut BufReader::new(file), None, &[])?;
            verdict(&serde_json::to_value(report)?, json)
        }
        Audit::Export { output: path } => {
            let mut out: Box<dyn Write> = match &path {
                None => Box::new(io::stdout().lock()),
                Some(path) => Box::new(
                    fs::File::create_new(path).with_context(|| format!("the file {}", path.display()))?,
                ),
            };
            let mut response = client.request(Method::GET, "/api/v1/audit/export").send().await?;
            if !response.status().is_success() {
                bail!("the host answered with HTTP {}", response.status());
            }
            while let Some(chunk) = response.chunk().await.context("the export broke off")? {
                out.write_all(&chunk)?;
            }
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Says where the next page is.
fn more(page: &Value) -> Result<ExitCode> {
    if let Some(cursor) = page.get("cursor").and_then(Value::as_u64) {
        output::note(&format!("there are more: --cursor {cursor}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The report in words; anything wrong fails the command.
fn verdict(report: &Value, json: bool) -> Result<ExitCode> {
    let findings = report.get("findings").and_then(Value::as_array).map_or(0, Vec::len);
    let code = if findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) };
    if json {
        output::json(report)?;
        return Ok(code);
    }
    let entries = output::text(report, "/entries");
    if findings == 0 {
        output::line(&format!(
            "the chain of {entries} entries holds, up to {}",
            output::text(report, "/head/hash")
        ))?;
        return Ok(code);
    }
    output::line(&format!("the chain of {entries} entries does NOT hold:"))?;
    for finding in report.get("findings").and_then(Value::as_array).into_iter().flatten() {
        let text = serde_json::from_value::<factotum_audit::Finding>(finding.clone())
            .map_or_else(|_| finding.to_string(), |finding| finding.to_string());
        output::line(&format!("  {text}"))?;
    }
    Ok(code)
}
