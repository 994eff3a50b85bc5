//! `factotum flow learn`: a flow is run on fixtures, and what its plugins and itself attempted becomes a grant to look at.

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
    let Learn { flow, input, fixtures, plugin, own, out } = arguments;
    let Some((namespace, name)) = flow.split_once('/') else {
        bail!("name the flow as namespace/name, as in support/ticket-intake");
    };
    let inputs = input.iter().map(|input| read(input)).collect::<Result<Vec<Value>>>()?;
    let fixtures = match &fixtures {
        Some(path) => fs::read_to_string(path).with_context(|| format!("the fixtures {}", path.display()))?,
        None => String::new(),
    };
    if out.is_some() && plugin.is_none() && !own {
        bail!("--out writes one proposal; say which: --plugin NAME, or --own for the flow's own requests");
    }
    let body = json!({ "inputs": inputs, "fixtures": fixtures, "plugin": plugin });
    let path = format!("/api/v1/flows/{}/{}/learn", segment(namespace), segment(name));
    let learned = client.post(&path, &body).await?;
    let proposal = if own { "/own/proposal" } else { "/plugins/0/proposal" };
    if let (Some(path), Some(first)) = (&out, learned.pointer(proposal).and_then(Value::as_str)) {
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
        let (version, attempts) = (output::text(&plugin, "/version"), output::text(&plugin, "/attempts"));
        let title = match language {
            Language::English => {
                format!("{name} {version} attempted {attempts} effects. The least grant for them:")
            }
            Language::Chinese => format!("{name} {version} 共尝试了 {attempts} 次操作。所需的最小授权："),
        };
        let accept = format!("factotum plugin grant {name} --add FILE");
        proposed(&mut lines, &plugin, title, &accept, language);
    }
    if let Some(own) = learned.get("own") {
        let name = output::printable(&output::text(learned, "/flow"));
        let attempts = output::text(own, "/attempts");
        let title = match language {
            Language::English => {
                format!("{name} itself attempted {attempts} requests. The least grant for them:")
            }
            Language::Chinese => format!("{name} 自身共尝试了 {attempts} 次请求。所需的最小授权："),
        };
        proposed(&mut lines, own, title, &format!("factotum flow grant {name} FILE --add"), language);
    }
    lines
}

/// One proposal: what it is for, in sentences, what is lacking, as TOML, and how it is accepted.
fn proposed(lines: &mut Vec<String>, learned: &Value, title: String, accept: &str, language: Language) {
    let list = |pointer: &str| -> Vec<Value> {
        learned.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let strings = |pointer: &str| {
        list(pointer).iter().filter_map(Value::as_str).map(output::printable).collect::<Vec<_>>()
    };
    let code = pick(language, "en", "zh");
    lines.extend([String::new(), title]);
    lines.extend(strings(&format!("/may/{code}")).iter().map(|line| format!("  - {line}")));
    let refused = list("/refused_today");
    let refused = refused.iter().map(|told| output::printable(&output::text(told, &format!("/{code}"))));
    let sections = [
        (pick(language, "Of this, today's grant lacks:", "其中当前授权缺少："), refused.collect()),
        (pick(language, "No grant is proposed for:", "以下内容不予建议授权："), strings("/unlearnable")),
        (
            pick(
                language,
                "No fixture answered (what would have come next is not known):",
                "没有样例应答（后续操作未知）：",
            ),
            strings("/unanswered"),
        ),
    ];
    for (title, entries) in sections {
        if !entries.is_empty() {
            lines.push(title.to_owned());
            lines.extend(entries.iter().map(|entry| format!("  ! {entry}")));
        }
    }
    lines.push(String::new());
    let toml = output::text(learned, "/proposal");
    lines.extend(toml.lines().map(|line| output::printable(&format!("    {line}"))));
    lines.push(match language {
        Language::English => format!("accept it, as it is or narrower: {accept}"),
        Language::Chinese => format!("原样或缩小后接受：{accept}"),
    });
}
