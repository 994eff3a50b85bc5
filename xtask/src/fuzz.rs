//! The fuzz targets in `fuzz/`: built with a stable Rust and a C++ compiler, run one after another for a while.
//!
//! The package is laid out for cargo-fuzz. This command needs nothing installed, and watches only the code that is ours or
//! reads strangers' bytes: the engine, which its makers fuzz, is neither slowed down nor made to tell where it has been.

use std::{ffi::OsString, fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    dist::{TARGET, target},
    run::{cargo, command, note, root},
};

/// The targets, and whether each needs the WebAssembly engine.
const TARGETS: [(&str, bool); 10] = [
    ("grants", false),
    ("manifest", false),
    ("flow", false),
    ("expression", false),
    ("event", false),
    ("mail", false),
    ("holidays", false),
    ("webhook", false),
    ("component", true),
    ("convert", true),
];
/// How long each runs, unless told otherwise.
const SECONDS: u32 = 20;
/// Tells this program that cargo runs it in the compiler's place.
const WRAPPER: &str = "FACTOTUM_XTASK_RUSTC";
/// What makes a crate tell libFuzzer where it has been; the same that cargo-fuzz sets.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
/// The crates, beside our own, whose branches lead the fuzzer on.
const WATCHED: [&str; 10] = [
    "toml",
    "toml_parser",
    "serde_json",
    "wasmparser",
    "semver",
    "base64",
    "saphyr_parser",
    "mail_parser",
    "jaq_core",
    "jaq_json",
];
/// The longest one input may take, in seconds, and the most memory the whole may use, in MiB.
const INPUT_SECONDS: u32 = 60;
const MEMORY_MIB: u32 = 2048;
/// Builds and runs the targets that are named, or all.
pub fn fuzz(args: &[String]) -> Result<()> {
    let (seconds, names) = read(args)?;
    let wanted: Vec<_> = TARGETS
        .into_iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .collect();
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if command(&compiler).arg("--version").read().is_err() {
        for (name, _) in &wanted {
            note(&format!(
                "skipped: the fuzz target {name}: no C++ compiler {compiler:?} (libFuzzer is C++); install one, or name it in CXX"
            ));
        }
        if std::env::var_os("CI").is_some() {
            bail!("{} fuzz targets were skipped; in CI none may be", wanted.len());
        }
        return Ok(());
    }
    build(&wanted)?;
    let mut failed = Vec::new();
    for (name, _) in &wanted {
        note(&format!("fuzzing {name} for {seconds} s"));
        if let Err(error) = run(name, seconds) {
            note(&format!("{name}: {error:#}"));
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("found something: {}; the inputs are in {}", failed.join(", "), folder()?.display());
    }
    Ok(())
}

fn read(args: &[String]) -> Result<(u32, Vec<String>)> {
    let mut seconds = SECONDS;
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--seconds" {
            let text = rest.next().context("--seconds takes a number")?;
            seconds = text.parse().with_context(|| format!("--seconds {text:?}"))?;
        } else if TARGETS.iter().any(|(name, _)| name == arg) {
            names.push(arg.clone());
        } else {
            let known = TARGETS.map(|(name, _)| name).join(", ");
            bail!("there is no fuzz target {arg:?}; there are {known}");
        }
    }
    Ok((seconds, names))
}

/// Where targets are built, and where they keep what they learned and found.
fn folder() -> Result<std::path::PathBuf> {
    Ok(target()?.join("fuzz"))
}

fn build(wanted: &[(&str, bool)]) -> Result<()> {
    let mut build = cargo()
        .args(["build", "--release", "--manifest-path"])
        .arg(root()?.join("fuzz/Cargo.toml"))
        .env("CARGO_TARGET_DIR", folder()?)
        .env("RUSTC_WRAPPER", std::env::current_exe()?)
        .env(WRAPPER, "1");
    for (name, _) in wanted {
        build = build.args(["--bin", name]);
    }
    if wanted.iter().any(|(_, engine)| *engine) {
        note("building the fuzz targets (the engine takes some minutes the first time)");
        build = build.args(["--features", "engine"]);
    }
    build.run()
}

fn run(name: &str, seconds: u32) -> Result<()> {
    let folder = folder()?;
    let (corpus, found) = (folder.join("corpus").join(name), folder.join("found").join(name));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let here = root()?.join("fuzz");
    let mut run = command(folder.join("release").join(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args([
            "-print_final_stats=1",
            "-verbosity=0",
            "-use_value_profile=1",
            "-max_len=4096",
            "-len_control=0",
        ])
        .env("FACTOTUM_GUEST_DIR", target()?.join(TARGET).join("plugin"));
    if std::env::var_os("CI").is_some() {
        // The same walk each time: CI tells whether a change broke something, longer runs look for what is new.
        run = run.arg("-seed=1");
    }
    let words = here.join("words").join(format!("{name}.dict"));
    if words.is_file() {
        run = run.arg(format!("-dict={}", words.display()));
    }
    run = run.arg(corpus);
    let seeds = here.join("seeds").join(name);
    if seeds.is_dir() {
        run = run.arg(seeds);
    }
    run.run()
}

/// When cargo runs this program in the compiler's place: runs the compiler, for the crates to be watched with the flags
/// that make them tell. So the engine is compiled plainly, and build scripts and macros are, too.
pub fn compiler() -> Option<Result<std::process::ExitStatus>> {
    std::env::var_os(WRAPPER)?;
    let mut args = std::env::args_os().skip(1);
    let compiler = args.next()?;
    let args: Vec<OsString> = args.collect();
    let name = args
        .iter()
        .position(|arg| arg == "--crate-name")
        .and_then(|at| args.get(at.saturating_add(1)))
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let watched = name.starts_with("factotum_")
        || WATCHED.contains(&name)
        || TARGETS.iter().any(|(target, _)| *target == name);
    let mut command = Command::new(&compiler);
    command.args(args);
    if watched {
        command.args(COVERAGE);
    }
    Some(command.status().with_context(|| format!("running {compiler:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run() {
        let mut files: Vec<String> = fs::read_dir(root().unwrap().join("fuzz/targets"))
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()))
            .collect();
        files.sort();
        let mut names = TARGETS.map(|(name, _)| name.to_owned());
        names.sort();
        assert_eq!(files, names);
    }

    #[test]
    fn arguments() {
        let of = |words: &[&str]| read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).unwrap(), (SECONDS, vec![]));
        assert_eq!(of(&["--seconds", "600", "grants"]).unwrap(), (600, vec!["grants".to_owned()]));
        assert!(of(&["grant"]).unwrap_err().to_string().contains("grants, manifest"));
        assert!(of(&["--seconds"]).is_err() && of(&["--seconds", "long"]).is_err());
    }
}
