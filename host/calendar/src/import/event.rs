//! One event of an iCalendar file (`VEVENT`, RFC 5545, section 3.6.1): on which days it is.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{MAX_NAME, WrongFile, line::Line, line::short, rule::Rule};

/// The longest event, in days.
const MAX_DAYS: i64 = 366;
/// The most dates of `RDATE` and `EXDATE` of one event.
const MAX_DATES: usize = 2_000;

/// An event. What has a time of day has no start here.
#[derive(Debug)]
pub(super) struct Event {
    /// Where it begins in the file.
    pub line: usize,
    pub name: String,
    pub uid: Option<String>,
    pub start: Option<Date>,
    /// How many days it lasts.
    pub days: i64,
    pub cancelled: bool,
    /// The occurrence of another event whose place it takes.
    pub recurrence: Option<Date>,
    rule: Option<Rule>,
    more: BTreeSet<Date>,
    except: BTreeSet<Date>,
}

/// A value of a property with dates.
enum When {
    Day(Date),
    Moment,
}

impl Event {
    /// Reads its lines.
    pub fn read(number: usize, lines: &[Line]) -> Result<Self, WrongFile> {
        let one = |name: &str| {
            let mut found = lines.iter().filter(|line| line.name == name);
            match (found.next(), found.next()) {
                (_, Some(second)) => {
                    let message = format!("{name} stands in this event twice");
                    Err(WrongFile::new(second.number, message, "an event has one"))
                }
                (first, None) => Ok(first),
            }
        };
        let start = one("DTSTART")?.ok_or_else(|| {
            WrongFile::new(
                number,
                "this event has no DTSTART",
                "write the day, as in DTSTART;VALUE=DATE:20261225",
            )
        })?;
        let name = one("SUMMARY")?.map_or_else(String::new, |line| name(&line.value));
        let mut event = Self {
            line: number,
            name: if name.is_empty() { "holiday".into() } else { name },
            uid: one("UID")?.map(|line| line.value.clone()),
            start: None,
            days: 1,
            cancelled: one("STATUS")?.is_some_and(|line| line.value.eq_ignore_ascii_case("CANCELLED")),
            recurrence: None,
            rule: None,
            more: BTreeSet::new(),
            except: BTreeSet::new(),
        };
        let When::Day(first) = when(start, &start.value)? else { return Ok(event) };
        event.start = Some(first);
        event.days = match (one("DTEND")?, one("DURATION")?) {
            (Some(_), Some(line)) => {
                let hint = "an event has one of the two (RFC 5545, section 3.6.1)";
                return Err(WrongFile::new(line.number, "DURATION stands beside DTEND", hint));
            }
            (Some(line), None) => length(first, line)?,
            (None, Some(line)) => duration(line)?,
            (None, None) => 1,
        };
        if let Some(line) = one("RECURRENCE-ID")?
            && let When::Day(day) = when(line, &line.value)?
        {
            event.recurrence = Some(day);
        }
        event.rule = one("RRULE")?.map(|line| Rule::read(line, first)).transpose()?;
        for line in lines {
            let dates = match line.name.as_str() {
                "RDATE" => &mut event.more,
                "EXDATE" => &mut event.except,
                "EXRULE" => {
                    let hint = "RFC 5545 has done away with it: list the days in EXDATE";
                    return Err(WrongFile::new(line.number, "EXRULE is not known here", hint));
                }
                _ => continue,
            };
            for value in line.value.split(',') {
                if let When::Day(day) = when(line, value)? {
                    dates.insert(day);
                }
                if dates.len() > MAX_DATES {
                    let message = format!("{} has more than {MAX_DATES} dates", line.name);
                    return Err(WrongFile::new(line.number, message, "leave out those of years long past"));
                }
            }
        }
        Ok(event)
    }

    /// The days on which it begins, up to the end of a year. `years` is what is left of the work that may be done.
    pub fn begins(&self, start: Date, last: i16, years: &mut usize) -> Result<BTreeSet<Date>, WrongFile> {
        let mut days = match &self.rule {
            None => BTreeSet::from([start]),
            Some(rule) => rule.days(start, last, years)?,
        };
        days.extend(&self.more);
        days.retain(|day| !self.except.contains(day));
        Ok(days)
    }
}

/// A date, or that it is a moment. The parameter `VALUE=DATE` is often left out, so the form decides.
fn when(line: &Line, value: &str) -> Result<When, WrongFile> {
    let value = value.trim();
    let day = date(value.get(..8).unwrap_or(value));
    let rest = value.get(8..).unwrap_or_default();
    let time = rest.strip_prefix('T').map(|time| time.strip_suffix('Z').unwrap_or(time));
    let is_time = |time: &str| time.len() == 6 && time.bytes().all(|b| b.is_ascii_digit());
    match (day, time) {
        (Some(day), None) if rest.is_empty() => Ok(When::Day(day)),
        (Some(_), Some(time)) if is_time(time) => Ok(When::Moment),
        _ if line.parameter("VALUE").is_some_and(|kind| kind.eq_ignore_ascii_case("PERIOD")) => {
            Ok(When::Moment)
        }
        _ => {
            let message = format!("{}: {} is no date", line.name, short(value));
            Err(WrongFile::new(line.number, message, "year, month and day, as in 20261225"))
        }
    }
}

/// `20261225` (RFC 5545, section 3.3.4).
pub(super) fn date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (text.get(..4)?, text.get(4..6)?, text.get(6..)?);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `DTEND` is the day after the last (RFC 5545, section 3.6.1). Some programs write the day itself.
fn length(first: Date, line: &Line) -> Result<i64, WrongFile> {
    let wrong = |message: &str| WrongFile::new(line.number, message, "DTEND is the day after the last");
    let When::Day(end) = when(line, &line.value)? else {
        return Err(wrong("DTEND has a time of day, and DTSTART has none"));
    };
    let days = i64::from(first.until(end).map_err(|_| wrong("the event is too long"))?.get_days());
    match days {
        ..0 => Err(wrong("the event ends before it begins")),
        0 => Ok(1),
        1..=MAX_DAYS => Ok(days),
        _ => Err(wrong("the event lasts longer than a year")),
    }
}

/// `P1D`, `P2W` (RFC 5545, section 3.3.6).
fn duration(line: &Line) -> Result<i64, WrongFile> {
    let read = |text: &str| {
        let inner = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
        let (digits, unit) = inner.split_at_checked(inner.len().checked_sub(1)?)?;
        let count = (1..=3).contains(&digits.len()).then(|| digits.parse::<i64>().ok()).flatten()?;
        let days = match unit {
            "D" => count,
            "W" => count * 7,
            _ => return None,
        };
        (1..=MAX_DAYS).contains(&days).then_some(days)
    };
    read(&line.value).ok_or_else(|| {
        let message = format!("DURATION: {} is no length of whole days", short(&line.value));
        WrongFile::new(line.number, message, "days or weeks, at most a year, as in P1D")
    })
}

/// Text without its escapes (RFC 5545, section 3.3.11), on one line, cut.
fn name(value: &str) -> String {
    let mut name = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n' | 'N') => name.push(' '),
                Some(c) => name.push(c),
                None => {}
            },
            c if c.is_control() => name.push(' '),
            c => name.push(c),
        }
    }
    name.trim().chars().take(MAX_NAME).collect()
}
