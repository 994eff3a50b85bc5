//! `factotum flow check --plugins`: flows are checked against plugins' files, without a host.

use std::path::{Path, PathBuf};
use std::{fs, process::ExitCode};

use anyhow::{Context, Result, bail};
use factotum_registry::Package;
use factotum_runtime::{Actor, AddPlugin, Host, HostConfig};
use semver::Version;

use super::output;

/// The most plugins.
const MAX_PLUGINS: usize = 200;

/// Ends with 2 when a flow is not sound.
pub async fn check(files: &[PathBuf], plugins: &[PathBuf], json: bool) -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let host = Host::open(HostConfig::new(folder.path())).await?;
    let checked = check_on(&host, files, plugins, json).await;
    host.shutdown().await;
    checked
}

async fn check_on(host: &Host, files: &[PathBuf], plugins: &[PathBuf], json: bool) -> Result<ExitCode> {
    for file in components(plugins)? {
        install(host, &file).await.with_context(|| format!("the plugin {}", file.display()))?;
    }
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let source =
            fs::read_to_string(file).with_context(|| format!("the flow document {}", file.display()))?;
        let (host, name) = (host.clone(), file.display().to_string());
        match tokio::task::spawn_blocking(move || host.check_flow(&source, &name)).await? {
            Ok(info) if json => output::json(&serde_json::to_value(&info)?)?,
            Ok(info) => output::line(&format!("{}/{} {} is sound", info.namespace, info.name, info.version))?,
            Err(problems) => {
                code = ExitCode::from(2);
                if json {
                    output::json(&serde_json::to_value(&problems)?)?;
                } else {
                    output::error(&output::printable(&problems.to_string()));
                }
            }
        }
    }
    Ok(code)
}

/// Installs a plugin under what its manifest suggests: nothing is called, so nothing is given.
async fn install(host: &Host, file: &Path) -> Result<()> {
    let wasm = fs::read(file)?;
    let package = Package::read(&wasm)?;
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let (name, version) = match &package.manifest {
        Some(_) => (None, None),
        None => (stem, Some(Version::new(0, 0, 0))),
    };
    let grants = package.manifest.map(|manifest| manifest.grants);
    let request = AddPlugin { wasm, name, version, grants, config: Default::default() };
    host.add_plugin(&Actor::System, request).await?;
    Ok(())
}

fn components(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_file() {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("the folder {}", path.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() || found.len() > MAX_PLUGINS {
        bail!("give 1 to {MAX_PLUGINS} plugins (.wasm)");
    }
    Ok(found)
}
