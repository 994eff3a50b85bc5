//! `factotum run replay`

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    client::{Client, segment},
    output,
};

/// Ends with 1 when the two part, like `diff`.
pub async fn replay(id: &str, flow: Option<&Path>, client: &Client, json: bool) -> Result<ExitCode> {
    let body = match flow {
        None => json!({}),
        Some(file) => {
            let source =
                fs::read_to_string(file).with_context(|| format!("the flow document {}", file.display()))?;
            json!({ "source": source, "file": file.display().to_string() })
        }
    };
    let told = client.post(&format!("/api/v1/runs/{}/replay", segment(id)), &body).await?;
    let same = told.get("same").and_then(Value::as_bool).unwrap_or_default();
    let code = if same { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if json {
        return output::json(&told).map(|()| code);
    }
    let answered = output::text(&told, "/answered");
    if same {
        output::line(&format!("the same in all: {answered} answers of the history, and the end"))?;
    }
    if let Some(parts) = told.get("parts_at") {
        output::line(&format!("they part at {}", output::printable(&output::text(parts, "/place"))))?;
    }
    for differs in told.get("differences").and_then(Value::as_array).into_iter().flatten() {
        show(differs)?;
    }
    let changed = lines(&told, "outcome_differences");
    if !changed.is_empty() {
        output::line("the end")?;
        for line in changed {
            output::line(&format!("  {}", output::printable(line)))?;
        }
    }
    for note in lines(&told, "notes") {
        output::note(&output::printable(note));
    }
    Ok(code)
}

fn show(differs: &Value) -> Result<()> {
    output::line(&output::printable(&output::text(differs, "/place")))?;
    let changed = lines(differs, "arguments");
    if changed.is_empty() {
        for (mark, side) in [("-", "recorded"), ("+", "now")] {
            if let Some(asking) = differs.get(side) {
                let with = match asking.get("with") {
                    None | Some(Value::Null) => String::new(),
                    Some(with) => format!(" {with}"),
                };
                let text = format!("{}{with}", output::text(asking, "/what"));
                output::line(&format!("  {mark} {}", output::printable(&text)))?;
            }
        }
    }
    for line in changed {
        output::line(&format!("  {}", output::printable(line)))?;
    }
    Ok(())
}

fn lines<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    value.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
