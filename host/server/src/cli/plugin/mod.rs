//! `factotum plugin …`

mod add;
mod flow;
mod rights;
mod show;
mod upgrade;

pub use flow::{flow_rights, grant_flow, revoke_flow};

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_grant::{Grants, Language};
use reqwest::Method;
use serde_json::Value;

use super::{
    args::Plugin,
    client::{Client, json_or_file, segment, text_or_file},
    lang::pick,
    output,
};

pub async fn run(command: Plugin, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    match command {
        Plugin::Add(arguments) => return add::add(arguments, client, json, language).await,
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
                    words(info, "/manifest/description", language),
                ]
            });
            output::table(&["name", "version", "functions", "description"], rows.collect())?;
        }
        Plugin::Show { name, toml } => {
            let info = client.get(&format!("/api/v1/plugins/{}", segment(&name))).await?;
            if json {
                return output::json(&info).map(|()| ExitCode::SUCCESS);
            }
            if toml {
                output::line(&grants_of(&info)?.to_toml()?)?;
            } else {
                for line in show::told(&info, language) {
                    output::line(&line)?;
                }
            }
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
        Plugin::Grant(arguments) => return rights::grant(arguments, client, json, language).await,
        Plugin::Revoke { name, capabilities, version } => {
            return rights::revoke(&name, &capabilities, version, client, json, language).await;
        }
        Plugin::Upgrade(arguments) => return upgrade::upgrade(arguments, client, json, language).await,
        Plugin::Pending => return upgrade::pending(client, json, language).await,
        Plugin::Remove { name } => {
            client
                .send(client.request(Method::DELETE, &format!("/api/v1/plugins/{}", segment(&name))))
                .await?;
            output::line(&format!("removed {name}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A text of a `{en, zh}` object, fit to be shown.
fn words(value: &Value, pointer: &str, language: Language) -> String {
    let text = |code: &str| value.pointer(&format!("{pointer}/{code}")).and_then(Value::as_str);
    let chosen = pick(language, text("en").unwrap_or_default(), text("zh").unwrap_or_default());
    if chosen.is_empty() { "-".into() } else { output::printable(chosen) }
}

/// The grants in an answer.
fn grants_of(info: &Value) -> Result<Grants> {
    let grants = info.get("grants").cloned().unwrap_or(Value::Null);
    serde_json::from_value(grants)
        .context("the grants in the host's answer; is this program older than the host?")
}

/// `KEY=VALUE` pairs, whose values may stand in files.
fn parse_config(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').with_context(|| format!("{pair:?} is not KEY=VALUE"))?;
            Ok((key.to_owned(), text_or_file(value)?))
        })
        .collect()
}

/// Asks on the terminal, unless the answer was given with `--yes`. Whoever is no person is not asked, and refused.
pub fn confirmed(yes: bool, language: Language) -> Result<bool> {
    use std::io::{IsTerminal, Write};
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "{}",
            pick(
                language,
                "nothing was changed; give --yes to agree without being asked",
                "未作任何更改；如需直接同意，请使用 --yes"
            )
        );
    }
    let mut screen = std::io::stderr().lock();
    write!(screen, "{} ", pick(language, "Agree? [y/N]", "是否同意？[y/N]"))?;
    screen.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let agreed = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是");
    if !agreed {
        output::note(pick(language, "nothing was changed", "未作任何更改"));
    }
    Ok(agreed)
}

/// The lines of a list of `{en, zh}` objects.
fn told(list: Option<&Value>, mark: &str, language: Language) -> Vec<String> {
    let entries = list.and_then(Value::as_array).into_iter().flatten();
    entries.map(|entry| format!("  {mark} {}", words(entry, "", language))).collect()
}
