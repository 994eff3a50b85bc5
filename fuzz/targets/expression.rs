//! Expressions of flows on data of strangers: each ends, within its bounds, and the same way again.
//!
//! An input is an expression (jq), and behind a line `=====` the JSON that it works on.
#![no_main]

#[path = "../common/effects.rs"]
mod effects;
#[path = "../common/quiet.rs"]
mod quiet;

use std::sync::Once;

use cap::Cap;
use factotum_flow::{Flow, Outcome};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// What compiling and evaluating may take at one time.
const MOST_BYTES: usize = 1 << 30;
/// The longest result, as JSON: each character of a bounded text may need six.
const MOST_OUTPUT: usize = 6 * (16 << 20) + 1024;

static QUIET: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    QUIET.call_once(quiet::panics_of_jq);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (expression, input) = text.split_once("\n=====\n").unwrap_or((text, ""));
    let input: Value = serde_json::from_str(input)
        .unwrap_or_else(|_| json!({"a": [1, "b", null, {"c": 2.5}], "n": -7, "s": "aä\u{1F600}", "t": true}));
    let document = json!({
        "document": {"dsl": "1.0.3", "namespace": "fuzz", "name": "expression", "version": "1.0.0"},
        "do": [{"set": {"set": {"x": format!("${{ {expression} }}")}}}],
    });
    MEMORY.set_limit(MEMORY.allocated() + MOST_BYTES).expect("room");
    if let Ok(flow) = Flow::parse(&document.to_string(), "fuzz.json")
        && let Outcome::Completed(output) = effects::run_twice(&flow, &input)
    {
        assert!(output.to_string().len() <= MOST_OUTPUT, "a result is bounded");
    }
    MEMORY.set_limit(usize::MAX).expect("no bound");
});
