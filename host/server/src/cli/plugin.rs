//! `factotum plugin …`

use std::{collections::BTreeMap, fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_registry::{Manifest, Package};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    args::Plugin,
    client::{Client, json_or_file, segment, text_or_file},
    output,
};

pub async fn run(command: Plugin, client: &Client, json: bool) -> Result<ExitCode> {
    match command {
        Plugin::Add { file, grants, grant_suggested, name, version, config } => {
            let wasm = fs::read(&file).with_context(|| format!("the component {}", file.display()))?;
            let package = Package::read(&wasm).with_context(|| file.display().to_string())?;
            let grants = match (&grants, grant_suggested) {
                (Some(path), _) => {
                    Some(fs::read_to_string(path).with_context(|| format!("the grants {}", path.display()))?)
                }
                (None, true) => Some(suggested(&package, &file)?),
                (None, false) => None,
            };
            if grants.is_none() && !package.capabilities().is_empty() && !json {
                ask_for(&package);
            }
            let mut body = json!({ "wasm": STANDARD.encode(&wasm), "config": parse_config(&config)? });
            for (member, value) in [("grants", grants), ("name", name), ("version", version)] {
                if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                    body.insert(member.into(), value.into());
                }
            }
            let info = client.post("/api/v1/plugins", &body).await?;
            if json {
                return output::json(&info).map(|()| ExitCode::SUCCESS);
            }
            let functions = info.get("functions").and_then(Value::as_array).map_or(0, Vec::len);
            output::line(&format!(
                "installed {} {} ({functions} functions); see: factotum plugin show {}",
                output::text(&info, "/name"),
                output::text(&info, "/version"),
                output::text(&info, "/name"),
            ))?;
        }
        Plugin::List => {
            let list = client.get("/api/v1/plugins").await?;
            if json {
                return output::json(&list).map(|()| ExitCode::SUCCESS);
            }
            let rows = list.as_array().into_iter().flatten().map(|info| {
                let functions = info.get("functions").and_then(Value::as_array).map_or(0, Vec::len);
                vec![
                    output::text(info, "/name"),
                    output::text(info, "/version"),
                    functions.to_string(),
                    output::text(info, "/manifest/description/en"),
                ]
            });
            output::table(&["name", "version", "functions", "description"], rows.collect())?;
        }
        Plugin::Show { name } => {
            let info = client.get(&format!("/api/v1/plugins/{}", segment(&name))).await?;
            if json {
                return output::json(&info).map(|()| ExitCode::SUCCESS);
            }
            show(&info)?;
        }
        Plugin::Call { function, with, idempotency_key } => {
            let Some((plugin, function)) = function.split_once('/') else {
                bail!("name plugin and function, as in classifier/classify");
            };
            let path = format!("/api/v1/plugins/{}/call/{}", segment(plugin), segment(function));
            let mut request = client.request(Method::POST, &path).json(&json_or_file(&with)?);
            if let Some(key) = idempotency_key {
                request = request.header("idempotency-key", key);
            }
            output::json(&client.send(request).await?)?;
        }
        Plugin::Remove { name } => {
            client
                .send(client.request(Method::DELETE, &format!("/api/v1/plugins/{}", segment(&name))))
                .await?;
            output::line(&format!("removed {name}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn suggested(package: &Package, file: &Path) -> Result<String> {
    match &package.manifest {
        Some(manifest) => Ok(manifest.grants.to_toml()?),
        None => bail!(
            "{} has no manifest that suggests grants; write them in a file and give --grants",
            file.display()
        ),
    }
}

/// Tells what the plugin asks for, and why, before the host refuses it.
fn ask_for(package: &Package) {
    output::note("This plugin asks for:");
    let reason = |name: &str| {
        let ask = package.manifest.as_ref()?.asks.iter().find(|ask| ask.capability.name() == name)?;
        Some(format!(": {} {}", ask.reason.en, ask.reason.zh))
    };
    for capability in package.capabilities() {
        let why = reason(capability.name()).unwrap_or_default();
        output::note(&format!("  {capability}{}", output::printable(why.trim_end())));
    }
    match package.manifest.as_ref().map(suggestion) {
        Some(Some(toml)) => output::note(&format!(
            "Its author suggests these grants; put what you agree to into a file for --grants, or take them all with --grant-suggested:\n\n{toml}"
        )),
        _ => output::note("Write what you agree to into a file and give it with --grants."),
    }
}

fn suggestion(manifest: &Manifest) -> Option<String> {
    manifest.grants.to_toml().ok().map(|toml| output::printable(&toml)).filter(|toml| !toml.trim().is_empty())
}

fn parse_config(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').with_context(|| format!("{pair:?} is not KEY=VALUE"))?;
            Ok((key.to_owned(), text_or_file(value)?))
        })
        .collect()
}

fn show(info: &Value) -> Result<()> {
    output::line(&format!("{} {}", output::text(info, "/name"), output::text(info, "/version")))?;
    for pointer in ["/manifest/description/en", "/manifest/description/zh"] {
        let text = output::text(info, pointer);
        if text != "-" {
            output::line(&format!("  {}", output::printable(&text)))?;
        }
    }
    output::line(&format!("digest     sha256:{}", output::text(info, "/digest")))?;
    output::line(&format!(
        "installed  {} by {}",
        output::text(info, "/installed_at"),
        output::text(info, "/installed_by")
    ))?;
    output::line("\nIt may:")?;
    match info.get("grants").map(|grants| serde_json::from_value::<factotum_grant::Grants>(grants.clone())) {
        Some(Ok(grants)) => {
            for line in grants.to_toml()?.lines() {
                output::line(&format!("  {line}"))?;
            }
        }
        _ => output::line("  (cannot be read)")?,
    }
    output::line("\nIt offers:")?;
    for function in info.get("functions").and_then(Value::as_array).into_iter().flatten() {
        output::line(&format!("  {}", signature(function)))?;
    }
    output::line(&format!(
        "\nCall one: factotum plugin call {}/FUNCTION --with '{{…}}'; --json shows the schemas.",
        output::text(info, "/name")
    ))
}

/// A function in a line: its name, and the members its input takes.
fn signature(function: &Value) -> String {
    let name = output::text(function, "/name");
    if let Some(reason) = function.get("not_callable").and_then(Value::as_str) {
        return format!("{name}  (not callable from flows: {reason})");
    }
    let required: Vec<&str> = function
        .pointer("/input_schema/required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let params: Vec<String> = function
        .pointer("/input_schema/properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|properties| properties.keys())
        .map(|key| if required.contains(&key.as_str()) { key.clone() } else { format!("{key}?") })
        .collect();
    format!("{name}({})", params.join(", "))
}
