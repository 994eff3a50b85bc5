//! The DSL's own JSON Schema as a judge: what it rejects is rejected here too, and what it accepts is either accepted or
//! refused with a reason at a place. The schema is not part of this repository: the variable OWF_SCHEMA names the file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // Test code.

mod support;

use factotum_flow::Flow;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use support::document;

/// Documents that use every construct, valid under the schema; their mutations are what is judged.
const SEEDS: [&str; 17] = [
    "use: { functions: { f: { input: { from: .a }, do: [ { s: { set: { x: 1 } } } ], output: { as: .x } } } }\ndo:\n- c: { call: f, with: { a: 2 } }",
    "do:\n- s: { if: .a, input: { schema: { format: json, document: { type: object } }, from: .a }, set: { a: 1 }, output: { as: .a }, export: { as: { x: '${ .a }' } }, timeout: { after: { seconds: 5 } }, then: end, metadata: { any: 1 } }",
    "input: { from: .x }\noutput: { as: { y: '${ .x }' } }\ntimeout: { after: PT1H }\ndo:\n- s: { set: '${ .x }' }",
    "do:\n- c: { call: crm/upsert-contact, with: { name: x } }\n- d: { do: [ { e: { wait: { minutes: 5 } } } ] }",
    "do:\n- c: { call: http, with: { method: get, endpoint: 'https://x.example/{id}', headers: { a: b }, query: { c: d }, body: { e: f }, output: response, redirect: true } }",
    "use: { secrets: [s], authentications: { a: { basic: { use: s } }, b: { bearer: { token: t } } } }\ndo:\n- c: { call: http, with: { method: get, endpoint: { uri: 'https://x.example/', authentication: { use: a } } } }\n- d: { call: http, with: { method: get, endpoint: { uri: 'https://x.example/', authentication: { digest: { username: u, password: p } } } } }",
    "do:\n- d: { call: http, with: { method: get, endpoint: { uri: 'https://x.example/', authentication: { oauth2: { authority: 'https://i.example', endpoints: { token: /t }, grant: client_credentials, client: { id: a, secret: b, authentication: client_secret_basic }, request: { encoding: application/x-www-form-urlencoded }, scopes: [x], audiences: [y] } } } } }\n- e: { call: http, with: { method: get, endpoint: { uri: 'https://x.example/', authentication: { oidc: { authority: 'https://i.example', grant: password, username: u, password: p } } } } }",
    "do:\n- o: { call: openapi, with: { document: { name: n, endpoint: 'https://x.example/api.json' }, operationId: op, parameters: { a: 1 }, authentication: { bearer: { token: t } }, output: raw, redirect: false } }",
    "do:\n- f: { fork: { compete: true, branches: [ { a: { set: { x: 1 } } }, { b: { wait: PT1S } } ] } }",
    "do:\n- e: { emit: { event: { with: { id: i, source: 'https://x.example', type: t, time: '2026-01-01T00:00:00Z', subject: s, datacontenttype: application/json, dataschema: 'https://x.example/s', data: { a: 1 }, extra: 1 } } } }",
    "do:\n- l: { listen: { to: { any: [ { with: { type: a, data: '${ .x }' }, correlate: { k: { from: .a, expect: b } } } ], until: '.a' }, read: envelope }, foreach: { item: i, at: n, do: [ { s: { set: { x: 1 } } } ], output: { as: .x }, export: { as: .x } } }\n- m: { listen: { to: { all: [ { with: { type: a } } ] } } }\n- n: { listen: { to: { any: [ { with: { type: a } } ], until: { one: { with: { type: b } } } } } }",
    "do:\n- f: { for: { each: v, in: .l, at: i }, while: .go, do: [ { s: { set: { x: 1 } } } ] }\n- s: { switch: [ { a: { when: .x, then: continue } }, { b: { then: exit } } ] }",
    "use: { errors: { e: { type: 'https://x.example/e', status: 400, title: t, detail: d } } }\ndo:\n- r: { raise: { error: e } }\n- s: { raise: { error: { type: 'https://x.example/e', status: 400, title: t, detail: d, instance: /a } } }",
    "use: { retries: { r: { delay: PT1S, limit: { attempt: { count: 3 } } } }, timeouts: { t: { after: PT1S } } }\ndo:\n- t: { try: [ { a: { set: { x: 1 }, timeout: t } } ], catch: { errors: { with: { type: 'https://x.example', status: 400, instance: /a, title: t, details: d } }, as: e, when: .a, exceptWhen: .b, retry: { when: .a, exceptWhen: .b, delay: { seconds: 1 }, backoff: { exponential: {} }, limit: { attempt: { count: 1, duration: PT1S }, duration: PT1M }, jitter: { from: PT1S, to: PT2S } }, do: [ { h: { set: { x: 1 } } } ] } }\n- u: { try: [ { a: { set: { x: 1 } } } ], catch: { retry: r } }",
    "do:\n- w: { run: { workflow: { namespace: n, name: f, version: '1.0.0', input: { a: 1 } }, await: false } }\n- s: { run: { script: { language: javascript, code: '1', arguments: [a], environment: { K: v }, stdin: '${ .x }' }, await: true, return: all } }",
    "use: { extensions: [ { e: { extend: all, when: .a, before: [ { b: { set: { x: 1 } } } ], after: [ { c: { set: { x: 1 } } } ] } } ], functions: { f: { call: crm/find, with: { a: 1 } } } }\ndo:\n- c: { call: f, with: { b: 2 } }",
    "schedule: { on: { one: { with: { type: a, source: 'https://x.example/' } } } }\ndo:\n- s: { set: { x: 1 } }",
];

fn judge() -> Validator {
    let file = std::env::var("OWF_SCHEMA").expect("OWF_SCHEMA names the DSL's JSON Schema");
    let text = std::fs::read_to_string(file).unwrap();
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    let source = document(&format!(
        "do:\n- x:\n    set: {{ x: 1 }}\n    metadata:\n      schema:\n{}",
        indented.replace("\n    ", "\n        ").replacen("    ", "        ", 1)
    ));
    let flow = Flow::parse(&source, "schema").unwrap_or_else(|p| panic!("{p}"));
    let schema = flow.definition().pointer("/do/0/x/metadata/schema").unwrap().clone();
    jsonschema::options().offline().build(&schema).unwrap()
}

/// Every place in a value, as a JSON Pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        places(child, &format!("{at}/{key}"), all);
    }
}

/// What a document becomes when something happens to it at one place.
fn mutations(document: &Value, at: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let wrong = [
        json!(5),
        json!("text"),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
        json!(["a"]),
        json!({"a": 1}),
        json!(-1),
        json!(""),
    ];
    for value in wrong {
        let mut changed = document.clone();
        *changed.pointer_mut(at).unwrap() = value;
        all.push(changed);
    }
    if let Some(Value::Object(map)) = document.pointer(at) {
        for key in map.keys() {
            let mut changed = document.clone();
            changed.pointer_mut(at).and_then(Value::as_object_mut).unwrap().remove(key);
            all.push(changed);
        }
        let mut changed = document.clone();
        changed.pointer_mut(at).and_then(Value::as_object_mut).unwrap().insert("strange".into(), json!(1));
        all.push(changed);
    }
    all
}

fn definition(tasks: &str) -> Value {
    let flow = Flow::parse(&document(tasks), "seed").unwrap_or_else(|p| panic!("{p}\n{tasks}"));
    flow.definition().clone()
}

#[test]
#[ignore = "needs OWF_SCHEMA"]
fn what_the_schema_rejects_is_rejected() {
    let judge = judge();
    let (mut both, mut rejected, mut refused, mut wrong) = (0, 0, 0, Vec::new());
    for tasks in SEEDS {
        let seed = definition(tasks);
        let said: Vec<String> =
            judge.iter_errors(&seed).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(said.is_empty(), "a seed must be valid: {said:?}\n{tasks}");
        let mut all = Vec::new();
        places(&seed, "", &mut all);
        for at in all {
            for mutant in mutations(&seed, &at) {
                let ours = Flow::parse(&mutant.to_string(), "mutant");
                match (judge.is_valid(&mutant), ours) {
                    (true, Ok(_)) => both += 1,
                    (valid, Err(problems)) => {
                        let told =
                            problems.iter().all(|p| p.line >= 1 && p.column >= 1 && !p.message.is_empty());
                        assert!(told && problems.iter().count() > 0, "{problems}");
                        if valid { refused += 1 } else { rejected += 1 }
                    }
                    (false, Ok(_)) => {
                        let why = judge.iter_errors(&mutant).next().map(|e| e.instance_path().to_string());
                        wrong.push(format!("{at}: {} ({why:?})", mutant.pointer(&at).unwrap()));
                    }
                }
            }
        }
    }
    println!("{both} accepted, {rejected} rejected as the schema does, {refused} refused by the profile");
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "the schema rejects these and we do not:\n{}", wrong.join("\n"));
    assert!(both > 100 && rejected > 1000 && refused > 100);
}

#[test]
fn mutations_reach_every_place() {
    let document = definition("do:\n- s: { set: { a: 1 } }");
    let mut all = Vec::new();
    places(&document, "", &mut all);
    assert!(all.contains(&"/do/0/s/set/a".to_owned()) && all.len() > 8);
    assert!(mutations(&document, "/do/0/s").iter().any(|m| m["do"][0]["s"] == Value::Object(Map::new())));
}
