//! Where values come from, followed through every kind of task.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use async_trait::async_trait;
use factotum_flow::{
    Answer, Ask, Call, Deadline, Effects, Emit, Flow, FlowError, HttpCall, Outcome, Position, Script, Stop,
    Subflow, Subscription, TaskEvent,
};
use factotum_provenance::{Label, Labels, Provenance};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;
use support::{parse, problems, start};

/// Plugins that give back their own name and their arguments; `p/fail` fails and says what it was given. All calls are
/// noted with where their arguments come from.
#[derive(Default)]
struct Plugins {
    seen: Mutex<Vec<(String, Value, Provenance)>>,
}

#[async_trait]
impl Effects for Plugins {
    async fn call(&self, _: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
        let plugin = call.function.plugin.clone();
        self.seen.lock().unwrap().push((plugin.clone(), call.with.clone(), call.from.clone()));
        let result = if call.function.function == "fail" {
            Err(FlowError::communication(format!("<{plugin}> {}", call.with)))
        } else {
            Ok(json!({ "word": format!("<{plugin}>"), "given": call.with }))
        };
        Ok(Answer { result, from: Labels::from_origin(&plugin, None) })
    }

    async fn http(&self, _: &Position, call: &HttpCall<'_>) -> Result<Answer, Stop> {
        let asked = ("http".to_owned(), json!({"uri": call.uri, "body": call.body}), call.from.clone());
        self.seen.lock().unwrap().push(asked);
        Ok(Answer { result: Ok(json!({"word": "<web>"})), from: Labels::from_origin("web", None) })
    }

    async fn emit(&self, _: &Position, emit: &Emit) -> Result<Answer, Stop> {
        self.seen.lock().unwrap().push(("emit".into(), emit.event.clone(), emit.from.clone()));
        Ok(Ok(emit.event.clone()).into())
    }

    async fn event(
        &self,
        _: &Position,
        nth: u64,
        _: &Subscription,
        _: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        let origin = format!("event{nth}");
        let event = json!({"type": "a", "data": {"word": format!("<{origin}>")}});
        Ok(Answer { result: Ok(event), from: Labels::from_origin(&origin, None) })
    }

    async fn subflow(&self, _: &Position, flow: &Subflow) -> Result<Answer, Stop> {
        self.seen.lock().unwrap().push(("subflow".into(), flow.input.clone(), flow.from.clone()));
        Ok(Answer { result: Ok(json!({"word": "<child>"})), from: Labels::from_origin("child", None) })
    }

    async fn script(&self, _: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        Ok(Ok(json!({"code": 0, "stdout": script.arguments.join(" "), "stderr": ""})).into())
    }

    async fn ask(&self, _: &Position, ask: &Ask<'_>) -> Result<Answer, Stop> {
        self.seen.lock().unwrap().push(("ask".into(), ask.with.clone(), ask.from.clone()));
        Ok(Answer { result: Ok(json!({"word": "<person>"})), from: Labels::from_origin("person", None) })
    }

    async fn wait(&self, _: &Position, _: Duration, _: Option<Deadline>) -> Result<(), Stop> {
        Ok(())
    }

    async fn deadline(&self, _: &Position, after: Duration) -> Result<Deadline, Stop> {
        Ok(Deadline(after.as_secs()))
    }

    fn decided(&self, _: &Position) -> Option<Value> {
        None
    }

    async fn decide(&self, _: &Position, _: &Value) -> Result<(), Stop> {
        Ok(())
    }

    async fn random(&self, _: &Position) -> Result<f64, Stop> {
        Ok(0.5)
    }

    async fn now(&self, _: &Position) -> Result<String, Stop> {
        Ok("2026-01-01T00:00:00Z".into())
    }

    fn observe(&self, _: &Position, _: &TaskEvent<'_>) {}
}

async fn seen(flow: &Flow, input: Value) -> (Outcome, Vec<(String, Value, Provenance)>) {
    let plugins = Plugins::default();
    let outcome = flow.run(&start(input), &plugins).await;
    (outcome, plugins.seen.into_inner().unwrap())
}

/// Runs tasks with two contacts as input, and says what the last call was given: each argument with its labels.
async fn given(tasks: &str) -> String {
    let flow = parse(tasks);
    let (outcome, seen) = seen(&flow, json!({"text": "<trigger>", "n": 3})).await;
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let (_, with, from) = seen.last().unwrap().clone();
    let words: Vec<String> =
        with.as_object().unwrap().keys().map(|key| format!("{key}: {}", from.member(key).total())).collect();
    words.join("; ")
}

/// What comes after the CRM was asked, as the last call's `x` carries it.
async fn after(tasks: &str) -> String {
    given(&format!("do:\n{CRM}{tasks}- last: {{ call: p/send, with: {{ x: '${{ . }}' }} }}\n")).await
}

#[tokio::test]
async fn everything_that_leaves_and_comes_back_is_followed() {
    for (tasks, expected) in [
        (
            "- a: { fork: { branches: [ { b: { set: '${ .word }' } }, { c: { call: erp/get } } ] } }\n",
            "x: crm, erp",
        ),
        (
            "- a: { fork: { compete: true, branches: [ { b: { set: { n: 1 } } }, { c: { call: erp/get } } ] } }\n",
            "x: ",
        ),
        (
            "- a: { call: http, with: { method: get, endpoint: 'https://x.example/', body: '${ .word }' } }\n",
            "x: crm, web",
        ),
        ("- a: { call: http, with: { method: get, endpoint: 'https://x.example/{word}' } }\n", "x: crm, web"),
        (
            "- a: { call: http, with: { method: get, endpoint: { uri: 'https://x.example/', authentication: { bearer: { token: '${ .word }' } } } } }\n",
            "x: crm, web",
        ),
        ("- a: { call: http, with: { method: get, endpoint: 'https://x.example/' } }\n", "x: web"),
        (
            "- a: { emit: { event: { with: { source: 'https://x.example', type: a, data: '${ .word }' } } }, output: { as: .data } }\n",
            "x: crm",
        ),
        (
            "- a: { emit: { event: { with: { source: 'https://x.example', type: a, data: '${ .word }' } } }, output: { as: .type } }\n",
            "x: ",
        ),
        ("- a: { listen: { to: { any: [], until: '(. | length) == 2' } } }\n", "x: event0, event1"),
        (
            "- a: { run: { workflow: { namespace: n, name: f, version: latest, input: { w: '${ .word }' } } } }\n",
            "x: child, crm",
        ),
        ("- a: { run: { script: { language: js, code: '1', arguments: [ '${ .word }' ] } } }\n", "x: crm"),
        ("- a: { call: human-task, with: { title: '${ .word }', group: g } }\n", "x: crm, person"),
    ] {
        assert_eq!(after(tasks).await, expected, "{tasks}");
    }
}

#[tokio::test]
async fn a_request_tells_its_parts_apart() {
    let flow = parse(&format!(
        "do:\n{CRM}- h: {{ call: http, with: {{ method: post, endpoint: 'https://x.example/', headers: {{ k: '${{ $workflow.input.n | tostring }}' }}, body: '${{ .word }}' }}, input: {{ from: '. + {{ n: 1 }}' }} }}"
    ));
    let (_, seen) = seen(&flow, json!({"n": 3})).await;
    let (_, _, from) = seen.last().unwrap();
    assert_eq!(from.member("headers").total().to_string(), "trigger");
    assert_eq!(from.member("body").total().to_string(), "crm");
    assert!(from.member("uri").total().is_empty() && from.member("query").total().is_empty());
}

const CRM: &str = "- crm: { call: crm/get, with: { id: 7 }, export: { as: '$context + { contact: . }' } }\n";

#[tokio::test]
async fn a_call_gives_its_own_data_and_that_of_its_arguments() {
    let tasks = format!(
        "do:\n{CRM}- c: {{ call: classifier/classify, with: {{ x: '${{ $input.word }}', t: '${{ $workflow.input.text }}', k: fixed }} }}\n- s: {{ call: chat/send, with: {{ all: '${{ . }}' }} }}"
    );
    assert_eq!(given(&tasks).await, "all: classifier, crm, trigger");
    let tasks = format!(
        "do:\n{CRM}- s: {{ call: chat/send, with: {{ x: '${{ .word }}', t: '${{ $workflow.input.text }}', k: fixed }} }}"
    );
    assert_eq!(given(&tasks).await, "k: ; t: trigger; x: crm");
}

#[tokio::test]
async fn set_keeps_members_apart() {
    let tasks = format!(
        "do:\n{CRM}- s: {{ set: {{ a: '${{ .word }}', b: {{ c: '${{ $workflow.input.text }}', d: 1 }}, l: [ '${{ .word }}' ] }} }}\n- s2: {{ call: chat/send, with: {{ a: '${{ .a }}', c: '${{ .b.c }}', d: '${{ .b.d }}', b: '${{ .b }}', l: '${{ .l[0] }}', o: '${{ {{x: .b.c}} }}' }} }}"
    );
    assert_eq!(given(&tasks).await, "a: crm; b: trigger; c: trigger; d: ; l: crm; o: trigger");
}

#[tokio::test]
async fn input_from_output_as_and_export_are_followed() {
    let tasks = format!(
        "do:\n{CRM}- s:\n    input: {{ from: '{{ w: .word, t: $workflow.input.text }}' }}\n    set: {{ w: '${{ .w }}', t: '${{ .t }}' }}\n    output: {{ as: '{{ only: .t, gone: $task.input.word }}' }}\n    export: {{ as: '$context + {{ t: $output.only }}' }}\n- c: {{ call: chat/send, with: {{ only: '${{ .only }}', gone: '${{ .gone }}', t: '${{ $context.t }}', contact: '${{ $context.contact.word }}', task: '${{ $task.name }}' }} }}"
    );
    assert_eq!(given(&tasks).await, "contact: crm; gone: crm; only: trigger; t: trigger; task: ");
}

#[tokio::test]
async fn loops_and_switches_are_followed() {
    let tasks = format!(
        "do:\n{CRM}- f:\n    for: {{ each: w, in: '[.word, .word]', at: i }}\n    do:\n    - s: {{ set: {{ w: '${{ $w }}', n: '${{ $i }}', before: '${{ .w }}', t: '${{ $workflow.input.n }}' }} }}\n- go: {{ switch: [ {{ one: {{ when: '.n == 1', then: send }} }} ] }}\n- never: {{ set: {{ w: x }} }}\n- send: {{ call: chat/send, with: {{ w: '${{ .w }}', t: '${{ .t }}', before: '${{ .before }}', n: '${{ .n }}' }} }}"
    );
    assert_eq!(given(&tasks).await, "before: crm; n: crm; t: trigger; w: crm");
}

#[tokio::test]
async fn errors_carry_the_data_that_they_may_quote() {
    let catch = "catch: { as: e, do: [ { send: { call: chat/send, with: { d: '${ $e.detail }', t: '${ $e.type }', n: fixed } } } ] }";
    for (task, labels) in [
        (
            "{ call: erp/fail, with: { w: '${ .word }', n: '${ $workflow.input.n }' } }".to_owned(),
            "crm, erp, trigger",
        ),
        ("{ raise: { error: { type: 'https://x.test/e', status: 400, detail: '${ .word }' } } }".to_owned(), "crm"),
        ("{ set: { n: '${ .word + 1 }' } }".to_owned(), "crm"),
        ("{ set: { n: '${ $workflow.input.text | error }' } }".to_owned(), "crm, trigger"),
        ("{ for: { in: .word }, do: [ { x: { set: { a: 1 } } } ] }".to_owned(), "crm"),
        ("{ wait: '${ .word }' }".to_owned(), "crm"),
        (
            "{ set: { w: '${ .word }' }, output: { schema: { document: { properties: { w: { type: number } } } } } }"
                .to_owned(),
            "crm",
        ),
    ] {
        let tasks = format!("do:\n{CRM}- t:\n    try:\n    - x: {task}\n    {catch}");
        assert_eq!(given(&tasks).await, format!("d: {labels}; n: ; t: {labels}"), "{task}");
    }
}

#[tokio::test]
async fn expressions_carry_what_they_read() {
    // `$context.contact` is the crm's, the input of the call comes from outside.
    for (expression, labels) in [
        (".text", "trigger"),
        ("$c.word", "crm"),
        ("\"fixed\"", ""),
        ("1 + 2", ""),
        ("{a: .text, b: $c.word} | .a", "trigger"),
        ("{a: .text, b: $c.word} | .b", "crm"),
        ("{a: .text, b: $c.word} | {b} | .b", "crm"),
        ("{a: .text, b: $c.word} | keys", "crm, trigger"),
        ("{a: .text} + {b: $c.word} | .a", "trigger"),
        ("({a: .text} + {a: $c.word}) | .a", "crm, trigger"),
        (". * {b: $c.word} | .b", "crm, trigger"),
        ("{$c} | .c.word", "crm"),
        ("{(.text): 1} | .x", "trigger"),
        ("{x: 1, (.text): $c.word} | .x", "crm, trigger"),
        (". as $d | $c | .word", "crm"),
        ("$c as {word: $w} | $w", "crm, trigger"),
        ("\"\\(.n) \\($c.word)\"", "crm, trigger"),
        ("@base64 \"\\($c.word)\"", "crm"),
        ("$c.word | @base64", "crm"),
        ("if $c.word == \"x\" then 1 else 2 end", "crm"),
        ("if .n == 3 then 1 else $c.word end", "crm, trigger"),
        ("if .n == 3 then . end | .text", "trigger"),
        (".missing // $c.word", "crm, trigger"),
        ("[$c.word] | .[0]", "crm"),
        ("[.text, 1] | map(. as $x | $c.word) | first", "crm, trigger"),
        ("$c | [.[]] | length", "crm"),
        ("$c | .. | strings | select(. == \"<crm>\")", "crm"),
        ("[.text, $c.word] | join(\" \")", "crm, trigger"),
        ("reduce (1, 2) as $i (0; . + $i)", "trigger"),
        ("def f: $c.word; f", "crm, trigger"),
        ("{a: .text, b: 1} | .b = $c.word | .a", "trigger"),
        ("{a: .text, b: 1} | .b = $c.word | .b", "crm"),
        ("{a: $c.word} | .a = .a + \"x\" | .a", "crm"),
        ("{a: $c.word} | .a |= length | .a", "crm"),
        ("{a: {x: $c.word, y: 1}} | .a.y = 2 | .a.y", ""),
        ("{a: 1} | .a += ($c.word | length) | .a", "crm"),
        ("{a: null} | .a //= $c.word | .a", "crm"),
        ("{l: [1]} | .l[0] = $c.word | .l", "crm"),
        ("try error($c.word) catch .", "crm, trigger"),
        ("try .text catch 1", "trigger"),
        ("{a: .text, b: $c.word} | del(.b) | .a", "trigger"),
        ("{a: .text} | with_entries(.value = $c.word) | .a", "crm, trigger"),
        ("$c | to_entries | from_entries | .word", "crm"),
        ("$c.word | test(\"crm\")", "crm"),
        ("\"crm\" | test($c.word)", "crm"),
        ("[limit(1; $c.word, .text)] | .[0]", "crm, trigger"),
        ("$c | getpath([\"word\"])", "crm"),
        ("$c[.text]? // 1", "crm, trigger"),
        (".text[1:2]", "trigger"),
        ("-($c.word | length)", "crm"),
        ("label $out | $c.word, break $out", "crm"),
        ("true and ($c.word == null)", "crm"),
        ("null", ""),
        ("$workflow.id", ""),
        ("$workflow.input.n", "trigger"),
        ("$task.input.text", "trigger"),
        ("$task | tojson", "trigger"),
        ("$runtime.name", ""),
        ("[.text] | contains([\"x\"])", "trigger"),
    ] {
        let tasks = format!(
            "do:\n{CRM}- back: {{ set: '${{ $workflow.input }}' }}\n- f:\n    for: {{ each: c, in: '[$context.contact]' }}\n    do:\n    - v: {{ call: chat/send, with: {{ v: {} }} }}",
            serde_json::to_string(&format!("${{ {expression} }}")).unwrap()
        );
        assert_eq!(given(&tasks).await, format!("v: {labels}"), "{expression}");
    }
}

#[tokio::test]
async fn a_declassified_output_has_the_labels_no_more() {
    let tasks = format!(
        "do:\n{CRM}- s:\n    set: {{ w: '${{ .word | length }}', t: '${{ $workflow.input.n }}' }}\n    metadata: {{ declassify: {{ from: [crm], reason: A length tells nothing }} }}\n- c: {{ call: chat/send, with: {{ w: '${{ .w }}', t: '${{ .t }}', contact: '${{ $context.contact.word }}' }} }}"
    );
    assert_eq!(given(&tasks).await, "contact: crm; t: trigger; w: ");
    let flow = parse(&tasks);
    let [declassified] = flow.declassified() else { panic!("{:?}", flow.declassified()) };
    assert_eq!(declassified.path, "/do/1/s");
    assert_eq!(declassified.from, ["crm".parse().unwrap()]);
    assert_eq!(declassified.reason, "A length tells nothing");
    assert_eq!(declassified.line, 6);
}

#[test]
fn declassifying_needs_names_and_a_reason() {
    let task =
        |metadata: &str| format!("do:\n- s: {{ set: {{ a: 1 }}, metadata: {{ declassify: {metadata} }} }}");
    for (metadata, said) in [
        ("[crm]", "object"),
        ("{ from: [crm] }", "reason"),
        ("{ from: [crm], reason: ' ' }", "1 to 500 characters"),
        ("{ from: [], reason: x }", "1 to 32 sources"),
        ("{ from: ['class:'], reason: x }", "names no data"),
        ("{ from: [crm], reason: x, why: y }", "why"),
    ] {
        let problems = problems(&task(metadata));
        assert!(problems.contains(said), "{metadata}: {problems}");
    }
}

#[tokio::test]
async fn origins_that_nobody_can_name_are_kept() {
    struct Strange;
    #[async_trait]
    impl Effects for Strange {
        async fn call(&self, _: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
            if call.function.function == "last" {
                return Err(Stop::Fault(FlowError::runtime(call.from.total().to_string())));
            }
            Ok(Answer { result: Ok(json!(1)), from: Labels::one(Label::anything()) })
        }
        async fn wait(&self, _: &Position, _: Duration, _: Option<Deadline>) -> Result<(), Stop> {
            Ok(())
        }
        async fn deadline(&self, _: &Position, after: Duration) -> Result<Deadline, Stop> {
            Ok(Deadline(after.as_secs()))
        }

        fn decided(&self, _: &Position) -> Option<Value> {
            None
        }

        async fn decide(&self, _: &Position, _: &Value) -> Result<(), Stop> {
            Ok(())
        }

        async fn random(&self, _: &Position) -> Result<f64, Stop> {
            Ok(0.0)
        }
        async fn now(&self, _: &Position) -> Result<String, Stop> {
            Ok(String::new())
        }
        fn observe(&self, _: &Position, _: &TaskEvent<'_>) {}
    }
    let flow = parse(
        "do:\n- a: { call: x/first, metadata: { declassify: { from: [x], reason: tried } } }\n- b: { call: x/last, with: { a: '${ . }' } }",
    );
    let Outcome::Faulted(error) = flow.run(&start(json!({})), &Strange).await else { panic!() };
    assert_eq!(error.detail.as_deref(), Some("an unknown origin"));
    assert!(error.labels().iter().any(Label::is_anything));
}

/// An expression over what stands around: the input, the context, the run's input, a loop's or an error's variable.
fn expression() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        ".",
        ".word",
        ".given",
        ".a",
        ".b",
        ".x",
        "$context",
        "$context.a",
        "$context.x",
        "$workflow.input.text",
        "$input",
        "$v",
        "$v.word",
        "\"k\"",
        "1",
        "null",
        "{}",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| format!("{{a: ({a}), b: ({b})}}")),
            two.clone().prop_map(|(a, b)| format!("({a}) | ({b})")),
            two.clone().prop_map(|(a, b)| format!("({a}) as $v | ({b})")),
            two.clone().prop_map(|(a, b)| format!("(({a}) // ({b}))")),
            two.clone().prop_map(|(a, b)| format!("[({a}), ({b})]")),
            two.clone().prop_map(|(a, b)| format!("(try (({a}) + ({b})) catch .)")),
            two.clone().prop_map(|(a, b)| format!("(try (({a}) * ({b})) catch .)")),
            two.clone().prop_map(|(a, b)| format!("(if ({a}) then ({b}) else 1 end)")),
            two.clone().prop_map(|(a, b)| format!("(try (({a}) | .a = ({b})) catch .)")),
            two.clone().prop_map(|(a, b)| format!("(try (({a}) | .b |= ({b})) catch .)")),
            two.clone().prop_map(|(a, b)| format!("(({a}) as {{a: $v}} | ({b}))?")),
            two.clone().prop_map(|(a, b)| format!("(reduce ({a}) as $v (1; ({b})))")),
            two.prop_map(|(a, b)| format!("(try (({a}) | map({b}) | first) catch .)")),
            inner.clone().prop_map(|a| format!("\"s \\({a})\"")),
            inner.clone().prop_map(|a| format!("(try (({a}) | del(.a)) catch .)")),
            inner.clone().prop_map(|a| format!("(try (({a}) | .a) catch .)")),
            inner.clone().prop_map(|a| format!("(try (({a}) | to_entries) catch .)")),
            inner.clone().prop_map(|a| format!("([({a}) | ..] | first)")),
            inner.clone().prop_map(|a| format!("(({a}) | tojson)")),
            inner.prop_map(|a| format!("(def f: ({a}); f)")),
        ]
    })
    .prop_map(|text| format!("${{ first(({text}), null) }}"))
}

/// A flow of calls, assignments, loops and errors, that ends.
fn tasks() -> impl Strategy<Value = Value> {
    let plugin = proptest::sample::select(vec!["crm", "erp", "chat"]);
    let leaf = (plugin, expression(), expression(), 0..6_u8).prop_map(|(plugin, one, two, which)| match which {
        0 | 1 => json!({"call": format!("{plugin}/send"), "with": {"a": one, "b": {"x": two}}}),
        2 => json!({"set": {"a": one, "x": {"b": two}}, "export": {"as": "$context + ({a: .} | .x = .a)"}}),
        3 => json!({"set": one, "output": {"as": two}}),
        4 => json!({"call": format!("{plugin}/fail"), "with": {"a": one}}),
        _ => json!({"raise": {"error": {"type": "https://x.test/e", "status": 400, "detail": one, "title": two}}}),
    });
    let bound = |list: Vec<Value>| {
        Value::Array(list.into_iter().enumerate().map(|(i, task)| json!({format!("t{i}"): task})).collect())
    };
    // Every task has `$v`: a loop's item, or an error.
    let list = proptest::collection::vec(leaf, 1..4).prop_map(bound).boxed();
    let block = (list.clone(), list, expression(), any::<bool>()).prop_map(|(tasks, other, items, looped)| {
        if looped {
            json!({"try": [{"f": {"for": {"each": "v", "in": format!("${{ [({})] }}", items.trim_start_matches("${ ").trim_end_matches(" }").replace("$v", "1"))}, "do": tasks}}],
                "catch": {"as": "v", "do": other}})
        } else {
            json!({"for": {"each": "v", "in": "[1]"}, "do": [{"t": {"try": tasks, "catch": {"as": "v", "do": other}}}]})
        }
    });
    // What nothing catches ends the flow: also good.
    proptest::collection::vec(block, 1..5).prop_map(bound)
}

/// The words of plugins that stand in a value, in its keys and in its texts.
fn words(value: &Value, found: &mut Vec<&'static str>) {
    let text = value.to_string();
    for origin in ["crm", "erp", "chat", "trigger"] {
        if text.contains(&format!("<{origin}>")) && !found.contains(&origin) {
            found.push(origin);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each plugin gives its own name with everything: where the name stands, the label must be, too.
    #[test]
    fn what_textually_came_from_a_plugin_carries_its_label(tasks in tasks()) {
        let source = format!("document: {{ dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }}\ndo: {tasks}");
        let Ok(flow) = Flow::parse(&source, "t.yaml") else { return Err(TestCaseError::reject("not a flow")) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_, seen) = runtime.block_on(seen(&flow, json!({"text": "<trigger>", "a": {"x": "<trigger>"}})));
        for (_, with, from) in seen {
            for (path, part, labels) in parts(&with, &from) {
                let mut found = Vec::new();
                words(part, &mut found);
                for origin in found {
                    prop_assert!(labels.iter().any(|l| l.origin() == origin), "{path}: {origin} in {part}, {labels:?}\n{source}");
                }
            }
        }
    }
}

/// A value, its members, and theirs, each with its labels.
fn parts<'v>(value: &'v Value, from: &Provenance) -> Vec<(String, &'v Value, Labels)> {
    let mut all = vec![(String::new(), value, from.total())];
    for (key, member) in value.as_object().into_iter().flatten() {
        for (path, part, labels) in parts(member, &from.member(key)) {
            all.push((format!("/{key}{path}"), part, labels));
        }
    }
    all
}
