//! `schedule`: when a flow starts by itself.
//!
//! ```yaml
//! schedule: { cron: '0 8 * * MON-FRI' }   # in document.metadata.timezone, else UTC
//! schedule: { every: PT15M }
//! schedule: { after: { hours: 1 } }       # that long after the last run ended
//! schedule: { on: { one: { with: { type: com.example.order.placed } } } }
//! ```
//!
//! Pure: moments come in and go out as milliseconds since the Unix epoch; whoever schedules has the clock.

use crate::decode::{At, Decoder, shorten};
use crate::duration;
use crate::events::EventTrigger;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::time::Duration;

/// The shortest interval between two starts: shorter ones are a loop in a flow's clothes.
const SHORTEST: Duration = Duration::from_secs(1);

/// When a flow starts by itself. One of these; a flow with several rhythms is several flows.
#[derive(Debug)]
pub enum Schedule {
    /// At this interval, whether or not the run before is still going.
    Every(Duration),
    /// When the wall clock of a time zone fits a cron pattern.
    Cron(CronSchedule),
    /// This long after the last run ended.
    After(Duration),
    /// When an event comes.
    On(EventTrigger),
}

/// A cron pattern with its time zone.
#[derive(Debug)]
pub struct CronSchedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl CronSchedule {
    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        &self.text
    }

    /// The IANA name of the time zone.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from: Zoned = after.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&from, false).ok().map(|next| next.timestamp())
    }
}

impl Schedule {
    /// The first start after `now`, both in milliseconds since the Unix epoch; none when only events start the flow, or
    /// the pattern never fits again.
    ///
    /// `anchor` is what the rhythm counts from: for `every`, the moment of deployment (starts fall on whole multiples
    /// from there, so a host that was down misses starts without shifting the others); for `after`, the moment that the
    /// last run ended, or the flow was deployed; a start that is then overdue is at `now`. `cron` does not use it.
    pub fn next_after(&self, now: u64, anchor: u64) -> Option<u64> {
        match self {
            Schedule::Every(every) => {
                let every = u64::try_from(every.as_millis()).ok().filter(|every| *every > 0)?;
                match now.checked_sub(anchor) {
                    Some(since) => anchor.checked_add((since / every).checked_add(1)?.checked_mul(every)?),
                    None => anchor.checked_add(every),
                }
            }
            Schedule::After(after) => {
                anchor.checked_add(u64::try_from(after.as_millis()).ok()?).map(|at| at.max(now))
            }
            Schedule::Cron(cron) => {
                let now = Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()?;
                u64::try_from(cron.next(now)?.as_millisecond()).ok()
            }
            Schedule::On(_) => None,
        }
    }
}

/// Reads the IANA name of a time zone, such as `Europe/Berlin`.
pub(crate) fn zone(d: &mut Decoder<'_>, at: &At<'_>) -> Option<TimeZone> {
    let name = d.text(at)?;
    match TimeZone::get(name) {
        Ok(zone) => Some(zone),
        Err(_) => {
            let message = format!("there is no time zone \"{}\"", shorten(name, 60));
            d.error_hint(at, message, "use an IANA name such as Europe/Berlin or Asia/Shanghai");
            None
        }
    }
}

/// Decodes `schedule`; the zone is the document's.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>, zone: Option<TimeZone>) -> Option<Schedule> {
    let object = d.object(at, &["every", "cron", "after", "on"])?;
    let [entry] = object.entries() else {
        d.error_hint(
            &object.at,
            "a schedule is one of every, cron, after and on",
            "make a flow of its own for each further rhythm; it can start this one with `run: workflow`",
        );
        return None;
    };
    let at = d.required(&object, &entry.key)?;
    match entry.key.as_str() {
        "every" => {
            let every = duration::fixed(d, &at)?;
            if every < SHORTEST {
                d.error_hint(&at, "a flow starts at most once a second", "use a longer interval");
                return None;
            }
            Some(Schedule::Every(every))
        }
        "after" => duration::fixed(d, &at).map(Schedule::After),
        "on" => EventTrigger::decode(d, at).map(Schedule::On),
        _ => cron(d, &at, zone.unwrap_or(TimeZone::UTC)).map(Schedule::Cron),
    }
}

fn cron(d: &mut Decoder<'_>, at: &At<'_>, zone: TimeZone) -> Option<CronSchedule> {
    let text = d.text(at)?;
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = match parser.parse(text) {
        Ok(cron) => cron,
        Err(error) => {
            let message = format!("\"{}\" is not a cron pattern: {error}", shorten(text, 60));
            d.error_hint(at, message, "minute, hour, day, month, weekday: '0 8 * * MON-FRI'");
            return None;
        }
    };
    let schedule = CronSchedule { text: text.to_owned(), cron, zone };
    if schedule.next(Timestamp::UNIX_EPOCH).is_none() {
        d.error_hint(at, "this day never comes", "look at the day and the month");
        return None;
    }
    Some(schedule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(pattern: &str, zone: &str) -> Schedule {
        let cron = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let (text, cron) = (pattern.to_owned(), cron.parse(pattern).unwrap());
        Schedule::Cron(CronSchedule { text, cron, zone: TimeZone::get(zone).unwrap() })
    }

    fn starts(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
        let mut now = from.parse::<Timestamp>().unwrap().as_millisecond() as u64;
        let mut starts = Vec::new();
        for _ in 0..count {
            now = schedule.next_after(now, 0).unwrap();
            starts.push(Timestamp::from_millisecond(now as i64).unwrap().to_string());
        }
        starts
    }

    #[test]
    fn a_daily_start_keeps_to_the_wall_clock_when_it_is_changed() {
        // Berlin changes to summer time on 2026-03-29: 08:00 is 07:00Z before and 06:00Z after.
        let found = starts(&cron("0 8 * * *", "Europe/Berlin"), "2026-03-28T00:00:00Z", 3);
        assert_eq!(found, ["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z", "2026-03-30T06:00:00Z"]);
        assert_eq!(
            starts(&cron("0 8 * * *", "Asia/Shanghai"), "2026-03-28T00:00:00Z", 1),
            ["2026-03-29T00:00:00Z"]
        );
    }

    #[test]
    fn a_start_inside_the_hour_that_is_skipped_or_repeated_comes_once() {
        let skipped = starts(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T02:00:00Z", 2);
        assert_eq!(skipped, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        let repeated = starts(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T02:00:00Z", 2);
        assert_eq!(repeated, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn weekdays_and_steps_are_read() {
        let found = starts(&cron("*/30 9 * * MON-FRI", "UTC"), "2026-01-02T09:10:00Z", 3);
        assert_eq!(found, ["2026-01-02T09:30:00Z", "2026-01-05T09:00:00Z", "2026-01-05T09:30:00Z"]);
    }

    #[test]
    fn intervals_fall_on_multiples_of_their_anchor() {
        let every = Schedule::Every(Duration::from_millis(1000));
        assert_eq!(every.next_after(10_500, 200), Some(11_200));
        assert_eq!(every.next_after(11_200, 200), Some(12_200));
        assert_eq!(every.next_after(100, 200), Some(1200));
        let after = Schedule::After(Duration::from_secs(5));
        assert_eq!((after.next_after(1000, 1000), after.next_after(9000, 1000)), (Some(6000), Some(9000)));
        assert_eq!(Schedule::Every(Duration::MAX).next_after(0, 0), None);
    }
}
