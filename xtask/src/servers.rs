//! The real servers that the tests use. A machine that cannot run one is told so by name.

use anyhow::{Result, bail};

use crate::run::{command, note, root};

/// The scripts in `tests/servers`.
const SERVERS: [&str; 4] = ["smtp", "imap", "tryton", "faketime"];

/// Runs one verb of every script.
pub fn all(verb: &str) -> Result<()> {
    match verb {
        "start" => {
            for (name, value) in start() {
                note(&format!("{name}={value}"));
            }
            Ok(())
        }
        "stop" => {
            stop();
            Ok(())
        }
        "env" => {
            for name in SERVERS {
                for (name, value) in env(name).unwrap_or_default() {
                    note(&format!("{name}={value}"));
                }
            }
            Ok(())
        }
        other => bail!("{other:?} is none of start, stop, env"),
    }
}

/// Starts one, and returns what the tests must know.
pub fn start_one(name: &str) -> Result<Vec<(String, String)>> {
    note(&format!("starting the test server {name}"));
    script(name, "start").and_then(|_| env(name))
}

/// Stops one.
pub fn stop_one(name: &str) -> Result<()> {
    script(name, "stop").map(drop)
}

/// Starts what can be started, and returns what the tests must know. What cannot be started is named; in CI the tests
/// that would be skipped for it fail.
pub fn start() -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for name in SERVERS {
        match start_one(name) {
            Ok(more) => variables.extend(more),
            Err(error) => note(&format!("skipped: everything that needs the test server {name}: {error:#}")),
        }
    }
    variables
}

/// Stops what was started.
pub fn stop() {
    for name in SERVERS {
        if let Err(error) = stop_one(name) {
            note(&format!("stopping {name}: {error:#}"));
        }
    }
}

fn script(name: &str, verb: &str) -> Result<String> {
    let path = root()?.join("tests/servers").join(format!("{name}.sh"));
    command("bash").arg(path).arg(verb).current_dir(root()?).read()
}

/// The lines `NAME=value` or `export NAME='value'` of a script's `env`.
fn env(name: &str) -> Result<Vec<(String, String)>> {
    let text = script(name, "env")?;
    Ok(text
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
        .collect())
}
