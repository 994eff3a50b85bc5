//! Mails what waits: tried again with growing pauses, given up with a record after some days.
//!
//! Order: a letter is on disk, is handed to the mail server, and is taken out in one batch with the audit entry. A host that
//! is killed after the server's "taken" hands it over again, under the same `Message-ID`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use factotum_sandbox::{CallFault, FaultKind, MailMailbox, MailMessage};
use factotum_store::{Batch, StoreError};

use super::NoticeConfig;
use super::outbox::{self, Letter};
use crate::audit;
use crate::backends::Courier;
use crate::runs::Engine;

/// How long notices are gathered before they are mailed together.
const GATHER: Duration = Duration::from_secs(2);
/// How often the outbox is looked at when nothing says that it has changed.
const LOOK: Duration = Duration::from_secs(60);
/// The pause after the first failure, in milliseconds; twice as long after each further one.
const FIRST_PAUSE: u64 = 5_000;
/// The longest pause of one letter, and of all of them when the mail server does not answer.
const LONGEST_PAUSE: u64 = 3_600_000;
const LONGEST_REST: u64 = 60_000;
/// How long a letter is tried, in milliseconds: what came four days ago is no news.
const GIVE_UP: u64 = 4 * 86_400_000;
/// How long one that was given up is shown, in milliseconds.
const SHOWN: u64 = 7 * 86_400_000;
/// An hour, in milliseconds.
const HOUR: u64 = 3_600_000;

/// The moments of the latest mails to each address.
type Sent = BTreeMap<String, VecDeque<u64>>;

impl Engine {
    /// Begins to keep notices and to mail them. Before that, and without it, they are left out.
    pub(crate) fn begin_notices(self: &Arc<Self>, config: NoticeConfig, courier: Arc<dyn Courier>) {
        let most = config.per_hour.unwrap_or(20).max(1) as usize;
        if self.notices.config.set(config).is_ok() {
            tokio::spawn(mail_them(Arc::clone(self), courier, most));
        }
    }

    /// Adds to a batch that nobody is told of runs any more whose contents are removed.
    pub(crate) fn forget_notices(&self, batch: &mut Batch, runs: &[String]) -> Result<(), StoreError> {
        outbox::forget(&self.store, batch, runs)
    }
}

async fn mail_them(engine: Arc<Engine>, courier: Arc<dyn Courier>, most: usize) {
    let mut sent = Sent::new();
    // What the last process left goes out at once.
    loop {
        let next = match pass(&engine, &*courier, most, &mut sent).await {
            Ok(next) => next,
            Err(error) => {
                if !engine.stop.is_requested() {
                    tracing::error!(%error, "notices cannot be mailed at the moment");
                }
                None
            }
        };
        let due = async {
            match next {
                Some(at) => engine.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = engine.notices.changed.notified() => tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = engine.stop.requested() => return,
            },
            () = due => {}
            () = tokio::time::sleep(LOOK) => {}
            () = engine.stop.requested() => return,
        }
    }
}

/// Makes letters of what waits, and tries those that are due. Returns when the next one is.
async fn pass(
    engine: &Engine,
    courier: &dyn Courier,
    most: usize,
    sent: &mut Sent,
) -> Result<Option<u64>, StoreError> {
    make_letters(engine, most, sent).await?;
    let mut letters = outbox::letters(&engine.store)?;
    letters.sort_by_key(|letter| letter.next);
    let mut rests_until = None;
    let mut unsent = 0;
    let mut next: Option<u64> = None;
    for mut letter in letters {
        let now = engine.clock.now_ms();
        if let Some(at) = letter.given_up {
            if at.saturating_add(SHOWN) <= now {
                let mut batch = Batch::new();
                letter.delete(&mut batch);
                engine.commit(batch).await?;
            }
            continue;
        }
        // The clock may have been set back: no pause is longer than the longest.
        let due = letter.next.min(now.saturating_add(LONGEST_PAUSE));
        if due > now || rests_until.is_some() || engine.stop.is_requested() {
            next = Some(next.map_or(due, |next| next.min(due)));
            unsent += 1;
            continue;
        }
        let tried = courier.deliver(message(&letter), &letter.id).await;
        let now = engine.clock.now_ms();
        let mut batch = Batch::new();
        match tried {
            Ok(receipt) => {
                letter.delete(&mut batch);
                audit::notice_mailed(&mut batch, engine, &letter.to, &receipt.message_id, &letter.runs);
            }
            Err(fault) => {
                if fault.kind == FaultKind::Technical {
                    rests_until = Some(now.saturating_add(pause(letter.tries).min(LONGEST_REST)));
                }
                failed(engine, &mut batch, &mut letter, &fault, now);
                if letter.given_up.is_none() {
                    next = Some(next.map_or(letter.next, |next| next.min(letter.next)));
                    unsent += 1;
                }
                letter.put(&mut batch).map_err(|e| StoreError::Invalid(e.to_string()))?;
            }
        }
        engine.commit(batch).await?;
    }
    engine.notices.letters.store(unsent, Ordering::Relaxed);
    // A server that does not answer is left alone for a while, whoever is next.
    Ok(next.map(|next| rests_until.map_or(next, |rests| next.max(rests))))
}

/// Makes one letter for each address of what waits for it, unless as many mails as may left to it in the last hour.
async fn make_letters(engine: &Engine, most: usize, sent: &mut Sent) -> Result<(), StoreError> {
    let mut by_address: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (key, notice) in outbox::waiting(&engine.store)? {
        by_address.entry(notice.to.clone()).or_default().push((key, notice));
    }
    let now = engine.clock.now_ms();
    sent.retain(|_, times| {
        times.retain(|at| at.saturating_add(HOUR) > now && *at <= now);
        !times.is_empty()
    });
    let mut left = 0;
    for (to, notices) in by_address {
        let times = sent.entry(to.clone()).or_default();
        if times.len() >= most {
            left += notices.len();
            continue;
        }
        times.push_back(now);
        let mut batch = Batch::new();
        let (keys, notices): (Vec<_>, Vec<_>) = notices.into_iter().unzip();
        for key in keys {
            batch.delete(factotum_store::Table::Mail, key);
        }
        let letter = Letter::of(&to, &notices, now);
        letter.put(&mut batch).map_err(|e| StoreError::Invalid(e.to_string()))?;
        engine.commit(batch).await?;
    }
    engine.notices.waiting.store(left, Ordering::Relaxed);
    Ok(())
}

fn failed(engine: &Engine, batch: &mut Batch, letter: &mut Letter, fault: &CallFault, now: u64) {
    let after = fault.retry_after_ms.unwrap_or_default().clamp(pause(letter.tries), LONGEST_PAUSE);
    letter.tries = letter.tries.saturating_add(1);
    letter.next = now.saturating_add(after);
    letter.error = Some(fault.message.clone());
    let too_old = letter.since.saturating_add(GIVE_UP) <= now;
    if fault.kind == FaultKind::Business || too_old {
        letter.given_up = Some(now);
        tracing::error!(
            letter = letter.id,
            code = fault.code,
            "a notice was not mailed and is given up: {}",
            fault.message
        );
        audit::notice_given_up(batch, engine, &letter.to, letter.tries, &fault.message, &letter.runs);
    } else {
        tracing::warn!(
            letter = letter.id,
            code = fault.code,
            tries = letter.tries,
            "a notice could not be mailed yet: {}",
            fault.message
        );
    }
}

fn pause(tries: u32) -> u64 {
    FIRST_PAUSE.saturating_mul(1_u64.checked_shl(tries).unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

fn message(letter: &Letter) -> MailMessage {
    MailMessage {
        sender: None,
        to: vec![MailMailbox { name: None, address: letter.to.clone() }],
        cc: Vec::new(),
        reply_to: None,
        subject: letter.subject.clone(),
        text: letter.text.clone(),
        html: None,
        in_reply_to: None,
        attachments: Vec::new(),
    }
}
