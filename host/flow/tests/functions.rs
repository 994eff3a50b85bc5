//! `use.functions`: tasks that are called by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::Outcome;
use serde_json::json;
use support::{Fake, fault, output, parse, problems, run};

const GREET: &str = "use:
  functions:
    greet:
      input: { schema: { document: { required: [name] } } }
      do:
      - ask: { call: crm/find, with: { name: '${ .name }' } }
      - say: { set: { text: '${ \"Hello \\(.name)\" }' } }
      output: { as: .text }
do:
- each:
    for: { in: '[\"Ann\", \"Bob\"]' }
    do: [ { hello: { call: greet, with: { name: '${ $item }' } } } ]
- last: { call: greet, with: { name: '${ . }' }, output: { as: '{ t: . }' } }
";

#[tokio::test]
async fn a_task_is_called_by_name_with_its_input() {
    let flow = parse(GREET);
    let fx = Fake::echo();
    let outcome = run(&flow, json!({}), &fx).await;
    assert_eq!(outcome, Outcome::Completed(json!({"t": "Hello Hello Bob"})));
    assert_eq!(
        fx.keys("call"),
        [
            "/do/0/each[0]/do/0/hello!greet/do/0/ask",
            "/do/0/each[1]/do/0/hello!greet/do/0/ask",
            "/do/1/last!greet/do/0/ask"
        ]
    );
    assert_eq!(fx.asked()[0].pointer, "/use/functions/greet/do/0/ask");
    // The same place is resolved once, however often it is called.
    let sites: Vec<&str> = flow.calls().iter().map(|c| c.path.as_str()).collect();
    assert_eq!(sites, ["/use/functions/greet/do/0/ask"]);
}

#[tokio::test]
async fn a_function_checks_its_input_and_may_end_the_flow() {
    let error = fault(&GREET.replace("with: { name: '${ . }' }", "with: { nam: x }"), json!({})).await;
    assert_eq!((error.status, error.instance.as_deref()), (400, Some("/use/functions/greet")));
    let tasks = "use: { functions: { stop: { set: { r: over }, then: end } } }\ndo:\n- a: { call: stop }\n- b: { call: a/never }";
    assert_eq!(output(tasks, json!({})).await, json!({"r": "over"}));
}

#[test]
fn what_is_wrong_with_a_function_is_told_at_the_function() {
    for (tasks, expected) in [
        (
            "use: { functions: { f: { do: [ { a: { call: f } } ] } } }\ndo:\n- a: { call: f }",
            "/use/functions/f/do/0/a/call: the function \"f\" calls itself; repeat with `for`",
        ),
        (
            "use: { functions: { f: { set: { x: '${ $item }' } } } }\ndo:\n- l: { for: { in: '[1]' }, do: [ { a: { call: f } } ] }",
            "/use/functions/f/set/x: $item is not known here",
        ),
        (
            "use: { functions: { unused: { sett: 1 } } }\ndo:\n- a: { set: { x: 1 } }",
            "/use/functions/unused: this task does nothing",
        ),
        (
            "use: { functions: { f: { set: { x: 1 } } } }\ndo:\n- a: { call: f, with: [1] }",
            "`with` must be an object: the function's input",
        ),
        (
            "use: { functions: { f: { set: { x: 1 } } } }\ndo:\n- a: { call: f, metadata: { grants: {} } }",
            "and `call: f` is neither",
        ),
    ] {
        let found = problems(tasks);
        assert!(found.contains(expected), "{tasks}\n  expected: {expected}\n  found: {found}");
    }
    let flow = parse(
        "use: { functions: { unused: { call: crm/find, output: { as: . } } } }\ndo:\n- a: { set: { x: 1 } }",
    );
    assert!(flow.calls().is_empty());
}
