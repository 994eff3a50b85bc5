//! What was not mailed yet, for people to look at.

use serde::Serialize;

use super::outbox;
use crate::Host;
use crate::error::HostError;

/// Where a mail of notices stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeState {
    /// It waits to be mailed, or was not tried yet.
    Waiting,
    /// It could not be mailed and is tried again.
    Retrying,
    /// It is tried no more.
    GivenUp,
}

/// A mail to people of the host that was not sent. Times in milliseconds since the Unix epoch, written as RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnsentNotice {
    /// Where it stands.
    pub state: NoticeState,
    /// To whom it goes.
    pub to: String,
    /// What it says in a line.
    pub subject: String,
    /// Since when it waits.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub since: u64,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next; absent when it is not, or waits for its turn.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub next: Option<u64>,
    /// Why it was not sent at the last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The runs that it tells of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
}

impl Host {
    /// The notices that were not mailed yet, and those that were given up in the last days, the oldest first; at most
    /// `limit`. Waits for the disk: call it off the async threads.
    ///
    /// # Errors
    /// [`ErrorCode::Store`](crate::ErrorCode::Store).
    pub fn unsent_notices(&self, limit: usize) -> Result<Vec<UnsentNotice>, HostError> {
        let store = self.store();
        let letters = outbox::letters(store).map_err(HostError::store)?.into_iter().map(|letter| {
            let state = match (letter.given_up, letter.tries) {
                (Some(_), _) => NoticeState::GivenUp,
                (None, 0) => NoticeState::Waiting,
                (None, _) => NoticeState::Retrying,
            };
            UnsentNotice {
                state,
                to: letter.to,
                subject: letter.subject,
                since: letter.since,
                tries: letter.tries,
                next: letter.given_up.is_none().then_some(letter.next),
                error: letter.error,
                runs: letter.runs,
            }
        });
        let waiting = outbox::waiting(store).map_err(HostError::store)?.into_iter();
        let waiting = waiting.map(|(_, notice)| UnsentNotice {
            state: NoticeState::Waiting,
            to: notice.to,
            subject: notice.text.lines().next().unwrap_or_default().to_owned(),
            since: notice.at,
            tries: 0,
            next: None,
            error: None,
            runs: notice.run.into_iter().collect(),
        });
        let mut all: Vec<UnsentNotice> = letters.chain(waiting).collect();
        all.sort_by_key(|notice| notice.since);
        all.truncate(limit);
        Ok(all)
    }
}
