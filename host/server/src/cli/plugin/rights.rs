//! `factotum plugin grant` and `plugin revoke`: what a plugin may do is changed after the difference was shown in words.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_grant::{Capability, Grants, Language, Narrowing, contains, narrow, widen};
use reqwest::Method;
use serde_json::{Value, json};

use super::{confirmed, grants_of, told};
use crate::cli::{
    args::GrantPlugin,
    client::{Client, segment},
    lang::pick,
    output,
};

pub async fn grant(
    arguments: GrantPlugin,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    let GrantPlugin { name, grants, add, remove, yes } = arguments;
    let path = format!("/api/v1/plugins/{}", segment(&name));
    let info = client.get(&path).await?;
    let old = grants_of(&info)?;
    let mut new = match &grants {
        Some(path) => read(path)?,
        None => old.clone(),
    };
    for path in &add {
        new = widen(&new, &read(path)?);
    }
    if !remove.is_empty() {
        let gone = remove.iter().map(|name| capability(name)).collect::<Result<Vec<_>>>()?;
        let stays = Capability::ALL.into_iter().filter(|capability| !gone.contains(capability));
        new = narrow(&new, &Narrowing::to_capabilities(stays));
    }
    if grants.is_none() && add.is_empty() && remove.is_empty() {
        bail!("say what to change: --grants FILE, --add FILE, --remove CAPABILITY");
    }
    let lines = difference(&old, &new, language);
    if lines.is_empty() && old == new {
        output::note(pick(language, "these are its grants already", "授权没有变化"));
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&match language {
        Language::English => format!("{name} {}:", output::text(&info, "/version")),
        Language::Chinese => format!("{name} {}：", output::text(&info, "/version")),
    });
    for line in lines {
        output::note(&line);
    }
    if !confirmed(yes, language)? {
        return Ok(ExitCode::FAILURE);
    }
    let body = json!({
        "grants": new.to_toml()?,
        "expected": old.to_toml()?,
        "version": output::text(&info, "/version"),
    });
    let changed = client.send(client.request(Method::PUT, &format!("{path}/grants")).json(&body)).await?;
    if json {
        return output::json(&changed).map(|()| ExitCode::SUCCESS);
    }
    output::line(pick(language, "granted; it holds from the next effect on", "已授权；从下一个操作起生效"))?;
    Ok(ExitCode::SUCCESS)
}

pub async fn revoke(
    name: &str,
    capabilities: &[String],
    version: Option<String>,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    for name in capabilities {
        capability(name)?;
    }
    let mut query = Vec::new();
    if !capabilities.is_empty() {
        query.push(format!("capabilities={}", capabilities.join("%2C")));
    }
    query.extend(version.map(|version| format!("version={}", segment(&version))));
    let path = format!("/api/v1/plugins/{}/grants?{}", segment(name), query.join("&"));
    // Not asked back: taking away has to be quick, and can be undone.
    let changed = client.send(client.request(Method::DELETE, &path)).await?;
    if json {
        return output::json(&changed).map(|()| ExitCode::SUCCESS);
    }
    let lost = told(changed.pointer("/change/lost"), "-", language);
    if lost.is_empty() {
        output::line(pick(language, "it had none of this", "它原本就没有这些权限"))?;
    } else {
        output::line(&match language {
            Language::English => format!("{name}, from its next effect on:"),
            Language::Chinese => format!("{name} 从下一个操作起："),
        })?;
        for line in lost {
            output::line(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn read(path: &Path) -> Result<Grants> {
    let text = fs::read_to_string(path).with_context(|| format!("the grants {}", path.display()))?;
    Grants::from_toml(&text).with_context(|| format!("the grants {}", path.display()))
}

fn capability(name: &str) -> Result<Capability> {
    Capability::ALL.into_iter().find(|capability| capability.name() == name).with_context(|| {
        format!(
            "there is no capability {name:?}; there are {}",
            Capability::ALL.map(Capability::name).join(", ")
        )
    })
}

/// A change in words: `+` for what is gained, `-` for what is lost.
pub fn difference(old: &Grants, new: &Grants, language: Language) -> Vec<String> {
    let lacking = |wider, narrower| contains(wider, narrower).err().unwrap_or_default();
    let gained = lacking(old, new);
    let lost = lacking(new, old);
    let gained = gained.iter().map(|difference| format!("  + {}", difference.words(language)));
    gained.chain(lost.iter().map(|d| format!("  - {}", d.words_when_taken(language)))).collect()
}

/// A change in an answer, in the same form.
pub fn change(value: Option<&Value>, language: Language) -> Vec<String> {
    let list = |name: &str| value.and_then(|value| value.get(name));
    let mut lines = told(list("gained"), "+", language);
    lines.extend(told(list("lost"), "-", language));
    lines
}
