//! Holidays out of an iCalendar file (RFC 5545), as authorities and calendar programs publish them.
//!
//! What is taken: events of whole days (`DTSTART` with a date), over several days, and of every year by `RRULE` with
//! `FREQ=YEARLY`, with `RDATE`, `EXDATE` and changed occurrences (`RECURRENCE-ID`). What is left out and counted: events
//! with a time of day, cancelled ones, and days outside of the years that are asked for. What cannot be read is refused
//! with its line, and so is any other rule: holidays that are silently missing are worse than none.
//!
//! No library: those that were looked at (`icalendar`, `calcard`, `rrule`) know no lines, bring a second time zone
//! database along, and expand hostile rules for seconds; days of a year need no time zone.

mod event;
mod line;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use event::Event;
use line::Line;

/// The largest file, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// The most events of one.
const MAX_EVENTS: usize = 5_000;
/// The most days that come out of one.
const MAX_HOLIDAYS: usize = 4_000;
/// The most years that rules are expanded over, of all events together.
const MAX_YEARS: usize = 50_000;
/// The deepest nesting of components.
const MAX_DEPTH: usize = 8;
/// The longest name that is kept of a holiday, in characters.
const MAX_NAME: usize = 80;

/// What is wrong with an iCalendar file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}; {hint}")]
pub struct WrongFile {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl WrongFile {
    fn new(line: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: hint.into() }
    }
}

/// The holidays of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holidays {
    /// Each day (`2026-12-25`) with what it is called; without control characters.
    pub days: BTreeMap<String, String>,
    /// Events that were left out because they have a time of day.
    pub timed: usize,
    /// Events that were left out because they are cancelled.
    pub cancelled: usize,
    /// Events none of whose days are in the years that were asked for.
    pub outside: usize,
}

/// What adding holidays does to a calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The calendar's new definition.
    pub calendar: Value,
    /// The days that were not holidays before.
    pub added: Vec<String>,
    /// The days that were holidays before and are not any more.
    pub removed: Vec<String>,
    /// How many of the days were holidays already, or have hours of their own.
    pub known: usize,
}

impl Holidays {
    /// Reads a file. Days from the first of January of the year `first` to the end of the year `last` are taken.
    ///
    /// # Errors
    /// What is wrong with the file, and in which line.
    pub fn read(text: &str, first: i16, last: i16) -> Result<Self, WrongFile> {
        if text.len() > MAX_FILE {
            let message = format!("the file has more than {MAX_FILE} bytes");
            return Err(WrongFile::new(1, message, "take one with fewer years or without pictures"));
        }
        let events = events(text)?;
        // An occurrence that was changed stands there again as an event of its own: the rule does not give it any more.
        let mut changed: BTreeMap<&str, BTreeSet<Date>> = BTreeMap::new();
        for event in &events {
            if let (Some(uid), Some(of)) = (&event.uid, event.recurrence) {
                changed.entry(uid).or_default().insert(of);
            }
        }
        let mut holidays = Self::default();
        let mut years = MAX_YEARS;
        for event in &events {
            if event.cancelled {
                holidays.cancelled += 1;
                continue;
            }
            let Some(start) = event.start else {
                holidays.timed += 1;
                continue;
            };
            let replaced = match (&event.uid, event.recurrence) {
                (Some(uid), None) => changed.get(uid.as_str()),
                _ => None,
            };
            let mut any = false;
            for begin in event.begins(start, last, &mut years)? {
                if replaced.is_some_and(|replaced| replaced.contains(&begin)) {
                    continue;
                }
                let mut day = begin;
                for _ in 0..event.days {
                    if (first..=last).contains(&day.year()) {
                        any = true;
                        holidays.add(day, &event.name, event.line)?;
                    }
                    let Ok(next) = day.tomorrow() else { break };
                    day = next;
                }
            }
            holidays.outside += usize::from(!any);
        }
        Ok(holidays)
    }

    fn add(&mut self, day: Date, name: &str, line: usize) -> Result<(), WrongFile> {
        if self.days.len() >= MAX_HOLIDAYS {
            let message = format!("up to here there are more than {MAX_HOLIDAYS} days");
            return Err(WrongFile::new(
                line,
                message,
                "a calendar of holidays has fewer: ask for fewer years",
            ));
        }
        let names = self.days.entry(day.to_string()).or_default();
        // Two holidays on one day: both names, as far as there is room.
        if names.is_empty() {
            name.clone_into(names);
        } else if !names.split(" / ").any(|one| one == name)
            && names.chars().count() + name.chars().count() < 2 * MAX_NAME
        {
            names.push_str(" / ");
            names.push_str(name);
        }
        Ok(())
    }

    /// The definition of a calendar with these days as holidays. With `replace`, the dates that are holidays in it now go
    /// (days of every year stay). Days that have hours of their own there keep them.
    #[must_use]
    pub fn merge(&self, definition: &Value, replace: bool) -> Merged {
        let text = |item: &Value| item.as_str().unwrap_or_default().to_owned();
        let list = definition.get("holidays").and_then(Value::as_array);
        let before: Vec<String> = list.into_iter().flatten().map(text).collect();
        let dates: BTreeSet<&str> = before.iter().map(String::as_str).filter(|day| day.len() == 10).collect();
        let yearly: BTreeSet<&str> =
            before.iter().map(String::as_str).filter(|day| day.len() != 10).collect();
        let special = definition.get("special").and_then(Value::as_object);
        let covered = |day: &str| {
            special.is_some_and(|special| special.contains_key(day))
                || day.get(5..).is_some_and(|of_every_year| yearly.contains(of_every_year))
        };
        let wanted: BTreeSet<&str> =
            self.days.keys().map(String::as_str).filter(|day| !covered(day)).collect();
        let kept: BTreeSet<&str> = if replace { BTreeSet::new() } else { dates.clone() };
        let after: BTreeSet<&str> = kept.union(&wanted).copied().collect();
        let owned = |day: &&str| (*day).to_owned();
        let added: Vec<String> = wanted.difference(&dates).map(owned).collect();
        let removed: Vec<String> = dates.difference(&after).map(owned).collect();
        let holidays: Vec<&str> = yearly.iter().chain(&after).copied().collect();
        let mut calendar: Map<String, Value> = definition.as_object().cloned().unwrap_or_default();
        calendar.insert("holidays".into(), json!(holidays));
        Merged { calendar: calendar.into(), known: self.days.len() - added.len(), added, removed }
    }
}

/// The events of a file that is whole.
fn events(text: &str) -> Result<Vec<Event>, WrongFile> {
    let mut open: Vec<String> = Vec::new();
    let mut events = Vec::new();
    let mut event: Option<(usize, Vec<Line>)> = None;
    let (mut calendars, mut last) = (0, 1);
    for line in line::lines(text) {
        let line = line?;
        last = line.number;
        match line.name.as_str() {
            "BEGIN" => {
                let name = line.value.to_ascii_uppercase();
                if open.is_empty() {
                    if name != "VCALENDAR" {
                        return Err(no_calendar(line.number));
                    }
                    calendars += 1;
                } else if open.len() == 1 && name == "VEVENT" {
                    if events.len() >= MAX_EVENTS {
                        let message = format!("there are more than {MAX_EVENTS} events");
                        return Err(WrongFile::new(line.number, message, "take a file of holidays alone"));
                    }
                    event = Some((line.number, Vec::new()));
                }
                if open.len() >= MAX_DEPTH {
                    let message = "components are nested too deep";
                    return Err(WrongFile::new(line.number, message, "this is no file of holidays"));
                }
                open.push(name);
            }
            "END" => {
                let name = line.value.to_ascii_uppercase();
                if open.pop().as_deref() != Some(&name) {
                    let message = format!("END:{} ends nothing that began", line::short(&line.value));
                    return Err(WrongFile::new(line.number, message, "the file may be cut; load it again"));
                }
                if open.len() == 1
                    && let Some((number, lines)) = event.take()
                {
                    events.push(Event::read(number, &lines)?);
                }
            }
            _ if open.is_empty() => return Err(no_calendar(line.number)),
            _ => {
                // Not what stands in an event's alarms.
                if let Some((_, lines)) = event.as_mut().filter(|_| open.len() == 2) {
                    lines.push(line);
                }
            }
        }
    }
    if calendars == 0 {
        return Err(no_calendar(1));
    }
    match open.last() {
        None => Ok(events),
        Some(name) => {
            let message = format!("{} has no end", line::short(name));
            Err(WrongFile::new(last, message, "the file may be cut; load it again"))
        }
    }
}

fn no_calendar(line: usize) -> WrongFile {
    WrongFile::new(
        line,
        "this is no iCalendar file",
        "one begins with BEGIN:VCALENDAR (RFC 5545); was a web page saved?",
    )
}
