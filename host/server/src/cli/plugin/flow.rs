//! `factotum flow grant`, `flow rights` and `flow revoke`: what a flow may send by itself, in the same words as a plugin's
//! grants.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use factotum_grant::{Language, widen};
use reqwest::Method;
use serde_json::json;

use super::{confirmed, grants_of, rights, told};
use crate::cli::{client::Client, lang::pick, output};

/// `path` is the flow's name in a URL.
#[expect(clippy::too_many_arguments, reason = "a command with its options")]
pub async fn grant_flow(
    path: &str,
    flow: &str,
    file: &Path,
    add: bool,
    yes: bool,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    let path = format!("/api/v1/flows/{path}/grants");
    let old = grants_of(&client.get(&path).await?)?;
    let file = rights::read(file)?;
    let new = if add { widen(&old, &file) } else { file };
    let lines = rights::difference(&old, &new, language);
    if lines.is_empty() && old == new {
        output::note(pick(language, "these are its grants already", "授权没有变化"));
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&match language {
        Language::English => format!("the flow {flow}:"),
        Language::Chinese => format!("流程 {flow}："),
    });
    for line in lines {
        output::note(&line);
    }
    if !confirmed(yes, language)? {
        return Ok(ExitCode::FAILURE);
    }
    let body = json!({ "grants": new.to_toml()?, "expected": old.to_toml()? });
    let changed = client.send(client.request(Method::PUT, &path).json(&body)).await?;
    if json {
        return output::json(&changed).map(|()| ExitCode::SUCCESS);
    }
    output::line(pick(language, "granted; it holds from the next request on", "已授权；从下一个请求起生效"))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what a flow may send by itself.
pub async fn flow_rights(
    path: &str,
    toml: bool,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    let rights = client.get(&format!("/api/v1/flows/{path}/grants")).await?;
    if json {
        return output::json(&rights).map(|()| ExitCode::SUCCESS);
    }
    if toml {
        output::line(&grants_of(&rights)?.to_toml()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let code = pick(language, "en", "zh");
    let sentences = rights.pointer(&format!("/may/{code}")).and_then(serde_json::Value::as_array);
    for sentence in sentences.into_iter().flatten().filter_map(serde_json::Value::as_str) {
        output::line(&output::printable(sentence))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes back all of it. Not asked back: taking away has to be quick, and can be undone.
pub async fn revoke_flow(
    path: &str,
    flow: &str,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    let request = client.request(Method::DELETE, &format!("/api/v1/flows/{path}/grants"));
    let changed = client.send(request).await?;
    if json {
        return output::json(&changed).map(|()| ExitCode::SUCCESS);
    }
    let lost = told(changed.pointer("/change/lost"), "-", language);
    if lost.is_empty() {
        output::line(pick(language, "it was granted nothing", "它原本就没有任何授权"))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&match language {
        Language::English => format!("{flow}, from its next request on:"),
        Language::Chinese => format!("{flow} 从下一个请求起："),
    })?;
    for line in lost {
        output::line(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}
