//! One task for each folder: connected as long as a flow is started from it, it takes what comes and waits for more.

use std::sync::Arc;
use std::time::Duration;

use factotum_mailbox::{Begin, Handled, MailboxConfig, MailboxFault, Opened, Session, Woken};
use factotum_store::{Batch, Table};

use super::state::{Kept, Old, Row};
use super::status::{MailboxState, MailboxStatus};
use super::take::{Failed, Taken, take};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::notices::Notice;
use crate::runs::Engine;

/// How long to leave a server alone that fails: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The same for one that does not let us in: it may lock the account.
const FIRST_PAUSE_DENIED: Duration = Duration::from_secs(60);
/// How long to wait when the host has no room and does not say.
const NO_ROOM: Duration = Duration::from_secs(2);
/// The longest wait for room before the connection is looked at again.
const LONGEST_NO_ROOM: Duration = Duration::from_secs(60);
/// A folder that fails is told in the audit log when it begins to, and again so often.
const TELL_AGAIN: Duration = Duration::from_secs(3600);
/// How long a folder fails before administrators are told.
const TELL_PEOPLE: Duration = Duration::from_secs(600);
/// The longest wait for news at one time.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Messages are looked up, and marked, so many at once.
const AT_ONCE: usize = 50;

/// A folder that is watched.
pub(super) struct Folder {
    pub engine: Arc<Engine>,
    pub mailbox: String,
    pub folder: String,
    pub config: MailboxConfig,
    pub kept: Kept,
    status: MailboxStatus,
    /// Since when it fails, and when that was last told, on the machine's clock.
    failing: Option<(tokio::time::Instant, tokio::time::Instant)>,
    told_people: bool,
    /// The message that the host failed at last, and how often.
    stumbled: (u32, u32),
}

/// Why a connection is given up.
enum Ended {
    /// The host stops.
    Stop,
    /// Another flow is started from the folder now, or none.
    OtherFlow,
    /// The server fails.
    Server(MailboxFault),
    /// The host fails.
    Host(HostError),
}

impl From<MailboxFault> for Ended {
    fn from(fault: MailboxFault) -> Self {
        Self::Server(fault)
    }
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Server(fault) => Self::Server(fault),
            Failed::Host(error) if error.code == ErrorCode::UnknownFlow => Self::OtherFlow,
            Failed::Host(error) => Self::Host(error),
        }
    }
}

impl From<HostError> for Ended {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// Watches a folder until the host stops.
pub(super) async fn watch(engine: Arc<Engine>, mailbox: String, folder: String) {
    let Some(config) = engine.mailboxes.config(&mailbox).cloned() else { return };
    let kept = match Kept::read(&engine.store, &mailbox, &folder) {
        Ok(kept) => kept,
        Err(error) => {
            tracing::error!(mailbox, folder, %error, "what is known of a folder cannot be read; it is not watched");
            return;
        }
    };
    let status = MailboxStatus {
        server: format!("{}:{}", config.host, config.effective_port()),
        mailbox: mailbox.clone(),
        folder: folder.clone(),
        ..MailboxStatus::default()
    };
    let mut watched = Folder {
        engine,
        mailbox,
        folder,
        config,
        kept,
        status,
        failing: None,
        told_people: false,
        stumbled: (0, 0),
    };
    watched.run().await;
}

impl Folder {
    async fn run(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.engine.stop.is_requested() {
                return;
            }
            // Registered before looking, so that a change in between is not missed.
            let mut changed = self.engine.deployments.watch();
            changed.mark_unchanged();
            let Some(flow) = self.engine.flow_of(&self.mailbox, &self.folder) else {
                self.status.flow = None;
                self.state(MailboxState::Unused, None);
                tokio::select! {
                    _ = changed.changed() => continue,
                    () = self.engine.stop.requested() => return,
                }
            };
            self.status.flow = Some(flow.clone());
            let begun = tokio::time::Instant::now();
            let engine = Arc::clone(&self.engine);
            let ended = tokio::select! {
                ended = self.connected(&flow) => ended,
                () = engine.stop.requested() => return,
            };
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let Err(ended) = ended else { continue };
            match ended {
                Ended::Stop => return,
                Ended::OtherFlow => continue,
                Ended::Server(fault) => {
                    if matches!(fault, MailboxFault::Denied(_)) {
                        pause = pause.max(FIRST_PAUSE_DENIED);
                    }
                    self.failed(&fault.to_string()).await;
                }
                Ended::Host(error) => {
                    tracing::error!(mailbox = self.mailbox, folder = self.folder, cause = error.cause(), %error, "a folder cannot be watched");
                    self.failed(&error.to_string()).await;
                }
            }
            // Many hosts that lost one server must not come back at one moment.
            let jittered = pause.mul_f64(rand::random_range(0.5..1.5));
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                _ = changed.changed() => {}
                () = self.engine.stop.requested() => return,
            }
        }
    }

    /// Connects, and takes messages until something ends that.
    async fn connected(&mut self, flow: &str) -> Result<(), Ended> {
        if self.failing.is_none() {
            self.state(MailboxState::Connecting, None);
        }
        let name = &self.config.password_secret;
        let password = self.engine.mailboxes.setup.get().and_then(|setup| setup.secrets.get(name));
        let Some(password) = password else {
            return Err(MailboxFault::Denied(format!(
                "the secret {name:?} is not set; set it with: factotum secret set {name}"
            ))
            .into());
        };
        // Whatever ended the connection before: what is on disk counts.
        self.kept = Kept::read(&self.engine.store, &self.mailbox, &self.folder).map_err(HostError::store)?;
        let mut session = Session::open(&self.config, &password).await?;
        let opened = session.select(&self.folder).await?;
        self.begin(&mut session, opened).await?;
        self.recovered(session.idles()).await?;
        loop {
            self.mark(&mut session).await?;
            self.take_all(&mut session, flow).await?;
            self.mark(&mut session).await?;
            let mut changed = self.engine.deployments.watch();
            changed.mark_unchanged();
            self.same_flow(flow)?;
            let woken = tokio::select! {
                woken = session.wait(LONGEST_WAIT) => woken?,
                _ = changed.changed() => {
                    self.same_flow(flow)?;
                    // The session stands in the middle of a command; another one is cheap, and deployments are rare.
                    return Ok(());
                }
            };
            debug_assert!(matches!(woken, Woken::Look | Woken::Time));
        }
    }

    fn same_flow(&self, flow: &str) -> Result<(), Ended> {
        if self.engine.stop.is_requested() {
            return Err(Ended::Stop);
        }
        let now = self.engine.flow_of(&self.mailbox, &self.folder);
        if now.as_deref() == Some(flow) { Ok(()) } else { Err(Ended::OtherFlow) }
    }

    /// Brings what is kept in line with the folder: at the first look, and when the server numbers anew.
    async fn begin(&mut self, session: &mut Session, opened: Opened) -> Result<(), Ended> {
        let known = self.kept.row.clone();
        if known.as_ref().is_some_and(|row| row.uid_validity == opened.uid_validity) {
            return Ok(());
        }
        // A server that does not say the next number says all of them.
        let next = if opened.uid_next <= 1 && opened.messages > 0 {
            session.list(1).await?.last().map_or(1, |last| last.saturating_add(1))
        } else {
            opened.uid_next
        };
        let row = match known {
            // Numbers mean nothing any more. What was dealt with is known by what it says.
            Some(row) => {
                tracing::warn!(
                    mailbox = self.mailbox,
                    folder = self.folder,
                    "the server numbers its messages anew; what is new is told by what it says"
                );
                let old = if self.config.begin == Begin::All { Old::All } else { Old::Since };
                let fresh = Row { last: 0, fresh_from: next, old, unmarked: Vec::new(), ..row };
                Row { uid_validity: opened.uid_validity, ..fresh }
            }
            None => {
                let (last, old) = match self.config.begin {
                    Begin::New => (next.saturating_sub(1), Old::All),
                    Begin::Unseen => (0, Old::Unseen),
                    Begin::All => (0, Old::All),
                };
                let since = self.engine.clock.now_ms();
                Row {
                    uid_validity: opened.uid_validity,
                    last,
                    since,
                    fresh_from: next,
                    old,
                    ..Row::default()
                }
            }
        };
        self.keep(Batch::new(), row).await?;
        Ok(())
    }

    /// Commits a batch together with the row.
    pub async fn keep(&mut self, mut batch: Batch, row: Row) -> Result<(), HostError> {
        self.kept.put(&mut batch, &row);
        self.engine.commit(batch).await.map_err(HostError::store)?;
        self.became(row);
        Ok(())
    }

    /// The row is on disk.
    pub fn became(&mut self, row: Row) {
        self.kept.became(row);
        self.tell();
    }

    /// The row as it is on disk.
    pub fn row(&self) -> Row {
        self.kept.row.clone().unwrap_or_default()
    }

    /// Takes everything that is new.
    async fn take_all(&mut self, session: &mut Session, flow: &str) -> Result<(), Ended> {
        let uids = session.list(self.row().last.saturating_add(1)).await?;
        for some in uids.chunks(AT_ONCE) {
            for found in session.look(some).await? {
                let mut waited = NO_ROOM;
                loop {
                    self.same_flow(flow)?;
                    match take(self, session, flow, &found).await? {
                        Taken::Done => break,
                        Taken::NoRoom(after) => {
                            self.state(MailboxState::Waiting, None);
                            tokio::time::sleep(after.unwrap_or(waited).min(LONGEST_NO_ROOM)).await;
                            waited = waited.saturating_mul(2).min(LONGEST_NO_ROOM);
                        }
                    }
                }
                if self.status.state == MailboxState::Waiting {
                    self.state(MailboxState::Connected, None);
                }
            }
            // Those that are gone are dealt with, too.
            let mut row = self.row();
            if let Some(last) = some.last().filter(|last| **last > row.last) {
                row.last = *last;
                self.keep(Batch::new(), row).await?;
            }
            self.mark(session).await?;
        }
        Ok(())
    }

    /// Marks on the server what is on disk.
    async fn mark(&mut self, session: &mut Session) -> Result<(), Ended> {
        let mut row = self.row();
        if row.unmarked.is_empty() {
            return Ok(());
        }
        if self.config.handled != Handled::Leave {
            match session.handle(&row.unmarked, &self.config.handled).await {
                Ok(()) => {}
                // The folder may be read-only. The runs are on disk, and messages go on.
                Err(MailboxFault::Refused { command, words }) => {
                    let error = format!("{command}: {words}");
                    if self.status.error.as_ref() != Some(&error) {
                        tracing::warn!(
                            mailbox = self.mailbox,
                            folder = self.folder,
                            error,
                            "taken messages cannot be marked"
                        );
                    }
                    self.state(MailboxState::Connected, Some(error));
                    return Ok(());
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        row.unmarked.clear();
        self.keep(Batch::new(), row).await?;
        Ok(())
    }

    fn state(&mut self, state: MailboxState, error: Option<String>) {
        if self.status.state != state {
            self.status.since = Some(self.engine.clock.now_ms());
        }
        (self.status.state, self.status.error) = (state, error);
        self.tell();
    }

    /// Shows what is known to who asks.
    fn tell(&mut self) {
        let row = self.row();
        let status = &mut self.status;
        (status.taken, status.skipped) = (row.taken, row.skipped);
        (status.last_message_at, status.unmarked) = (row.last_at, row.unmarked.len());
        self.engine.mailboxes.set_status(self.status.clone());
    }

    async fn recovered(&mut self, idle: bool) -> Result<(), HostError> {
        self.status.idle = idle;
        self.state(MailboxState::Connected, None);
        if self.failing.take().is_some() {
            self.told_people = false;
            let mut batch = Batch::new();
            audit::mailbox_connected(&mut batch, &self.engine, &self.name());
            self.engine.commit(batch).await.map_err(HostError::store)?;
        }
        Ok(())
    }

    async fn failed(&mut self, reason: &str) {
        self.state(MailboxState::Failing, Some(reason.to_owned()));
        let now = tokio::time::Instant::now();
        let (since, told) = self.failing.unwrap_or((now, now));
        let tell = self.failing.is_none() || now.duration_since(told) >= TELL_AGAIN;
        self.failing = Some((since, if tell { now } else { told }));
        if tell {
            tracing::warn!(mailbox = self.mailbox, folder = self.folder, reason, "a mailbox cannot be read");
            let mut batch = Batch::new();
            audit::mailbox_failed(&mut batch, &self.engine, &self.name(), reason);
            if let Err(error) = self.engine.commit(batch).await {
                tracing::error!(%error, "a failing mailbox could not be audited");
            }
        }
        if !self.told_people && now.duration_since(since) >= TELL_PEOPLE {
            self.told_people = true;
            let text = format!("It cannot be read / 无法读取\n{reason}\nfactotum mailbox list");
            let notice = Notice::Mailbox { mailbox: self.name(), text };
            let mut batch = Batch::new();
            self.engine.notices.add_to(&mut batch, &notice, self.engine.clock.now_ms());
            if let Err(error) = self.engine.commit(batch).await {
                tracing::error!(%error, "people could not be told of a failing mailbox");
            }
        }
    }

    /// Notes that the host failed at a message; how often it has by now.
    pub fn stumbled(&mut self, uid: u32) -> u32 {
        self.stumbled = if self.stumbled.0 == uid { (uid, self.stumbled.1 + 1) } else { (uid, 1) };
        self.stumbled.1
    }

    /// The folder's name for people and for the audit log.
    pub fn name(&self) -> String {
        format!("{}/{}", self.mailbox, self.folder)
    }

    /// The key under which a message is known here.
    pub fn key_of_known(&self, identity: &[u8; 32]) -> Vec<u8> {
        super::state::known(&self.mailbox, &self.folder, identity)
    }

    /// Whether a message was dealt with before; with which run, or why not.
    pub fn known(&self, identity: &[u8; 32]) -> Result<Option<String>, HostError> {
        let found = self.engine.store.get(Table::Mailboxes, &self.key_of_known(identity));
        Ok(found.map_err(HostError::store)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
