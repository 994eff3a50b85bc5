//! A session with a server: signed in, one folder open, one command after another (RFC 3501).

mod opening;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use imap_codec::CommandCodec;
use imap_codec::encode::Encoder;
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{Atom, Vec1};
use imap_codec::imap_types::fetch::{MacroOrMessageDataItemNames, MessageDataItem, MessageDataItemName};
use imap_codec::imap_types::flag::{Flag, FlagFetch, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::response::{Code, Data, Response, Status, StatusBody, StatusKind};
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;

use crate::fault::words;
use crate::wire::{Frame, Wire};
use crate::{Handled, MailboxFault, folder};

/// The most bytes of all answers to a command that brings no message: a list of some hundred thousand numbers.
const MAX_ANSWER: usize = 4 << 20;
/// How many times the longest silence a whole command may take.
const MOST_SILENCES: u32 = 10;
/// How long a server is asked to tell of changes at one time. RFC 2177 allows 29 minutes; routers between forget a
/// connection sooner.
const IDLE: Duration = Duration::from_secs(9 * 60);
/// The most messages of one command.
const AT_ONCE: usize = 100;

/// An open folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// What the messages' numbers belong to: when it changes, they begin anew.
    pub uid_validity: u32,
    /// The number that the next message gets, or a lower one.
    pub uid_next: u32,
    /// How many messages there are.
    pub messages: u32,
}

/// What is known of a message without bringing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its number in the folder.
    pub uid: u32,
    /// Its size in bytes, as the server says.
    pub bytes: u32,
    /// When the server got it, in seconds since the Unix epoch, and as RFC 3339.
    pub received: Option<(i64, String)>,
    /// Whether somebody has seen it.
    pub seen: bool,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something is new, or may be.
    Look,
    /// The time is over.
    Time,
}

/// What a server can do beyond the standard.
#[derive(Debug, Clone, Copy, Default)]
struct Can {
    idle: bool,
    moving: bool,
    uid_plus: bool,
    plain: bool,
    initial: bool,
    login: bool,
    starttls: bool,
}

/// A session with a server. Dropping it closes the connection.
pub struct Session {
    wire: Wire,
    can: Can,
    commands: u64,
    /// The server said that there are more messages than before.
    changed: bool,
    most: usize,
    may_idle: bool,
    poll: Duration,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("can", &self.can).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a folder.
    ///
    /// # Errors
    /// When there is none of that name, and like every command.
    pub async fn select(&mut self, name: &str) -> Result<Opened, MailboxFault> {
        let mut opened = Opened { uid_validity: 0, uid_next: 1, messages: 0 };
        let body = CommandBody::select(mailbox(name)?).map_err(|_| no_folder(name))?;
        self.run("opening the folder", body, |answer| match answer {
            Response::Data(Data::Exists(messages)) => opened.messages = messages,
            Response::Status(Status::Untagged(StatusBody { code, .. })) => match code {
                Some(Code::UidValidity(number)) => opened.uid_validity = number.get(),
                Some(Code::UidNext(number)) => opened.uid_next = number.get(),
                _ => {}
            },
            _ => {}
        })
        .await?;
        if opened.uid_validity == 0 {
            return Err(MailboxFault::Protocol(
                "it does not say what its numbers belong to (UIDVALIDITY)".into(),
            ));
        }
        self.changed = false;
        Ok(opened)
    }

    /// The numbers of all messages from one on, in their order.
    ///
    /// # Errors
    /// Like every command.
    pub async fn list(&mut self, from: u32) -> Result<Vec<u32>, MailboxFault> {
        self.changed = false;
        let from = from.max(1);
        let range = SequenceSet::try_from(format!("{from}:*").as_str()).map_err(|_| wrong())?;
        let body = CommandBody::search(None, Vec1::from(SearchKey::Uid(range)), true);
        let mut found = Vec::new();
        self.run("looking for messages", body, |answer| {
            if let Response::Data(Data::Search(numbers)) = answer {
                found.extend(numbers.into_iter().map(NonZeroU32::get));
            }
        })
        .await?;
        // The last message counts as in the range, whatever its number (RFC 3501, section 6.4.8).
        found.retain(|uid| *uid >= from);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// What is known of some messages, in their order; of those that are gone, nothing.
    ///
    /// # Errors
    /// Like every command.
    pub async fn look(&mut self, uids: &[u32]) -> Result<Vec<Found>, MailboxFault> {
        let items = vec![
            MessageDataItemName::Uid,
            MessageDataItemName::Rfc822Size,
            MessageDataItemName::InternalDate,
            MessageDataItemName::Flags,
        ];
        let mut found = BTreeMap::new();
        for some in uids.chunks(AT_ONCE) {
            let names = MacroOrMessageDataItemNames::MessageDataItemNames(items.clone());
            let body = CommandBody::fetch(set(some)?, names, true).map_err(|_| wrong())?;
            self.run("looking at messages", body, |answer| {
                if let Response::Data(Data::Fetch { items, .. }) = answer
                    && let Some(one) = found_of(items.into_iter())
                {
                    found.insert(one.uid, one);
                }
            })
            .await?;
        }
        Ok(uids.iter().filter_map(|uid| found.remove(uid)).collect())
    }

    /// A message's bytes, as the server has them; none when it is gone. It stays unseen.
    ///
    /// # Errors
    /// Like every command.
    pub async fn bring(&mut self, uid: u32) -> Result<Option<Vec<u8>>, MailboxFault> {
        let item = MessageDataItemName::BodyExt { section: None, partial: None, peek: true };
        let names = MacroOrMessageDataItemNames::MessageDataItemNames(vec![MessageDataItemName::Uid, item]);
        let body = CommandBody::fetch(set(&[uid])?, names, true).map_err(|_| wrong())?;
        let mut brought = None;
        let mut odd = None;
        let most = self.most;
        self.run_with("bringing a message", body, most, |frame| match frame {
            Frame::Answer(answer) => {
                if let Response::Data(Data::Fetch { items, .. }) = *answer {
                    let items: Vec<_> = items.into_iter().collect();
                    let ours =
                        items.iter().any(|item| matches!(item, MessageDataItem::Uid(n) if n.get() == uid));
                    for item in items {
                        if let MessageDataItem::BodyExt { section: None, data, .. } = item
                            && ours
                        {
                            brought = data.into_option().map(std::borrow::Cow::into_owned);
                        }
                    }
                }
            }
            // Bytes that must not be in a message (zero) make the answer odd; the message is there all the same.
            Frame::Unknown { literal } => odd = odd.take().or(literal),
        })
        .await?;
        Ok(brought.or(odd))
    }

    /// Does to messages what is done to those whose runs are on disk. Those that are gone count for nothing.
    ///
    /// # Errors
    /// Like every command.
    pub async fn handle(&mut self, uids: &[u32], handled: &Handled) -> Result<(), MailboxFault> {
        for some in uids.chunks(AT_ONCE) {
            match handled {
                Handled::Leave => {}
                Handled::Seen => self.flag(some, Flag::Seen).await?,
                Handled::Keyword(word) => {
                    let word = Atom::try_from(word.as_str()).map_err(|_| wrong())?.to_owned();
                    self.flag(some, Flag::keyword(word)).await?;
                }
                Handled::MoveTo(folder) => {
                    let moved = self.move_to(some, folder).await;
                    if matches!(moved, Err(MailboxFault::Refused { .. })) {
                        // The folder may be missing; where it is not, the second refusal says what is wrong.
                        let body = CommandBody::create(mailbox(folder)?).map_err(|_| no_folder(folder))?;
                        let _ = self.run("making a folder", body, |_| {}).await;
                        self.move_to(some, folder).await?;
                    } else {
                        moved?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until the server tells of something new, or until it is time to look again, at most so long. Cancelling it
    /// leaves the session in the middle of a command: drop it then.
    ///
    /// # Errors
    /// Like every command.
    pub async fn wait(&mut self, most: Duration) -> Result<Woken, MailboxFault> {
        if std::mem::take(&mut self.changed) {
            return Ok(Woken::Look);
        }
        if !(self.can.idle && self.may_idle) {
            tokio::time::sleep(self.poll.min(most)).await;
            if most < self.poll {
                return Ok(Woken::Time);
            }
            self.run("asking for news", CommandBody::Noop, |_| {}).await?;
            return Ok(Woken::Look);
        }
        self.idle(most.min(IDLE)).await
    }

    /// Whether the server tells of news by itself.
    #[must_use]
    pub fn idles(&self) -> bool {
        self.can.idle && self.may_idle
    }

    async fn idle(&mut self, most: Duration) -> Result<Woken, MailboxFault> {
        let until = tokio::time::Instant::now() + most;
        let tag = self.send(CommandBody::Idle).await?;
        self.changed |= self.wire.asked_on().await?;
        let mut woken = Woken::Time;
        loop {
            if std::mem::take(&mut self.changed) {
                woken = Woken::Look;
                break;
            }
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            self.wire.allow(MAX_ANSWER);
            match self.wire.within(left).await? {
                None => break,
                Some(frame) => {
                    if let Some(ended) = self.note(&frame, &tag)? {
                        ended_well("waiting", &ended)?;
                        return Ok(Woken::Look);
                    }
                }
            }
        }
        self.wire.send(b"DONE\r\n").await?;
        loop {
            let frame = self.wire.answer().await?;
            if let Some(ended) = self.note(&frame, &tag)? {
                ended_well("waiting", &ended)?;
                return Ok(if std::mem::take(&mut self.changed) { Woken::Look } else { woken });
            }
        }
    }

    async fn flag(&mut self, uids: &[u32], flag: Flag<'_>) -> Result<(), MailboxFault> {
        let body = CommandBody::store(set(uids)?, StoreType::Add, StoreResponse::Silent, vec![flag], true)
            .map_err(|_| wrong())?;
        self.run("marking messages", body, |_| {}).await
    }

    async fn move_to(&mut self, uids: &[u32], folder: &str) -> Result<(), MailboxFault> {
        let (sequence_set, mailbox) = (set(uids)?, mailbox(folder)?);
        if self.can.moving {
            return self
                .run("moving messages", CommandBody::Move { sequence_set, mailbox, uid: true }, |_| {})
                .await;
        }
        // RFC 6851 for servers that do not know it: the copy is there before the message goes.
        let body = CommandBody::copy(sequence_set.clone(), mailbox, true).map_err(|_| wrong())?;
        self.run("copying messages", body, |_| {}).await?;
        self.flag(uids, Flag::Deleted).await?;
        if self.can.uid_plus {
            return self.run("removing messages", CommandBody::ExpungeUid { sequence_set }, |_| {}).await;
        }
        // Without UIDPLUS (RFC 4315), removing them would remove what others marked as deleted, too.
        Ok(())
    }

    async fn run(
        &mut self,
        name: &'static str,
        body: CommandBody<'_>,
        mut each: impl FnMut(Response<'static>),
    ) -> Result<(), MailboxFault> {
        self.run_with(name, body, MAX_ANSWER, |frame| {
            if let Frame::Answer(answer) = frame {
                each(*answer);
            }
        })
        .await
    }

    /// Runs a command to its end, within bounds of bytes and time.
    async fn run_with(
        &mut self,
        name: &'static str,
        body: CommandBody<'_>,
        most: usize,
        mut each: impl FnMut(Frame),
    ) -> Result<(), MailboxFault> {
        let all = self.wire.silence().saturating_mul(MOST_SILENCES);
        let running = async {
            self.wire.allow(most);
            let tag = self.send(body).await?;
            loop {
                let frame = self.wire.answer().await?;
                if let Some(ended) = self.note(&frame, &tag)? {
                    return ended_well(name, &ended);
                }
                each(frame);
            }
        };
        tokio::time::timeout(all, running).await.map_err(|_| MailboxFault::Timeout(all.as_secs()))?
    }

    async fn send(&mut self, body: CommandBody<'_>) -> Result<String, MailboxFault> {
        self.commands += 1;
        let tag = format!("f{}", self.commands);
        let command = Command::new(tag.as_str(), body).map_err(|_| wrong())?;
        self.wire.send_command(CommandCodec::default().encode(&command)).await?;
        Ok(tag)
    }

    async fn until(&mut self, tag: &str) -> Result<StatusBody<'static>, MailboxFault> {
        loop {
            let frame = self.wire.answer().await?;
            if let Some(ended) = self.note(&frame, tag)? {
                return Ok(ended);
            }
        }
    }

    /// Takes note of what any answer may bring; the end of the command, when it is that.
    fn note(&mut self, frame: &Frame, tag: &str) -> Result<Option<StatusBody<'static>>, MailboxFault> {
        let Frame::Answer(answer) = frame else { return Ok(None) };
        match &**answer {
            Response::Data(Data::Exists(_)) => self.changed = true,
            Response::Status(Status::Bye(bye)) => {
                let text = words(bye.text.inner());
                return Err(MailboxFault::Unavailable(format!("the server ended the session: {text}")));
            }
            Response::Status(Status::Tagged(ended)) if ended.tag.inner() == tag => {
                return Ok(Some(ended.body.clone()));
            }
            _ => {}
        }
        Ok(None)
    }
}

fn ended_well(command: &'static str, ended: &StatusBody<'_>) -> Result<(), MailboxFault> {
    match ended.kind {
        StatusKind::Ok => Ok(()),
        StatusKind::No | StatusKind::Bad => {
            Err(MailboxFault::Refused { command, words: words(ended.text.inner()) })
        }
    }
}

fn found_of<'a>(items: impl Iterator<Item = MessageDataItem<'a>>) -> Option<Found> {
    let (mut uid, mut bytes, mut received, mut seen) = (None, None, None, false);
    for item in items {
        match item {
            MessageDataItem::Uid(number) => uid = Some(number.get()),
            MessageDataItem::Rfc822Size(size) => bytes = Some(size),
            MessageDataItem::InternalDate(date) => {
                received = Some((date.as_ref().timestamp(), date.as_ref().to_rfc3339()));
            }
            MessageDataItem::Flags(flags) => seen = flags.contains(&FlagFetch::Flag(Flag::Seen)),
            _ => {}
        }
    }
    // Flags that others change are told, too, and not with everything that was asked for.
    Some(Found { uid: uid?, bytes: bytes?, received, seen })
}

fn set(uids: &[u32]) -> Result<SequenceSet, MailboxFault> {
    let numbers: Vec<NonZeroU32> = uids.iter().copied().filter_map(NonZeroU32::new).collect();
    SequenceSet::try_from(numbers).map_err(|_| wrong())
}

fn mailbox(name: &str) -> Result<Mailbox<'static>, MailboxFault> {
    Mailbox::try_from(folder::encode(name)).map_err(|_| no_folder(name))
}

fn no_folder(name: &str) -> MailboxFault {
    MailboxFault::Refused { command: "naming a folder", words: format!("{name:?} is none") }
}

/// A command that cannot be written: our own mistake.
fn wrong() -> MailboxFault {
    MailboxFault::Protocol("a command could not be written".into())
}
