//! `factotum plugin upgrade` and `plugin pending`: a higher version is installed, or held until somebody agrees to what it
//! asks for beyond the old one.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_grant::{Grants, Language};
use factotum_registry::Package;
use reqwest::Method;
use serde_json::{Value, json};

use super::{confirmed, grants_of, parse_config, rights, told};
use crate::cli::{
    args::UpgradePlugin,
    client::{Client, segment},
    lang::pick,
    output,
};

pub async fn upgrade(
    arguments: UpgradePlugin,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    match (&arguments.file, &arguments.agree, &arguments.decline) {
        (Some(file), None, None) => bring(file, &arguments, client, json, language).await,
        (None, Some(version), None) => agree(version, &arguments, client, json, language).await,
        (None, None, Some(version)) => {
            let waiting = one(client, &arguments.name, version).await?;
            let path = path(&waiting, "decline");
            client.send(client.request(Method::POST, &path)).await?;
            output::line(pick(
                language,
                "declined; the installed version goes on",
                "已拒绝；已安装的版本继续使用",
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("give a component (.wasm), or --agree, or --decline"),
    }
}

async fn bring(
    file: &Path,
    arguments: &UpgradePlugin,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    let wasm = fs::read(file).with_context(|| format!("the component {}", file.display()))?;
    // What is no plugin is said here, before it travels.
    Package::read(&wasm).with_context(|| file.display().to_string())?;
    let mut body = json!({
        "wasm": STANDARD.encode(&wasm),
        "config": parse_config(&arguments.config)?,
        "redeploy": arguments.redeploy,
    });
    if let (Some(version), Some(body)) = (&arguments.version, body.as_object_mut()) {
        body.insert("version".into(), version.clone().into());
    }
    let path = format!("/api/v1/plugins/{}/upgrade", segment(&arguments.name));
    let became = client.post(&path, &body).await?;
    if json {
        return output::json(&became).map(|()| ExitCode::SUCCESS);
    }
    match became.get("pending") {
        Some(pending) => {
            held(pending, language)?;
            // Held is neither done nor failed: whoever scripts this must notice.
            Ok(ExitCode::from(3))
        }
        None => installed(&became, language).map(|()| ExitCode::SUCCESS),
    }
}

async fn agree(
    version: &str,
    arguments: &UpgradePlugin,
    client: &Client,
    json: bool,
    language: Language,
) -> Result<ExitCode> {
    let waiting = one(client, &arguments.name, version).await?;
    let proposed = match &arguments.grants {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("the grants {}", path.display()))?;
            Grants::from_toml(&text).with_context(|| format!("the grants {}", path.display()))?
        }
        None => Grants::from_toml(&output::text(&waiting, "/proposed"))
            .context("the grants in the host's answer; is this program older than the host?")?,
    };
    let now = client.get(&format!("/api/v1/plugins/{}", segment(&arguments.name))).await?;
    output::note(&title(&waiting, language));
    for line in rights::difference(&grants_of(&now)?, &proposed, language) {
        output::note(&line);
    }
    if !confirmed(arguments.yes, language)? {
        return Ok(ExitCode::FAILURE);
    }
    let mut body = json!({ "digest": output::text(&waiting, "/digest"), "redeploy": arguments.redeploy });
    // Without grants of one's own the host works them out again, so that what was taken back since then stays away.
    if let (Some(_), Some(body)) = (&arguments.grants, body.as_object_mut()) {
        body.insert("grants".into(), proposed.to_toml()?.into());
    }
    let became = client.post(&path(&waiting, "agree"), &body).await?;
    if json {
        return output::json(&became).map(|()| ExitCode::SUCCESS);
    }
    installed(&became, language).map(|()| ExitCode::SUCCESS)
}

pub async fn pending(client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    let list = client.get("/api/v1/upgrades").await?;
    if json {
        return output::json(&list).map(|()| ExitCode::SUCCESS);
    }
    let waiting: Vec<&Value> = list.as_array().into_iter().flatten().collect();
    if waiting.is_empty() {
        output::note(pick(language, "no upgrade waits", "没有等待同意的升级"));
    }
    for pending in waiting {
        held(pending, language)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The upgrade of a plugin that waits; of several, the one of this version.
async fn one(client: &Client, name: &str, version: &str) -> Result<Value> {
    let list = client.get("/api/v1/upgrades").await?;
    let mut fitting = list.as_array().into_iter().flatten().filter(|pending| {
        output::text(pending, "/name") == name
            && (version.is_empty() || output::text(pending, "/version") == version)
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => bail!("no such upgrade of {name} waits; see: factotum plugin pending"),
        _ => bail!("several upgrades of {name} wait; say which version: factotum plugin pending"),
    }
}

fn path(pending: &Value, what: &str) -> String {
    let part = |pointer| segment(&output::text(pending, pointer));
    format!("/api/v1/upgrades/{}/{}/{what}", part("/name"), part("/version"))
}

fn title(pending: &Value, language: Language) -> String {
    let text = |pointer| output::printable(&output::text(pending, pointer));
    let (name, from, version) = (text("/name"), text("/from"), text("/version"));
    match language {
        Language::English => format!("{name} {from} → {version}"),
        Language::Chinese => format!("{name} {from} → {version}"),
    }
}

fn held(pending: &Value, language: Language) -> Result<()> {
    let name = output::text(pending, "/name");
    output::line(&format!(
        "{}: {}",
        title(pending, language),
        pick(language, "it asks for more, and waits until you agree:", "它请求更多权限，等待您同意：")
    ))?;
    for line in told(pending.get("more"), "+", language) {
        output::line(&line)?;
    }
    let version = output::text(pending, "/version");
    output::line(&match language {
        Language::English => format!(
            "agree: factotum plugin upgrade {name} --agree {version} (narrower with --grants FILE); or: --decline {version}"
        ),
        Language::Chinese => format!(
            "同意：factotum plugin upgrade {name} --agree {version}（可用 --grants FILE 缩小范围）；拒绝：--decline {version}"
        ),
    })
}

fn installed(became: &Value, language: Language) -> Result<()> {
    let text = |pointer| output::text(became, pointer);
    output::line(&format!(
        "{} {} {}",
        pick(language, "installed", "已安装"),
        text("/plugin/name"),
        text("/plugin/version")
    ))?;
    for line in rights::change(became.get("change"), language) {
        output::line(&line)?;
    }
    for flow in became.get("flows").and_then(Value::as_array).into_iter().flatten() {
        let is = |name: &str| flow.get(name).and_then(Value::as_bool) == Some(true);
        let (id, version) = (output::text(flow, "/flow"), output::text(flow, "/version"));
        let state = match flow.get("problem").and_then(Value::as_str) {
            Some(problem) => {
                format!(
                    "{} {}",
                    pick(language, "could not be deployed again:", "无法重新部署："),
                    output::printable(problem)
                )
            }
            None if is("moved") => pick(language, "takes the new version now", "现在使用新版本").to_owned(),
            None if is("moves") => pick(
                language,
                "keeps it until it is deployed again (--redeploy does that)",
                "重新部署之前保持不变（可用 --redeploy）",
            )
            .to_owned(),
            None => pick(language, "names that version itself", "流程自身指定了该版本").to_owned(),
        };
        output::line(&match language {
            Language::English => format!("  the flow {id} calls {version}: {state}"),
            Language::Chinese => format!("  流程 {id} 调用 {version}：{state}"),
        })?;
    }
    Ok(())
}
