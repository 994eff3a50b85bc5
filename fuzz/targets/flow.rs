//! Flow documents as strangers write them: read, and when they are sound, run twice.
//!
//! An input is a document (YAML or JSON), and behind a line `=====` the JSON of a run's input.
#![no_main]

#[path = "../common/effects.rs"]
mod effects;
#[path = "../common/quiet.rs"]
mod quiet;

use std::sync::Once;

use cap::Cap;
use factotum_flow::{Flow, Schedule};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// What reading and running may take at one time.
const MOST_BYTES: usize = 1 << 30;

static QUIET: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    QUIET.call_once(quiet::panics_of_jq);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (document, input) = text.split_once("\n=====\n").unwrap_or((text, ""));
    let input: Value = serde_json::from_str(input).unwrap_or_else(|_| json!({"text": "x", "n": 3}));
    MEMORY.set_limit(MEMORY.allocated() + MOST_BYTES).expect("room");
    look_at(document, &input);
    MEMORY.set_limit(usize::MAX).expect("no bound");
});

fn look_at(document: &str, input: &Value) {
    let flow = match Flow::parse(document, "fuzz.yaml") {
        Ok(flow) => flow,
        Err(problems) => {
            // Whatever YAML or an editor takes for the end of a line; and the end of the text is behind the last.
            let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            let lines = document.matches(breaks).count() + 2;
            assert!(problems.iter().next().is_some(), "refused, and nothing is wrong");
            for problem in problems.iter() {
                assert!(
                    (1..=lines).contains(&problem.line) && problem.column >= 1,
                    "{problem} of {lines} lines"
                );
                assert!(problem.path.is_empty() || problem.path.starts_with('/'), "{problem}");
            }
            return;
        }
    };
    assert!(flow.definition().is_object() && flow.id().contains('/'));
    if let Some(key) = flow.trigger().and_then(|trigger| trigger.dedupe.as_ref()) {
        let _ = key.key(&json!({"body": input, "headers": {"content-type": "application/json"}}));
    }
    match flow.schedule() {
        Some(Schedule::On(events)) => {
            assert!(events.subscription().any_of.len() <= 100);
            let _ = events.accepts(input);
        }
        Some(schedule) => {
            let now = 1_767_225_600_000;
            if let Some(next) = schedule.next_after(now, now) {
                assert!(next > now, "{schedule:?} at {next}");
            }
        }
        None => {}
    }
    let _ = flow.check_input(input);
    effects::run_twice(&flow, input);
}
