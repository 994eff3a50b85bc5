//! `factotum plugin add`: tells in words what a plugin asks for and what it would be able to do, then installs it.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_grant::{Grants, Language, cannot, sentences};
use factotum_registry::{Manifest, Package};
use serde_json::{Value, json};

use super::parse_config;
use crate::cli::{args::AddPlugin, client::Client, lang::pick, output};

pub async fn add(arguments: AddPlugin, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    let AddPlugin { file, grants, grant_suggested, name, version, config } = arguments;
    let wasm = fs::read(&file).with_context(|| format!("the component {}", file.display()))?;
    let package = Package::read(&wasm).with_context(|| file.display().to_string())?;
    let grants = match (&grants, grant_suggested) {
        (Some(path), _) => {
            Some(fs::read_to_string(path).with_context(|| format!("the grants {}", path.display()))?)
        }
        (None, true) => Some(suggested(&package, &file)?.to_toml()?),
        (None, false) => None,
    };
    if !json && !package.capabilities().is_empty() {
        for line in introduction(&package, grants.as_deref(), language)? {
            output::note(&line);
        }
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
    let (name, version) = (output::text(&info, "/name"), output::text(&info, "/version"));
    output::line(&match language {
        Language::English => {
            format!("installed {name} {version} ({functions} functions); see: factotum plugin show {name}")
        }
        Language::Chinese => {
            format!("已安装 {name} {version}（{functions} 个功能）；查看：factotum plugin show {name}")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn suggested(package: &Package, file: &Path) -> Result<Grants> {
    match &package.manifest {
        Some(manifest) => Ok(manifest.grants.clone()),
        None => bail!(
            "{} has no manifest that suggests grants; write them in a file and give --grants",
            file.display()
        ),
    }
}

/// What the plugin asks for, and what it will be able to do under `grants`, or would be under what its author suggests.
fn introduction(package: &Package, grants: Option<&str>, language: Language) -> Result<Vec<String>> {
    let mut lines = vec![pick(language, "This plugin asks:", "该插件请求：").to_owned()];
    for capability in package.capabilities() {
        let ask = package.manifest.iter().flat_map(|m| &m.asks).find(|ask| ask.capability == capability);
        let reason = ask.map_or("", |ask| pick(language, &ask.reason.en, &ask.reason.zh));
        let title = capability.title(language);
        lines.push(match (reason, language) {
            ("", _) => format!("  - {title}"),
            (reason, Language::English) => format!("  - {title}: {}", output::printable(reason)),
            (reason, Language::Chinese) => format!("  - {title}：{}", output::printable(reason)),
        });
    }
    let (heading, shown) = match grants {
        Some(text) => (
            pick(language, "Under the grants given:", "按照所给的授权："),
            Some(Grants::from_toml(text).context("the grants")?),
        ),
        None => (
            pick(language, "Under the grants that its author suggests:", "按照作者建议的授权："),
            package.manifest.as_ref().map(|manifest| manifest.grants.clone()),
        ),
    };
    if let Some(shown) = &shown {
        lines.push(heading.to_owned());
        let all = sentences(shown, language).into_iter().chain(cannot(shown, language));
        lines.extend(all.map(|sentence| format!("  - {sentence}")));
    }
    if grants.is_none() {
        lines.push(match package.manifest.as_ref().and_then(suggestion) {
            Some(toml) => format!(
                "{}\n\n{toml}",
                pick(
                    language,
                    "Put what you agree to into a file for --grants, or take all of it with --grant-suggested:",
                    "请将您同意的内容写入文件并用 --grants 指定，或用 --grant-suggested 全部接受："
                )
            ),
            None => pick(
                language,
                "Write what you agree to into a file and give it with --grants.",
                "请将您同意的内容写入文件，并用 --grants 指定。",
            )
            .to_owned(),
        });
    }
    Ok(lines)
}

fn suggestion(manifest: &Manifest) -> Option<String> {
    manifest.grants.to_toml().ok().map(|toml| output::printable(&toml)).filter(|toml| !toml.trim().is_empty())
}
