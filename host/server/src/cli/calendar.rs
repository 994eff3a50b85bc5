//! `factotum calendar …`

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{
    args::Calendar,
    client::{Client, segment},
    output,
};

pub async fn run(command: Calendar, client: &Client, json: bool) -> Result<ExitCode> {
    match command {
        Calendar::Set { name, file } => {
            let body = json!({ "calendar": read(&file)? });
            let request = client.request(Method::PUT, &path(&name)).json(&body);
            let set = client.send(request).await?;
            if json {
                return output::json(&set).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!("{name} is set: {}", now(&set)))?;
            output::note(
                "it counts from the next wait of each flow; waits that have begun end when they would have",
            );
        }
        Calendar::Import { name, file, years, replace, dry_run } => {
            let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            let query = format!("years={years}&replace={replace}&dry_run={dry_run}");
            let request = client
                .request(Method::POST, &format!("{}/holidays?{query}", path(&name)))
                .header(header::CONTENT_TYPE, "text/calendar; charset=utf-8")
                .body(text);
            let imported = client.send(request).await?;
            if json {
                return output::json(&imported).map(|()| ExitCode::SUCCESS);
            }
            show_import(&imported)?;
        }
        Calendar::List => {
            let list = client.get("/api/v1/calendars").await?;
            if json {
                return output::json(&list).map(|()| ExitCode::SUCCESS);
            }
            let rows =
                list.get("calendars").and_then(Value::as_array).into_iter().flatten().map(|calendar| {
                    let text = |pointer| output::text(calendar, pointer);
                    vec![text("/name"), text("/timezone"), now(calendar), text("/set_at"), text("/set_by")]
                });
            output::table(&["calendar", "time zone", "now", "set", "by"], rows.collect())?;
        }
        Calendar::Show { name } => {
            let calendar = client.get(&path(&name)).await?;
            if json {
                return output::json(&calendar).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!("{name}: {}, set {}", now(&calendar), output::text(&calendar, "/set_at")))?;
            output::json(calendar.get("calendar").unwrap_or(&Value::Null))?;
        }
        Calendar::Remove { name } => {
            client.send(client.request(Method::DELETE, &path(&name))).await?;
            if !json {
                output::line(&format!("removed {name}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The days that changed, and what was left out.
fn show_import(imported: &Value) -> Result<()> {
    for (day, called) in imported.get("added").and_then(Value::as_object).into_iter().flatten() {
        let called = called.as_str().unwrap_or_default();
        output::line(&format!("+ {}  {}", output::printable(day), output::printable(called)))?;
    }
    for day in imported.get("removed").and_then(Value::as_array).into_iter().flatten() {
        output::line(&format!("- {}", output::printable(day.as_str().unwrap_or_default())))?;
    }
    let count = |name: &str| imported.get(name).and_then(Value::as_u64).unwrap_or_default();
    let length = |name: &str| match imported.get(name) {
        Some(Value::Object(days)) => days.len(),
        Some(Value::Array(days)) => days.len(),
        _ => 0,
    };
    output::line(&format!(
        "{} to {}: {} added, {} removed, {} known already{}",
        count("from"),
        count("until"),
        length("added"),
        length("removed"),
        count("known"),
        if imported.get("dry_run") == Some(&Value::Bool(true)) { "; nothing was done" } else { "" }
    ))?;
    let left = [("timed", "with a time of day"), ("cancelled", "cancelled"), ("outside", "in other years")];
    let left: Vec<String> = left
        .iter()
        .filter(|(name, _)| count(name) > 0)
        .map(|(name, what)| format!("{} {what}", count(name)))
        .collect();
    if !left.is_empty() {
        output::note(&format!("events left out: {}", left.join(", ")));
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/api/v1/calendars/{}", segment(name))
}

/// Whether it is open.
fn now(calendar: &Value) -> String {
    if calendar.get("open").and_then(Value::as_bool).unwrap_or_default() {
        return "open".into();
    }
    match calendar.get("opens_at").and_then(Value::as_str) {
        Some(at) => format!("opens {}", output::printable(at)),
        None => "never opens again".into(),
    }
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    factotum_flow::read_yaml(&text, &file.display().to_string()).map_err(|problem| anyhow!("{problem}"))
}
