//! The words of the command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::duration;

/// Automation for customer-service desks, with every connector in a sandbox.
#[derive(Parser)]
#[command(name = "factotum", version, arg_required_else_help = true)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(ClapArgs)]
pub struct Global {
    /// The data folder of the local host.
    #[arg(long, global = true, default_value = "factotum-data", env = "FACTOTUM_DATA")]
    pub data: PathBuf,
    /// The host to talk to; the local one when absent.
    #[arg(long, global = true, env = "FACTOTUM_SERVER")]
    pub server: Option<String>,
    /// The token to show it; the local host's own when absent.
    #[arg(long, global = true, env = "FACTOTUM_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the host.
    Serve(Serve),
    /// Run the main job on shipped sample messages, with nothing to configure.
    Demo(Demo),
    /// Install plugins, look at them, call them.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Check, deploy and start flows.
    #[command(subcommand)]
    Flow(Flow),
    /// Look at runs.
    #[command(subcommand)]
    Run(Run),
    /// Keep the secrets that the host puts into requests.
    #[command(subcommand)]
    Secret(Secret),
    /// Say who may use the API.
    #[command(subcommand)]
    Token(Token),
    /// Read, check and export the audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Print the API's description (OpenAPI 3.1).
    Openapi,
}

#[derive(ClapArgs)]
pub struct Serve {
    /// The configuration file (TOML).
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7070].
    #[arg(long)]
    pub listen: Option<SocketAddr>,
}

#[derive(ClapArgs)]
pub struct Demo {
    /// Where plugins, flows and samples are [default: beside the program].
    #[arg(long)]
    pub dist: Option<PathBuf>,
    /// Where the host keeps its data; must be empty or absent [default: a new folder factotum-demo-…].
    #[arg(long)]
    pub into: Option<PathBuf>,
    /// The configuration file for the host, for instance to send the mails through a real server.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// How many clients post at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,
    /// Post only the first so many messages.
    #[arg(long)]
    pub limit: Option<usize>,
}

#[derive(Subcommand)]
pub enum Plugin {
    /// Install a plugin. Without grants it is refused when it imports anything, and you are told what.
    Add {
        /// The component (.wasm).
        file: PathBuf,
        /// What it may do: a TOML file in the grant language.
        #[arg(long, conflicts_with = "grant_suggested")]
        grants: Option<PathBuf>,
        /// Grant what its manifest suggests. Look at it first: `plugin add` without grants shows it.
        #[arg(long)]
        grant_suggested: bool,
        /// Install it under another name.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        /// The version, for a component without a manifest.
        #[arg(long)]
        version: Option<String>,
        /// A configuration value; @FILE takes it from a file.
        #[arg(long = "config", value_name = "KEY=VALUE")]
        config: Vec<String>,
    },
    /// List the installed plugins.
    List,
    /// Show what a plugin is, may do, and offers.
    Show {
        /// Its name.
        name: String,
    },
    /// Call one of its functions.
    Call {
        /// The plugin and its function: `classifier/classify`.
        function: String,
        /// The parameters, as a JSON object; @FILE takes them from a file, @- from standard input.
        #[arg(long = "with", default_value = "{}")]
        with: String,
        /// The same for every repetition of the same call.
        #[arg(long)]
        idempotency_key: Option<String>,
    },
    /// Remove a plugin that no flow needs.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Subcommand)]
pub enum Flow {
    /// Check documents against the language and the installed plugins' types.
    Check {
        /// The documents (YAML or JSON).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Deploy documents.
    Deploy {
        /// The documents (YAML or JSON).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
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

#[derive(Subcommand)]
pub enum Run {
    /// List runs, newest first.
    List {
        /// Only this flow's.
        #[arg(long)]
        flow: Option<String>,
        /// Only those in this state: running, waiting, completed, faulted, cancelled, stuck.
        #[arg(long)]
        state: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a run and its history.
    Show {
        /// Its identifier.
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Secret {
    /// Set a secret; its value comes from standard input, or is asked for without being shown.
    Set {
        /// Its name, as grants and flows write it.
        name: String,
        /// Rotate it: webhooks accept the value before for so long, such as 24h. Without it that one ends now.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        overlap: Option<Duration>,
    },
    /// List the secrets: names, ages, who set them; never values.
    List,
    /// Remove a secret.
    Remove {
        /// Its name.
        name: String,
    },
    /// Seal everything under a new master key.
    RotateMaster,
}

#[derive(Subcommand)]
pub enum Token {
    /// Give out a token. It is printed once and kept nowhere.
    Create {
        /// Its name, which the audit log shows for everything done with it.
        name: String,
        /// What it may do: admin, deployer, operator, agent, auditor.
        #[arg(long)]
        role: String,
        /// Confine it to this namespace; may be given several times.
        #[arg(long = "namespace", value_name = "NAMESPACE")]
        namespaces: Vec<String>,
        /// How long it lives, such as 90d; until it is revoked when absent.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        expires: Option<Duration>,
    },
    /// List the tokens: names, roles, last uses; never the tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// Its name.
        name: String,
    },
    /// Forget tokens that ended, so that their names are free again.
    Prune {
        /// Only those that ended so long ago.
        #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "30d")]
        ended: Duration,
    },
}

#[derive(Subcommand)]
pub enum Audit {
    /// List entries, newest first.
    List {
        /// Only this actor's, as written (`token:admin`) or by kind (`token`).
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, or what begins with it up to a dot.
        #[arg(long)]
        action: Option<String>,
        /// Only those with this outcome: ok, denied, business-fault, technical-fault, cancelled, started.
        #[arg(long)]
        outcome: Option<String>,
        /// Only this run's.
        #[arg(long)]
        run: Option<String>,
        /// Only what this plugin did or what was done to it.
        #[arg(long)]
        plugin: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<u64>,
    },
    /// Check the chain, and say which entry is wrong.
    Verify {
        /// An export to check instead of the host's own log.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Write the log as JSON Lines, to standard output or a file.
    Export {
        /// The file; it must not exist.
        #[arg(long)]
        output: Option<PathBuf>,
    },
}
