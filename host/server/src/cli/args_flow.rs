//! The words of `factotum flow` and `factotum calendar`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Subcommand)]
pub enum Flow {
    /// Check documents against the language and the types of plugins: those of the host, or with `--plugins` of files.
    Check {
        /// The documents (YAML or JSON).
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Plugins (.wasm), or folders of them, to check against; no host is asked.
        #[arg(long, value_name = "PATH")]
        plugins: Vec<PathBuf>,
    },
    /// Run test cases (`*.test.yaml`) through the real interpreter: nothing is called, time is simulated, no host is asked.
    Test {
        /// Files of cases, or folders, which are searched.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Only cases whose name contains this text.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Also write the results as JUnit XML.
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Draw a flow: a document's file (no host is asked), a deployed flow (`namespace/name`), or a run with its path.
    Diagram {
        /// The document's file, or the deployed flow.
        #[arg(required_unless_present = "run", conflicts_with = "run")]
        flow: Option<String>,
        /// A run: its flow, with the path that it took.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// How to write it.
        #[arg(long, default_value = "mermaid", value_parser = ["mermaid", "svg"])]
        format: String,
        /// The file to write; standard output when absent.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Deploy documents.
    Deploy {
        /// The documents (YAML or JSON).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Let a flow send requests of its own (`call: http`): shows the difference, and asks.
    Grant {
        /// Its name: `namespace/name`. It need not be deployed yet.
        flow: String,
        /// What it may send from now on, and nothing else: a TOML file in the grant language.
        grants: PathBuf,
        /// Keep what it may send already, and add the file's.
        #[arg(long)]
        add: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show what a flow may send by itself.
    Rights {
        /// Its name: `namespace/name`.
        flow: String,
        /// As TOML, to be changed and given to `flow grant`.
        #[arg(long)]
        toml: bool,
    },
    /// Take back all that a flow may send by itself.
    Revoke {
        /// Its name: `namespace/name`.
        flow: String,
    },
    /// Run a deployed flow on fixtures, with no effect done, and propose the least grants for its plugins and for itself.
    Learn(Learn),
    /// List the deployed flows.
    List,
    /// Show a flow: its calls, its trigger, its document.
    Show {
        /// Its name: `namespace/name`.
        flow: String,
    },
    /// Start a run and wait for its end.
    Run {
        /// The flow: `namespace/name`.
        flow: String,
        /// Its input, as JSON; @FILE takes it from a file, @- from standard input.
        #[arg(long, default_value = "{}")]
        input: String,
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
        /// How many seconds to wait at most.
        #[arg(long, default_value_t = 60)]
        timeout: u64,
        /// A second start with the same key gets the first one's run.
        #[arg(long)]
        idempotency_key: Option<String>,
    },
}

#[derive(ClapArgs)]
pub struct Learn {
    /// The flow: `namespace/name`.
    pub flow: String,
    /// An input, as JSON; @FILE takes it from a file. Again for another run.
    #[arg(long, required = true)]
    pub input: Vec<String>,
    /// What effects are answered with (TOML): HTTP answers, and keys to begin with.
    #[arg(long, value_name = "FILE")]
    pub fixtures: Option<PathBuf>,
    /// Propose a grant for this plugin only.
    #[arg(long)]
    pub plugin: Option<String>,
    /// Write the flow's own proposal with `--out`.
    #[arg(long, conflicts_with = "plugin")]
    pub own: bool,
    /// Write the proposal into this file, to be narrowed and given to `plugin grant --add` or `flow grant --add`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum Calendar {
    /// Set a calendar, new or in place of another. Waits that have begun are not changed.
    Set {
        /// Its name, as flows write it.
        name: String,
        /// The calendar (YAML or JSON): timezone, week, holidays, special.
        file: PathBuf,
    },
    /// Add the holidays of an iCalendar file (.ics) to a calendar: its events of whole days, also of every year.
    Import {
        /// The calendar's name.
        name: String,
        /// The file.
        file: PathBuf,
        /// For this year and so many after it.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=20))]
        years: u8,
        /// Take away the dates that are holidays now; days of every year stay.
        #[arg(long)]
        replace: bool,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// List the calendars, and whether they are open now.
    List,
    /// Show a calendar as it was written.
    Show {
        /// Its name.
        name: String,
    },
    /// Remove a calendar that no deployed flow names.
    Remove {
        /// Its name.
        name: String,
    },
}
