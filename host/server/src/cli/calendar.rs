//! `factotum calendar …`

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use reqwest::Method;
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
