//! Holidays out of iCalendar files: what is taken, what is left out, what is refused with its line.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use factotum_calendar::{Calendar, Holidays, MAX_FILE};
use proptest::prelude::*;
use serde_json::json;

fn file(events: &str) -> String {
    let events = events.replace('\n', "\r\n");
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n{events}\r\nEND:VCALENDAR\r\n")
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\n{lines}\nEND:VEVENT")
}

fn days(events: &str) -> Vec<(String, String)> {
    let holidays = Holidays::read(&file(events), 2026, 2028).unwrap_or_else(|error| panic!("{error}"));
    holidays.days.into_iter().collect()
}

fn dates(events: &str) -> Vec<String> {
    days(events).into_iter().map(|(day, _)| day).collect()
}

/// As an authority publishes it: folded names in two languages, a time zone, an alarm, a rule, days in a row.
const PUBLISHED: &str = "BEGIN:VCALENDAR\r
PRODID:-//Authority//Holidays//DE\r
VERSION:2.0\r
X-WR-CALNAME:Feiertage\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
BEGIN:STANDARD\r
DTSTART:19961027T030000\r
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r
TZOFFSETFROM:+0200\r
TZOFFSETTO:+0100\r
END:STANDARD\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
UID:1@authority.example\r
DTSTAMP:20250101T000000Z\r
DTSTART;VALUE=DATE:20260403\r
DTEND;VALUE=DATE:20260404\r
SUMMARY;LANGUAGE=de:Karfreitag\\, ein stiller\r
  Tag\r
TRANSP:TRANSPARENT\r
BEGIN:VALARM\r
ACTION:DISPLAY\r
DURATION:PT15M\r
DESCRIPTION:x\r
TRIGGER:-P1D\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:2@authority.example\r
DTSTART;VALUE=DATE:19901003\r
RRULE:FREQ=YEARLY\r
SUMMARY:Tag der Deutschen Einheit\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:3@authority.example\r
DTSTART;VALUE=DATE:20260217\r
DTEND;VALUE=DATE:20260220\r
SUMMARY:春节\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART;TZID=Europe/Berlin:20261224T140000\r
DTEND;TZID=Europe/Berlin:20261224T180000\r
SUMMARY:Early closing\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn a_published_file_gives_its_days_and_says_what_it_left_out() {
    let holidays = Holidays::read(PUBLISHED, 2026, 2027).unwrap();
    let found: Vec<(&str, &str)> =
        holidays.days.iter().map(|(day, name)| (day.as_str(), name.as_str())).collect();
    assert_eq!(
        found,
        [
            ("2026-02-17", "春节"),
            ("2026-02-18", "春节"),
            ("2026-02-19", "春节"),
            ("2026-04-03", "Karfreitag, ein stiller Tag"),
            ("2026-10-03", "Tag der Deutschen Einheit"),
            ("2027-10-03", "Tag der Deutschen Einheit"),
        ]
    );
    assert_eq!((holidays.timed, holidays.cancelled, holidays.outside), (1, 0, 0));
}

#[test]
fn repetitions_exceptions_and_changes_are_followed() {
    let yearly = "UID:a\nDTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY\nSUMMARY:May Day";
    assert_eq!(dates(&event(yearly)), ["2026-05-01", "2027-05-01", "2028-05-01"]);
    assert_eq!(dates(&event(&format!("{yearly}\nEXDATE;VALUE=DATE:20270501"))), ["2026-05-01", "2028-05-01"]);
    // The one of 2027 was moved to the Monday after.
    let moved =
        event("UID:a\nRECURRENCE-ID;VALUE=DATE:20270501\nDTSTART;VALUE=DATE:20270503\nSUMMARY:May Day");
    assert_eq!(dates(&format!("{}\n{moved}", event(yearly))), ["2026-05-01", "2027-05-03", "2028-05-01"]);
    // And the one of 2028 is called off.
    let off =
        event("UID:a\nRECURRENCE-ID;VALUE=DATE:20280501\nDTSTART;VALUE=DATE:20280501\nSTATUS:CANCELLED");
    assert_eq!(dates(&format!("{}\n{off}", event(yearly))), ["2026-05-01", "2027-05-01"]);
    let listed = "DTSTART;VALUE=DATE:20260101\nRDATE;VALUE=DATE:20270102,20280103\nDURATION:P2D";
    assert_eq!(
        dates(&event(listed)),
        ["2026-01-01", "2026-01-02", "2027-01-02", "2027-01-03", "2028-01-03", "2028-01-04"]
    );
    // Over the turn of the year, and sloppy: no VALUE=DATE, an end on the day itself.
    assert_eq!(dates(&event("DTSTART:20251231\nDTEND:20260102")), ["2026-01-01"]);
    assert_eq!(dates(&event("DTSTART:20260601\nDTEND:20260601")), ["2026-06-01"]);
}

#[test]
fn a_day_that_stands_there_twice_is_one() {
    let two = format!(
        "{}\n{}\n{}",
        event("DTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas Day"),
        event("DTSTART;VALUE=DATE:20241225\nRRULE:FREQ=YEARLY;COUNT=3\nSUMMARY:Christmas Day"),
        event("DTSTART;VALUE=DATE:20261225\nSUMMARY:圣诞节")
    );
    assert_eq!(days(&two), [("2026-12-25".to_owned(), "Christmas Day / 圣诞节".to_owned())]);
    let outside = Holidays::read(&file(&event("DTSTART;VALUE=DATE:20201225")), 2026, 2028).unwrap();
    assert_eq!((outside.days.len(), outside.outside), (0, 1));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let within = |lines: &str| file(&event(lines));
    let many: String = (0..5001).map(|_| "BEGIN:VEVENT\r\nDTSTART:20260101\r\nEND:VEVENT\r\n").collect();
    let row: String = (0..200)
        .map(|n| {
            format!(
                "BEGIN:VEVENT\nDTSTART:2026{:02}01\nDURATION:P300D\nRRULE:FREQ=YEARLY\nEND:VEVENT\n",
                n % 12 + 1
            )
        })
        .collect();
    let old: String =
        (0..30).map(|_| event("DTSTART:00010101\nRRULE:FREQ=YEARLY")).collect::<Vec<_>>().join("\n");
    for (text, line, expected) in [
        (String::new(), 1, "no iCalendar file"),
        ("<!doctype html>\n<html>".into(), 1, "no line of an iCalendar file"),
        ("BEGIN:VCARD\nEND:VCARD".into(), 1, "no iCalendar file"),
        ("VERSION:2.0\nBEGIN:VCALENDAR\nEND:VCALENDAR".into(), 1, "no iCalendar file"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101".into(), 3, "has no end"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR".into(), 3, "ends nothing that began"),
        ("BEGIN:VCALENDAR\n".repeat(9), 9, "nested too deep"),
        (within("SUMMARY:x"), 4, "has no DTSTART"),
        (within("SUMMARY:x\nDTSTART;VALUE=DATE:20261332"), 6, "is no date"),
        (within("DTSTART;VALUE=DATE:2026-12-25"), 5, "is no date"),
        (within("DTSTART:20261225\nDTSTART:20261226"), 6, "twice"),
        (within("DTSTART:20261225\nDTEND:20261224"), 6, "ends before it begins"),
        (within("DTSTART:20261225\nDTEND:20281224"), 6, "longer than a year"),
        (within("DTSTART:20261225\nDTEND:20261226T100000Z"), 6, "time of day"),
        (within("DTSTART:20261225\nDURATION:PT5H"), 6, "no length of whole days"),
        (within("DTSTART:20261225\nDURATION:P999999999999999D"), 6, "no length of whole days"),
        (within("DTSTART:20261225\nDTEND:20261226\nDURATION:P1D"), 7, "beside DTEND"),
        (within("SUMMARY:x\nDTSTART:20261225\nRRULE:FREQ=WEEKLY"), 7, "no rule of every year"),
        (within("DTSTART:20261225\nEXRULE:FREQ=YEARLY"), 6, "EXRULE"),
        (within("DTSTART:20261225\nEXDATE:soon"), 6, "is no date"),
        (format!("BEGIN:VCALENDAR\r\n{many}END:VCALENDAR\r\n"), 15_002, "more than 5000 events"),
        (file(&old), 102, "too many years"),
        ("x".repeat(MAX_FILE + 1), 1, "more than 1048576 bytes"),
    ] {
        let error = Holidays::read(&text, 2026, 2028).unwrap_err();
        let start: String = text.chars().take(200).collect();
        assert!(error.message.contains(expected), "{start}\n{error}");
        assert_eq!(error.line, line, "{start}\n{error}");
        assert!(!error.to_string().contains(['\n', '\r']), "{error}");
    }
    let error = Holidays::read(&file(&row), 2026, 2046).unwrap_err();
    assert!(error.message.contains("more than 4000 days"), "{error}");
}

#[test]
fn holidays_go_into_a_calendar_beside_what_is_there() {
    let calendar = json!({
        "timezone": "Europe/Berlin",
        "week": { "mon-fri": ["09:00-17:00"] },
        "holidays": ["2026-04-03", "2026-06-05", "10-03"],
        "special": { "2026-02-17": ["09:00-12:00"] }
    });
    let holidays = Holidays::read(PUBLISHED, 2026, 2027).unwrap();
    let merged = holidays.merge(&calendar, false);
    assert_eq!(merged.added, ["2026-02-18", "2026-02-19"]);
    assert_eq!((merged.removed.len(), merged.known), (0, 4));
    assert_eq!(
        merged.calendar["holidays"],
        json!(["10-03", "2026-02-18", "2026-02-19", "2026-04-03", "2026-06-05"])
    );
    assert_eq!(merged.calendar["special"], calendar["special"]);
    Calendar::read(&merged.calendar, None).unwrap();
    let again = holidays.merge(&merged.calendar, false);
    assert_eq!((again.added.len(), &again.calendar), (0, &merged.calendar), "a second time changes nothing");
    let replaced = holidays.merge(&calendar, true);
    assert_eq!(replaced.removed, ["2026-06-05"]);
    assert_eq!(replaced.calendar["holidays"], json!(["10-03", "2026-02-18", "2026-02-19", "2026-04-03"]));
}

proptest! {
    /// Whatever stands in a file: it is read or refused, the days are in the years, and the line is one of the file.
    #[test]
    fn no_file_gets_past_the_bounds(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("BEGIN:VCALENDAR".to_owned()),
                Just("END:VCALENDAR".to_owned()),
                Just("BEGIN:VEVENT".to_owned()),
                Just("END:VEVENT".to_owned()),
                "DTSTART(;VALUE=DATE)?:(19|20|99)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])",
                "DTEND:20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])",
                "DURATION:P[0-9]{1,4}[DW]",
                "RRULE:FREQ=YEARLY(;INTERVAL=[0-9]{1,3})?(;COUNT=[0-9]{1,4})?(;BYMONTH=[0-9]{1,2})?(;BYDAY=-?[0-9]{0,2}(MO|SU))?(;BYMONTHDAY=-?[0-9]{1,2})?(;BYSETPOS=-?[1-9])?",
                "(EXDATE|RDATE|RECURRENCE-ID):20[0-9]{2}010[1-9]",
                "UID:[ab]",
                "[ -~]{0,20}",
                "\\PC{0,12}",
            ],
            0..40,
        ),
        whole in any::<bool>(),
    ) {
        let text = lines.join("\n");
        let text = if whole { format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20200229\n{text}\nEND:VEVENT\nEND:VCALENDAR") } else { text };
        match Holidays::read(&text, 2026, 2030) {
            Ok(holidays) => {
                prop_assert!(holidays.days.len() <= 4000);
                for (day, name) in &holidays.days {
                    prop_assert!(("2026-01-01"..="2030-12-31").contains(&day.as_str()), "{day}");
                    prop_assert!(!name.is_empty() && !name.contains(char::is_control));
                }
                let calendar = json!({ "week": { "mon": "09:00-10:00" } });
                prop_assert!(Calendar::read(&holidays.merge(&calendar, true).calendar, None).is_ok());
            }
            Err(error) => prop_assert!((1..=text.split('\n').count()).contains(&error.line), "{error}"),
        }
    }
}
