//! Rules of every year (`RRULE` with `FREQ=YEARLY`, RFC 5545, section 3.3.10), for events of whole days.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};

use super::{WrongFile, event::date, line::Line, line::short};

/// The most entries of one part of a rule.
const MAX_ENTRIES: usize = 400;

/// A rule. An empty list stands for a part that is not there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    line: usize,
    interval: i16,
    count: Option<usize>,
    until: Option<Date>,
    months: Vec<i64>,
    month_days: Vec<i64>,
    year_days: Vec<i64>,
    /// With which of them in the month or year (from its end when negative), or 0 for each.
    weekdays: Vec<(i64, Weekday)>,
    positions: Vec<i64>,
}

impl Rule {
    /// Reads the rule of an event that begins on `start`.
    pub fn read(line: &Line, start: Date) -> Result<Self, WrongFile> {
        let wrong = |message: String, hint: &str| WrongFile::new(line.number, message, hint);
        let mut rule = Self { line: line.number, interval: 1, ..Self::default() };
        let mut seen = BTreeSet::new();
        let mut yearly = false;
        for part in line.value.split(';').filter(|part| !part.is_empty()) {
            let no_part = || {
                wrong(format!("RRULE: {} is no part of a rule", short(part)), "as in FREQ=YEARLY;BYMONTH=12")
            };
            let (name, value) = part.split_once('=').ok_or_else(no_part)?;
            let name = name.to_ascii_uppercase();
            if !seen.insert(name.clone()) {
                return Err(wrong(format!("RRULE: {name} stands there twice"), "leave one out"));
            }
            let value = value.to_ascii_uppercase();
            let numbers = |most: i64, negative: bool| {
                let number = |text: &str| -> Option<i64> {
                    let number = text.parse::<i64>().ok().filter(|_| text.len() <= 4)?;
                    (number != 0 && number.abs() <= most && (negative || number > 0)).then_some(number)
                };
                let all: Option<Vec<i64>> = value.split(',').take(MAX_ENTRIES).map(number).collect();
                all.ok_or_else(no_part)
            };
            match name.as_str() {
                "FREQ" if value == "YEARLY" => yearly = true,
                "FREQ" => {
                    let message = format!("RRULE: {} is no rule of every year", short(&value));
                    return Err(wrong(
                        message,
                        "holidays come by FREQ=YEARLY; list others by their days (RDATE)",
                    ));
                }
                "INTERVAL" => {
                    let number = value.parse::<i16>().ok().filter(|years| (1..=1000).contains(years));
                    rule.interval = number.ok_or_else(no_part)?;
                }
                "COUNT" => {
                    let number = value.parse::<usize>().ok().filter(|count| (1..=100_000).contains(count));
                    rule.count = Some(number.ok_or_else(no_part)?);
                }
                // A moment ends with its day: in which time zone is not told for whole days.
                "UNTIL" => rule.until = Some(value.get(..8).and_then(date).ok_or_else(no_part)?),
                "BYMONTH" => rule.months = numbers(12, false)?,
                "BYMONTHDAY" => rule.month_days = numbers(31, true)?,
                "BYYEARDAY" => rule.year_days = numbers(366, true)?,
                "BYSETPOS" => rule.positions = numbers(366, true)?,
                "BYDAY" => {
                    let all: Option<Vec<_>> = value.split(',').take(MAX_ENTRIES).map(weekday).collect();
                    rule.weekdays = all.ok_or_else(no_part)?;
                }
                // Of weight for rules by weeks only.
                "WKST" => {
                    weekday(&value).ok_or_else(no_part)?;
                }
                _ => {
                    let message = format!("RRULE: {} is not known here", short(&name));
                    return Err(wrong(message, "list the days of such a rule instead (RDATE)"));
                }
            }
        }
        if !yearly {
            return Err(wrong("RRULE has no FREQ".into(), "as in FREQ=YEARLY"));
        }
        if rule.count.is_some() && rule.until.is_some() {
            return Err(wrong("RRULE has COUNT and UNTIL".into(), "a rule has at most one of the two"));
        }
        if rule.year_days.is_empty() && rule.month_days.is_empty() && rule.weekdays.is_empty() {
            // What a rule leaves open is as on the first day.
            rule.month_days = vec![start.day().into()];
            if rule.months.is_empty() {
                rule.months = vec![start.month().into()];
            }
        }
        Ok(rule)
    }

    /// Its days from `start` to the end of the year `last`. The first day is always one of them. `years` is what is left
    /// of the work that may be done.
    pub fn days(&self, start: Date, last: i16, years: &mut usize) -> Result<BTreeSet<Date>, WrongFile> {
        let mut days = BTreeSet::from([start]);
        let mut year = start.year();
        while year <= last.min(self.until.map_or(i16::MAX, Date::year)) {
            *years = years.checked_sub(1).ok_or_else(|| {
                WrongFile::new(
                    self.line,
                    "the rules up to here go over too many years",
                    "begin them later (DTSTART)",
                )
            })?;
            for day in self.of_year(year) {
                let over = self.until.is_some_and(|until| day > until)
                    || self.count.is_some_and(|count| days.len() >= count);
                if over && day > start {
                    return Ok(days);
                }
                if day > start {
                    days.insert(day);
                }
            }
            year = match year.checked_add(self.interval) {
                Some(next) => next,
                None => break,
            };
        }
        Ok(days)
    }

    /// The days that the rule takes of a year, in order.
    fn of_year(&self, year: i16) -> Vec<Date> {
        let mut days = Vec::new();
        let Ok(mut day) = Date::new(year, 1, 1) else { return days };
        while day.year() == year {
            if self.takes(day) {
                days.push(day);
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        if self.positions.is_empty() {
            return days;
        }
        let length = i64::try_from(days.len()).unwrap_or(i64::MAX);
        let at = |position: i64| if position > 0 { position - 1 } else { length + position };
        let chosen: BTreeSet<i64> = self.positions.iter().map(|position| at(*position)).collect();
        days.into_iter()
            .zip(0_i64..)
            .filter(|(_, index)| chosen.contains(index))
            .map(|(day, _)| day)
            .collect()
    }

    fn takes(&self, day: Date) -> bool {
        let (of_month, of_year) = (i64::from(day.day()), i64::from(day.day_of_year()));
        let (month_length, year_length) = (i64::from(day.days_in_month()), i64::from(day.days_in_year()));
        let listed = |list: &[i64], number: i64, length: i64| {
            list.is_empty() || list.contains(&number) || list.contains(&(number - length - 1))
        };
        // Which Monday it is, counted in the month when the rule names months, else in the year.
        let (number, length) =
            if self.months.is_empty() { (of_year, year_length) } else { (of_month, month_length) };
        let (nth, from_end) = ((number + 6) / 7, -((length - number) / 7 + 1));
        let weekday = |&(which, weekday): &(i64, Weekday)| {
            weekday == day.weekday() && (which == 0 || which == nth || which == from_end)
        };
        (self.months.is_empty() || self.months.contains(&day.month().into()))
            && listed(&self.month_days, of_month, month_length)
            && listed(&self.year_days, of_year, year_length)
            && (self.weekdays.is_empty() || self.weekdays.iter().any(weekday))
    }
}

/// `MO`, `4TH`, `-1MO`.
fn weekday(text: &str) -> Option<(i64, Weekday)> {
    let (number, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let day = match day {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    };
    if number.is_empty() {
        return Some((0, day));
    }
    let number = number.parse::<i64>().ok().filter(|number| (1..=53).contains(&number.abs()))?;
    Some((number, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(start: &str, rule: &str, last: i16) -> Vec<String> {
        let line = super::super::line::lines(&format!("RRULE:{rule}")).next().unwrap().unwrap();
        let start = date(start).unwrap();
        let rule = Rule::read(&line, start).unwrap_or_else(|error| panic!("{rule}: {error}"));
        rule.days(start, last, &mut 1000).unwrap().into_iter().map(|day| day.to_string()).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_give_its_days() {
        // RFC 5545, section 3.8.5.3.
        let june_july = days("19970610", "FREQ=YEARLY;COUNT=10;BYMONTH=6,7", 2010);
        assert_eq!(june_july[..3], ["1997-06-10", "1997-07-10", "1998-06-10"]);
        assert_eq!((june_july.len(), june_july[9].as_str()), (10, "2001-07-10"));
        let other = days("19970310", "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", 2010);
        assert_eq!(other[..4], ["1997-03-10", "1999-01-10", "1999-02-10", "1999-03-10"]);
        assert_eq!(other[9], "2003-03-10");
        assert_eq!(
            days("19970101", "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", 2010),
            [
                "1997-01-01",
                "1997-04-10",
                "1997-07-19",
                "2000-01-01",
                "2000-04-09",
                "2000-07-18",
                "2003-01-01",
                "2003-04-10",
                "2003-07-19",
                "2006-01-01"
            ]
        );
        assert_eq!(
            days("19970519", "FREQ=YEARLY;BYDAY=20MO", 1999),
            ["1997-05-19", "1998-05-18", "1999-05-17"]
        );
        assert_eq!(
            days("19970313", "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", 1998),
            [
                "1997-03-13",
                "1997-03-20",
                "1997-03-27",
                "1998-03-05",
                "1998-03-12",
                "1998-03-19",
                "1998-03-26"
            ]
        );
        let election = "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8";
        assert_eq!(days("19961105", election, 2004), ["1996-11-05", "2000-11-07", "2004-11-02"]);
    }

    #[test]
    fn holidays_come_on_their_days() {
        assert_eq!(days("20241225", "FREQ=YEARLY", 2026), ["2024-12-25", "2025-12-25", "2026-12-25"]);
        assert_eq!(
            days("20241128", "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", 2026),
            ["2024-11-28", "2025-11-27", "2026-11-26"]
        );
        assert_eq!(
            days("20240527", "FREQ=YEARLY;BYDAY=-1MO;BYMONTH=5", 2026),
            ["2024-05-27", "2025-05-26", "2026-05-25"]
        );
        assert_eq!(days("20241231", "FREQ=YEARLY;BYYEARDAY=-1", 2025), ["2024-12-31", "2025-12-31"]);
        assert_eq!(days("20240229", "FREQ=YEARLY", 2032), ["2024-02-29", "2028-02-29", "2032-02-29"]);
        assert_eq!(
            days("20240101", "FREQ=YEARLY;UNTIL=20260101", 2030),
            ["2024-01-01", "2025-01-01", "2026-01-01"]
        );
        assert_eq!(
            days("20240101", "FREQ=YEARLY;UNTIL=20251231T235959Z;WKST=MO", 2030),
            ["2024-01-01", "2025-01-01"]
        );
        let last_workday = "FREQ=YEARLY;BYMONTH=12;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1";
        assert_eq!(
            days("20241231", last_workday, 2027),
            ["2024-12-31", "2025-12-31", "2026-12-31", "2027-12-31"]
        );
        assert_eq!(days("20240102", "FREQ=YEARLY;COUNT=1", 2030), ["2024-01-02"]);
        assert_eq!(
            days("20240102", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 2030),
            ["2024-01-02"],
            "no such day"
        );
        assert_eq!(
            days("20240103", "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;COUNT=3", 2030),
            ["2024-01-03", "2025-01-01", "2026-01-01"]
        );
    }

    #[test]
    fn other_rules_are_refused() {
        for bad in [
            "",
            "FREQ=WEEKLY",
            "BYMONTH=1",
            "FREQ=YEARLY;BYWEEKNO=20",
            "FREQ=YEARLY;BYHOUR=9",
            "FREQ=YEARLY;BYMONTH=13",
            "FREQ=YEARLY;BYMONTH=0",
            "FREQ=YEARLY;BYMONTH=",
            "FREQ=YEARLY;BYDAY=XX",
            "FREQ=YEARLY;BYDAY=54MO",
            "FREQ=YEARLY;BYDAY=é",
            "FREQ=YEARLY;COUNT=0",
            "FREQ=YEARLY;INTERVAL=0",
            "FREQ=YEARLY;INTERVAL=99999",
            "FREQ=YEARLY;COUNT=2;UNTIL=20300101",
            "FREQ=YEARLY;FREQ=YEARLY",
            "FREQ=YEARLY;UNTIL=soon",
            "FREQ",
        ] {
            let line = super::super::line::lines(&format!("RRULE:{bad}")).next().unwrap().unwrap();
            let error = Rule::read(&line, date("20260101").unwrap()).unwrap_err();
            assert_eq!(error.line, 1, "{bad}");
        }
    }
}
