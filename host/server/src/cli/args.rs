//! The words of the command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub use super::args_flow::{Calendar, Flow, Learn};
pub use super::args_run::{Inbox, Mailbox, Notice, Run};
use super::{duration, lang::Lang};

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
    /// The private authority of a host over HTTPS (PEM file), trusted beside the system's.
    #[arg(long, global = true, value_name = "FILE", env = "FACTOTUM_CA")]
    pub ca: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// The language of what people read; that of the machine (LANG) when absent.
    #[arg(long, global = true, value_enum, env = "FACTOTUM_LANG")]
    pub lang: Option<Lang>,
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
    /// Look at runs, and repair them.
    #[command(subcommand)]
    Run(Run),
    /// Publish events, and look at those that were published.
    #[command(subcommand)]
    Event(Event),
    /// Look at what waits for a person, and answer it.
    #[command(subcommand)]
    Inbox(Inbox),
    /// See how mail comes in, and what was kept aside.
    #[command(subcommand)]
    Mailbox(Mailbox),
    /// See which notices to people of the host were not mailed yet, and why.
    #[command(subcommand)]
    Notice(Notice),
    /// Keep business hours and holidays that flows name.
    #[command(subcommand)]
    Calendar(Calendar),
    /// Keep the secrets that the host puts into requests.
    #[command(subcommand)]
    Secret(Secret),
    /// Say who may use the API.
    #[command(subcommand)]
    Token(Token),
    /// Erase one customer's data, and say what was erased and what is left.
    Erase(Erase),
    /// Read, check and export the audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Print the API's description (OpenAPI 3.1).
    Openapi,
}

#[derive(ClapArgs)]
pub struct Erase {
    /// What names the customer and nobody else: an address, a number; @FILE or @- to keep it out of the shell's history.
    #[arg(long)]
    pub subject: String,
    /// Only where it stands there, such as .customer.email or .contacts[].email.
    #[arg(long)]
    pub path: Option<String>,
    /// Only say what would be erased.
    #[arg(long)]
    pub dry_run: bool,
    /// Cancel runs that are under way, to erase them as well.
    #[arg(long)]
    pub cancel: bool,
    /// The most finds.
    #[arg(long, default_value_t = 1000)]
    pub cap: usize,
}

#[derive(Subcommand)]
pub enum Event {
    /// Publish a CloudEvent: flows that wait for it go on, flows that it starts begin.
    Publish {
        /// The whole event as JSON, or @FILE, or @- for standard input; the options go before its members.
        event: Option<String>,
        /// Its type, such as com.example.order.placed.
        #[arg(long = "type")]
        kind: Option<String>,
        /// Where it happened, a URI reference [default: /factotum/cli].
        #[arg(long)]
        source: Option<String>,
        /// Its identifier: the same again is a duplicate [default: a new one].
        #[arg(long)]
        id: Option<String>,
        /// What it is about.
        #[arg(long)]
        subject: Option<String>,
        /// Its data as JSON, or @FILE, or @- for standard input. (`--data` is the data folder.)
        #[arg(long)]
        payload: Option<String>,
    },
    /// List the events that were published, newest first.
    List {
        /// Only of this type.
        #[arg(long = "type")]
        kind: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
}

#[derive(ClapArgs)]
pub struct Serve {
    /// The configuration file (TOML).
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7070].
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Every admin token is lost: make another, into the data folder's file admin.token.
    #[arg(long)]
    pub new_admin_token: bool,
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
    Add(AddPlugin),
    /// List the installed plugins.
    List,
    /// Show what a plugin can do to you: in words; --json has the details.
    Show {
        /// Its name.
        name: String,
        /// Show its grants as they are written instead.
        #[arg(long)]
        toml: bool,
    },
    /// Change what a plugin may do. The difference is shown in words first.
    Grant(GrantPlugin),
    /// Take capabilities back from a plugin, from its next effect on. Without a capability: all of them.
    Revoke {
        /// Its name.
        name: String,
        /// The capabilities: run-context, config, key-value, artifacts, mail, http.
        capabilities: Vec<String>,
        /// Only from this version.
        #[arg(long)]
        version: Option<String>,
    },
    /// Install a higher version under the grants of the old one. One that asks for more is held until you agree.
    Upgrade(UpgradePlugin),
    /// List the upgrades that wait, with what they ask for.
    Pending,
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

#[derive(ClapArgs)]
pub struct AddPlugin {
    /// The component (.wasm).
    pub file: PathBuf,
    /// What it may do: a TOML file in the grant language.
    #[arg(long, conflicts_with = "grant_suggested")]
    pub grants: Option<PathBuf>,
    /// Grant what its manifest suggests. Look at it first: `plugin add` without grants shows it.
    #[arg(long)]
    pub grant_suggested: bool,
    /// Install it under another name.
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
    /// The version, for a component without a manifest.
    #[arg(long)]
    pub version: Option<String>,
    /// A configuration value; @FILE takes it from a file.
    #[arg(long = "config", value_name = "KEY=VALUE")]
    pub config: Vec<String>,
}

#[derive(ClapArgs)]
pub struct GrantPlugin {
    /// Its name; its newest version is changed.
    pub name: String,
    /// What it may do from now on, and nothing else: a TOML file in the grant language.
    #[arg(long, value_name = "FILE")]
    pub grants: Option<PathBuf>,
    /// What it may also do: a TOML file in the grant language.
    #[arg(long, value_name = "FILE")]
    pub add: Vec<PathBuf>,
    /// A capability to take away: run-context, config, key-value, artifacts, mail, http.
    #[arg(long, value_name = "CAPABILITY")]
    pub remove: Vec<String>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(ClapArgs)]
pub struct UpgradePlugin {
    /// The plugin's name.
    pub name: String,
    /// The component (.wasm) of the higher version.
    pub file: Option<PathBuf>,
    /// Agree to an upgrade that waits; of several, to this version.
    #[arg(long, value_name = "VERSION", num_args = 0..=1, default_missing_value = "", conflicts_with = "file")]
    pub agree: Option<String>,
    /// Decline an upgrade that waits; of several, this version.
    #[arg(long, value_name = "VERSION", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["file", "agree"])]
    pub decline: Option<String>,
    /// Agree under these grants instead: a TOML file in the grant language.
    #[arg(long, value_name = "FILE", requires = "agree")]
    pub grants: Option<PathBuf>,
    /// Deploy the flows again whose calls admit the new version. Without it they keep the old one.
    #[arg(long, conflicts_with = "decline")]
    pub redeploy: bool,
    /// The version, for a component without a manifest.
    #[arg(long)]
    pub version: Option<String>,
    /// A configuration value on top of the old version's; @FILE takes it from a file.
    #[arg(long = "config", value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
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
    /// Seal what is stored from now on (payloads of runs, values, artifacts) under a new key.
    RotatePayloadKey,
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
        /// Only what this plugin did or what was done to it, told in words.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_can_be_read_and_no_option_stands_in_anothers_way() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let words = ["factotum", "event", "publish", "--type", "t", "--payload", "{}", "--id", "1"];
        let Command::Event(Event::Publish { kind, payload, .. }) =
            Args::try_parse_from(words).unwrap().command
        else {
            panic!("another command was read")
        };
        assert_eq!((kind.as_deref(), payload.as_deref()), (Some("t"), Some("{}")));
    }
}
