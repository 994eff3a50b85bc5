//! The inbox, as the host offers it.

use super::{AnswerItem, InboxItem, InboxPage, InboxQuery};
use crate::Host;
use crate::error::HostError;

impl Host {
    /// A page of what waits for people, or waited.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidRequest`] for a cursor that is none.
    pub async fn inbox(&self, query: &InboxQuery) -> Result<InboxPage, HostError> {
        self.engine().list_items(query).await
    }

    /// An item with its form and its answer.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownItem`].
    pub fn inbox_item(&self, id: &str) -> Result<InboxItem, HostError> {
        self.engine().item(id)
    }

    /// Answers a question. When this returns, the answer is on disk and the run goes on with it.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownItem`]; [`crate::ErrorCode::Denied`] for whoever is not asked, or asked for it himself;
    /// [`crate::ErrorCode::InvalidInput`] with the place of the mistake; [`crate::ErrorCode::Conflict`] when it was
    /// answered, or its run does not wait any more.
    pub async fn answer_inbox_item(&self, request: AnswerItem) -> Result<InboxItem, HostError> {
        self.engine().answer_item(request).await
    }
}
