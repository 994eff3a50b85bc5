//! The calendars that a host would keep, for flows' tests: written beside the cases, or in files as administrators set them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use factotum_flow::Calendar;
use serde_json::Value;

/// The largest file of a calendar, in bytes.
const MAX_BYTES: u64 = 256 * 1024;
/// The most calendars of one file of cases.
const MAX_CALENDARS: usize = 100;

/// Calendars by the names under which flows ask for them.
pub(super) type Calendars = BTreeMap<String, Arc<Calendar>>;

/// Reads what stands under `calendars`: by name, a calendar, or the file that holds one, seen from `folder`.
pub(super) fn read(written: &BTreeMap<String, Value>, folder: &Path) -> Result<Calendars, String> {
    if written.len() > MAX_CALENDARS {
        return Err(format!("at most {MAX_CALENDARS} calendars stand beside cases"));
    }
    written
        .iter()
        .map(|(name, value)| {
            let wrong = |why: String| format!("the calendar {name}: {why}");
            let from_file =
                value.as_str().map(|file| of_file(&folder.join(file))).transpose().map_err(wrong)?;
            let calendar = Calendar::read(from_file.as_ref().unwrap_or(value), None).map_err(|problem| {
                let place = match problem.path.is_empty() {
                    true => String::new(),
                    false => format!("{}: ", problem.path.join("/")),
                };
                wrong(format!("{place}{}; {}", problem.message, problem.hint))
            })?;
            Ok((name.clone(), Arc::new(calendar)))
        })
        .collect()
}

fn of_file(file: &Path) -> Result<Value, String> {
    let name = file.display().to_string();
    let opened = std::fs::File::open(file).map_err(|error| format!("{name}: {error}"))?;
    let mut text = String::new();
    let read =
        opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("{name}: {error}"))?;
    if read as u64 > MAX_BYTES {
        return Err(format!("{name} has more than {MAX_BYTES} bytes"));
    }
    factotum_flow::read_yaml(&text, &name).map_err(|problem| problem.to_string())
}
