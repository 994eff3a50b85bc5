//! `factotum demo`: the main job on shipped sample messages, through the real webhook of a real server process.

mod host;
mod load;
mod summary;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{args::Demo, client::Client, output};
use host::ServerProcess;

/// The plugins of the demo, and what each may do. Mail goes to the domains that are reserved for examples (RFC 2606) and to
/// no other, so that a demo that is pointed at a real mail server can never write to a stranger; a few samples name other
/// addresses, and show what a denial looks like.
const PLUGINS: [(&str, &str); 4] = [
    ("classifier", "config = true\n"),
    ("crm", "run-context = true\n[key-value]\n"),
    ("mail", include_str!("mail-grants.toml")),
    ("report", "[artifacts]\n"),
];

/// One sample message and what a person said of it.
pub(crate) struct Sample {
    pub(crate) id: String,
    pub(crate) message: Value,
}

pub async fn demo(args: Demo, json: bool) -> Result<ExitCode> {
    let dist = dist_folder(args.dist.as_deref())?;
    let mut samples = read_samples(&dist.join("samples"))?;
    if let Some(limit) = args.limit {
        samples.truncate(limit);
    }
    let data = data_folder(args.into.as_deref())?;
    output::note(&format!("Factotum demo: a server of its own, data in {}", data.display()));
    let server = ServerProcess::start(&data, args.config.as_deref()).await?;
    let client = server.client()?;
    install(&client, &dist).await?;
    output::note(&format!(
        "Posting {} messages with {} clients to {}/hooks/support/ticket-intake",
        samples.len(),
        args.clients,
        server.address()
    ));
    let outcome = load::post_all(&client, samples, usize::from(args.clients)).await?;
    let report = make_report(&client, &data).await?;
    let summary = summary::Summary::gather(&client, &outcome, report, &data).await?;
    server.stop().await?;
    if json {
        output::json(&summary.to_json())?
    } else {
        summary.print()?
    }
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where plugins, flows and samples are: beside the program, as a release is laid out.
fn dist_folder(named: Option<&Path>) -> Result<PathBuf> {
    let dist = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default(),
    };
    for part in ["plugins", "flows", "samples"] {
        if !dist.join(part).is_dir() {
            bail!(
                "{} has no folder {part:?}; name a release folder with --dist, or in the repository run: cargo xtask demo",
                dist.display()
            );
        }
    }
    Ok(dist)
}

fn data_folder(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
            PathBuf::from(format!("factotum-demo-{stamp}"))
        }
    };
    if path.exists() && fs::read_dir(&path)?.next().is_some() {
        bail!("{} is not empty; the demo wants a folder of its own", path.display());
    }
    fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path.canonicalize()?)
}

fn read_samples(folder: &Path) -> Result<Vec<Sample>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    let mut samples = Vec::new();
    for path in files {
        for (number, line) in fs::read_to_string(&path)?.lines().enumerate() {
            let broken = || format!("{}:{}", path.display(), number.saturating_add(1));
            let mut sample: Value = serde_json::from_str(line).with_context(broken)?;
            let id = sample.get("id").and_then(Value::as_str).with_context(broken)?.to_owned();
            let message = sample.get_mut("message").map(Value::take).with_context(broken)?;
            samples.push(Sample { id, message });
        }
    }
    if samples.is_empty() {
        bail!("{} holds no sample messages (*.jsonl)", folder.display());
    }
    Ok(samples)
}

async fn install(client: &Client, dist: &Path) -> Result<()> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    for (name, grants) in PLUGINS {
        let path = dist.join("plugins").join(format!("{name}.wasm"));
        let wasm = fs::read(&path).with_context(|| format!("the plugin {}", path.display()))?;
        let body = json!({ "wasm": STANDARD.encode(wasm), "grants": grants });
        client.post("/api/v1/plugins", &body).await.with_context(|| format!("installing {name}"))?;
    }
    for flow in ["ticket-intake", "case-report"] {
        let path = dist.join("flows/support").join(format!("{flow}.yaml"));
        let source = fs::read_to_string(&path).with_context(|| format!("the flow {}", path.display()))?;
        let body = json!({ "source": source, "file": format!("flows/support/{flow}.yaml") });
        client.post("/api/v1/flows", &body).await.with_context(|| format!("deploying {flow}"))?;
    }
    Ok(())
}

/// Runs the report flow, and puts its documents where a person finds them.
async fn make_report(client: &Client, data: &Path) -> Result<Vec<PathBuf>> {
    let run = client
        .post(
            "/api/v1/flows/support/case-report/runs?wait=120",
            &json!({ "title": "Demo: customer messages" }),
        )
        .await?;
    let Some(artifacts) = run.pointer("/output/artifacts").and_then(Value::as_array) else {
        bail!("the report flow did not end well: {run}");
    };
    let mut files = Vec::new();
    for artifact in artifacts {
        let id = output::text(artifact, "/id");
        let path = data.join(format!(
            "report.{}",
            if output::text(artifact, "/media_type").starts_with("text/html") { "html" } else { "xlsx" }
        ));
        let request = client
            .request(reqwest::Method::GET, &format!("/api/v1/artifacts/{}", super::client::segment(&id)));
        let bytes = request.send().await?.error_for_status()?.bytes().await?;
        fs::write(&path, bytes)?;
        files.push(path);
    }
    Ok(files)
}
