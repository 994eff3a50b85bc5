//! One message: brought, read, and then a run of the flow, or a reason why not.

use std::time::Duration;

use factotum_audit::Actor;
use factotum_mailbox::{Automatic, Bounds, Found, Letter, Place, Session, Unreadable, read};
use factotum_provenance::Labels;
use factotum_store::{Batch, Table};

use super::aside::{self, Files, KeptAside};
use super::state::Old;
use super::watch::Folder;
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::notices::Notice;
use crate::runs::StartRun;

/// How often the host may fail at one message before that is kept aside.
const MAX_STUMBLES: u32 = 3;

/// What became of a message.
pub(super) enum Taken {
    /// It is dealt with, and that is on disk.
    Done,
    /// The host has no room for a run; nothing was done. When to come back, if it says so.
    NoRoom(Option<Duration>),
}

/// Why the watching of a folder ends: the server's fault, or the host's.
pub(super) enum Failed {
    Server(factotum_mailbox::MailboxFault),
    Host(HostError),
}

impl From<factotum_mailbox::MailboxFault> for Failed {
    fn from(fault: factotum_mailbox::MailboxFault) -> Self {
        Self::Server(fault)
    }
}

impl From<HostError> for Failed {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// Takes a message.
pub(super) async fn take(
    folder: &mut Folder,
    session: &mut Session,
    flow: &str,
    found: &Found,
) -> Result<Taken, Failed> {
    if !counts(folder, found) {
        let mut row = folder.row();
        row.last = row.last.max(found.uid);
        folder.keep(Batch::new(), row).await?;
        return Ok(Taken::Done);
    }
    let most = folder.config.max_message_bytes;
    if usize::try_from(found.bytes).is_ok_and(|bytes| bytes > most) {
        let reason = format!("it has {} bytes; at most {most} are taken (max-message-bytes)", found.bytes);
        set_aside(folder, flow, found, None, None, reason).await?;
        return Ok(Taken::Done);
    }
    // What is gone is dealt with when its number is passed.
    let Some(raw) = session.bring(found.uid).await? else { return Ok(Taken::Done) };
    let (letter, raw) = open(raw, most).await?;
    let letter = match letter {
        Ok(letter) => letter,
        Err(Unreadable(reason)) => {
            set_aside(folder, flow, found, None, Some(raw), reason).await?;
            return Ok(Taken::Done);
        }
    };
    if let Some(before) = folder.known(&letter.identity)? {
        let reason = format!("a copy of a message that was dealt with: {before}");
        // A copy of what was not marked is not marked either.
        skip(folder, found, &letter, &reason, before.starts_with("run ")).await?;
        return Ok(Taken::Done);
    }
    if let Some(reason) = unwanted(folder, &letter) {
        skip(folder, found, &letter, &reason, false).await?;
        return Ok(Taken::Done);
    }
    start(folder, flow, found, letter, raw).await
}

/// Reads a message off the async threads.
pub(super) async fn open(
    raw: Vec<u8>,
    most: usize,
) -> Result<(Result<Letter, Unreadable>, Vec<u8>), HostError> {
    let reading = move || (read(&raw, Bounds { max_bytes: most }), raw);
    tokio::task::spawn_blocking(reading).await.map_err(HostError::internal)
}

/// Whether a message counts that lay in the folder before.
fn counts(folder: &Folder, found: &Found) -> bool {
    let row = folder.row();
    if found.uid >= row.fresh_from {
        return true;
    }
    match row.old {
        Old::All => true,
        Old::Unseen => !found.seen,
        Old::Since => found.received.as_ref().is_none_or(|(at, _)| {
            // Seconds against milliseconds: the second in which it began counts.
            u64::try_from(*at).unwrap_or_default() >= row.since / 1000
        }),
    }
}

/// Why a message starts no run, though there is nothing wrong with it.
fn unwanted(folder: &Folder, letter: &Letter) -> Option<String> {
    let sender = folder.engine.mailboxes.setup.get().map(|setup| setup.sender.as_str()).unwrap_or_default();
    if letter.message_id.as_deref().is_some_and(|id| factotum_mailer::is_own_message_id(id, sender)) {
        return Some("this host sent it".into());
    }
    if folder.config.automatic == Automatic::Skip
        && let Some(why) = &letter.automatic
    {
        return Some(format!("a machine sent it: {why}"));
    }
    if folder.config.skip_lists
        && let Some(list) = &letter.list
    {
        return Some(format!("it came over the mailing list {list}"));
    }
    None
}

async fn start(
    folder: &mut Folder,
    flow: &str,
    found: &Found,
    letter: Letter,
    raw: Vec<u8>,
) -> Result<Taken, Failed> {
    let engine = folder.engine.clone();
    let place = place(folder, found);
    let files = Files::store(&engine, &place, &raw, letter.attachments.iter()).await?;
    let input = letter.input(&place, files.attachments(), files.raw(), engine.limits.max_input_bytes);
    let mut row = folder.row();
    row.took(found.uid, engine.clock.now_ms());
    let known = folder.key_of_known(&letter.identity);
    let request = StartRun {
        actor: Actor::Anonymous,
        flow: flow.to_owned(),
        input,
        // However often this is tried, the message starts one run of this flow.
        dedupe_key: Some(format!("mail {}", hex::encode(letter.identity))),
        trigger: "mail".to_owned(),
    };
    let name = folder.name();
    let started = engine
        .start_together(request, Labels::default(), |run, batch| {
            files.put(batch, Some(run));
            batch.put(Table::Mailboxes, known.clone(), format!("run {run}"));
            folder.kept.put(batch, &row);
            audit::mail_taken(batch, &engine, &name, &place, run, &raw);
        })
        .await;
    match started {
        Ok(started) if !started.duplicate => {
            tracing::debug!(
                flow,
                run = started.run_id,
                uid = found.uid,
                mailbox = name,
                "a message started a run"
            );
            folder.became(row);
            Ok(Taken::Done)
        }
        Ok(started) => {
            let reason = format!("a copy of a message that was dealt with: run {}", started.run_id);
            skip(folder, found, &letter, &reason, true).await?;
            Ok(Taken::Done)
        }
        Err(error) if no_room(&error) => Ok(Taken::NoRoom(error.retry_after)),
        // The flow was taken off meanwhile; the caller sees to it. Or the host fails, and the message waits; but one that
        // brings out a defect must not hold up the others for ever.
        Err(error) if matches!(error.code, ErrorCode::UnknownFlow | ErrorCode::Store) => Err(error.into()),
        Err(error) if error.code == ErrorCode::Internal && folder.stumbled(found.uid) < MAX_STUMBLES => {
            Err(error.into())
        }
        Err(error) => {
            let reason = format!("the flow {flow} does not take it: {error}");
            set_aside(folder, flow, found, Some(&letter), Some(raw), reason).await?;
            Ok(Taken::Done)
        }
    }
}

/// Whether a refusal says to come back.
pub(super) fn no_room(error: &HostError) -> bool {
    matches!(error.status(), 429 | 503 | 507)
}

fn place(folder: &Folder, found: &Found) -> Place {
    Place {
        mailbox: folder.mailbox.clone(),
        folder: folder.folder.clone(),
        uid: found.uid,
        uid_validity: folder.row().uid_validity,
        received_at: found.received.as_ref().map(|(_, text)| text.clone()),
    }
}

/// Passes a message over, and says why in the audit log. A copy of one that started a run is marked like that; what a
/// machine sent stays as it is, for people to find.
async fn skip(
    folder: &mut Folder,
    found: &Found,
    letter: &Letter,
    reason: &str,
    copy: bool,
) -> Result<(), HostError> {
    let mut row = folder.row();
    row.last = row.last.max(found.uid);
    row.skipped += 1;
    if copy {
        row.remember_to_mark(found.uid);
    }
    let mut batch = Batch::new();
    if folder.known(&letter.identity)?.is_none() {
        batch.put(Table::Mailboxes, folder.key_of_known(&letter.identity), "it was skipped");
    }
    audit::mail_skipped(&mut batch, &folder.engine, &folder.name(), &place(folder, found), reason);
    folder.keep(batch, row).await
}

/// Keeps a message aside: it starts no run, and people are told.
async fn set_aside(
    folder: &mut Folder,
    flow: &str,
    found: &Found,
    letter: Option<&Letter>,
    raw: Option<Vec<u8>>,
    reason: String,
) -> Result<(), HostError> {
    let engine = folder.engine.clone();
    let place = place(folder, found);
    let mut batch = Batch::new();
    let mut artifact = None;
    if let Some(raw) = &raw {
        let files = Files::store(&engine, &place, raw, [].iter()).await?;
        files.put(&mut batch, None);
        artifact = Some(files.raw().to_owned());
    }
    let kept = KeptAside {
        id: aside::id(&place),
        mailbox: place.mailbox.clone(),
        folder: place.folder.clone(),
        uid: place.uid,
        uid_validity: place.uid_validity,
        received_at: place.received_at.clone(),
        flow: flow.to_owned(),
        reason: reason.clone(),
        at: engine.clock.now_ms(),
        bytes: u64::from(found.bytes),
        from: letter.and_then(|letter| letter.from.first()).and_then(|from| from.address.clone()),
        subject: letter.map(|letter| letter.subject.clone()),
        raw: artifact,
    };
    kept.put(&mut batch)?;
    if let Some(letter) = letter {
        batch.put(
            Table::Mailboxes,
            folder.key_of_known(&letter.identity),
            format!("it is kept aside as {}", kept.id),
        );
    }
    audit::mail_kept_aside(&mut batch, &engine, &folder.name(), &place, &kept.id, &reason);
    let mut row = folder.row();
    row.last = row.last.max(found.uid);
    let text = format!(
        "A message was kept aside / 一封邮件被搁置\n{reason}\nuid {} · {} bytes\nfactotum mailbox show {}",
        found.uid, found.bytes, folder.mailbox
    );
    let notice = Notice::Mailbox { mailbox: folder.name(), text };
    engine.notices.add_to(&mut batch, &notice, engine.clock.now_ms());
    folder.keep(batch, row).await?;
    tracing::warn!(mailbox = folder.name(), uid = found.uid, reason, "a message is kept aside");
    Ok(())
}
