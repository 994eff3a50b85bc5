//! Reading a calendar as people write it.
//!
//! ```yaml
//! timezone: Asia/Shanghai
//! week:
//!   mon-fri: ["09:00-12:00", "13:30-18:00"]
//!   sat: "10:00-14:00"
//! holidays: [2026-10-01, 12-25]        # a date, or a day of every year
//! special:
//!   2026-10-10: ["09:00-18:00"]        # a Saturday that is worked
//!   2026-12-24: []                     # closed
//! ```

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::Calendar;
use crate::model::Day;

/// Openings of one day.
const MAX_OPENINGS: usize = 24;
/// Days that are other than the week says.
const MAX_DAYS: usize = 4_000;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What is wrong with a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct Wrong {
    /// The keys and indexes that lead to the place.
    pub path: Vec<String>,
    /// What is wrong there.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl Wrong {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), hint: hint.into() }
    }

    /// The same, under a key.
    fn under(mut self, key: impl Into<String>) -> Self {
        self.path.insert(0, key.into());
        self
    }
}

impl Calendar {
    /// Reads a calendar. `zone` (an IANA name) counts when it names no time zone itself; without either it is UTC.
    ///
    /// # Errors
    /// What is wrong with it, where, and how to mend it. One that never opens is refused.
    pub fn read(value: &Value, zone: Option<&str>) -> Result<Self, Wrong> {
        let map = object(value, "write `timezone`, `week` and `holidays`")?;
        for key in map.keys() {
            if !["timezone", "week", "holidays", "special"].contains(&key.as_str()) {
                let message = format!("unknown key {:?}", short(key));
                return Err(Wrong::new(message, "known here: timezone, week, holidays, special").under(key));
            }
        }
        let zone = match map.get("timezone") {
            None => zone.unwrap_or("UTC"),
            Some(name) => name.as_str().ok_or_else(|| no_zone("").under("timezone"))?,
        };
        let zone = TimeZone::get(zone).map_err(|_| no_zone(zone).under("timezone"))?;
        let week = map.get("week").map(|week| read_week(week).map_err(|e| e.under("week"))).transpose()?;
        let mut holidays = (BTreeSet::new(), BTreeSet::new());
        if let Some(list) = map.get("holidays") {
            read_holidays(list, &mut holidays).map_err(|e| e.under("holidays"))?;
        }
        let special = map.get("special").map(|days| read_special(days).map_err(|e| e.under("special")));
        let (week, special) = (week.unwrap_or_default(), special.transpose()?.unwrap_or_default());
        if week.iter().chain(special.values()).all(Vec::is_empty) {
            let hint = "write when it opens, as in `week: { mon-fri: [\"09:00-17:00\"] }`";
            return Err(Wrong::new("this calendar never opens", hint));
        }
        let (holidays, yearly) = holidays;
        Ok(Calendar { zone, week, holidays, yearly, special, definition: value.clone() })
    }
}

fn no_zone(name: &str) -> Wrong {
    let hint = "use an IANA name such as Europe/Berlin or Asia/Shanghai";
    Wrong::new(format!("there is no time zone {:?}", short(name)), hint)
}

fn object<'v>(value: &'v Value, hint: &str) -> Result<&'v Map<String, Value>, Wrong> {
    value.as_object().ok_or_else(|| Wrong::new("expected an object", hint))
}

fn read_week(value: &Value) -> Result<[Day; 7], Wrong> {
    let mut week: [Option<Day>; 7] = Default::default();
    for (key, value) in object(value, "as in `mon-fri: [\"09:00-17:00\"]`")? {
        let day = read_day(value).map_err(|e| e.under(key))?;
        for number in weekdays(key).map_err(|e| e.under(key))? {
            let Some(slot) = week.get_mut(number) else { continue };
            if slot.is_some() {
                let name = DAYS.get(number).copied().unwrap_or_default();
                let hint = "write each day once; a day may have several openings";
                return Err(Wrong::new(format!("`{name}` stands here twice"), hint).under(key));
            }
            *slot = Some(day.clone());
        }
    }
    Ok(week.map(Option::unwrap_or_default))
}

/// The days that a key names, from Monday as 0: `mon`, `mon-fri`, `sat,sun`.
fn weekdays(key: &str) -> Result<Vec<usize>, Wrong> {
    let number = |name: &str| {
        DAYS.iter().position(|day| *day == name.trim()).ok_or_else(|| {
            let hint = "days are mon, tue, wed, thu, fri, sat, sun; also mon-fri, and sat,sun";
            Wrong::new(format!("{:?} is no day of the week", short(name)), hint)
        })
    };
    let mut days = Vec::new();
    for part in key.split(',') {
        let Some((first, last)) = part.split_once('-') else {
            days.push(number(part)?);
            continue;
        };
        let (first, last) = (number(first)?, number(last)?);
        // From Friday to Monday goes over the end of the week.
        let count = (last + 7 - first) % 7;
        days.extend((0..=count).map(|more| (first + more) % 7));
    }
    Ok(days)
}

/// The openings of a day: `"09:00-17:00"`, a list of such, or an empty list when it is closed.
fn read_day(value: &Value) -> Result<Day, Wrong> {
    let hint = "as in [\"09:00-12:00\", \"13:00-17:30\"]; [] is closed";
    let mut day = Day::new();
    match value {
        Value::String(text) => day.push(opening(text)?),
        Value::Array(items) if items.len() > MAX_OPENINGS => {
            return Err(Wrong::new(format!("a day has at most {MAX_OPENINGS} openings"), hint));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let text = item.as_str().ok_or_else(|| Wrong::new("expected an opening", hint));
                day.push(text.and_then(opening).map_err(|e| e.under(index.to_string()))?);
            }
        }
        _ => return Err(Wrong::new("expected the openings of a day", hint)),
    }
    day.sort_unstable();
    let mut before = i64::MIN;
    for (from, until) in &day {
        if *from < before {
            return Err(Wrong::new("two openings of a day overlap", "make one of them"));
        }
        before = *until;
    }
    Ok(day)
}

/// `HH:MM-HH:MM`, up to 24:00, in milliseconds since midnight.
fn opening(text: &str) -> Result<(i64, i64), Wrong> {
    let wrong = || {
        let hint = "hours and minutes from 00:00 to 24:00, as in \"09:00-17:30\"";
        Wrong::new(format!("{:?} is no opening", short(text)), hint)
    };
    let (from, until) = text.split_once('-').ok_or_else(wrong)?;
    let (from, until) = (minute(from).ok_or_else(wrong)?, minute(until).ok_or_else(wrong)?);
    if from >= until {
        let hint = "past midnight, write two: until \"24:00\", and from \"00:00\" on the next day";
        return Err(Wrong::new(format!("{:?} ends before it begins", short(text)), hint));
    }
    Ok((from * 60_000, until * 60_000))
}

fn minute(text: &str) -> Option<i64> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten();
    let (hour, minute) = (i64::from(number(hour)?), i64::from(number(minute)?));
    let all = hour * 60 + minute;
    (minute < 60 && all <= 24 * 60).then_some(all)
}

fn read_holidays(
    value: &Value,
    (dates, yearly): &mut (BTreeSet<Date>, BTreeSet<(i8, i8)>),
) -> Result<(), Wrong> {
    let hint = "as in [2026-12-25, 12-26]: a date, or a day of every year";
    let list = value.as_array().ok_or_else(|| Wrong::new("expected a list of dates", hint))?;
    bounded(list.len())?;
    for (index, item) in list.iter().enumerate() {
        let at = |wrong: Wrong| wrong.under(index.to_string());
        let text = item.as_str().ok_or_else(|| at(Wrong::new("expected a date", hint)))?;
        if let Some(day) = day_of_year(text) {
            yearly.insert(day);
        } else {
            dates.insert(date(text).map_err(at)?);
        }
    }
    Ok(())
}

fn read_special(value: &Value) -> Result<BTreeMap<Date, Day>, Wrong> {
    let map = object(value, "as in `2026-12-24: [\"09:00-12:00\"]`")?;
    bounded(map.len())?;
    let day = |(key, value): (&String, &Value)| Ok((date(key)?, read_day(value)?));
    map.iter().map(|entry| day(entry).map_err(|e: Wrong| e.under(entry.0))).collect()
}

fn bounded(count: usize) -> Result<(), Wrong> {
    if count <= MAX_DAYS {
        return Ok(());
    }
    let message = format!("these are {count} days; a calendar has at most {MAX_DAYS}");
    Err(Wrong::new(message, "leave out those of years long past"))
}

/// `2026-12-25` (RFC 3339, full-date).
fn date(text: &str) -> Result<Date, Wrong> {
    let date = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    date.ok_or_else(|| {
        let hint = "year, month and day, as in 2026-12-25";
        Wrong::new(format!("{:?} is no date", short(text)), hint)
    })
}

/// `12-25`: that day of every year. The 29th of February comes when it comes.
fn day_of_year(text: &str) -> Option<(i8, i8)> {
    if text.len() != 5 {
        return None;
    }
    let (month, day) = text.split_once('-')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // In a leap year every day of a year is there.
    Date::new(2024, month, day).ok().map(|_| (month, day))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
