//! `factotum run replay`

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    args_run::Replay,
    client::{Client, segment},
    output,
};

/// Ends with 1 when the two part, like `diff`.
pub async fn replay(what: &Replay, client: &Client, json: bool) -> Result<ExitCode> {
    let told = client.post(&format!("/api/v1/runs/{}/replay", segment(&what.id)), &body(what)?).await?;
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
    for differs in told.get("answers").and_then(Value::as_array).into_iter().flatten() {
        answer(differs)?;
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

fn body(what: &Replay) -> Result<Value> {
    let mut body = json!({});
    if let Some(file) = &what.flow {
        let source =
            fs::read_to_string(file).with_context(|| format!("the flow document {}", file.display()))?;
        body = json!({ "source": source, "file": file.display().to_string() });
    }
    if let Some(plugin) = &what.plugin {
        let (name, file) = plugin.split_once('=').context("--plugin is NAME=FILE.wasm")?;
        let wasm = fs::read(file).with_context(|| format!("the component {file}"))?;
        let fixtures = match &what.fixtures {
            None => String::new(),
            Some(file) => {
                fs::read_to_string(file).with_context(|| format!("the fixtures {}", file.display()))?
            }
        };
        let plugin = json!({ "name": name, "wasm": STANDARD.encode(wasm), "fixtures": fixtures });
        if let Value::Object(members) = &mut body {
            members.insert("plugin".into(), plugin);
        }
    }
    Ok(body)
}

/// A call that the edited plugin answers differently.
fn answer(differs: &Value) -> Result<()> {
    let (place, what) = (output::text(differs, "/place"), output::text(differs, "/what"));
    output::line(&output::printable(&format!("{place}: {what} answers something else")))?;
    let changed = lines(differs, "differences");
    if changed.is_empty() {
        let now = differs.get("now").unwrap_or(&Value::Null);
        output::line(&output::printable(&format!("  + {now}")))?;
    }
    for line in changed {
        output::line(&format!("  {}", output::printable(line)))?;
    }
    Ok(())
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
