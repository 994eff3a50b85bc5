//! Running other programs, and saying so.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// A program to run, that must succeed.
pub struct Run(Command);

/// A program by its path or name.
pub fn command(program: impl AsRef<OsStr>) -> Run {
    Run(Command::new(program))
}

/// The cargo that runs us.
pub fn cargo() -> Run {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Run {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.0.current_dir(dir);
        self
    }

    /// Runs it; anything but success is an error.
    pub fn run(mut self) -> Result<()> {
        let status = self.0.status().with_context(|| format!("running {:?}", self.0.get_program()))?;
        if !status.success() {
            bail!("{:?} ended with {status}", self.0.get_program());
        }
        Ok(())
    }

    /// Runs it and returns what it printed to standard output.
    pub fn read(mut self) -> Result<String> {
        let output = self
            .0
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("running {:?}", self.0.get_program()))?;
        if !output.status.success() {
            bail!("{:?} ended with {}", self.0.get_program(), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The repository's folder.
pub fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .context("xtask stands in the repository")
}

/// Says something on standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
