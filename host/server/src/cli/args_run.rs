//! The words of `factotum run`.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Subcommand};

use super::duration;

#[derive(Subcommand)]
pub enum Run {
    /// List runs, newest first.
    List {
        /// Only this flow's.
        #[arg(long)]
        flow: Option<String>,
        /// Only those in this state: running, queued, waiting, completed, faulted, cancelled, stuck, suspended.
        #[arg(long)]
        state: Option<String>,
        /// Only those whose clocks are in this state: running, warned, paused, breached, met, stopped.
        #[arg(long)]
        sla: Option<String>,
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
    /// Retry a run from its failed task or an earlier one, or many runs by a filter. What was done before is not repeated.
    Retry(Retry),
    /// Cancel a run, and take back what its tasks did as its flow says.
    Cancel(Cancel),
    /// Replay a run against an edited flow or plugin, with answers from its history: nothing is done; shows where they part.
    Replay(Replay),
    /// Have a run stand still before its next effect.
    Suspend {
        /// Its identifier.
        id: String,
        /// Why, for its history.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a run go on that stood still.
    Resume {
        /// Its identifier.
        id: String,
    },
}

#[derive(ClapArgs)]
pub struct Retry {
    /// The run; without it, those that the filter below finds.
    #[arg(required_unless_present_any = ["flow", "state", "since", "reason"], conflicts_with_all = ["flow", "state", "since", "reason"])]
    pub id: Option<String>,
    /// Begin again at this execution of a task, as the run's history shows it, such as `/do/3/each[1]/do/0/book`. What came
    /// before keeps its outcome.
    #[arg(long, value_name = "KEY")]
    pub from: Option<String>,
    /// Go on with the flow that is deployed now, instead of the one that the run was started with.
    #[arg(long)]
    pub deployed: bool,
    /// Only this flow's runs.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub flow: Option<String>,
    /// Only runs in this state: faulted, stuck, cancelled.
    #[arg(long)]
    pub state: Option<String>,
    /// Only runs that ended within this time, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub since: Option<Duration>,
    /// Only runs whose reason contains this text.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// At most so many runs, the oldest first.
    #[arg(long, default_value_t = 100)]
    pub cap: usize,
    /// Only tell what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(ClapArgs)]
pub struct Cancel {
    /// The run's identifier.
    pub id: String,
    /// Why, for its history.
    #[arg(long)]
    pub reason: Option<String>,
    /// End it as it is: take nothing back.
    #[arg(long)]
    pub abort: bool,
    /// Only tell what would be taken back.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Subcommand)]
pub enum Inbox {
    /// List what waits for a person, the oldest first.
    List {
        /// Only what I am asked, by name or as a member of a group.
        #[arg(long)]
        mine: bool,
        /// What was answered, expired or withdrawn instead, the newest first.
        #[arg(long)]
        closed: bool,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show an item: what is asked, and the form of the answer.
    Show {
        /// Its identifier.
        id: String,
    },
    /// Answer an item; its run goes on.
    Complete {
        /// Its identifier.
        id: String,
        /// The decision in a word, such as approved.
        #[arg(long)]
        outcome: Option<String>,
        /// The answer, as JSON; @FILE takes it from a file, @- from standard input.
        #[arg(long, default_value = "null")]
        answer: String,
    },
}

/// What to replay a run against.
#[derive(ClapArgs)]
pub struct Replay {
    /// The run's identifier.
    pub id: String,
    /// The edited document; the deployed one when absent.
    #[arg(long, value_name = "FILE")]
    pub flow: Option<PathBuf>,
    /// An edited plugin that is called anew in place of the recorded answers, with nothing behind it but fixtures.
    #[arg(long, value_name = "NAME=FILE.wasm")]
    pub plugin: Option<String>,
    /// What the plugin's effects are answered with: TOML, as for `factotum flow learn`.
    #[arg(long, value_name = "FILE", requires = "plugin")]
    pub fixtures: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum Notice {
    /// List what was not mailed yet, and what was given up in the last week.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

#[derive(Subcommand)]
pub enum Mailbox {
    /// List the folders that flows are started from, and how they are doing.
    List,
    /// Show what is kept aside in a mailbox, and why.
    Show {
        /// The mailbox, by its name in the configuration.
        mailbox: String,
    },
    /// Start the flow with a message that was kept aside.
    Retry {
        /// The mailbox.
        mailbox: String,
        /// The message's identifier here.
        id: String,
    },
    /// Forget a message that was kept aside.
    Dismiss {
        /// The mailbox.
        mailbox: String,
        /// The message's identifier here.
        id: String,
    },
}
