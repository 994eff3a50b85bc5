//! Rules that arithmetic in opening time keeps, whatever the calendar and the moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // Test code.

use factotum_calendar::{Calendar, Length};
use proptest::prelude::*;
use serde_json::{Map, json};

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// From 2008 to 2040: changes of clocks in all zones, and a day that Samoa left out.
const FROM: u64 = 1_200_000_000_000;
const TO: u64 = 2_200_000_000_000;

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Up to three openings of a day, in steps of a quarter of an hour.
fn day() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(0_u32..=96, 0..7).prop_map(|edges| {
        let edges: Vec<u32> = edges.into_iter().collect();
        edges.chunks_exact(2).map(|pair| format!("{}-{}", clock(pair[0] * 15), clock(pair[1] * 15))).collect()
    })
}

prop_compose! {
    fn calendars()(
        zone in 0..ZONES.len(),
        week in proptest::collection::vec(day(), 7),
        always in 0_usize..7,
        off in proptest::collection::vec(0_i32..10_000, 0..6),
        worked in proptest::option::of((0_i32..10_000, day())),
    ) -> Calendar {
        let date = |day: i32| {
            jiff::civil::date(2010, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap().to_string()
        };
        let mut days = Map::new();
        for (name, day) in DAYS.iter().zip(&week) {
            days.insert((*name).into(), json!(day));
        }
        // One that opens at all.
        days.insert(DAYS[always].into(), json!(["09:00-17:00"]));
        let special: Map<_, _> = worked.into_iter().map(|(day, hours)| (date(day), json!(hours))).collect();
        let off: Vec<String> = off.into_iter().map(date).collect();
        let value = json!({ "timezone": ZONES[zone], "week": days, "holidays": off, "special": special });
        Calendar::read(&value, None).unwrap()
    }
}

/// What the wall clock says of a moment, read in another way than the arithmetic does.
fn open(calendar: &Calendar, ms: u64) -> bool {
    let at = jiff::Timestamp::from_millisecond(ms as i64).unwrap();
    let at = at.in_tz(calendar.zone()).unwrap();
    let (date, time) = (at.date().to_string(), at.time());
    let written = calendar.definition();
    let of = match written["special"].get(&date) {
        Some(day) => day,
        None if written["holidays"].as_array().unwrap().contains(&json!(date)) => return false,
        None => &written["week"][DAYS[at.weekday().to_monday_zero_offset() as usize]],
    };
    let minute = i64::from(time.hour()) * 60 + i64::from(time.minute());
    let read = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap()
    };
    of.as_array().unwrap().iter().any(|opening| {
        let (from, until) = opening.as_str().unwrap().split_once('-').unwrap();
        read(from) <= minute && minute < read(until)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_added_lies_between(calendar in calendars(), from in FROM..TO, ms in 0_u64..400 * 3_600_000) {
        let end = calendar.add(from, Length { days: 0, ms }).unwrap();
        prop_assert!(end >= from);
        prop_assert_eq!(calendar.between(from, end), ms);
    }

    #[test]
    fn adding_twice_is_adding_the_sum(
        calendar in calendars(),
        from in FROM..TO,
        a in 1_u64..100 * 3_600_000,
        b in 1_u64..100 * 3_600_000,
    ) {
        let add = |from, ms| calendar.add(from, Length { days: 0, ms }).unwrap();
        prop_assert_eq!(add(add(from, a), b), add(from, a + b));
    }

    #[test]
    fn later_is_later_and_more_is_later(
        calendar in calendars(),
        from in FROM..TO,
        more in 0_u64..900_000_000,
        ms in 0_u64..200 * 3_600_000,
        longer in 1_u64..900_000,
    ) {
        let add = |from, ms| calendar.add(from, Length { days: 0, ms }).unwrap();
        prop_assert!(add(from, ms) <= add(from + more, ms));
        prop_assert!(add(from, ms) < add(from, ms + longer));
    }

    #[test]
    fn it_never_ends_outside_of_the_hours(
        calendar in calendars(),
        from in FROM..TO,
        days in 0_u32..30,
        ms in 0_u64..50 * 3_600_000,
    ) {
        let end = calendar.add(from, Length { days, ms }).unwrap();
        // Open then, or just before: what ends when the desk closes ends in its hours.
        prop_assert!(open(&calendar, end) || open(&calendar, end - 1), "{}", end);
    }

    #[test]
    fn it_is_open_when_the_wall_clock_says_so(calendar in calendars(), at in FROM..TO) {
        prop_assert_eq!(calendar.is_open(at), open(&calendar, at));
        let next = calendar.next_opening(at).unwrap();
        prop_assert!(open(&calendar, next));
        prop_assert_eq!(calendar.between(at, next), 0);
    }

    #[test]
    fn so_many_days_are_that_many_days_that_open(calendar in calendars(), from in FROM..TO, days in 1_u32..20) {
        let end = calendar.add(from, Length { days, ms: 0 }).unwrap();
        let date = |ms: u64| {
            let at = jiff::Timestamp::from_millisecond(ms as i64).unwrap();
            at.in_tz(calendar.zone()).unwrap().date()
        };
        // Every day from the first opening's to the end's that has an opening, but the first.
        let (mut at, mut seen) = (calendar.next_opening(from).unwrap(), std::collections::BTreeSet::new());
        let last = if open(&calendar, end) { date(end) } else { date(end - 1) };
        while date(at) <= last {
            seen.insert(date(at));
            at = calendar.next_opening(at + 900_000 - at % 900_000).unwrap();
        }
        prop_assert_eq!(seen.len() as u32, days + 1);
    }
}
