//! Examples of arithmetic in opening time, over weekends, holidays and clocks that are changed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // Test code.

use factotum_calendar::{Calendar, Length, Never};
use jiff::Timestamp;
use serde_json::{Value, json};

fn calendar(value: Value) -> Calendar {
    Calendar::read(&value, None).unwrap()
}

fn desk() -> Calendar {
    calendar(json!({
        "timezone": "Europe/Berlin",
        "week": { "mon-fri": ["09:00-12:00", "13:00-17:30"], "sat": "10:00-14:00" },
        "holidays": ["2026-12-25", "12-26"],
        "special": { "2026-12-24": ["09:00-12:00"] },
    }))
}

fn ms(text: &str) -> u64 {
    u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
}

fn told(ms: u64) -> String {
    Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string()
}

fn hours(hours: u64) -> Length {
    Length { days: 0, ms: hours * 3_600_000 }
}

fn days(days: u32) -> Length {
    Length { days, ms: 0 }
}

fn added(calendar: &Calendar, from: &str, length: Length) -> String {
    told(calendar.add(ms(from), length).unwrap())
}

#[test]
fn hours_pass_while_the_desk_is_open() {
    let desk = desk();
    // A Friday in winter: 11:00 in Berlin is 10:00Z.
    assert_eq!(added(&desk, "2026-01-09T10:00:00Z", hours(1)), "2026-01-09T11:00:00Z", "until it closes");
    assert_eq!(added(&desk, "2026-01-09T10:00:00Z", hours(2)), "2026-01-09T13:00:00Z", "over noon");
    assert_eq!(added(&desk, "2026-01-09T10:00:00Z", hours(8)), "2026-01-10T11:30:00Z", "into Saturday");
    assert_eq!(added(&desk, "2026-01-10T20:00:00Z", hours(1)), "2026-01-12T09:00:00Z", "over Sunday");
    assert_eq!(added(&desk, "2026-01-10T20:00:00Z", hours(0)), "2026-01-12T08:00:00Z", "the next opening");
    let open = desk.between(ms("2026-01-09T10:00:00Z"), ms("2026-01-12T09:00:00Z"));
    assert_eq!(open, 37_800_000, "1 h and 4.5 h on Friday, 4 h on Saturday, 1 h on Monday");
}

#[test]
fn days_are_business_days_however_long_they_are() {
    let desk = desk();
    assert_eq!(added(&desk, "2026-01-09T10:00:00Z", days(2)), "2026-01-12T10:00:00Z", "Saturday is one");
    assert_eq!(
        added(&desk, "2026-01-09T16:00:00Z", days(1)),
        "2026-01-10T13:00:00Z",
        "no later than it closes"
    );
    assert_eq!(
        added(&desk, "2026-01-08T11:30:00Z", days(1)),
        "2026-01-09T12:00:00Z",
        "asked at noon, from one o'clock"
    );
    assert_eq!(
        added(&desk, "2026-01-11T11:00:00Z", days(1)),
        "2026-01-13T08:00:00Z",
        "asked on a Sunday, from Monday"
    );
    let both = Length { days: 1, ms: 3_600_000 };
    assert_eq!(added(&desk, "2026-01-08T15:30:00Z", both), "2026-01-09T16:30:00Z");
    assert_eq!(added(&desk, "2026-01-09T16:00:00Z", both), "2026-01-12T09:00:00Z");
}

#[test]
fn holidays_and_special_days_are_not_like_the_week() {
    let desk = desk();
    // Thursday the 24th until noon; Friday and Saturday off, by date and by the day of every year.
    assert_eq!(added(&desk, "2026-12-24T10:00:00Z", hours(2)), "2026-12-28T09:00:00Z");
    assert_eq!(added(&desk, "2026-12-23T10:00:00Z", days(2)), "2026-12-28T10:00:00Z");
    assert!(!desk.is_open(ms("2027-12-26T10:00:00Z")) && !desk.is_open(ms("2030-12-26T10:00:00Z")));
    assert!(desk.is_open(ms("2026-12-24T08:00:00Z")) && !desk.is_open(ms("2026-12-24T11:00:00Z")));
    let worked = calendar(json!({
        "timezone": "Asia/Shanghai",
        "week": { "mon-fri": "09:00-18:00" },
        "holidays": ["2026-02-16", "2026-02-17"],
        "special": { "2026-02-14": "09:00-18:00" },
    }));
    assert_eq!(
        added(&worked, "2026-02-13T09:00:00Z", hours(9)),
        "2026-02-14T09:00:00Z",
        "a Saturday that is worked"
    );
}

#[test]
fn an_hour_that_is_skipped_counts_for_nothing_and_one_that_is_repeated_counts_twice() {
    let night = calendar(json!({ "timezone": "Europe/Berlin", "week": { "mon-sun": "01:00-04:00" } }));
    // 2026-03-29: from 01:00Z on summer time; 02:00 to 03:00 does not come.
    assert_eq!(night.between(ms("2026-03-28T12:00:00Z"), ms("2026-03-29T12:00:00Z")), 2 * 3_600_000);
    assert_eq!(added(&night, "2026-03-28T12:00:00Z", hours(2)), "2026-03-29T02:00:00Z");
    // 2026-10-25: 02:00 to 03:00 comes twice.
    assert_eq!(night.between(ms("2026-10-24T12:00:00Z"), ms("2026-10-25T12:00:00Z")), 4 * 3_600_000);
    let short = calendar(json!({ "timezone": "Europe/Berlin", "week": { "sun": "02:15-02:45" } }));
    assert_eq!(short.between(ms("2026-03-28T12:00:00Z"), ms("2026-03-30T12:00:00Z")), 0, "no such half hour");
    assert_eq!(
        added(&short, "2026-10-24T12:00:00Z", Length { days: 0, ms: 40 * 60_000 }),
        "2026-10-25T01:25:00Z"
    );
    assert!(!short.is_open(ms("2026-10-25T00:50:00Z")), "closed between the two");
    // Samoa went over the date line: Friday 2011-12-30 did not come.
    let samoa = calendar(json!({ "timezone": "Pacific/Apia", "week": { "mon-sun": "00:00-24:00" } }));
    assert_eq!(added(&samoa, "2011-12-29T22:00:00Z", days(1)), "2011-12-30T22:00:00Z");
}

#[test]
fn a_leap_day_is_a_day() {
    let all = calendar(json!({ "week": { "mon-sun": "00:00-24:00" }, "holidays": ["02-29"] }));
    assert_eq!(added(&all, "2028-02-28T12:00:00Z", hours(24)), "2028-03-01T12:00:00Z");
    assert_eq!(added(&all, "2027-02-28T12:00:00Z", hours(24)), "2027-03-01T12:00:00Z");
    assert_eq!(added(&all, "2028-02-28T12:00:00Z", days(1)), "2028-03-01T12:00:00Z");
}

#[test]
fn what_does_not_come_in_fifty_years_is_told() {
    let once = calendar(json!({ "special": { "2026-01-01": "09:00-10:00" } }));
    assert_eq!(once.add(ms("2026-01-01T00:00:00Z"), hours(1)), Ok(ms("2026-01-01T10:00:00Z")));
    assert_eq!(once.add(ms("2026-01-01T00:00:00Z"), hours(2)), Err(Never));
    assert_eq!(once.add(ms("2026-01-01T09:30:00Z"), days(1)), Err(Never));
    assert_eq!(once.next_opening(ms("2026-01-01T10:00:00Z")), Err(Never));
    assert_eq!(desk().add(u64::MAX, hours(1)), Err(Never));
    assert_eq!(desk().add(0, Length { days: u32::MAX, ms: u64::MAX }), Err(Never));
    assert_eq!(desk().between(5, 4), 0);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let wrong = |value: Value| {
        let wrong = Calendar::read(&value, None).unwrap_err();
        (wrong.path.join("/"), wrong.message)
    };
    let week = |key: &str, day: Value| json!({ "week": { key: day } });
    for (value, path, message) in [
        (json!([]), "", "expected an object"),
        (json!({}), "", "this calendar never opens"),
        (json!({ "week": { "mon": [] }, "special": { "2026-01-01": [] } }), "", "this calendar never opens"),
        (json!({ "weeks": {} }), "weeks", "unknown key \"weeks\""),
        (json!({ "timezone": "Moon/Base" }), "timezone", "there is no time zone \"Moon/Base\""),
        (week("monday", json!("09:00-10:00")), "week/monday", "\"monday\" is no day of the week"),
        (week("mon", json!("9-17")), "week/mon", "\"9-17\" is no opening"),
        (week("mon", json!(["09:00-24:01"])), "week/mon/0", "\"09:00-24:01\" is no opening"),
        (week("mon", json!(["22:00-06:00"])), "week/mon/0", "\"22:00-06:00\" ends before it begins"),
        (week("mon", json!(["09:00-12:00", "11:00-13:00"])), "week/mon", "two openings of a day overlap"),
        (json!({ "holidays": ["2026-02-30"] }), "holidays/0", "\"2026-02-30\" is no date"),
        (json!({ "holidays": ["02-30"] }), "holidays/0", "\"02-30\" is no date"),
        (json!({ "special": { "tomorrow": [] } }), "special/tomorrow", "\"tomorrow\" is no date"),
    ] {
        assert_eq!(wrong(value), (path.to_owned(), message.to_owned()));
    }
    let twice = json!({ "week": { "fri-mon": "09:00-10:00", "sun": "09:00-10:00" } });
    assert_eq!(wrong(twice).1, "`sun` stands here twice");
    let many: Vec<&str> = std::iter::repeat_n("2026-01-01", 4_001).collect();
    assert_eq!(wrong(json!({ "holidays": many })).0, "holidays");
}
