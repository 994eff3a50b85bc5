//! Files of holidays (iCalendar, RFC 5545) as an administrator loads them from anywhere: read within bounds or refused with
//! a line of the file, and what is read makes a calendar.
#![no_main]

use factotum_flow::{Calendar, Holidays};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Holidays::read(text, 2026, 2046) {
        Ok(holidays) => {
            assert!(holidays.days.len() <= 4000);
            for (day, name) in &holidays.days {
                assert!(("2026-01-01"..="2046-12-31").contains(&day.as_str()), "{day}");
                assert!(!name.is_empty() && name.chars().count() <= 400 && !name.contains(char::is_control));
            }
            let calendar = json!({ "week": { "mon": "09:00-10:00" }, "holidays": ["2026-01-01", "12-25"] });
            let merged = holidays.merge(&calendar, false);
            assert!(Calendar::read(&merged.calendar, None).is_ok());
            let again = holidays.merge(&merged.calendar, false);
            assert!(
                again.added.is_empty() && again.calendar == merged.calendar,
                "a second time changes nothing"
            );
        }
        Err(error) => assert!((1..=text.split('\n').count()).contains(&error.line), "{error}"),
    }
});
