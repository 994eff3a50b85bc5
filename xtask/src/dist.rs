//! The release folder: the program, the plugins, the flows and the sample messages.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::run::{cargo, command, note, root};

/// The plugins that ship.
pub const PLUGINS: [&str; 5] = ["classifier", "crm", "crm-tryton", "mail", "report"];
/// How everything that is not a guest is selected: by one selection the features of every crate are the same in each
/// build, and the engine is compiled once for the program, the tests and the benches.
pub const HOST: [&str; 4] = ["--release", "--workspace", "--features", "plugin-classifier/train"];
/// What guests are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// Where builds go.
pub fn target() -> Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(dir)?,
        None => root()?.join("target"),
    })
}

/// The release folder.
pub fn folder() -> Result<PathBuf> {
    Ok(target()?.join("dist"))
}

/// How the program is built.
#[derive(Clone, Copy)]
pub enum Build {
    /// With what tests need, and the engine compiled once for both.
    Quick,
    /// The way it ships: optimised as a whole.
    Shipping,
}

impl Build {
    /// Builds the program; returns where it is below the target folder.
    fn program(self) -> Result<&'static str> {
        note("building the host (the engine takes some minutes the first time)");
        let build = cargo().arg("build").current_dir(root()?);
        match self {
            Build::Quick => build.args(HOST).arg("--bins").run()?,
            Build::Shipping => {
                build.args(["--profile", "shipping", "-p", "factotum-server", "--bin", "factotum"]).run()?;
            }
        }
        Ok(match self {
            Build::Quick => "release/factotum",
            Build::Shipping => "shipping/factotum",
        })
    }
}

/// Builds everything and lays out the release folder.
pub fn dist(how: Build) -> Result<()> {
    let dist = folder()?;
    build_guests(&PLUGINS.map(|name| format!("plugin-{name}")))?;
    build_script_engine()?;
    let built = how.program()?;
    for part in ["plugins", "flows", "samples"] {
        fs::create_dir_all(dist.join(part))?;
    }
    for name in PLUGINS {
        let built = guest_file(&format!("plugin-{name}"))?;
        copy(&built, &dist.join("plugins").join(format!("{name}.wasm")))?;
    }
    copy(&guest_file("factotum-script")?, &dist.join("script.wasm"))?;
    copy_tree(&root()?.join("flows"), &dist.join("flows"))?;
    for file in ["train.jsonl", "heldout.jsonl"] {
        copy(&root()?.join("plugins/classifier/data").join(file), &dist.join("samples").join(file))?;
    }
    // Beside and renamed: a host that runs from here keeps its own file.
    let program = dist.join("factotum");
    let beside = dist.join("factotum.new");
    copy(&target()?.join(built), &beside)?;
    fs::rename(&beside, &program).with_context(|| program.display().to_string())
}

/// Builds guest components.
pub fn build_guests(packages: &[String]) -> Result<()> {
    ensure_target()?;
    note(&format!("building guests: {}", packages.join(", ")));
    let mut build = cargo().args(["build", "--profile", "plugin", "--target", TARGET]).current_dir(root()?);
    for package in packages {
        build = build.args(["-p", package]);
    }
    build.run()
}

/// Builds the component that runs flows' scripts: a workspace of its own, so that its many libraries do not change how the
/// host's are compiled.
fn build_script_engine() -> Result<()> {
    note("building the engine for scripts (some minutes the first time)");
    let manifest = root()?.join("script/Cargo.toml");
    cargo()
        .args(["build", "--locked", "--profile", "plugin", "--target", TARGET])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target()?)
        .current_dir(root()?)
        .run()
}

/// Where a guest's component is after its build.
pub fn guest_file(package: &str) -> Result<PathBuf> {
    Ok(target()?.join(TARGET).join("plugin").join(format!("{}.wasm", package.replace('-', "_"))))
}

/// The toolchain's target for guests; rustup brings it when it is missing.
fn ensure_target() -> Result<()> {
    let libdir = command("rustc").args(["--print", "target-libdir", "--target", TARGET]).read()?;
    if Path::new(libdir.trim()).is_dir() {
        return Ok(());
    }
    note(&format!("adding the compilation target {TARGET}"));
    command("rustup").args(["target", "add", TARGET]).current_dir(root()?).run().with_context(|| {
        format!(
            "the Rust toolchain has no target {TARGET}; install it, with rustup: rustup target add {TARGET}"
        )
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_tree(&entry.path(), &to)? } else { copy(&entry.path(), &to)? }
    }
    Ok(())
}
