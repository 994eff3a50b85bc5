//! Which records of a journal a retry sets aside.

use std::collections::HashSet;

use factotum_flow::FlowError;
use serde_json::Value;

use crate::journal::{Outcome, ReadRecord, Record};
use crate::place::{beside, is_within, place};
use crate::runs::live::Live;

/// The most places that an error lists for a person to choose from.
const MAX_LISTED: usize = 20;

/// What is set aside.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// The place from which on the run is done again; `None` when it only goes on.
    pub from: Option<String>,
    /// The numbers of the records, ascending.
    pub aside: Vec<u64>,
}

impl Cut {
    /// The numbers as stretches.
    pub fn stretches(&self) -> Vec<(u64, u64)> {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for number in &self.aside {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                _ => stretches.push((*number, *number)),
            }
        }
        stretches
    }
}

/// The place of a record that answers something.
pub(super) fn place_of(record: &ReadRecord) -> Option<String> {
    match record {
        Record::Called { key, .. }
        | Record::AttemptFailed { key, .. }
        | Record::Waiting { key, .. }
        | Record::Waited { key, .. }
        | Record::Time { key, .. }
        | Record::Decided { key, .. }
        | Record::Late { key, .. }
        | Record::Promised { key, .. }
        | Record::Kept { key, .. }
        | Record::Subscribed { key, .. }
        | Record::Heard { key, .. }
        | Record::Unsubscribed { key, .. } => Some(place(key)),
        Record::Started { .. }
        | Record::Finished { .. }
        | Record::Stuck { .. }
        | Record::Cancelled { .. }
        | Record::Held { .. }
        | Record::Unheld { .. }
        | Record::Reopened { .. } => None,
    }
}

/// Sets aside what happened from a task's execution on: at it, inside of it, and after it, but for branches that ran
/// beside it. `from` is a key as the run's history shows it, with or without the numbers of tasks in their lists.
pub(super) fn from(live: &Live, from: &str) -> Result<Cut, String> {
    let wanted = place(from);
    let places: Vec<(u64, String)> = (0..)
        .zip(&live.records)
        .filter_map(|(number, record)| Some((number, place_of(record.as_ref()?)?)))
        .collect();
    let known = |wanted: &str| places.iter().find(|(_, place)| is_within(place, wanted)).map(|(n, _)| *n);
    // Someone may have left the numbers out.
    let (wanted, first) = match (known(&wanted), known(from)) {
        (Some(first), _) => (wanted, first),
        (None, Some(first)) => (from.to_owned(), first),
        (None, None) => return Err(nothing_there(from, &places)),
    };
    let aside = places
        .iter()
        .filter(|(number, place)| {
            let later = *number > first && !beside(place, &wanted);
            is_within(place, &wanted) || later || is_clock_of(place, &wanted)
        })
        .map(|(number, _)| *number)
        .collect();
    Ok(Cut { from: Some(wanted), aside })
}

/// Whether a place holds the time limit of a task around another place: what is done again gets its time anew.
fn is_clock_of(place: &str, inside: &str) -> bool {
    place.strip_suffix("!timeout").is_some_and(|around| is_within(inside, around))
}

fn nothing_there(from: &str, places: &[(u64, String)]) -> String {
    let shown: String = from.chars().take(200).collect();
    let mut listed: Vec<&str> = Vec::new();
    for (_, place) in places {
        let task = place.split('!').next().unwrap_or(place);
        if !listed.contains(&task) && listed.len() < MAX_LISTED {
            listed.push(task);
        }
    }
    if listed.is_empty() {
        return format!("nothing happened at {shown:?}: the run has done nothing that could be done again");
    }
    format!("nothing happened at {shown:?}; something did at: {}", listed.join(", "))
}

impl Cut {
    /// Also sets aside what the run waited for when it ended: nobody will bring that any more, so it is asked for anew.
    pub fn and_open_promises(mut self, live: &Live) -> Self {
        let over: HashSet<String> = live
            .records
            .iter()
            .flatten()
            .filter_map(|record| match record {
                Record::Kept { key, .. } | Record::Late { key, .. } => Some(place(key)),
                _ => None,
            })
            .collect();
        let open = (0..).zip(&live.records).filter_map(|(number, record)| match record {
            Some(Record::Promised { key, .. }) if !over.contains(&place(key)) => Some(number),
            _ => None,
        });
        self.aside.extend(open);
        self.aside.sort_unstable();
        self.aside.dedup();
        self
    }

    /// The promises among what is set aside, by their places.
    pub fn promises<'l>(&'l self, live: &'l Live) -> impl Iterator<Item = String> + 'l {
        self.aside.iter().filter_map(|number| {
            match live.records.get(usize::try_from(*number).ok()?)?.as_ref()? {
                Record::Promised { key, .. } => Some(place(key)),
                _ => None,
            }
        })
    }
}

/// Sets aside the failure that ended a run; nothing when that was no effect's, but the flow's own.
pub(super) fn failure(live: &Live) -> Option<Cut> {
    let error = live.records.iter().rev().flatten().find_map(|record| match record {
        Record::Finished { outcome: Outcome::Error(error), .. } => Some(error),
        _ => None,
    })?;
    let instance = error.instance.as_deref()?;
    let late = (0_u64..).zip(&live.records).filter_map(|(_, record)| match record {
        Some(Record::Late { key, task, .. }) if task.starts_with(instance) || instance == "/timeout" => {
            Some(key)
        }
        _ => None,
    });
    let late = late.last();
    let failed = (0_u64..).zip(&live.records).filter_map(|(number, record)| match record {
        Some(
            Record::Called { key, task, outcome: Outcome::Error(error), .. }
            | Record::Kept { key, task, outcome: Outcome::Error(error), .. },
        ) if task == instance => Some((number, key, error)),
        _ => None,
    });
    let failed: Option<(u64, &String, &FlowError)> = failed.last();
    from(live, failed.map(|(_, key, _)| key).or(late)?).ok()
}

/// Behind the place of a task: what takes its work back. A request that is described has another one before it.
const UNDOES: &str = "!compensate";

/// Sets aside what could not take back what it should: a run that was parked over it tries that once more.
pub(super) fn unwinding(live: &Live) -> Option<Cut> {
    let done: HashSet<String> = taken_back(live).collect();
    let tried = |place: &str| {
        let (of, _) = place.split_once(UNDOES)?;
        (!done.contains(of)).then(|| format!("{of}{UNDOES}"))
    };
    let aside: Vec<(u64, String)> = (0_u64..)
        .zip(&live.records)
        .filter_map(|(number, record)| Some((number, tried(&place_of(record.as_ref()?)?)?)))
        .collect();
    let (_, first) = aside.first()?;
    Some(Cut { from: Some(first.clone()), aside: aside.iter().map(|(number, _)| *number).collect() })
}

/// The places of the tasks whose work was taken back.
pub(super) fn taken_back(live: &Live) -> impl Iterator<Item = String> + '_ {
    live.records.iter().flatten().filter_map(|record| match record {
        Record::Called { key, outcome: Outcome::Value(_), .. }
        | Record::Kept { key, outcome: Outcome::Value(_), .. } => {
            place(key).strip_suffix(UNDOES).map(str::to_owned)
        }
        _ => None,
    })
}

/// The calls among the records, with their functions.
pub(super) fn calls<'l>(
    live: &'l Live,
    numbers: &[u64],
) -> impl Iterator<Item = (&'l str, &'l str, &'l Outcome<Value, FlowError>)> {
    let numbers = numbers.to_vec();
    numbers.into_iter().filter_map(|number| {
        match live.records.get(usize::try_from(number).ok()?)?.as_ref()? {
            Record::Called { key, function, outcome, .. } => Some((key.as_str(), function.as_str(), outcome)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::WriteRecord;
    use crate::runs::live::live;
    use factotum_provenance::Labels;
    use serde_json::json;

    fn journal(records: &[(&str, bool)], instance: &str) -> Live {
        let (value, error) = (json!(1), FlowError::communication("down").at(instance));
        let mut all: Vec<Vec<u8>> = vec![
            WriteRecord::encode(&Record::Started { at: 1, input: &value, from: Labels::default() }).unwrap(),
        ];
        for (key, fine) in records {
            let record: WriteRecord<'_> = Record::Called {
                key: (*key).to_owned(),
                task: (*key).split(['[', '#', '~', '!']).next().unwrap().to_owned(),
                function: "crm/x".into(),
                at: 2,
                elapsed_ms: 1,
                attempt: 1,
                from: Labels::default(),
                outcome: if *fine { Outcome::Value(&value) } else { Outcome::Error(&error) },
            };
            all.push(record.encode().unwrap());
        }
        let end: WriteRecord<'_> = Record::Finished { at: 3, outcome: Outcome::Error(&error) };
        all.push(end.encode().unwrap());
        live((0..).zip(all.iter().map(Vec::as_slice))).unwrap()
    }

    #[test]
    fn everything_from_a_task_in_a_loop_on_is_set_aside() {
        let live = journal(
            &[
                ("/do/0/a", true),
                ("/do/1/l[0]/do/0/x", true),
                ("/do/1/l[0]/do/1/y", true),
                ("/do/1/l[1]/do/0/x", true),
                ("/do/2/b", true),
            ],
            "/do/2/b",
        );
        let cut = from(&live, "/do/1/l[0]/do/1/y").unwrap();
        assert_eq!((cut.aside.as_slice(), cut.stretches()), ([3, 4, 5].as_slice(), vec![(3, 5)]));
        assert_eq!(from(&live, "/do/l[1]").unwrap().aside, [4, 5], "also without numbers");
        assert_eq!(from(&live, "/do/1/l").unwrap().aside, [2, 3, 4, 5], "a whole loop");
        let none = from(&live, "/do/9/z").unwrap_err();
        assert!(none.contains("/do/l[0]/do/x"), "{none}");
    }

    #[test]
    fn a_branch_that_ran_beside_is_kept() {
        let live = journal(
            &[
                ("/do/0/f/fork/branches/0/a/do/0/x", true),
                ("/do/0/f/fork/branches/1/b/do/0/y", true),
                ("/do/0/f/fork/branches/0/a/do/1/z", true),
                ("/do/1/c", true),
            ],
            "/do/1/c",
        );
        let cut = from(&live, "/do/0/f/fork/branches/0/a/do/0/x").unwrap();
        assert_eq!(cut.stretches(), vec![(1, 1), (3, 4)]);
    }

    #[test]
    fn the_failure_that_ended_a_run_is_found_and_a_caught_one_is_left() {
        let live = journal(
            &[("/do/0/t/try/0/x", false), ("/do/1/l[0]/do/0/y", true), ("/do/1/l/do/0/y", false)],
            "/do/1/l/do/0/y",
        );
        assert_eq!(failure(&live).unwrap().aside, [3]);
        let own = journal(&[("/do/0/x", true)], "/do/1/raise");
        assert_eq!(failure(&own), None, "a failure of the flow's own comes again by itself");
    }
}
