//! Notices to people: a mail when somebody is asked, and when a run was interrupted. Bounded: no more than so many mails an
//! hour leave, and what comes meanwhile is told together.
//!
//! Nothing depends on a notice. What it tells of is in the inbox and in the list of runs, also when no mail can leave.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use factotum_sandbox::{MailMailbox, MailMessage};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::item::InboxItem;
use crate::backends::Courier;
use crate::clock::Clock;
use crate::ids;

/// How many notices wait to be told; more are dropped, and counted in the log.
const MAX_WAITING: usize = 1_000;
/// How long notices are gathered before they are mailed together.
const GATHER: Duration = Duration::from_secs(2);
/// The most notices told in one mail.
const MAX_IN_MAIL: usize = 50;
/// An hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

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
    /// Mail addresses that are told when the group is asked.
    pub mail: Vec<String>,
}

/// Something that people are told.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    /// Somebody is asked; `again` when reminded or escalated.
    Asked { item: Box<InboxItem>, again: bool },
    /// Something is the matter with a mailbox; the text says what.
    Mailbox { mailbox: String, text: String },
    /// A clock of a run is near its end, or over.
    Clock { run: String, flow: String, clock: &'static str, breached: bool, due: u64 },
    /// A run does not go on by itself, or ended in an error.
    Interrupted { run: String, flow: String, state: &'static str, reason: String },
}

/// Takes notices, and mails them.
#[derive(Default)]
pub(crate) struct Notices {
    config: OnceLock<NoticeConfig>,
    queue: OnceLock<mpsc::Sender<Notice>>,
}

impl Notices {
    /// Begins to mail notices. Before that, and without it, they are left out.
    pub fn begin(&self, config: NoticeConfig, courier: Arc<dyn Courier>, clock: Arc<dyn Clock>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        if self.config.set(config.clone()).is_ok() && self.queue.set(sender).is_ok() {
            tokio::spawn(mail_them(config, courier, clock, receiver));
        }
    }

    /// Tells people. Never waits.
    pub fn tell(&self, notice: Notice) {
        if let Some(queue) = self.queue.get()
            && queue.try_send(notice).is_err()
        {
            tracing::warn!(
                "more notices than can be mailed: one is left out; see the inbox and the list of runs"
            );
        }
    }

    /// Whether someone is in a group. One that is not configured has everyone.
    pub fn is_member(&self, group: &str, name: &str) -> bool {
        let known = self.config.get().and_then(|config| config.groups.get(group));
        known.is_none_or(|group| group.members.iter().any(|member| member == name))
    }
}

async fn mail_them(
    config: NoticeConfig,
    courier: Arc<dyn Courier>,
    clock: Arc<dyn Clock>,
    mut queue: mpsc::Receiver<Notice>,
) {
    let most = config.per_hour.unwrap_or(20).max(1) as usize;
    let mut sent: BTreeMap<String, VecDeque<u64>> = BTreeMap::new();
    let mut waiting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let next = if waiting.is_empty() {
            queue.recv().await
        } else {
            tokio::time::timeout(Duration::from_secs(60), queue.recv()).await.ok().flatten()
        };
        match next {
            Some(first) => {
                tokio::time::sleep(GATHER).await;
                let mut notices = vec![first];
                while let Ok(notice) = queue.try_recv() {
                    notices.push(notice);
                }
                for notice in notices {
                    let text = text(&notice);
                    for address in addresses(&config, &notice) {
                        waiting.entry(address).or_default().push(text.clone());
                    }
                }
            }
            None if queue.is_closed() && queue.is_empty() => return,
            None => {}
        }
        let now = clock.now_ms();
        for (address, texts) in std::mem::take(&mut waiting) {
            let times = sent.entry(address.clone()).or_default();
            times.retain(|at| at.saturating_add(HOUR_MS) > now);
            if times.len() >= most {
                waiting.insert(address, texts);
                continue;
            }
            times.push_back(now);
            mail(&*courier, &address, &texts).await;
        }
    }
}

async fn mail(courier: &dyn Courier, address: &str, texts: &[String]) {
    let subject = match texts {
        [one] => one.lines().next().unwrap_or_default().to_owned(),
        several => format!("{} notices / {} 条通知", several.len(), several.len()),
    };
    let mut body = texts.iter().take(MAX_IN_MAIL).cloned().collect::<Vec<_>>().join("\n\n");
    if texts.len() > MAX_IN_MAIL {
        // Writing to a string cannot fail.
        let _ = write!(body, "\n\n… and {} more", texts.len() - MAX_IN_MAIL);
    }
    let message = MailMessage {
        sender: None,
        to: vec![MailMailbox { name: None, address: address.to_owned() }],
        cc: Vec::new(),
        reply_to: None,
        subject,
        text: body,
        html: None,
        in_reply_to: None,
        attachments: Vec::new(),
    };
    if let Err(fault) = courier.deliver(message, &ids::new_run_id()).await {
        tracing::warn!(code = fault.code, "a notice could not be mailed: {}", fault.message);
    }
}

/// To whom a notice goes: an assignee that is an address, the addresses of a group, the administrators.
fn addresses(config: &NoticeConfig, notice: &Notice) -> Vec<String> {
    match notice {
        Notice::Interrupted { .. } | Notice::Mailbox { .. } | Notice::Clock { .. } => {
            config.administrators.clone()
        }
        Notice::Asked { item, .. } => {
            let group = item.group.as_ref().and_then(|group| config.groups.get(group));
            let mut all = group.map(|group| group.mail.clone()).unwrap_or_default();
            all.extend(item.assignee.clone().filter(|assignee| assignee.contains('@')));
            all
        }
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
        Notice::Clock { run, flow, clock, breached, due } => {
            let (what, due) = (clock_words(clock), crate::time::rfc3339(*due));
            let state = if *breached { "is over / 已超时" } else { "is nearly over / 即将超时" };
            format!("Time {what} of {flow} {state}\ndue {due}\nrun {run}\nfactotum run show {run}")
        }
        Notice::Interrupted { run, flow, state, reason } => format!(
            "Run of {flow} {state} / 流程运行中断\n{reason}\nrun {run}\nfactotum run show {run}; then: factotum run retry {run}"
        ),
    }
}
