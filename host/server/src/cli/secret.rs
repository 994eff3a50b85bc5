//! `factotum secret …`

use std::{
    io::{self, IsTerminal, Read},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use factotum_secrets::{ExposeSecret, MAX_VALUE_BYTES, SecretString};
use reqwest::{Method, header};
use serde_json::Value;

use super::{
    args::Secret,
    client::{Client, segment},
    output,
};

pub async fn run(command: Secret, client: &Client, json: bool) -> Result<ExitCode> {
    match command {
        Secret::Set { name, overlap } => {
            let value = value(&name)?;
            let overlap = overlap.map_or(String::new(), |time| format!("?overlap={}", time.as_secs()));
            let request = client
                .request(Method::PUT, &format!("/api/v1/secrets/{}{overlap}", segment(&name)))
                .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
                .body(value.expose_secret().to_owned());
            let info = client.send(request).await?;
            if json {
                return output::json(&info).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!("{name} is set (version {})", output::text(&info, "/version")))?;
            for earlier in info.get("accepted").and_then(Value::as_array).into_iter().flatten() {
                output::line(&format!(
                    "webhooks accept version {} until {}",
                    output::text(earlier, "/version"),
                    output::text(earlier, "/until")
                ))?;
            }
            if info.get("configured").is_some() {
                output::note(&format!(
                    "note: [secrets.{name}] in the host's configuration file goes before it; remove that to use this one"
                ));
            }
        }
        Secret::List => {
            let list = client.get("/api/v1/secrets").await?;
            if json {
                return output::json(&list).map(|()| ExitCode::SUCCESS);
            }
            let rows = list.get("secrets").and_then(Value::as_array).into_iter().flatten().map(|secret| {
                let mut row = ["/name", "/version", "/set", "/by"]
                    .map(|pointer| output::text(secret, pointer))
                    .to_vec();
                let earlier = secret.get("accepted").and_then(Value::as_array).map_or(0, Vec::len);
                row.push(if secret.get("configured").is_some() {
                    "not used: the configuration file names it".into()
                } else if earlier > 0 {
                    format!("{earlier} earlier accepted until {}", output::text(secret, "/accepted/0/until"))
                } else {
                    "-".into()
                });
                row
            });
            output::table(&["secret", "version", "set", "by", "note"], rows.collect())?;
            output::note(&format!(
                "sealed under master key {} from {}; payloads under key {}",
                output::text(&list, "/master_key"),
                output::printable(&output::text(&list, "/source")),
                output::text(&list, "/payload_key")
            ));
        }
        Secret::Remove { name } => {
            let path = format!("/api/v1/secrets/{}", segment(&name));
            client.send(client.request(Method::DELETE, &path)).await?;
            if !json {
                output::line(&format!("removed {name}"))?;
            }
        }
        Secret::RotateMaster => {
            let rotated = client.send(client.request(Method::POST, "/api/v1/master-key/rotate")).await?;
            if json {
                return output::json(&rotated).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!(
                "everything is sealed under the new master key {}; keep a copy of its file apart from the data's backups",
                output::text(&rotated, "/master_key")
            ))?;
        }
        Secret::RotatePayloadKey => {
            let rotated = client.send(client.request(Method::POST, "/api/v1/payload-key/rotate")).await?;
            if json {
                return output::json(&rotated).map(|()| ExitCode::SUCCESS);
            }
            output::line(&format!(
                "what is stored from now on is sealed under key {}; what was stored before keeps its key",
                output::text(&rotated, "/payload_key")
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The value: asked for without an echo, or the whole of standard input without the line break at its end. Never an
/// argument: those are in the shell's history and in the list of processes.
fn value(name: &str) -> Result<SecretString> {
    let stdin = io::stdin();
    let mut text = if stdin.is_terminal() {
        ask(name)?
    } else {
        let mut text = String::new();
        // One byte and a line break more than the most, so that what is too long is not cut.
        let most = u64::try_from(MAX_VALUE_BYTES).unwrap_or(u64::MAX).saturating_add(3);
        stdin.lock().take(most).read_to_string(&mut text).context("the value on standard input")?;
        text
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        bail!("the value is empty; give it on standard input: factotum secret set {name} < FILE");
    }
    Ok(SecretString::from(text))
}

fn ask(name: &str) -> Result<String> {
    output::note(&format!("the value of {name} (it is not shown):"));
    console::Term::stderr().read_secure_line().context("reading the value from the terminal")
}
