//! Messages that are kept aside, and the files of messages as artifacts.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_mailbox::{Attachment, Place};
use factotum_provenance::Labels;
use factotum_store::{Batch, Blobs, Expectation, ScanRange, StoreError, Table};
use serde::{Deserialize, Serialize};

use super::state::{key, known};
use super::status::MailboxStatus;
use super::take::open;
use crate::audit;
use crate::backends::Artifact;
use crate::error::{ErrorCode, HostError};
use crate::host::Host;
use crate::ids::digest_parts;
use crate::runs::{Engine, StartRun, Started};

/// The most messages of one mailbox that are listed.
const MAX_LISTED: usize = 500;
/// The largest message that is read again.
const MAX_AGAIN: usize = 64 << 20;

/// A message that is kept aside: nothing could be made of it, or the flow does not take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAside {
    /// Its identifier here.
    pub id: String,
    /// The mailbox, by its name in the configuration.
    pub mailbox: String,
    /// The folder.
    pub folder: String,
    /// The message's number there.
    pub uid: u32,
    /// What the number belongs to.
    pub uid_validity: u32,
    /// When the server got it, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub received_at: Option<String>,
    /// The flow that it was for.
    pub flow: String,
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Who sent it, as it says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// Its subject.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// The artifact with the raw message; absent when it was too large to be brought. Then it is on the server alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub raw: Option<String>,
}

/// The identifier of what is kept aside.
pub(super) fn id(place: &Place) -> String {
    format!(
        "{:x}-{:x}-{}",
        place.uid_validity,
        place.uid,
        of_place(place, "aside").get(..6).unwrap_or_default()
    )
}

/// What names something of one message.
fn of_place(place: &Place, what: &str) -> String {
    let Place { mailbox, folder, uid, uid_validity, .. } = place;
    let parts: [&[u8]; 5] = [
        mailbox.as_bytes(),
        folder.as_bytes(),
        &uid_validity.to_be_bytes(),
        &uid.to_be_bytes(),
        what.as_bytes(),
    ];
    digest_parts("mail", &parts, 16)
}

impl KeptAside {
    fn key(&self) -> Vec<u8> {
        key("aside", &self.mailbox, &self.id, &[])
    }

    pub(super) fn put(&self, batch: &mut Batch) -> Result<(), HostError> {
        batch.put(Table::Mailboxes, self.key(), serde_json::to_vec(self).map_err(HostError::internal)?);
        Ok(())
    }
}

/// The files of one message, whose bytes are on disk, and which become artifacts together with whatever says where they
/// belong. Bytes that nothing refers to after a crash are found again when the message is.
pub(super) struct Files {
    artifacts: Vec<Artifact>,
    attachments: Vec<String>,
}

impl Files {
    /// Puts the bytes on disk: of the raw message, and of the attachments.
    pub async fn store<'a>(
        engine: &Engine,
        place: &Place,
        raw: &[u8],
        attachments: impl Iterator<Item = &'a Attachment>,
    ) -> Result<Self, HostError> {
        let whole = (format!("{}.eml", of_place(place, "raw").get(..12).unwrap_or("mail")), "message/rfc822");
        let all = std::iter::once((whole.0.as_str(), whole.1, raw)).chain(
            attachments.map(|file| (file.name.as_str(), file.media_type.as_str(), file.content.as_slice())),
        );
        let mut artifacts = Vec::new();
        for (number, (name, media_type, content)) in all.enumerate() {
            let digest = Blobs::new(&engine.store).put(content).await.map_err(HostError::store)?;
            artifacts.push(Artifact {
                id: of_place(place, &format!("artifact {number}")),
                name: name.to_owned(),
                media_type: media_type.to_owned(),
                size: content.len() as u64,
                sha256: hex::encode(digest),
                plugin: owner(&place.mailbox),
                run: None,
                stored_at: engine.clock.now_ms(),
            });
        }
        let attachments = artifacts.iter().skip(1).map(|artifact| artifact.id.clone()).collect();
        Ok(Self { artifacts, attachments })
    }

    /// The artifact of the whole message.
    pub fn raw(&self) -> &str {
        self.artifacts.first().map(|artifact| artifact.id.as_str()).unwrap_or_default()
    }

    /// The artifacts of the attachments, in their order.
    pub fn attachments(&self) -> &[String] {
        &self.attachments
    }

    /// Adds the artifacts to a batch, as those of a run.
    pub fn put(&self, batch: &mut Batch, run: Option<&str>) {
        for artifact in &self.artifacts {
            let artifact = Artifact { run: run.map(str::to_owned), ..artifact.clone() };
            // Texts and numbers always serialise.
            let record = serde_json::to_vec(&artifact).unwrap_or_default();
            batch.put(Table::Artifacts, artifact.id.as_str(), record);
            crate::backends::index_artifact(batch, &artifact);
        }
    }
}

/// In whose name the files of messages are kept. No plugin can be called so; the run that a message started may have its
/// plugins read them.
fn owner(mailbox: &str) -> String {
    format!("{}{mailbox}", crate::backends::MAILBOX)
}

impl Engine {
    fn aside(&self, mailbox: &str) -> Result<Vec<KeptAside>, HostError> {
        let range = ScanRange::prefix([b"aside\0", mailbox.as_bytes(), b"\0"].concat()).limit(MAX_LISTED);
        let rows = self.store.scan(Table::Mailboxes, &range).map_err(HostError::store)?;
        let read = |(key, bytes): (Vec<u8>, Vec<u8>)| {
            serde_json::from_slice(&bytes).map_err(|e| {
                HostError::store(StoreError::Corrupt { table: Table::Mailboxes, key, reason: e.to_string() })
            })
        };
        let mut all: Vec<KeptAside> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(all)
    }

    fn one_aside(&self, mailbox: &str, id: &str) -> Result<(KeptAside, Vec<u8>), HostError> {
        let unknown = || {
            let shown: String = id.chars().take(60).collect();
            HostError::new(
                ErrorCode::UnknownItem,
                format!("no message {shown:?} is kept aside in this mailbox"),
            )
            .hint("factotum mailbox show NAME lists them")
        };
        let fine = !mailbox.contains('\0') && !id.contains('\0') && mailbox.len() + id.len() <= 400;
        let stored = match fine {
            true => {
                self.store.get(Table::Mailboxes, &key("aside", mailbox, id, &[])).map_err(HostError::store)?
            }
            false => None,
        };
        let stored = stored.ok_or_else(unknown)?;
        let kept = serde_json::from_slice(&stored).map_err(HostError::internal)?;
        Ok((kept, stored))
    }
}

impl Host {
    /// How the watched folders are doing, by mailbox and folder.
    ///
    /// # Errors
    /// [`ErrorCode::Store`].
    pub fn mailboxes(&self) -> Result<Vec<MailboxStatus>, HostError> {
        let mut all = self.engine().mailboxes.statuses();
        let mut aside: Option<(String, Vec<KeptAside>)> = None;
        for status in &mut all {
            if aside.as_ref().is_none_or(|(mailbox, _)| *mailbox != status.mailbox) {
                aside = Some((status.mailbox.clone(), self.engine().aside(&status.mailbox)?));
            }
            let here = aside.iter().flat_map(|(_, kept)| kept).filter(|kept| kept.folder == status.folder);
            status.aside = here.count() as u64;
        }
        Ok(all)
    }

    /// The messages of a mailbox that are kept aside, the oldest first.
    ///
    /// # Errors
    /// [`ErrorCode::Store`].
    pub fn mail_aside(&self, mailbox: &str) -> Result<Vec<KeptAside>, HostError> {
        if mailbox.contains('\0') || mailbox.len() > 200 {
            return Ok(Vec::new());
        }
        self.engine().aside(mailbox)
    }

    /// Starts the flow with a message that was kept aside: what was in its way is mended. Nothing else is asked of it, so
    /// that a message can be taken that would be skipped.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownItem`], [`ErrorCode::InvalidRequest`] when nothing can be made of it still, and like
    /// [`Host::start_run`].
    pub async fn retry_mail(&self, actor: &Actor, mailbox: &str, id: &str) -> Result<Started, HostError> {
        let engine = Arc::clone(self.engine());
        let (kept, stored) = engine.one_aside(mailbox, id)?;
        let gone = || {
            HostError::new(ErrorCode::InvalidRequest, "the message itself is not here")
                .hint("it is on the mail server; raise max-message-bytes and send it to the mailbox again")
        };
        let artifact = kept.raw.as_deref().ok_or_else(gone)?;
        let raw = self.artifact(artifact)?.ok_or_else(gone)?.content;
        let (letter, raw) = open(raw, MAX_AGAIN).await?;
        let letter = letter.map_err(|unreadable| {
            HostError::new(ErrorCode::InvalidRequest, format!("nothing can be made of it: {unreadable}"))
                .hint("read the raw message: factotum mailbox show names its artifact")
        })?;
        let place = Place {
            mailbox: kept.mailbox.clone(),
            folder: kept.folder.clone(),
            uid: kept.uid,
            uid_validity: kept.uid_validity,
            received_at: kept.received_at.clone(),
        };
        // The flow that the folder starts now: it may be another one.
        let flow = engine.flow_of(&kept.mailbox, &kept.folder).unwrap_or_else(|| kept.flow.clone());
        let files = Files::store(&engine, &place, &raw, letter.attachments.iter()).await?;
        let input = letter.input(&place, files.attachments(), files.raw(), engine.limits.max_input_bytes);
        let request = StartRun {
            actor: actor.clone(),
            flow,
            input,
            dedupe_key: Some(format!("mail {}", hex::encode(letter.identity))),
            trigger: "mail".to_owned(),
        };
        let name = format!("{}/{}", kept.mailbox, kept.folder);
        let (key, was) = (kept.key(), stored.clone());
        let started = engine
            .start_together(request, Labels::default(), |run, batch| {
                files.put(batch, Some(run));
                batch.expect(Table::Mailboxes, kept.key(), Expectation::Value(stored));
                batch.delete(Table::Mailboxes, kept.key());
                let known = known(&kept.mailbox, &kept.folder, &letter.identity);
                batch.put(Table::Mailboxes, known, format!("run {run}"));
                audit::mail_taken(batch, &engine, &name, &place, run, &raw);
            })
            .await?;
        if started.duplicate {
            // A copy of it started a run meanwhile.
            let mut batch = Batch::new();
            batch.expect(Table::Mailboxes, key.clone(), Expectation::Value(was));
            batch.delete(Table::Mailboxes, key);
            engine.commit(batch).await.map_err(HostError::store)?;
        }
        Ok(started)
    }

    /// Forgets a message that was kept aside. Its raw artifact stays.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownItem`], [`ErrorCode::Store`].
    pub async fn dismiss_mail(&self, actor: &Actor, mailbox: &str, id: &str) -> Result<(), HostError> {
        let (kept, stored) = self.engine().one_aside(mailbox, id)?;
        let mut batch = Batch::new();
        batch.expect(Table::Mailboxes, kept.key(), Expectation::Value(stored));
        batch.delete(Table::Mailboxes, kept.key());
        audit::mail_dismissed(&mut batch, self.engine(), actor, &kept);
        self.engine().commit(batch).await.map(drop).map_err(HostError::store)
    }
}
