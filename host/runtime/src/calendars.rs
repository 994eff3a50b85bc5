//! The calendars that the host keeps: business hours and holidays under a name, for the flows that name them.
//!
//! A flow's wait looks the calendar up when it begins and writes down the moment at which it ends. So a calendar that is
//! changed counts from the next wait on, and changes no running one.

mod import;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use factotum_audit::{Actor, AuditLog};
use factotum_flow::{Calendar, Flow, Hours, Length, Problem, Severity};
use factotum_store::{Batch, ScanRange, Store, StoreError, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Clock;
use crate::error::{ErrorCode, HostError};
use crate::runs::Engine;

pub use import::{HolidayImport, HolidayYears, Imported};

/// The most calendars.
const MAX_CALENDARS: usize = 1_000;
/// The most bytes of one, as JSON.
const MAX_BYTES: usize = 256 * 1024;

/// A calendar that the host keeps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarInfo {
    /// Its name.
    pub name: String,
    /// The IANA name of its time zone.
    pub timezone: String,
    /// When it was set.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub set_at: u64,
    /// Who set it.
    pub set_by: String,
    /// Whether it is open now.
    pub open: bool,
    /// When it opens next; absent when it is open, or never opens again.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub opens_at: Option<u64>,
    /// As it was written. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Value>,
}

/// As the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    #[serde(rename = "cal")]
    calendar: Value,
    #[serde(rename = "at")]
    set_at: u64,
    #[serde(rename = "by")]
    set_by: String,
}

/// One that was read.
struct Known {
    calendar: Arc<Calendar>,
    set_at: u64,
    set_by: String,
}

/// The calendars of a host.
pub(crate) struct Calendars {
    store: Store,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    known: RwLock<BTreeMap<String, Known>>,
    /// Held while one is changed.
    changing: tokio::sync::Mutex<()>,
}

impl Calendars {
    pub fn new(store: Store, audit: AuditLog, clock: Arc<dyn Clock>) -> Self {
        Self { store, audit, clock, known: RwLock::default(), changing: tokio::sync::Mutex::default() }
    }

    /// Loads what was set before. One that cannot be read any more is reported, and counts as not there.
    pub fn open(&self) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let page = self.store.scan(Table::Calendars, &ScanRange::default().after(cursor).limit(100))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            cursor = Some(last.clone());
            for (key, stored) in page {
                let name = String::from_utf8_lossy(&key).into_owned();
                let read = serde_json::from_slice::<Record>(&stored).map_err(|e| e.to_string());
                let read = read.and_then(|record| {
                    let calendar = Calendar::read(&record.calendar, None).map_err(|e| e.to_string())?;
                    Ok(Known { calendar: Arc::new(calendar), set_at: record.set_at, set_by: record.set_by })
                });
                match read {
                    Ok(known) => {
                        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(name, known);
                    }
                    Err(error) => tracing::error!(calendar = name, error, "a calendar cannot be read"),
                }
            }
        }
    }

    /// A calendar by its name.
    pub fn named(&self, name: &str) -> Option<Arc<Calendar>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|known| Arc::clone(&known.calendar))
    }

    /// The moment (milliseconds since the Unix epoch) at which a length of business time has passed since `from`.
    ///
    /// # Errors
    /// Why there is no such moment, for an administrator.
    pub fn add(&self, from: u64, length: Length, hours: &Hours) -> Result<u64, String> {
        let calendar = self.of(hours)?;
        calendar.add(from, length).map_err(|never| format!("business time does not pass here: {never}"))
    }

    /// The calendar behind hours.
    pub fn of(&self, hours: &Hours) -> Result<Arc<Calendar>, String> {
        match hours {
            Hours::Own(calendar) => Ok(Arc::clone(calendar)),
            Hours::Named(name) => self.named(name).ok_or_else(|| missing(name)),
        }
    }

    /// The calendars that a flow names and the host does not have.
    pub fn lacking(&self, flow: &Flow, file: &str) -> Vec<Problem> {
        let unknown = flow.calendars().iter().filter(|site| self.named(&site.name).is_none());
        unknown
            .map(|site| Problem {
                severity: Severity::Error,
                file: file.to_owned(),
                line: site.line,
                column: site.column,
                path: site.path.clone(),
                message: format!("the host has no calendar \"{}\"", site.name),
                hint: Some(format!("set it first: factotum calendar set {} FILE", site.name)),
            })
            .collect()
    }

    fn shown(&self, name: &str, known: &Known, whole: bool) -> CalendarInfo {
        let now = self.clock.now_ms();
        let open = known.calendar.is_open(now);
        CalendarInfo {
            name: name.to_owned(),
            timezone: known.calendar.zone().to_owned(),
            set_at: known.set_at,
            set_by: known.set_by.clone(),
            open,
            opens_at: if open { None } else { known.calendar.next_opening(now).ok() },
            calendar: whole.then(|| known.calendar.definition().clone()),
        }
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<CalendarInfo> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(name, known)| self.shown(name, known, false)).collect()
    }

    /// One, as it was written.
    pub fn show(&self, name: &str) -> Result<CalendarInfo, HostError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|known| self.shown(name, known, true)).ok_or_else(|| unknown(name))
    }

    /// Sets a calendar, new or in place of another.
    pub async fn set(&self, actor: &Actor, name: &str, value: Value) -> Result<CalendarInfo, HostError> {
        check_name(name)?;
        let _changing = self.changing.lock().await;
        self.keep(actor, name, value, "calendar.set", &[]).await
    }

    /// Keeps a calendar, with what the audit log says of the change. Whoever calls holds `changing`.
    async fn keep(
        &self,
        actor: &Actor,
        name: &str,
        value: Value,
        action: &str,
        details: &[(&str, String)],
    ) -> Result<CalendarInfo, HostError> {
        let calendar = Calendar::read(&value, None).map_err(|wrong| {
            let place =
                if wrong.path.is_empty() { String::new() } else { format!("{}: ", wrong.path.join("/")) };
            HostError::new(ErrorCode::InvalidRequest, format!("{place}{}", wrong.message)).hint(wrong.hint)
        })?;
        let before = self.named(name);
        if before.is_none() && self.list().len() >= MAX_CALENDARS {
            let message = format!("the host keeps at most {MAX_CALENDARS} calendars");
            return Err(HostError::new(ErrorCode::InvalidRequest, message).hint("remove one first"));
        }
        let record = Record { calendar: value, set_at: self.clock.now_ms(), set_by: actor.to_string() };
        let stored = serde_json::to_vec(&record).map_err(HostError::internal)?;
        if stored.len() > MAX_BYTES {
            let message = format!("the calendar has {} bytes; at most {MAX_BYTES} are kept", stored.len());
            return Err(HostError::new(ErrorCode::InvalidRequest, message));
        }
        let mut batch = Batch::new();
        batch.put(Table::Calendars, name, stored);
        let json = |calendar: &Calendar| calendar.definition().to_string().into_bytes();
        let mut entry = self.audit.entry(actor, action, name);
        for (key, value) in details {
            entry = entry.detail(key, value);
        }
        if let Some(before) = &before {
            entry = entry.payload("before", &json(before));
        }
        entry.payload("after", &json(&calendar)).add_to(&mut batch);
        self.store.commit(batch).await.map_err(HostError::store)?;
        let known = Known { calendar: Arc::new(calendar), set_at: record.set_at, set_by: record.set_by };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), known);
        self.show(name)
    }

    /// Removes a calendar that no deployed flow names. `users` are those that do.
    async fn remove(&self, actor: &Actor, name: &str, users: Vec<String>) -> Result<(), HostError> {
        let _changing = self.changing.lock().await;
        let Some(before) = self.named(name) else { return Err(unknown(name)) };
        if !users.is_empty() {
            let message = format!("the calendar {name} is named by {}", users.join(", "));
            return Err(HostError::new(ErrorCode::Conflict, message).hint("deploy them without it first"));
        }
        let mut batch = Batch::new();
        batch.delete(Table::Calendars, name);
        let entry = self.audit.entry(actor, "calendar.remove", name);
        entry.payload("before", before.definition().to_string().as_bytes()).add_to(&mut batch);
        self.store.commit(batch).await.map_err(HostError::store)?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}

impl Engine {
    /// Removes a calendar, unless a deployed flow names it. A run whose flow was deployed before and that comes to need it
    /// is parked with the reason.
    pub(crate) async fn remove_calendar(&self, actor: &Actor, name: &str) -> Result<(), HostError> {
        let names_it = |flow: &Flow| flow.calendars().iter().any(|site| site.name == name);
        let all = self.deployments.all();
        let users = all.iter().filter(|deployment| names_it(&deployment.flow));
        let users = users.map(|deployment| format!("the flow {}", deployment.flow.id())).collect();
        self.calendars.remove(actor, name, users).await
    }
}

fn missing(name: &str) -> String {
    format!("the host has no calendar {name}; set it (factotum calendar set {name} FILE), then retry the run")
}

fn unknown(name: &str) -> HostError {
    let shown: String = name.chars().take(80).collect();
    HostError::new(ErrorCode::UnknownCalendar, format!("there is no calendar {shown:?}"))
        .hint("factotum calendar list shows them")
}

/// As in flows: 1 to 63 letters, digits and hyphens.
fn check_name(name: &str) -> Result<(), HostError> {
    let inner = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if name.is_empty() || name.len() > 63 || !inner || name.starts_with('-') || name.ends_with('-') {
        let message = "the name of a calendar has 1 to 63 letters, digits and hyphens";
        return Err(HostError::new(ErrorCode::InvalidRequest, message).hint("for example germany-support"));
    }
    Ok(())
}
