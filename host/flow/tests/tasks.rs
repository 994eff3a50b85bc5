//! Every kind of task, and what stands around a task: each row of PROFILE.md has a test here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{FlowError, Outcome};
use serde_json::{Value, json};
use support::{Fake, fault, output, parse, run};

const EXPRESSION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/expression";
const VALIDATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/validation";

#[tokio::test]
async fn set_makes_the_output() {
    let tasks =
        "do:\n- s:\n    set: { a: 1, b: '${ .x }', c: [ '${ .x + 1 }', text ], d: { e: '${ $input.x }' } }";
    assert_eq!(
        output(tasks, json!({"x": 5})).await,
        json!({"a": 1, "b": 5, "c": [6, "text"], "d": {"e": 5}})
    );
    assert_eq!(output("do:\n- s:\n    set: '${ .x }'", json!({"x": [1]})).await, json!([1]));
}

#[tokio::test]
async fn set_keeps_large_integers() {
    let tasks = "do:\n- s:\n    set: { a: '${ .x }', b: 18446744073709551615, c: '${ .x - 1 }' }";
    let found = output(tasks, json!({"x": u64::MAX})).await;
    assert_eq!(found, json!({"a": u64::MAX, "b": u64::MAX, "c": u64::MAX - 1}));
}

#[tokio::test]
async fn do_passes_each_output_on() {
    let tasks = "do:\n- outer:\n    do:\n    - a: { set: { l: '${ .l + [1] }' } }\n    - b: { set: { l: '${ .l + [2] }' } }\n- c: { set: { l: '${ .l + [3] }' } }";
    assert_eq!(output(tasks, json!({})).await, json!({"l": [1, 2, 3]}));
}

#[tokio::test]
async fn call_gives_arguments_and_takes_the_output() {
    let tasks = "do:\n- c:\n    call: crm/upsert-contact:^1.2@default\n    with: { name: '${ .name }', tags: [new] }\n- d:\n    call: crm/ping";
    let fx = Fake::echo();
    let found = run(&parse(tasks), json!({"name": "Ann"}), &fx).await;
    assert_eq!(found, Outcome::Completed(json!({})));
    let asked = fx.asked();
    assert_eq!(asked[0].what, "crm/upsert-contact:^1.2@default {\"name\":\"Ann\",\"tags\":[\"new\"]}");
    assert_eq!((asked[0].key.as_str(), asked[0].idempotency.as_str()), ("/do/0/c", "/do/0/c"));
    assert!(asked[0].host_retries);
    assert_eq!(asked[1].what, "crm/ping {}");
}

#[tokio::test]
async fn call_of_a_reusable_function() {
    let tasks = "use:\n  functions:\n    greet:\n      call: mail/send\n      with: { template: hello, to: '${ .mail }' }\ndo:\n- g:\n    call: greet\n    with: { language: en, template: bye }";
    let found = output(tasks, json!({"mail": "a@b.example"})).await;
    assert_eq!(found, json!({"template": "bye", "to": "a@b.example", "language": "en"}));
}

#[tokio::test]
async fn call_sites_are_listed() {
    let flow = parse(
        "do:\n- a:\n    call: crm/find\n    with: { q: '${ .x }' }\n- b:\n    try:\n    - c: { call: 'mail/send:^2' }\n    catch: {}",
    );
    let calls = flow.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!((calls[0].path.as_str(), calls[0].line, calls[0].column), ("/do/0/a", 4, 11));
    assert_eq!(calls[0].with, json!({"q": "${ .x }"}));
    assert_eq!(calls[1].path, "/do/1/b/try/0/c");
    assert_eq!(calls[1].function.to_string(), "mail/send:^2");
}

#[tokio::test]
async fn call_fault_carries_its_task() {
    let fx = Fake::new(|_, _, _| Err(FlowError::communication("down").with("kind", "technical")));
    let Outcome::Faulted(error) = run(&parse("do:\n- c: { call: a/b }"), json!({}), &fx).await else {
        panic!()
    };
    assert_eq!(error.instance.as_deref(), Some("/do/0/c"));
    assert_eq!(error.extra["kind"], "technical");
    assert_eq!(fx.events(), ["c started", "c faulted 500"]);
}

#[tokio::test]
async fn switch_takes_the_first_match() {
    let tasks = "do:\n- s:\n    switch:\n    - a: { when: '.n > 10', then: big }\n    - b: { when: '${ .n > 5 }', then: exit }\n    - c: { then: small }\n- big: { set: { r: big }, then: end }\n- small: { set: { r: small } }";
    assert_eq!(output(tasks, json!({"n": 11})).await, json!({"r": "big"}));
    assert_eq!(output(tasks, json!({"n": 6})).await, json!({"n": 6}));
    assert_eq!(output(tasks, json!({"n": 1})).await, json!({"r": "small"}));
}

#[tokio::test]
async fn switch_without_a_match_goes_on() {
    let tasks = "do:\n- s:\n    switch:\n    - a: { when: 'false', then: x }\n    then: y\n- x: { set: { r: x }, then: end }\n- y: { set: { r: y } }";
    assert_eq!(output(tasks, json!({})).await, json!({"r": "y"}));
}

#[tokio::test]
async fn for_feeds_each_iteration_to_the_next() {
    let tasks = "do:\n- f:\n    for: { each: v, in: .l, at: i }\n    while: '(.sum // 0) < 5'\n    do:\n    - s: { set: { sum: '${ (.sum // 0) + $v * ($i + 1) }', first: '${ $input }' } }";
    let found = output(tasks, json!({"l": [1, 2, 3, 4]})).await;
    assert_eq!(found["sum"], json!(5));
    assert_eq!(output(tasks, json!({"l": []})).await, json!({"l": []}));
}

#[tokio::test]
async fn for_has_default_names() {
    let tasks = "do:\n- f:\n    for: { in: '${ .l }' }\n    do:\n    - s: { call: a/b, with: { v: '${ $item }', i: '${ $index }' }, output: { as: '$input + {}' } }";
    let fx = Fake::echo();
    run(&parse(tasks), json!({"l": ["x", "y"]}), &fx).await;
    let asked = fx.asked();
    assert_eq!(asked[1].what, "a/b {\"i\":1,\"v\":\"y\"}");
    assert_eq!(fx.keys("call"), ["/do/0/f[0]/do/0/s", "/do/0/f[1]/do/0/s"]);
    assert_eq!(asked[1].pointer, "/do/0/f/do/0/s");
}

#[tokio::test]
async fn for_needs_a_list() {
    let error =
        fault("do:\n- f:\n    for: { in: .l }\n    do:\n    - s: { set: { a: 1 } }", json!({"l": 5})).await;
    assert!(error.is_type(EXPRESSION), "{error}");
    assert_eq!(
        error.to_string(),
        "Expression Error (400) at /do/0/f: `for.in` must give a list, not 5 (in `.l`)"
    );
}

#[tokio::test]
async fn exit_leaves_its_scope_and_end_the_flow() {
    let inner = |then: &str| {
        format!(
            "do:\n- outer:\n    do:\n    - a: {{ set: {{ r: a }}, then: {then} }}\n    - b: {{ set: {{ r: b }} }}\n- c: {{ set: {{ r: '${{ .r + \"c\" }}' }} }}"
        )
    };
    assert_eq!(output(&inner("exit"), json!({})).await, json!({"r": "ac"}));
    assert_eq!(output(&inner("end"), json!({})).await, json!({"r": "a"}));
    assert_eq!(output(&inner("continue"), json!({})).await, json!({"r": "bc"}));
    let looped = "do:\n- f:\n    for: { in: .l }\n    do:\n    - s: { set: { n: '${ $item }' } }\n    - t:\n        switch: [ { stop: { when: '.n == 2', then: exit } } ]";
    assert_eq!(output(looped, json!({"l": [1, 2, 3]})).await, json!({"n": 2}));
}

#[tokio::test]
async fn then_jumps_and_each_visit_has_its_key() {
    let tasks = "do:\n- count: { call: a/b, with: { n: '${ (.n // 0) + 1 }' } }\n- again:\n    switch: [ { more: { when: '.n < 3', then: count } } ]\n- done: { set: { n: '${ .n }' } }";
    let fx = Fake::echo();
    assert_eq!(run(&parse(tasks), json!({}), &fx).await, Outcome::Completed(json!({"n": 3})));
    assert_eq!(fx.keys("call"), ["/do/0/count", "/do/0/count#1", "/do/0/count#2"]);
}

#[tokio::test]
async fn endless_jumps_end() {
    let error = fault("do:\n- a: { set: { x: 1 } }\n- b: { set: { x: 2 }, then: a }", json!({})).await;
    assert!(error.detail.unwrap().contains("more than 100000 tasks"));
    // Nothing catches it.
    let tasks = "do:\n- t:\n    try:\n    - a: { set: { x: 1 }, then: a }\n    catch: { do: [ { b: { set: { caught: true } } } ] }";
    assert!(fault(tasks, json!({})).await.detail.unwrap().contains("more than 100000 tasks"));
}

#[tokio::test]
async fn if_sees_the_raw_input_before_anything_else() {
    let tasks = "do:\n- a: { if: '.kind == \"order\"', input: { schema: { document: { required: [order] } }, from: .order }, set: { id: '${ .id }' } }";
    assert_eq!(output(tasks, json!({"kind": "order", "order": {"id": 7}})).await, json!({"id": 7}));
    assert_eq!(output(tasks, json!({"kind": "other"})).await, json!({"kind": "other"}));
    assert!(fault(tasks, json!({"kind": "order"})).await.is_type(VALIDATION));
}

#[tokio::test]
async fn if_skips_a_task() {
    let tasks = "do:\n- a: { if: '.go', call: a/b, with: { r: 1 }, output: { as: 5 | tostring } }\n- b: { if: '${ .go | not }', set: { r: '${ . }' }, then: end }\n- c: { set: { r: c } }";
    let fx = Fake::echo();
    let found = run(&parse(tasks), json!({"go": false}), &fx).await;
    assert_eq!(found, Outcome::Completed(json!({"r": {"go": false}})));
    assert_eq!(fx.events(), ["a skipped", "b started", "b completed"]);
    assert!(fx.asked().is_empty());
}

#[tokio::test]
async fn input_output_and_export_transform() {
    let tasks = "input: { from: .body }\noutput: { as: '{ result: ., context: $context, was: $input }' }\ndo:\n- a:\n    input: { from: { n: '${ .n }', fixed: yes } }\n    call: a/b\n    with: { twice: '${ .n * 2 }', seen: '${ $input }' }\n    output: { as: .twice }\n    export: { as: '$context + { last: $output, input: $input.n }' }\n- b:\n    set: { v: '${ . }', from: '${ $context.last }' }";
    let found = output(tasks, json!({"body": {"n": 4}})).await;
    let expected =
        json!({"result": {"v": 8, "from": 8}, "context": {"last": 8, "input": 4}, "was": {"n": 4}});
    assert_eq!(found, expected);
}

#[tokio::test]
async fn schemas_guard_every_stage() {
    let schema = "{ schema: { document: { type: object, required: [x] } } }";
    for (tasks, place) in [
        (format!("input: {schema}\ndo:\n- a: {{ set: {{ x: 1 }} }}"), "/input/schema"),
        (format!("output: {schema}\ndo:\n- a: {{ set: {{ y: 1 }} }}"), "/output/schema"),
        (format!("do:\n- a: {{ input: {schema}, set: {{ x: 1 }} }}"), "/do/0/a"),
        (format!("do:\n- a: {{ output: {schema}, set: {{ y: 1 }} }}"), "/do/0/a"),
        (format!("do:\n- a: {{ export: {schema}, set: {{ y: 1 }} }}"), "/do/0/a"),
    ] {
        let error = fault(&tasks, json!({})).await;
        assert!(error.is_type(VALIDATION) && error.status == 400, "{error}");
        assert_eq!(error.instance.as_deref(), Some(place), "{tasks}");
        assert_eq!(error.detail.as_deref(), Some("\"x\" is a required property"));
    }
    let flow = parse(&format!("input: {schema}\ndo:\n- a: {{ set: {{ x: 1 }} }}"));
    assert!(flow.check_input(&json!({"x": 1})).is_ok());
    assert!(flow.check_input(&json!({})).unwrap_err().is_type(VALIDATION));
}

#[tokio::test]
async fn variables_say_where_a_run_is() {
    let tasks = "do:\n- a:\n    set:\n      id: ${ $workflow.id }\n      name: ${ $workflow.definition.document.name }\n      input: ${ $workflow.input.x }\n      started: ${ $workflow.startedAt.iso8601 }\n      task: ${ $task.name }\n      reference: ${ $task.reference }\n      definition: ${ $task.definition.metadata.note }\n      raw: ${ $task.input }\n      runtime: ${ $runtime.name }\n    metadata: { note: n }\n    output: { as: '. + { out: ($task.output | keys | length) }' }";
    let found = output(tasks, json!({"x": 7})).await;
    assert_eq!(
        found,
        json!({"id": "r1", "name": "flow", "input": 7, "started": "2026-01-01T00:00:00Z", "task": "a",
               "reference": "/do/0/a", "definition": "n", "raw": {"x": 7}, "runtime": "factotum", "out": 9})
    );
}

#[tokio::test]
async fn the_time_is_asked_only_when_needed() {
    let fx = Fake::echo();
    let tasks = "do:\n- a: { set: { t: '${ $task.startedAt.iso8601 }' } }\n- b: { set: { t: '${ .t }', n: '${ $task.name }' } }";
    let found = run(&parse(tasks), json!({}), &fx).await;
    assert_eq!(found, Outcome::Completed(json!({"t": "2026-01-01T00:00:00Z", "n": "b"})));
    assert_eq!(fx.keys("now"), ["/do/0/a!started"]);
}

#[tokio::test]
async fn wait_asks_for_its_duration() {
    let fx = Fake::echo();
    let tasks =
        "do:\n- a: { wait: { minutes: 1, seconds: 5 } }\n- b: { wait: PT2S }\n- c: { wait: '${ .d }' }";
    let found = run(&parse(tasks), json!({"d": "PT1H"}), &fx).await;
    assert_eq!(found, Outcome::Completed(json!({"d": "PT1H"})));
    let waits: Vec<String> = fx.asked().into_iter().map(|a| a.what).collect();
    assert_eq!(waits, ["65s", "2s", "3600s"]);
    let error = fault("do:\n- c: { wait: '${ .d }' }", json!({"d": "soon"})).await;
    assert!(
        error.is_type(EXPRESSION) && error.detail.unwrap().contains("\"soon\" is not an ISO 8601 duration")
    );
}

#[tokio::test]
async fn raise_inline_and_by_name() {
    let tasks = "use:\n  errors:\n    gone: { type: 'https://example.org/gone', status: 410, title: Gone, detail: '${ \"no \\(.id)\" }' }\ndo:\n- r: { raise: { error: gone } }";
    let error = fault(tasks, json!({"id": 7})).await;
    let expected = json!({"type": "https://example.org/gone", "status": 410, "title": "Gone", "detail": "no 7", "instance": "/do/0/r"});
    assert_eq!(error.to_value(), expected);
    let tasks =
        "do:\n- r:\n    raise:\n      error: { type: 'https://example.org/x', status: 400, instance: /here }";
    assert_eq!(fault(tasks, json!({})).await.instance.as_deref(), Some("/here"));
}

#[tokio::test]
async fn an_expression_error_is_the_dsls() {
    let error = fault("do:\n- a: { set: { x: '${ .a.b }' } }", json!({"a": 5})).await;
    assert_eq!(error.type_, EXPRESSION);
    assert_eq!((error.status, error.instance.as_deref()), (400, Some("/do/0/a")));
}

fn failing(times: usize) -> Fake {
    Fake::new(move |_, with, n| {
        if n <= times { Err(FlowError::communication("down").with_status(503)) } else { Ok(with.clone()) }
    })
}

#[tokio::test]
async fn try_catches_by_filter_and_condition() {
    let with = |catch: &str| {
        format!(
            "do:\n- t:\n    try:\n    - c: {{ call: a/b }}\n    catch: {catch}\n- after: {{ set: {{ got: '${{ . }}' }} }}"
        )
    };
    let caught =
        "do: [ { h: { set: { s: '${ $error.status }', i: '${ $error.instance }', k: '${ .k }' } } } ]";
    for (filter, catches) in [
        ("", true),
        ("errors: { with: { type: 'https://serverlessworkflow.io/dsl/errors/types/communication' } },", true),
        (
            "errors: { with: { type: 'https://open-workflow-specification.org/spec/1.0.0/errors/communication', status: 503 } },",
            true,
        ),
        ("errors: { with: { status: 404 } },", false),
        ("errors: { with: { details: down, title: Communication Error, instance: /do/0/t/try/0/c } },", true),
        ("errors: { with: { detail: up } },", false),
        ("when: '${ $error.status == 503 and .k == 1 }',", true),
        ("when: '.k == 2',", false),
        ("exceptWhen: '$error.status == 503',", false),
    ] {
        let flow = parse(&with(&format!("{{ {filter} {caught} }}")));
        let outcome = run(&flow, json!({"k": 1}), &failing(9)).await;
        let expected = json!({"got": {"s": 503, "i": "/do/0/t/try/0/c", "k": 1}});
        match outcome {
            Outcome::Completed(value) => assert!(catches && value == expected, "{filter}: {value}"),
            Outcome::Faulted(error) => assert!(!catches, "{filter}: {error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn try_names_the_error_and_drops_it_without_a_handler() {
    let tasks = "do:\n- t:\n    try: [ { c: { call: a/b } } ]\n    catch: { as: problem, do: [ { h: { set: { d: '${ $problem.detail }' } } } ] }";
    assert_eq!(run(&parse(tasks), json!({}), &failing(9)).await, Outcome::Completed(json!({"d": "down"})));
    let tasks = "do:\n- t:\n    try: [ { c: { call: a/b } } ]\n    catch: {}";
    assert_eq!(run(&parse(tasks), json!({"k": 1}), &failing(9)).await, Outcome::Completed(json!({"k": 1})));
}

#[tokio::test]
async fn an_error_in_the_handler_goes_up() {
    let tasks = "do:\n- outer:\n    try:\n    - t:\n        try: [ { c: { call: a/b } } ]\n        catch: { do: [ { h: { raise: { error: { type: 'https://example.org/x', status: 418 } } } } ] }\n    catch: { as: e, do: [ { g: { set: { at: '${ $e.instance }' } } } ] }";
    let found = run(&parse(tasks), json!({}), &failing(9)).await;
    assert_eq!(found, Outcome::Completed(json!({"at": "/do/0/outer/try/0/t/catch/do/0/h"})));
}

#[tokio::test]
async fn retry_attempts_keep_the_idempotency_path() {
    let tasks = "do:\n- t:\n    try:\n    - f:\n        for: { in: '[1]' }\n        do: [ { c: { call: a/b, with: { v: 1 } } } ]\n    catch:\n      retry:\n        delay: { seconds: 2 }\n        backoff: { exponential: {} }\n        jitter: { from: { seconds: 0 }, to: { seconds: 4 } }\n        limit: { attempt: { count: 3 } }";
    let fx = failing(2);
    assert_eq!(run(&parse(tasks), json!({}), &fx).await, Outcome::Completed(json!({"v": 1})));
    let calls: Vec<_> = fx.asked().into_iter().filter(|a| a.kind == "call").collect();
    let keys: Vec<_> = calls.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(
        keys,
        ["/do/0/t/try/0/f[0]/do/0/c", "/do/0/t~1/try/0/f[0]/do/0/c", "/do/0/t~2/try/0/f[0]/do/0/c"]
    );
    assert!(calls.iter().all(|a| a.idempotency == "/do/0/t/try/0/f[0]/do/0/c"));
    assert!(calls.iter().all(|a| a.pointer == "/do/0/t/try/0/f/do/0/c" && !a.host_retries));
    assert_eq!(fx.keys("wait"), ["/do/0/t!delay~1", "/do/0/t!delay~2"]);
    assert_eq!(fx.keys("random"), ["/do/0/t!jitter~1", "/do/0/t!jitter~2"]);
    let waits: Vec<_> = fx.asked().into_iter().filter(|a| a.kind == "wait").map(|a| a.what).collect();
    assert_eq!(waits, ["3s", "5s"]);
    assert!(fx.events().contains(&"t retrying 2 after 5s".to_owned()));
}

#[tokio::test]
async fn retry_gives_up_at_its_limits() {
    let with = |limit: &str, rest: &str| {
        format!(
            "do:\n- t:\n    try: [ {{ c: {{ call: a/b }} }} ]\n    catch:\n      retry: {{ delay: PT10S, limit: {{ {limit} }} {rest} }}"
        )
    };
    let calls = async |tasks: String| {
        let fx = failing(100);
        let outcome = run(&parse(&tasks), json!({}), &fx).await;
        let Outcome::Faulted(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.status, 503);
        fx.keys("call").len()
    };
    assert_eq!(calls(with("attempt: { count: 2 }", "")).await, 3);
    assert_eq!(calls(with("attempt: { count: 0 }", "")).await, 1);
    assert_eq!(calls(with("duration: { seconds: 35 }", "")).await, 4);
    assert_eq!(calls(with("attempt: { count: 100 }, duration: PT25S", "")).await, 3);
}

#[tokio::test]
async fn retry_asks_its_conditions_and_then_the_handler() {
    let tasks = "use:\n  retries:\n    soft: { when: '$problem.status == 503', exceptWhen: '.never', delay: PT1S, limit: { attempt: { count: 1 } } }\ndo:\n- t:\n    try: [ { c: { call: a/b } } ]\n    catch: { as: problem, retry: soft, do: [ { h: { set: { gave: up } } } ] }";
    let fx = failing(9);
    assert_eq!(run(&parse(tasks), json!({}), &fx).await, Outcome::Completed(json!({"gave": "up"})));
    assert_eq!(fx.keys("call").len(), 2);
    let fx = failing(9);
    assert_eq!(
        run(&parse(tasks), json!({"never": true}), &fx).await,
        Outcome::Completed(json!({"gave": "up"}))
    );
    assert_eq!(fx.keys("call").len(), 1);
}

#[tokio::test]
async fn the_context_starts_empty_and_errors_do_not_change_it() {
    let tasks = "do:\n- t:\n    try:\n    - a: { set: { x: 1 }, export: { as: '{ x: .x }' } }\n    - b: { call: a/b }\n    catch: { do: [ { h: { set: { c: '${ $context }' } } } ] }";
    assert_eq!(run(&parse(tasks), json!({}), &failing(9)).await, Outcome::Completed(json!({"c": {"x": 1}})));
    assert_eq!(output("do:\n- a: { set: { c: '${ $context }' } }", Value::Null).await, json!({"c": {}}));
}

#[tokio::test]
async fn a_delay_may_be_what_the_error_says_and_a_factor_may_be_stated() {
    let tasks = "do:
- t:
    try: [ { c: { call: a/b } } ]
    catch:
      as: e
      retry: { delay: '${ $e.wait // \"PT1S\" }', backoff: { exponential: { factor: 3 } }, limit: { attempt: { count: 3 } } }
";
    let fx = Fake::new(|_, _, _| Err(FlowError::communication("busy").with("wait", "PT4S")));
    assert!(matches!(run(&parse(tasks), json!({}), &fx).await, Outcome::Faulted(_)));
    let waits: Vec<String> = fx.asked().into_iter().filter(|a| a.kind == "wait").map(|a| a.what).collect();
    assert_eq!(waits, ["4s", "12s", "36s"]);
    let fx = Fake::new(|_, _, _| Err(FlowError::communication("busy").with("wait", "soon")));
    let Outcome::Faulted(error) = run(&parse(tasks), json!({}), &fx).await else { panic!() };
    assert_eq!((error.status, fx.asked().len()), (400, 1), "{error}");
}
