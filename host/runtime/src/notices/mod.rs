//! Notices to people: a mail when somebody is asked, when a run was interrupted, when a clock of a run is over.
//!
//! A notice is on disk in the batch of what it tells of, one for each address ([`outbox`]). It is mailed from there
//! ([`send`]) at least once, each time under the same `Message-ID`, however often the host goes down, or given up with a
//! record after some days. Bounded: no more than so many mails an hour leave to one address, and what comes meanwhile is
//! told together.
//!
//! Only addresses of the host's configuration are mailed, and an assignee that is an address. Nothing depends on a notice:
//! what it tells of is in the inbox and in the list of runs, also when no mail can leave.

mod host;
mod outbox;
mod send;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use factotum_flow::{Flow, Problem, Severity};
use factotum_store::Batch;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::inbox::InboxItem;
use outbox::Waiting;

pub use host::{NoticeState, UnsentNotice};

/// How many notices may wait to be mailed; more are left out, which the log says.
const MAX_WAITING: usize = 10_000;

/// Who is told what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NoticeConfig {
    /// Mail addresses that are told of runs that were parked or faulted.
    pub administrators: Vec<String>,
    /// The most mails to one address an hour; 20 when absent.
    pub per_hour: Option<u32>,
    /// Groups of people that flows ask.
    pub groups: BTreeMap<String, Group>,
}

/// A group of people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Group {
    /// The names of their tokens. A group that is not configured has everyone who may answer.
    pub members: Vec<String>,
    /// Mail addresses that are told when the group is asked, or when a flow's sla names it.
    pub mail: Vec<String>,
}

/// Something that people are told.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    /// Somebody is asked; `again` when reminded or escalated.
    Asked { item: Box<InboxItem>, again: bool },
    /// Something is the matter with a mailbox; the text says what.
    Mailbox { mailbox: String, text: String },
    /// A clock of a run is near its end, or over. The groups are told that the flow names, else the administrators.
    Clock { run: String, flow: String, clock: &'static str, breached: bool, due: u64, groups: Vec<String> },
    /// A run does not go on by itself, or ended in an error.
    Interrupted { run: String, flow: String, state: &'static str, reason: String },
}

/// Who is told, and what waits to be mailed.
#[derive(Default)]
pub(crate) struct Notices {
    config: OnceLock<NoticeConfig>,
    /// Says that a notice is on disk, or about to be.
    changed: Notify,
    /// How many wait, as far as it is known: counted anew at each look.
    waiting: AtomicUsize,
    /// How many letters are not sent yet.
    letters: AtomicUsize,
}

impl Notices {
    /// Adds a notice to the batch of what it tells of, for everyone who is to be told. Before [`Engine::begin_notices`],
    /// and without it, it is left out.
    ///
    /// [`Engine::begin_notices`]: crate::runs::Engine::begin_notices
    pub fn add_to(&self, batch: &mut Batch, notice: &Notice, now: u64) {
        let Some(config) = self.config.get() else { return };
        let addresses = addresses(config, notice);
        let text = text(notice);
        for to in addresses {
            if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!(
                    "more notices wait than can be mailed: one is left out; see the inbox and the list of runs"
                );
                continue;
            }
            let waiting = Waiting { to, text: text.clone(), at: now, run: run_of(notice).map(str::to_owned) };
            if let Err(error) = waiting.put(batch) {
                tracing::error!(%error, "a notice cannot be kept");
            }
        }
        self.changed.notify_one();
    }

    /// How many notices and mails wait to be sent.
    pub fn unsent(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.letters.load(Ordering::Relaxed)
    }

    /// Whether someone is in a group. One that is not configured has everyone.
    pub fn is_member(&self, group: &str, name: &str) -> bool {
        let known = self.config.get().and_then(|config| config.groups.get(group));
        known.is_none_or(|group| group.members.iter().any(|member| member == name))
    }

    /// The groups that a flow's sla names and that have no mail address here: the administrators are told instead.
    pub fn lacking(&self, flow: &Flow, file: &str) -> Vec<Problem> {
        let Some(sla) = flow.sla() else { return Vec::new() };
        let has_mail = |name: &String| {
            let group = self.config.get().and_then(|config| config.groups.get(name));
            group.is_some_and(|group| !group.mail.is_empty())
        };
        let problem = |name: &String| Problem {
            severity: Severity::Warning,
            file: file.to_owned(),
            line: sla.notify_at.0,
            column: sla.notify_at.1,
            path: "/document/metadata/sla/notify".into(),
            message: format!("the host knows no mail address of the group {name:?}"),
            hint: Some(format!(
                "an administrator names some: mail = [\"…\"] in [notices.groups.{name}] of the configuration file"
            )),
        };
        sla.notify.iter().filter(|name| !has_mail(name)).map(problem).collect()
    }
}

/// To whom a notice goes: an assignee that is an address, the addresses of groups, the administrators. Each once.
fn addresses(config: &NoticeConfig, notice: &Notice) -> Vec<String> {
    let of = |group: &String| config.groups.get(group).map(|group| group.mail.clone()).unwrap_or_default();
    let mut all: Vec<String> = match notice {
        Notice::Interrupted { .. } | Notice::Mailbox { .. } => config.administrators.clone(),
        Notice::Clock { groups, .. } => {
            // A group that nobody can write to must not make a breach go untold.
            let reached = |group: &&String| !of(group).is_empty();
            let mut all: Vec<String> = groups.iter().flat_map(of).collect();
            if groups.is_empty() || !groups.iter().all(|group| reached(&group)) {
                all.extend(config.administrators.clone());
            }
            all
        }
        Notice::Asked { item, .. } => {
            let mut all: Vec<String> = item.group.iter().flat_map(of).collect();
            all.extend(item.assignee.clone().filter(|assignee| assignee.contains('@')));
            all
        }
    };
    all.sort_unstable();
    all.dedup();
    all
}

fn run_of(notice: &Notice) -> Option<&str> {
    match notice {
        Notice::Asked { item, .. } => Some(&item.run),
        Notice::Clock { run, .. } | Notice::Interrupted { run, .. } => Some(run),
        Notice::Mailbox { .. } => None,
    }
}

fn clock_words(clock: &str) -> &'static str {
    if clock == "respond" { "to respond / 响应时限" } else { "to resolve / 解决时限" }
}

/// The first line is the subject. No customer's data beyond what the flow put into the title.
fn text(notice: &Notice) -> String {
    match notice {
        Notice::Asked { item, again } => {
            let what =
                if *again { "Still waits for you / 仍待处理" } else { "Waits for you / 待处理" };
            format!(
                "{what}: {}\nflow {} · run {} · priority {}\nfactotum inbox show {}",
                item.title, item.flow, item.run, item.priority, item.id
            )
        }
        Notice::Mailbox { mailbox, text } => format!("Mailbox {mailbox} / 邮箱\n{text}"),
        Notice::Clock { run, flow, clock, breached, due, .. } => {
            let (what, due) = (clock_words(clock), crate::time::rfc3339(*due));
            let state = if *breached { "is over / 已超时" } else { "is nearly over / 即将超时" };
            format!("Time {what} of {flow} {state}\ndue {due}\nrun {run}\nfactotum run show {run}")
        }
        Notice::Interrupted { run, flow, state, reason } => format!(
            "Run of {flow} {state} / 流程运行中断\n{reason}\nrun {run}\nfactotum run show {run}; then: factotum run retry {run}"
        ),
    }
}
