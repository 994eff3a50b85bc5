//! `factotum token …`

use std::process::ExitCode;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    args::Token,
    client::{Client, segment},
    output,
};

pub async fn run(command: Token, client: &Client, json: bool) -> Result<ExitCode> {
    match command {
        Token::Create { name, role, namespaces, expires } => {
            let mut body = json!({ "name": name, "role": role });
            if let Some(body) = body.as_object_mut() {
                if !namespaces.is_empty() {
                    body.insert("namespaces".into(), namespaces.into());
                }
                if let Some(life) = expires {
                    body.insert("expires_seconds".into(), life.as_secs().into());
                }
            }
            let given = client.post("/api/v1/tokens", &body).await?;
            if json {
                return output::json(&given).map(|()| ExitCode::SUCCESS);
            }
            // The token alone to standard output, so that it can go straight into a file.
            output::note(&format!(
                "the token {name}, {} on {}; it is not shown again:",
                output::text(&given, "/info/role"),
                place(given.get("info").unwrap_or(&Value::Null))
            ));
            output::line(&output::text(&given, "/token"))?;
        }
        Token::List => {
            let list = client.get("/api/v1/tokens").await?;
            if json {
                return output::json(&list).map(|()| ExitCode::SUCCESS);
            }
            let rows = list.as_array().into_iter().flatten().map(|token| {
                let text = |pointer| output::text(token, pointer);
                vec![
                    text("/name"),
                    text("/role"),
                    place(token),
                    text("/state"),
                    text("/expires"),
                    text("/last_used"),
                    text("/created_by"),
                ]
            });
            output::table(
                &["token", "role", "where", "state", "expires", "last used", "made by"],
                rows.collect(),
            )?;
        }
        Token::Revoke { name } => {
            let path = format!("/api/v1/tokens/{}/revoke", segment(&name));
            let info = client.send(client.request(Method::POST, &path)).await?;
            if json {
                return output::json(&info).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!("revoked {name}; what carries it is refused from now on"))?;
        }
        Token::Prune { ended } => {
            let body = json!({ "ended_seconds_ago": ended.as_secs() });
            let pruned = client.post("/api/v1/tokens/prune", &body).await?;
            if json {
                return output::json(&pruned).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!("forgot {} tokens that had ended", output::text(&pruned, "/forgotten")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a token's role holds.
fn place(token: &Value) -> String {
    match token.get("namespaces").and_then(Value::as_array) {
        None => "the whole host".into(),
        Some(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    }
}
