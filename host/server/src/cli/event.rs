//! `factotum event …`

use std::process::ExitCode;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    args::Event,
    client::{Client, json_or_file, segment},
    output,
};

pub async fn run(command: Event, client: &Client, json: bool) -> Result<ExitCode> {
    match command {
        Event::Publish { event, kind, source, id, subject, payload } => {
            let mut members = match event {
                Some(event) => match json_or_file(&event)? {
                    Value::Object(members) => members,
                    _ => anyhow::bail!("an event is a JSON object"),
                },
                None => Map::new(),
            };
            let given = [("type", kind), ("source", source), ("id", id), ("subject", subject)];
            members
                .extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
            if let Some(data) = payload {
                members.insert("data".into(), json_or_file(&data)?);
            }
            members.entry("specversion").or_insert_with(|| "1.0".into());
            members.entry("source").or_insert_with(|| "/factotum/cli".into());
            // Without an identifier of one's own, each is another event.
            members.entry("id").or_insert_with(|| hex::encode(rand::random::<[u8; 16]>()).into());
            let id = members.get("id").cloned().unwrap_or_default();
            let request = client
                .request(Method::POST, "/events")
                .header("content-type", "application/cloudevents+json")
                .body(Value::Object(members).to_string());
            let answer = client.send(request).await?;
            let published = answer.pointer("/published/0").cloned().unwrap_or_default();
            if json {
                output::json(&json!({"id": id, "published": published}))?;
            } else if published.get("duplicate") == Some(&Value::Bool(true)) {
                output::line(&format!(
                    "a duplicate of event {}: nothing was published",
                    output::text(&published, "/sequence")
                ))?;
            } else {
                output::line(&format!("published as event {}", output::text(&published, "/sequence")))?;
            }
        }
        Event::List { kind, limit, cursor } => {
            let query =
                [("type", kind), ("limit", Some(limit.to_string())), ("cursor", cursor.map(|c| segment(&c)))];
            let page = client.query("/api/v1/events", &query).await?;
            if json {
                return output::json(&page).map(|()| ExitCode::SUCCESS);
            }
            let rows = page.get("events").and_then(Value::as_array).into_iter().flatten().map(|event| {
                ["/sequence", "/at", "/event/type", "/event/source", "/event/subject", "/event/id"]
                    .map(|pointer| output::printable(&output::text(event, pointer)))
                    .to_vec()
            });
            output::table(&["event", "published", "type", "source", "subject", "id"], rows.collect())?;
            if let Some(cursor) = page.get("cursor").and_then(Value::as_u64) {
                output::note(&format!("there are more: --cursor {cursor}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
