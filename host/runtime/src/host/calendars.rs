//! The kept calendars, as the host offers them.

use std::sync::Arc;

use factotum_audit::Actor;
use serde_json::Value;

use super::{Host, to_the_end};
use crate::calendars::{CalendarInfo, HolidayImport, Imported};
use crate::error::HostError;

impl Host {
    /// Keeps a calendar under a name, new or in place of another. Counts from the next wait of every flow that names it;
    /// running waits end when they would have.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidRequest`], [`crate::ErrorCode::Store`].
    pub async fn set_calendar(
        &self,
        actor: &Actor,
        name: &str,
        value: Value,
    ) -> Result<CalendarInfo, HostError> {
        let (engine, actor, name) = (Arc::clone(&self.inner.engine), actor.clone(), name.to_owned());
        to_the_end(async move { engine.calendars.set(&actor, &name, value).await }).await
    }

    /// Adds the holidays of an iCalendar file (RFC 5545) to a calendar.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownCalendar`](crate::ErrorCode::UnknownCalendar);
    /// [`ErrorCode::InvalidRequest`](crate::ErrorCode::InvalidRequest) with the line of the file that cannot be read;
    /// store failures.
    pub async fn import_holidays(
        &self,
        actor: &Actor,
        name: &str,
        import: HolidayImport,
    ) -> Result<Imported, HostError> {
        let (engine, actor, name) = (Arc::clone(&self.inner.engine), actor.clone(), name.to_owned());
        to_the_end(async move { engine.calendars.import(&actor, &name, import).await }).await
    }

    /// Removes a calendar that no deployed flow names.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownCalendar`], [`crate::ErrorCode::Conflict`], [`crate::ErrorCode::Store`].
    pub async fn remove_calendar(&self, actor: &Actor, name: &str) -> Result<(), HostError> {
        let (engine, actor, name) = (Arc::clone(&self.inner.engine), actor.clone(), name.to_owned());
        to_the_end(async move { engine.remove_calendar(&actor, &name).await }).await
    }

    /// The calendars that the host keeps, by name.
    #[must_use]
    pub fn calendars(&self) -> Vec<CalendarInfo> {
        self.inner.engine.calendars.list()
    }

    /// A calendar as it was written.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownCalendar`].
    pub fn calendar(&self, name: &str) -> Result<CalendarInfo, HostError> {
        self.inner.engine.calendars.show(name)
    }
}
