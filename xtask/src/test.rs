//! All tests, in one go: lints, unit tests, sandbox tests, whole-program tests against real servers.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    dist::{self, Build, HOST, TARGET},
    report::Report,
    run::{cargo, note, root},
    servers,
};

/// The components that only tests use.
const GUESTS: [&str; 3] = ["guest-light", "guest-sampler", "guest-hostile"];

/// Builds the components that only tests use.
pub fn build_guests() -> Result<()> {
    dist::build_guests(&GUESTS.map(str::to_owned))
}

/// Builds everything, starts the servers, runs every test.
pub fn test(rest: &[String]) -> Result<()> {
    dist::dist(Build::Quick)?;
    build_guests()?;
    let variables = servers::start();
    let tested = run_tests(rest, &variables);
    servers::stop();
    tested?;
    if rest.is_empty() { conformance() } else { Ok(()) }
}

/// What judges the flow language from outside, where it is at hand: its conformance features and its JSON Schema. They are
/// not ours to copy, so without them the tests show as ignored, and say what they need. Test file, test, variable, and
/// where it may lie beside the checkout.
const JUDGES: [(&str, &str, &str, &str); 2] = [
    ("conformance", "conformance_features", "OWF_CTK_DIR", "../shared/owf/ctk"),
    ("schema", "what_the_schema_rejects_is_rejected", "OWF_SCHEMA", "../shared/owf/workflow.schema.yaml"),
];

/// Runs the judges that are at hand.
fn conformance() -> Result<()> {
    for (file, test, variable, beside) in JUDGES {
        let place = match std::env::var_os(variable) {
            Some(place) => PathBuf::from(place),
            None => root()?.join(beside),
        };
        if !place.exists() {
            note(&format!("{file}::{test} was not run: there is no {}", place.display()));
            continue;
        }
        cargo()
            .arg("test")
            .args(HOST)
            .args(["--test", file, "--", "--ignored", test])
            .current_dir(root()?)
            .env(variable, place.canonicalize()?)
            .run()?;
    }
    Ok(())
}

/// What goes to cargo; what follows two dashes goes to the tests.
fn before_dashes(rest: &[String]) -> &[String] {
    rest.split(|arg| arg == "--").next().unwrap_or_default()
}

fn run_tests(rest: &[String], variables: &[(String, String)]) -> Result<()> {
    let root = root()?;
    cargo().args(["test", "--no-run"]).args(HOST).args(before_dashes(rest)).current_dir(&root).run()?;
    let mut test = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    test.args(["test", "--no-fail-fast"]).args(HOST).args(rest);
    if before_dashes(rest).len() == rest.len() {
        test.args(["--", "--show-output"]);
    }
    // Quiet builds (as in CI) are welcome; quiet tests have no names.
    test.current_dir(&root)
        .env("CARGO_TERM_QUIET", "false")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("FACTOTUM_DIST", dist::folder()?)
        .env("FACTOTUM_PLUGIN_DIR", dist::folder()?.join("plugins"))
        .env("FACTOTUM_GUEST_DIR", dist::target()?.join(TARGET).join("plugin"));
    let mut child = test.stdout(Stdio::piped()).spawn().context("running cargo test")?;
    let mut report = Report::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if report.line(&line) {
                note(&line);
            }
        }
    }
    let status = child.wait()?;
    report.sum_up();
    if !status.success() {
        bail!("the tests ended with {status}");
    }
    if report.skipped() > 0 && std::env::var_os("CI").is_some() {
        bail!("{} tests were skipped; in CI none may be", report.skipped());
    }
    Ok(())
}

/// Runs the test of kills under load with so many kills.
pub fn storm(kills: &str) -> Result<()> {
    let variables = servers::start_one("smtp")?;
    let test = cargo()
        .arg("test")
        .args(HOST)
        .args(["--test", "storm", "--", "--ignored", "--nocapture"])
        .current_dir(root()?)
        .env("FACTOTUM_KILLS", kills)
        .env("FACTOTUM_DIST", dist::folder()?);
    let stormed = variables.iter().fold(test, |test, (name, value)| test.env(name, value)).run();
    servers::stop_one("smtp")?;
    stormed
}

/// Runs the benches of this project alone.
pub fn bench(rest: &[String]) -> Result<()> {
    benches(&["check", "call", "http", "flows"], rest)
}

/// Runs the bench of a host that has finished many runs.
pub fn million(rest: &[String]) -> Result<()> {
    benches(&["million"], rest)
}

/// Runs the bench beside other systems, which it installs by name.
pub fn compare(rest: &[String]) -> Result<()> {
    benches(&["rivals"], rest)
}

fn benches(names: &[&str], rest: &[String]) -> Result<()> {
    for name in names {
        // `--release` is what benches are built with anyway, and not a flag of `cargo bench`.
        cargo()
            .arg("bench")
            .args(HOST.iter().filter(|flag| **flag != "--release"))
            .args(["--bench", name, "--"])
            .args(rest)
            .current_dir(root()?)
            .env("FACTOTUM_DIST", dist::folder()?)
            .env("FACTOTUM_GUEST_DIR", dist::target()?.join(TARGET).join("plugin"))
            .run()?;
    }
    Ok(())
}

/// What ships, so that a plugin cannot be forgotten here.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::PLUGINS;

    #[test]
    fn every_plugin_folder_ships() {
        let mut folders: Vec<String> = std::fs::read_dir(root().unwrap().join("plugins"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().join("plugin.toml").is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        folders.sort();
        assert_eq!(folders, PLUGINS);
    }
}
