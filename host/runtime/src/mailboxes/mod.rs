//! Mailboxes: messages that come in start flows, each one once.
//!
//! Every folder that a deployed flow names is watched by a task of its own: it connects, takes what is new in the order of
//! the server's numbers, and waits for more. The run, the number of the message that it was started with, and what that
//! message is (its identity) are one batch; only when that is on disk, the message is marked on the server. So a host that
//! is killed in between starts nothing twice and loses nothing: the number says how far it was, and what is still to be
//! marked stands beside it.
//!
//! A message that starts no run is either skipped, for a reason that is audited (a machine sent it, it is a copy of an
//! earlier one), or kept aside: nothing can be made of it, or the flow's schema refuses it. Then the raw message is an
//! artifact, administrators are told, and the others go on. On the server both stay as they were.
//!
//! When the host has no room for a run, the folder waits.

mod aside;
mod state;
mod status;
mod take;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use factotum_egress::Secrets;
use factotum_flow::{Flow, Problem, Severity};
use factotum_mailbox::MailboxConfig;

use crate::runs::Engine;

pub use aside::KeptAside;
pub use status::{MailboxState, MailboxStatus};

/// The mailboxes of a host.
#[derive(Default)]
pub(crate) struct Mailboxes {
    setup: OnceLock<Setup>,
    statuses: Mutex<BTreeMap<(String, String), MailboxStatus>>,
}

struct Setup {
    configs: BTreeMap<String, MailboxConfig>,
    secrets: Arc<dyn Secrets>,
    /// From whom this host's own mails come.
    sender: String,
}

impl Mailboxes {
    fn config(&self, mailbox: &str) -> Option<&MailboxConfig> {
        self.setup.get()?.configs.get(mailbox)
    }

    /// How every folder is doing, by mailbox and folder.
    pub fn statuses(&self) -> Vec<MailboxStatus> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The names of those that cannot be read.
    pub fn failing(&self) -> Vec<String> {
        let all = self.statuses();
        let failing = all.iter().filter(|status| status.state == MailboxState::Failing);
        failing.map(|status| format!("{}/{}", status.mailbox, status.folder)).collect()
    }

    fn set_status(&self, status: MailboxStatus) {
        let place = (status.mailbox.clone(), status.folder.clone());
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).insert(place, status);
    }
}

impl Engine {
    /// Begins to watch the configured folders that flows are started from.
    pub(crate) fn begin_mailboxes(
        self: &Arc<Self>,
        configs: BTreeMap<String, MailboxConfig>,
        secrets: Arc<dyn Secrets>,
        sender: &str,
    ) {
        let setup = Setup { configs: configs.clone(), secrets, sender: sender.to_owned() };
        if self.mailboxes.setup.set(setup).is_err() {
            return;
        }
        for (name, config) in configs {
            for folder in &config.folders {
                tokio::spawn(watch::watch(Arc::clone(self), name.clone(), folder.clone()));
            }
        }
    }

    /// What is wrong with a flow's mail trigger on this host: the mailbox is not there, the folder is not open to flows, or
    /// another flow has it.
    pub(crate) fn wrong_with_mail(&self, flow: &Flow, file: &str, severity: Severity) -> Option<Problem> {
        let trigger = flow.mail()?;
        let (name, folder) = (&trigger.mailbox, &trigger.folder);
        let problem = |message: String, hint: String| Problem {
            severity,
            file: file.to_owned(),
            line: trigger.line,
            column: trigger.column,
            path: trigger.path.clone(),
            message,
            hint: Some(hint),
        };
        let Some(config) = self.mailboxes.config(name) else {
            let message = format!("the host has no mailbox {name:?}");
            return Some(problem(
                message,
                format!("an administrator sets it up: [mailboxes.{name}] in the configuration file"),
            ));
        };
        if !config.folders.contains(folder) {
            let message =
                format!("no flow may be started from the folder {folder:?} of the mailbox {name:?}");
            return Some(problem(message, format!("it may from: {}", config.folders.join(", "))));
        }
        let other = self.flow_of(name, folder).filter(|other| *other != flow.id())?;
        Some(problem(
            format!("the messages of {folder} in the mailbox {name:?} start the flow {other} already"),
            "a message starts one flow; let that one start this one with `run: workflow`, or use another folder"
                .into(),
        ))
    }

    /// The deployed flow that a folder's messages start; of several, which cannot be deployed, the first by name.
    pub(crate) fn flow_of(&self, mailbox: &str, folder: &str) -> Option<String> {
        let all = self.deployments.all();
        let starts = |flow: &Flow| flow.mail().is_some_and(|m| m.mailbox == mailbox && m.folder == folder);
        all.iter().find(|deployment| starts(&deployment.flow)).map(|deployment| deployment.flow.id())
    }
}
