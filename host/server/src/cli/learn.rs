//! `factotum flow learn`: a flow is run on fixtures, and what its plugins attempted becomes a grant to look at.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_grant::Language;
use serde_json::{Value, json};

use super::{
    args::Learn,
    client::{Client, segment, text_or_file},
    lang::pick,
    output,
};

pub async fn learn(arguments: Learn, client: &Client, json: bool, language: Language) -> Result<ExitCode> {
    let Learn { flow, input, fixtures, plugin, out } = arguments;
    let Some((namespace, name)) = flow.split_once('/') else {
        bail!("name the flow as namespace/name, as in support/ticket-intake");
    };
    let inputs = input.iter().map(|input| read(input)).collect::<Result<Vec<Value>>>()?;
    let fixtures = match &fixtures {
        Some(path) => fs::read_to_string(path).with_context(|| format!("the fixtures {}", path.display()))?,
        None => String::new(),
    };
    if out.is_some() && plugin.is_none() {
        bail!("--out writes one proposal; say of which plugin: --plugin NAME");
    }
    let body = json!({ "inputs": inputs, "fixtures": fixtures, "plugin": plugin });
    let path = format!("/api/v1/flows/{}/{}/learn", segment(namespace), segment(name));
    let learned = client.post(&path, &body).await?;
    if let (Some(path), Some(first)) = (&out, learned.pointer("/plugins/0/proposal").and_then(Value::as_str))
    {
        fs::write(path, first).with_context(|| format!("the proposal {}", path.display()))?;
    }
    if json {
        return output::json(&learned).map(|()| ExitCode::SUCCESS);
    }
    for line in told(&learned, language) {
        output::line(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An input: JSON, or a file of it, or a file of several, one a line.
fn read(argument: &str) -> Result<Value> {
    let text = text_or_file(argument)?;
    serde_json::from_str(&text).with_context(|| format!("the input {argument} is no JSON"))
}

fn told(learned: &Value, language: Language) -> Vec<String> {
    let list = |value: &Value, pointer: &str| -> Vec<Value> {
        value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut lines = vec![
        pick(
            language,
            "Nothing was sent, written or done: all effects were answered from the fixtures.",
            "没有发送、写入或执行任何内容：所有操作均由样例应答。",
        )
        .to_owned(),
    ];
    for (number, run) in list(learned, "/runs").iter().enumerate() {
        let reason =
            run.get("reason").and_then(Value::as_str).map_or(String::new(), |reason| format!(": {reason}"));
        lines.push(output::printable(&format!(
            "{} {}: {}{reason}",
            pick(language, "run", "运行"),
            number + 1,
            output::text(run, "/state")
        )));
    }
    for plugin in list(learned, "/plugins") {
        let name = output::printable(&output::text(&plugin, "/name"));
        lines.push(String::new());
        lines.push(match language {
            Language::English => format!(
                "{name} {} attempted {} effects. The least grant for them:",
                output::text(&plugin, "/version"),
                output::text(&plugin, "/attempts")
            ),
            Language::Chinese => format!(
                "{name} {} 共尝试了 {} 次操作。所需的最小授权：",
                output::text(&plugin, "/version"),
                output::text(&plugin, "/attempts")
            ),
        });
        let strings = |pointer: &str| {
            list(&plugin, pointer).iter().filter_map(Value::as_str).map(output::printable).collect::<Vec<_>>()
        };
        lines.extend(
            strings(&format!("/may/{}", pick(language, "en", "zh"))).iter().map(|line| format!("  - {line}")),
        );
        let mut section = |title: &str, entries: Vec<String>| {
            if !entries.is_empty() {
                lines.push(title.to_owned());
                lines.extend(entries.iter().map(|entry| format!("  ! {entry}")));
            }
        };
        let code = pick(language, "en", "zh");
        section(
            pick(language, "Of this, today's grant lacks:", "其中当前授权缺少："),
            list(&plugin, "/refused_today")
                .iter()
                .map(|told| output::printable(&output::text(told, &format!("/{code}"))))
                .collect(),
        );
        section(
            pick(language, "No grant is proposed for:", "以下内容不予建议授权："),
            strings("/unlearnable"),
        );
        section(
            pick(
                language,
                "No fixture answered (what would have come next is not known):",
                "没有样例应答（后续操作未知）：",
            ),
            strings("/unanswered"),
        );
        lines.push(String::new());
        lines.extend(
            output::text(&plugin, "/proposal").lines().map(|line| output::printable(&format!("    {line}"))),
        );
        lines.push(match language {
            Language::English => {
                format!("accept it, as it is or narrower: factotum plugin grant {name} --add FILE")
            }
            Language::Chinese => format!("原样或缩小后接受：factotum plugin grant {name} --add FILE"),
        });
    }
    lines
}
