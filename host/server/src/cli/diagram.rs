//! `factotum flow diagram`

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_flow::Flow;
use factotum_runtime::DiagramFormat;

use super::{
    args::Global,
    client::{Client, segment},
    flow, output,
};

pub async fn draw(
    name: Option<&str>,
    run: Option<&str>,
    format: &str,
    file: Option<&Path>,
    global: &Global,
) -> Result<ExitCode> {
    let drawn = match (name, run) {
        (_, Some(run)) => {
            let path = format!("/api/v1/runs/{}/diagram?format={format}", segment(run));
            Client::new(global)?.get_text(&path).await?
        }
        (Some(name), None) if Path::new(name).is_file() => document(Path::new(name), format)?,
        (Some(name), None) => {
            let path = format!("/api/v1/flows/{}/diagram?format={format}", flow::path(name)?);
            Client::new(global)?.get_text(&path).await?
        }
        (None, None) => bail!("name a document, a deployed flow, or with --run a run"),
    };
    match file {
        Some(file) => fs::write(file, drawn).with_context(|| format!("the file {}", file.display()))?,
        None => output::line(drawn.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn document(file: &Path, format: &str) -> Result<String> {
    let format: DiagramFormat = format.parse().map_err(anyhow::Error::msg)?;
    let source = fs::read_to_string(file).with_context(|| format!("the flow document {}", file.display()))?;
    let flow = Flow::parse(&source, &file.display().to_string())?;
    Ok(factotum_runtime::diagram(&flow, format))
}
