//! What is said about documents that are wrong: what, where, and the mend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{ClientName, Flow, MAX_SOURCE, Reply, WebhookAuth};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;
use support::{document, parse, problems};

#[test]
fn an_unknown_key_is_named_with_the_likely_one() {
    let source = "document:
  dsl: '1.0.3'
  namespace: support
  name: intake
  version: '1.0.0'
do:
- first:
    set: { a: 1 }
- record:
    call: crm/upsert-contact
    wiht:
      name: x
    metadata: { anything: goes }
";
    let found = Flow::parse(source, "support/intake.yaml").unwrap_err().to_string();
    assert_eq!(found, "support/intake.yaml:11:5 /do/1/record: unknown key \"wiht\"; did you mean \"with\"?");
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_text() {
    let source = "document:
  dsl: 2.0.0
  namespace: a_b
  name: -x
  version: 1.0
  colour: red
do:
- a:
    set: {}
- a:
    wait: soon
- b:
    call: grpc
- c: {}
output: { as: '.a |' }
schedule: { every: soon }
";
    let found = Flow::parse(source, "f.yaml").unwrap_err();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "f.yaml:2:8 /document/dsl: version 2.0.0 of the DSL is not spoken here; write 1.0.3",
            "f.yaml:3:14 /document/namespace: \"a_b\" must be 1 to 63 letters, digits and hyphens; hyphens only inside, for example ticket-intake",
            "f.yaml:4:9 /document/name: \"-x\" must be 1 to 63 letters, digits and hyphens; hyphens only inside, for example ticket-intake",
            "f.yaml:5:12 /document/version: expected a version, found the number 1.0; put it in quotes and give it three parts: '1.0.0'",
            "f.yaml:6:3 /document: unknown key \"colour\"; known here: dsl, namespace, name, version, title, summary, tags, metadata",
            "f.yaml:9:10 /do/0/a/set: `set` must be an object with at least one key, or an expression; for example `set: { total: ${ .a + .b } }`",
            "f.yaml:10:3 /do/1/a: there is another task \"a\" in this list; names in one list must differ, so that `then` can find them",
            "f.yaml:11:11 /do/1/a/wait: \"soon\" is not an ISO 8601 duration such as PT30S, PT1H30M or P2D",
            "f.yaml:13:11 /do/2/b/call: `call: grpc` is refused by the profile (authorization, 403), because only the plugins' typed interfaces are spoken; call a plugin that wraps the service",
            "f.yaml:14:6 /do/3/c: this task does nothing; a task has one of: call, for, fork, try, do, emit, listen, raise, run, set, switch, wait",
            "f.yaml:15:15 /output/as: this is not jq, at its end: expected term",
            "f.yaml:16:20 /schedule/every: \"soon\" is not an ISO 8601 duration such as PT30S, PT1H30M or P2D",
        ]
    );
}

#[test]
fn every_mistake_is_told() {
    for (tasks, expected) in [
        ("do: []", "t.yaml:2:5 /do: a list of tasks needs at least one task"),
        ("do: x", "t.yaml:2:5 /do: expected a list, found a string"),
        ("dooo: x", "t.yaml:1:1: \"do\" is missing"),
        ("do:\n- set: { a: 1 }", "t.yaml:3:8 /do/0/set: this task does nothing"),
        ("do:\n- a: 5", "/do/0/a: expected an object, found a number"),
        (
            "do:\n- a: { set: { x: 1 } }\n  b: { set: { x: 1 } }",
            "/do/0: a list item must hold exactly one task",
        ),
        ("do:\n- end: { set: { x: 1 } }\n- exit: { set: { x: 1 } }", "a task cannot be called \"exit\""),
        (
            "do:\n- a: { set: { x: 1 }, then: bb }\n- b: { set: { x: 1 } }",
            "/do/0/a/then: there is no task \"bb\" in this list; did you mean \"b\"?",
        ),
        (
            "do:\n- a: { do: [ { x: { set: { y: 1 }, then: b } } ] }\n- b: { set: { x: 1 } }",
            "a jump stays in its list",
        ),
        (
            "do:\n- a: { set: { x: 1 }, wait: PT1S }",
            "a task is of one kind, and here are `set` and `wait`; make two tasks of it",
        ),
        ("do:\n- a: { sett: { x: 1 } }", "this task does nothing; did you mean \"set\"?"),
        ("do:\n- a: { set: { x: '${ .a' } }", "/do/0/a/set/x: an expression must be the whole string"),
        (
            "do:\n- a: { set: { x: 'Hello ${ .name }!' } }",
            "/do/0/a/set/x: an expression must be the whole string; write it as ${ \"text \\(.value) text\" }",
        ),
        (
            "do:\n- a: { set: { x: '${ .a | lenght }' } }",
            "t.yaml:3:18 /do/0/a/set/x: there is no function lenght/0 here; did you mean \"length\"?",
        ),
        ("do:\n- a: { set: { x: '${ $secrets.key }' } }", "an expression never sees a secret"),
        (
            "do:\n- a: { set: { x: '${ $output }' } }",
            "the output is known in `output.as` and `export.as` only",
        ),
        ("do:\n- a: { set: { x: '${ now }' } }", "the clock differs on a replay"),
        ("do:\n- a: { set: { x: '${ env }' } }", "an expression cannot reach the process"),
        (
            "do:\n- a: { if: true, set: { x: 1 } }",
            "/do/0/a/if: expected a string, found a boolean; put it in quotes",
        ),
        ("do:\n- a: { call: nothing }", "there is no function \"nothing\""),
        ("do:\n- a: { call: map }", "\"in\" is missing"),
        ("do:\n- a: { call: Crm/Find }", "is not a function: write it as plugin/function"),
        ("do:\n- a: { call: crm/find:x.y }", "the version after `:` must be like ^1.2"),
        ("do:\n- a: { call: crm/find@other }", "catalogs other than the default one are refused"),
        (
            "do:\n- a: { call: crm/find, with: [1] }",
            "`with` must be an object of the function's parameters, not a list",
        ),
        ("do:\n- a: { call: grpc }", "`call: grpc` is refused by the profile (authorization, 403)"),
        ("do:\n- a: { call: asyncapi }", "`call: asyncapi` is refused by the profile (authorization, 403)"),
        ("do:\n- a: { call: openapi, with: { operationId: x } }", "/do/0/a/with: \"document\" is missing"),
        (
            "do:\n- a: { call: openapi, with: { document: { endpoint: 'https://x.example' }, operationId: '${ .x }' } }",
            "/do/0/a/with/operationId: an operation is named at deploy",
        ),
        ("do:\n- a: { call: http }", "/do/0/a: \"method\" is missing"),
        (
            "do:\n- a: { call: http, with: { method: get, endpoint: 'ftp://x.example' } }",
            "/do/0/a/with/endpoint: \"ftp://x.example\" is not an endpoint",
        ),
        (
            "do:\n- a: { call: http, with: { method: get, endpoint: 'https://x.example/{+a}' } }",
            "{+a} is more than a name; only {name} is expanded",
        ),
        (
            "do:\n- a: { call: http, with: { method: get, endpoint: 'https://x.example/{a' } }",
            "a { in the URI is never closed",
        ),
        (
            "do:\n- a: { call: http, with: { method: 'get it', endpoint: 'https://x.example' } }",
            "/do/0/a/with/method: \"get it\" is not a method",
        ),
        (
            "do:\n- a: { call: http, with: { method: get, endpoint: 'https://x.example', headers: text } }",
            "/do/0/a/with/headers: expected an object or an expression",
        ),
        (
            "do:\n- a: { call: http, with: { method: get, endpoint: 'https://x.example', output: all } }",
            "\"all\" is not an output; use raw, content or response",
        ),
        (
            "do:\n- a: { call: http, with: { method: get, endpoint: 'https://x.example' }, metadata: { grants: { only: [http] } } }",
            "`only` narrows a plugin",
        ),
        ("do:\n- a: { call: mcp }", "`call: mcp` is refused by the profile (authorization, 403)"),
        ("do:\n- a: { call: a2a }", "`call: a2a` is refused by the profile (authorization, 403)"),
        ("do:\n- a: { fork: { branches: [] } }", "/do/0/a/fork/branches: a list of tasks needs at least one"),
        ("do:\n- a: { fork: {} }", "/do/0/a/fork: \"branches\" is missing"),
        (
            "do:\n- a: { fork: { compete: maybe, branches: [ { b: { set: { x: 1 } } } ] } }",
            "/do/0/a/fork/compete: expected true or false",
        ),
        (
            "do:\n- a: { fork: { branches: [ { b: { set: { x: 1 }, then: c } }, { c: { set: { x: 1 } } } ] } }",
            "/do/0/a/fork/branches/0/b/then: there is no task \"c\" in this list",
        ),
        ("do:\n- a: { emit: { event: {} } }", "/do/0/a/emit/event: \"with\" is missing"),
        (
            "do:\n- a: { emit: { event: { with: { type: a } } } }",
            "/do/0/a/emit/event/with: \"source\" is missing",
        ),
        (
            "do:\n- a: { emit: { event: { with: { type: a, source: 'https://b.example', Extra: 1 } } } }",
            "/do/0/a/emit/event/with/Extra: \"Extra\" cannot name an attribute of an event",
        ),
        (
            "do:\n- a: { emit: { event: { with: { type: a, source: 'https://b.example', more: {} } } } }",
            "an attribute is a text, a number or a boolean, not an object; put it into `data`",
        ),
        (
            "do:\n- a: { listen: { to: {} } }",
            "/do/0/a/listen/to: events are chosen by one of `one`, `any` and `all`",
        ),
        (
            "do:\n- a: { listen: { to: { one: { with: { type: a } }, until: . } } }",
            "/do/0/a/listen/to/until: `until` goes with `any` only",
        ),
        (
            "do:\n- a: { listen: { to: { any: [], until: { any: [], until: . } } } }",
            "the events of an `until` have no `until` of their own",
        ),
        ("do:\n- a: { listen: { to: { all: [] } } }", "`all` of nothing would wait for nothing"),
        ("do:\n- a: { listen: { to: { any: [] }, read: all } }", "\"all\" is not a way to read"),
        (
            "do:\n- a: { listen: { to: { any: [] } }, foreach: { item: x, at: x } }",
            "/do/0/a/foreach: `item` and `at` are both \"x\"",
        ),
        ("do:\n- a: { run: { script: {} } }", "/do/0/a/run/script: \"language\" is missing"),
        (
            "do:\n- a: { run: { script: { language: python, code: 'print(1)' } } }",
            "scripts in \"python\" are refused, because the sandbox speaks JavaScript",
        ),
        (
            "do:\n- a: { run: { script: { language: js, source: { endpoint: 'https://x.example' } } } }",
            "a script must not change after it was deployed",
        ),
        (
            "do:\n- a: { run: { shell: { command: ls } } }",
            "`run: shell` is refused by the profile (authorization, 403), because a shell can do",
        ),
        ("do:\n- a: { run: { container: { image: x } } }", "`run: container` is refused by the profile"),
        ("do:\n- a: { run: {} }", "/do/0/a/run: a `run` is one of `workflow` and `script`"),
        (
            "do:\n- a: { run: { workflow: { namespace: n, name: f, version: one } } }",
            "/do/0/a/run/workflow/version: \"one\" is not a semantic version",
        ),
        (
            "do:\n- a: { run: { workflow: { namespace: n, name: f, version: latest }, return: code } }",
            "a flow has an output, and no streams or exit code",
        ),
        (
            "do:\n- a: { set: { x: 1 }, timeout: patient }",
            "/do/0/a/timeout: there is no timeout \"patient\"; define it in use.timeouts",
        ),
        ("timeout: { afer: PT1S }\ndo:\n- a: { set: { x: 1 } }", "/timeout: unknown key \"afer\""),
        (
            "timeout: { after: now }\ndo:\n- a: { set: { x: 1 } }",
            "/timeout/after: \"now\" is not an ISO 8601",
        ),
        (
            "use: { secrets: [a, a] }\ndo:\n- a: { set: { x: 1 } }",
            "/use/secrets/1: this secret is listed already",
        ),
        ("use: { secrets: ['a b'] }\ndo:\n- a: { set: { x: 1 } }", "/use/secrets/0: a name here is 1 to 128"),
        (
            "use: { extensions: [ { e: { before: [] } } ] }\ndo:\n- a: { set: { x: 1 } }",
            "/use/extensions/0/e: \"extend\" is missing",
        ),
        (
            "use: { extensions: [ { e: { extend: fork, before: [ { b: { set: { y: 1 } } } ] } } ] }\ndo:\n- a: { set: { x: 1 } }",
            "/use/extensions/0/e/extend: \"fork\" is not a type of task",
        ),
        (
            "use: { extensions: [ { e: { extend: all, when: '.a |' } } ] }\ndo:\n- a: { set: { x: 1 } }",
            "/use/extensions/0/e/when: this is not jq",
        ),
        (
            "do:\n- a: { call: human-task, with: { title: x } }",
            "/do/0/a: nobody is asked; name an `assignee` or a `group`",
        ),
        ("do:\n- a: { call: human-task, with: { group: g } }", "/do/0/a/with: \"title\" is missing"),
        (
            "do:\n- a: { call: human-task, with: { title: x, group: g, assignee: a } }",
            "`assignee` and `group` exclude each other",
        ),
        (
            "do:\n- a: { call: human-task, with: { title: x, group: g, form: { type: nonsense } } }",
            "/do/0/a/with/form: this is not a JSON Schema",
        ),
        (
            "do:\n- a: { call: human-task, with: { title: x, group: g, due: soon } }",
            "/do/0/a/with/due: \"soon\" is not an ISO",
        ),
        (
            "do:\n- a: { call: human-task, with: { title: x, group: g, remind: [ PT1H, often ] } }",
            "/do/0/a/with/remind/1: \"often\" is not an ISO",
        ),
        (
            "do:\n- a: { call: human-task, with: { title: x, group: g, escalate: { after: PT1H } } }",
            "an escalation names either an `assignee` or a `group`",
        ),
        (
            "do:\n- a: { call: human-task, with: { title: x, group: g, priority: asap } }",
            "\"asap\" is not a priority; use low, normal, high or urgent",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { sensitive: [ '.a | .b' ] } }",
            "/do/0/a/metadata/sensitive/0: \".a | .b\" is not the path of a member",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { with: {} } } }",
            "/do/0/a/metadata/compensate: \"call\" is missing",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { call: Nope/x } } }",
            "/do/0/a/metadata/compensate/call: \"Nope/x\" is not a function",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { call: human-task, with: { title: x, group: g } } } }",
            "/do/0/a/metadata/compensate: this cannot take back what a task did; call a plugin, send a request",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { run: { script: { language: js, code: '1' } } } } }",
            "/do/0/a/metadata/compensate: this cannot take back what a task did",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { run: { workflow: { namespace: n, name: f, version: 1.0.0 }, await: false } } } }",
            "/do/0/a/metadata/compensate: this cannot take back what a task did",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { call: a/c, metadata: { compensate: { call: a/d } } } } }",
            "/do/0/a/metadata/compensate/metadata: unknown key \"compensate\"",
        ),
        (
            "do:\n- a: { call: a/b, metadata: { compensate: { call: a/c, with: [1] } } }",
            "`with` must be an object of the function's parameters",
        ),
        (
            "use: { authentications: { a: {} } }\ndo:\n- a: { set: { x: 1 } }",
            "/use/authentications/a: an authentication is one of basic, bearer, digest, oauth2 and oidc",
        ),
        ("use: { catalogs: { a: {} } }\ndo:\n- a: { set: { x: 1 } }", "`use.catalogs` is refused"),
        (
            "use: { timeouts: { t: { after: soon } } }\ndo:\n- a: { set: { x: 1 } }",
            "/use/timeouts/t/after: \"soon\" is not an ISO 8601",
        ),
        (
            "use: { errors: { e: { status: 400 } } }\ndo:\n- a: { raise: { error: e } }",
            "/use/errors/e: \"type\" is missing",
        ),
        (
            "use: { errors: { boom: { type: 'https://x.example/e', status: 400 } } }\ndo:\n- a: { raise: { error: bom } }",
            "there is no error \"bom\"; did you mean \"boom\"?",
        ),
        ("do:\n- a: { raise: { error: { type: boom, status: 400 } } }", "an error's type must be a URI"),
        (
            "do:\n- a: { raise: { error: { type: 'https://x.example/e', status: 4000 } } }",
            "a status is a number from 100 to 599",
        ),
        ("do:\n- a: { switch: [] }", "a switch needs at least one case"),
        ("do:\n- a: { switch: [ { x: { when: 'true' } } ] }", "/do/0/a/switch/0/x: \"then\" is missing"),
        ("do:\n- a: { switch: [ { x: { when: 'true', then: zz } } ] }", "there is no task \"zz\""),
        (
            "do:\n- a: { for: { each: x }, do: [ { b: { set: { y: 1 } } } ] }",
            "/do/0/a/for: \"in\" is missing",
        ),
        ("do:\n- a: { for: { in: . } }", "/do/0/a: \"do\" is missing"),
        (
            "do:\n- a: { for: { in: ., each: input }, do: [ { b: { set: { y: 1 } } } ] }",
            "$input means something already",
        ),
        (
            "do:\n- a: { for: { in: ., each: a-b }, do: [ { b: { set: { y: 1 } } } ] }",
            "\"a-b\" cannot name a variable",
        ),
        (
            "do:\n- a: { for: { in: . }, do: [ { b: { set: { y: '${ $iten }' } } } ] }",
            "$iten is not known here; did you mean \"item\"?",
        ),
        ("do:\n- a: { try: [ { b: { set: { y: 1 } } } ] }", "/do/0/a: \"catch\" is missing"),
        (
            "do:\n- a: { try: [ { b: { set: { y: 1 } } } ], catch: { errors: { with: {} } } }",
            "a filter needs at least one member",
        ),
        (
            "do:\n- a: { try: [ { b: { set: { y: 1 } } } ], catch: { retry: zz } }",
            "there is no retry policy \"zz\"",
        ),
        (
            "do:\n- a: { try: [ { b: { set: { y: 1 } } } ], catch: { retry: { limit: { attempt: { duration: soon } } } } }",
            "/catch/retry/limit/attempt/duration: \"soon\" is not an ISO 8601",
        ),
        (
            "do:\n- a: { try: [ { b: { set: { y: 1 } } } ], catch: { retry: { limit: { attempt: { count: 1 } }, backoff: { exponential: { factor: 0.5 } } } } }",
            "/do/0/a/catch/retry/backoff/exponential/factor: `factor` is a number from 1 to 100",
        ),
        (
            "do:\n- a: { try: [ { b: { set: { y: 1 } } } ], catch: { retry: { backoff: { cubic: {} } } } }",
            "unknown key \"cubic\"",
        ),
        (
            "do:\n- a: { try: [ { b: { set: { y: 1 } } } ], catch: { retry: { jitter: { from: PT2S, to: PT1S } } } }",
            "`from` is longer than `to`",
        ),
        ("do:\n- a: { wait: { fortnights: 1 } }", "unknown key \"fortnights\""),
        ("do:\n- a: { wait: P1M }", "have no fixed length"),
        (
            "do:\n- a: { input: { from: .a, schema: { resource: { endpoint: 'https://x.example' } } }, set: { x: 1 } }",
            "external schemas are not supported yet",
        ),
        (
            "do:\n- a: { input: { schema: { document: { type: nonsense } } }, set: { x: 1 } }",
            "this is not a JSON Schema",
        ),
        (
            "do:\n- a: { input: { schema: { format: avro, document: {} } }, set: { x: 1 } }",
            "the schema format \"avro\" is not known",
        ),
    ] {
        let found = problems(tasks);
        assert!(found.contains(expected), "{tasks}\n  expected: {expected}\n  found: {found}");
    }
}

fn with_trigger(trigger: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: {{ other: 1, trigger: {trigger} }} }}\ndo:\n- a: {{ set: {{ x: 1 }} }}"
    )
}

#[test]
fn a_webhook_trigger_is_typed() {
    let source = with_trigger(
        "{ webhook: { auth: { hmac: { secret: key, header: X-Sig, prefix: sha256=, algorithm: sha256 } }, reply: sync, timeout: PT5S, dedupe: '.headers[\"x-id\"] // .body.id' } }",
    );
    let flow = Flow::parse(&source, "t").unwrap();
    let trigger = flow.trigger().unwrap();
    let (secret, header, prefix) = ("key".to_owned(), "X-Sig".to_owned(), Some("sha256=".to_owned()));
    assert_eq!(
        trigger.auth,
        WebhookAuth::Hmac {
            secret,
            header,
            prefix,
            timestamp: None,
            tolerance: factotum_flow::DEFAULT_TOLERANCE
        }
    );
    assert_eq!((trigger.reply, trigger.timeout), (Reply::Sync, Duration::from_secs(5)));
    let dedupe = trigger.dedupe.as_ref().unwrap();
    assert_eq!(
        dedupe.key(&json!({"headers": {"x-id": "a"}, "body": {"id": 5}})).unwrap().as_deref(),
        Some("a")
    );
    assert_eq!(dedupe.key(&json!({"headers": {}, "body": {"id": 5}})).unwrap().as_deref(), Some("5"));
    assert_eq!(dedupe.key(&json!({"headers": {}, "body": {}})).unwrap(), None);
    assert!(dedupe.key(&json!({"headers": 5})).is_err());

    let source = with_trigger(
        "{ webhook: { auth: { mtls: { dns: [Hooks.partner.example], email: [Ann@partner.example], commonName: [Orders] } } } }",
    );
    let flow = Flow::parse(&source, "t").unwrap();
    let clients = vec![
        ClientName::Dns("hooks.partner.example".into()),
        ClientName::Email("Ann@partner.example".into()),
        ClientName::CommonName("Orders".into()),
    ];
    assert_eq!(flow.trigger().unwrap().auth, WebhookAuth::Mtls { clients });

    let flow = Flow::parse(&with_trigger("{ webhook: { auth: none } }"), "t").unwrap();
    assert_eq!(
        (&flow.trigger().unwrap().auth, flow.trigger().unwrap().reply),
        (&WebhookAuth::None, Reply::Async)
    );
    assert!(parse("do:\n- a: { set: { x: 1 } }").trigger().is_none());
    assert_eq!(flow.document().metadata["other"], json!(1));
}

#[test]
fn a_mail_trigger_names_a_mailbox_and_a_folder() {
    let mail = |trigger: &str| Flow::parse(&with_trigger(trigger), "t").unwrap().mail().cloned();
    let found = mail("{ mail: { mailbox: support } }").unwrap();
    assert_eq!((found.mailbox.as_str(), found.folder.as_str()), ("support", "INBOX"));
    assert_eq!((found.line, found.path.as_str()), (1, "/document/metadata/trigger/mail"));
    assert_eq!(mail("{ mail: { mailbox: a, folder: 已处理 } }").unwrap().folder, "已处理");
    assert_eq!(mail("{ mail: { mailbox: a, folder: Inbox } }").unwrap().folder, "INBOX");
    let both = Flow::parse(&with_trigger("{ webhook: { auth: none }, mail: { mailbox: a } }"), "t").unwrap();
    assert!(both.trigger().is_some() && both.mail().is_some(), "a flow may have both");
    assert!(mail("{ webhook: { auth: none } }").is_none());
}

#[test]
fn a_wrong_trigger_is_told() {
    for (trigger, expected) in [
        ("{ webhook: {} }", "\"auth\" is missing; write `auth: none`"),
        ("{ webhook: }", "a webhook must say how callers show who they are"),
        ("{ webhook: { auth: { mtls: {} } } }", "must say whose certificates it takes; name them: dns"),
        ("{ webhook: { auth: { mtls: { dns: [] } } } }", "this list names nobody"),
        ("{ webhook: { auth: { mtls: { dns: hooks.partner.example } } } }", "expected a list"),
        ("{ webhook: { auth: { mtls: { dns: ['*.example'] } } } }", "a DNS name without wildcards"),
        ("{ webhook: { auth: { mtls: { fingerprint: ['9f86'] } } } }", "64 hexadecimal digits"),
        ("{ webhook: { auth: { mtls: { cn: [a] } } } }", "unknown key \"cn\""),
        ("{ webhook: { auth: { github: {} } } }", "\"secret\" is missing"),
        (
            "{ webhook: { auth: { stripe: { secret: s, tolerance: PT2H } } } }",
            "older than nothing and at most an hour",
        ),
        (
            "{ webhook: { auth: { hmac: { secret: s, header: X-S, tolerance: PT1M } } } }",
            "without a signed time there is nothing to tolerate",
        ),
        ("{ webhook: { auth: nome } }", "\"nome\" is not a way to authenticate"),
        ("{ webhook: { auth: { bearer: {} } } }", "\"secret\" is missing"),
        (
            "{ webhook: { auth: { hmac: { secret: a, header: h, algorithm: md5 } } } }",
            "the algorithm must be sha256",
        ),
        ("{ webhook: { auth: none, reply: soon } }", "\"soon\" is not a reply; use sync or async"),
        ("{ webhook: { auth: none, timeout: PT1S } }", "only a synchronous reply has a timeout"),
        ("{ webhook: { auth: none, reply: sync, timeout: PT1H } }", "at most 5 minutes"),
        ("{ webhook: { auth: none, dedupe: $workflow.id } }", "$workflow is not known here"),
        ("{ webhook: { auth: none, authh: 1 } }", "unknown key \"authh\"; did you mean \"auth\"?"),
        ("{ webook: { auth: none } }", "unknown key \"webook\"; did you mean \"webhook\"?"),
        ("{ mail: {} }", "\"mailbox\" is missing"),
        ("{ mail: { mailbox: support, folder: '' } }", "this names no folder"),
        ("{ mail: { mailbox: 'sup port' } }", "1 to 128 letters, digits"),
        ("{ mail: { mailbox: support, password: x } }", "unknown key \"password\""),
    ] {
        let found = Flow::parse(&with_trigger(trigger), "t").unwrap_err().to_string();
        assert!(found.contains(expected), "{trigger}\n  expected: {expected}\n  found: {found}");
    }
}

#[test]
fn warnings_do_not_stop_a_flow() {
    let flow = parse(
        "do:\n- a:\n    try: [ { b: { set: { y: 1 } } } ]\n    catch: { retry: { delay: PT1S } }\n- s:\n    switch:\n    - x: { then: end }\n    - y: { when: 'true', then: end }",
    );
    let lines: Vec<String> = flow.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "t.yaml:5:21 /do/0/a/catch/retry (warning): without a limit it is retried 10 times; say how often with `limit: { attempt: { count: 3 } }`",
            "t.yaml:9:10 /do/1/s/switch/1/y (warning): this case is never reached; move the case without `when` to the end",
        ]
    );
}

#[test]
fn what_a_document_says_for_its_host_is_read() {
    let source = "document: { dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: { limits: { concurrency: { max: 2, key: .customer }, rate: { max: 100, per: PT1M }, debounce: { after: PT10S, maxWait: PT2M, key: .order.id }, queue: 50, priority: .urgency }, retention: P90D, other: 1 } }\ndo:\n- a: { call: a/b, metadata: { sensitive: [ .iban, '.cards[].number' ] } }";
    let flow = Flow::parse(source, "t").unwrap();
    assert!(flow.warnings().iter().next().is_none(), "{:?}", flow.warnings());
    let limits = flow.limits().unwrap();
    let concurrency = limits.concurrency.as_ref().unwrap();
    assert_eq!(
        (concurrency.max, limits.queue, flow.retention()),
        (2, Some(50), Some(Duration::from_secs(90 * 86_400)))
    );
    let input = json!({"customer": "ann", "order": {"id": 7}});
    assert_eq!(concurrency.key.as_ref().unwrap().key(&input).as_deref(), Ok("ann"));
    assert_eq!(limits.debounce.as_ref().unwrap().max_wait, std::time::Duration::from_secs(120));
    assert_eq!(limits.debounce.as_ref().unwrap().key.as_ref().unwrap().key(&input).as_deref(), Ok("7"));
    let rate = limits.rate.as_ref().unwrap();
    assert_eq!((rate.limit.max, rate.per, rate.limit.key.is_none()), (100, Duration::from_secs(60), true));
    let priority = limits.priority.as_ref().unwrap();
    for (urgency, wanted) in
        [(json!(5), 5), (json!(99), 9), (json!(-1), 0), (json!(2.9), 2), (json!(null), 0)]
    {
        assert_eq!(priority.of(&json!({ "urgency": urgency })), Ok(wanted));
    }
    let wrong = priority.of(&json!({"urgency": "high"})).unwrap_err().detail.unwrap();
    assert!(wrong.contains("a number from 0 to 9, this is a text"), "{wrong}");
    let [sensitive] = flow.sensitive() else { panic!() };
    assert_eq!(json!(sensitive), json!({"path": "/do/0/a", "members": [["iban"], ["cards", "", "number"]]}));
}

#[test]
fn wrong_limits_are_told() {
    for (metadata, expected) in [
        (
            "{ limits: { concurrency: 0 } }",
            "/document/metadata/limits/concurrency: a limit is a number from 1 to 1000000",
        ),
        ("{ limits: { concurrency: { key: .a } } }", "/limits/concurrency: \"max\" is missing"),
        ("{ limits: { concurrency: { max: 1, key: '.a |' } } }", "/limits/concurrency/key: this is not jq"),
        ("{ limits: { rate: { max: 5 } } }", "/limits/rate: \"per\" is missing"),
        (
            "{ limits: { debounce: { after: PT10S, maxWait: PT9S } } }",
            "/limits/debounce/maxWait: this must not be shorter than `after`",
        ),
        (
            "{ limits: { debounce: { after: PT0S } } }",
            "/limits/debounce/after: this must be longer than nothing",
        ),
        ("{ limits: { priority: 10 } }", "/limits/priority: a priority is a number from 0 to 9"),
        ("{ limits: { priority: '.a |' } }", "/limits/priority: this is not jq"),
        ("{ limits: { concurency: 1 } }", "unknown key \"concurency\"; did you mean \"concurrency\"?"),
        ("{ retention: forever }", "/metadata/retention: \"forever\" is not an ISO 8601 duration"),
    ] {
        let source = format!(
            "document: {{ dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: {metadata} }}\ndo:\n- a: {{ set: {{ x: 1 }} }}"
        );
        let found = Flow::parse(&source, "t").unwrap_err().to_string();
        assert!(found.contains(expected), "{metadata}\n  expected: {expected}\n  found: {found}");
    }
}

#[test]
fn hostile_documents_are_refused() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
    let deep = format!("do: {}{}", "[".repeat(5000), "]".repeat(5000));
    let deep_map = format!("do: {}", "{a: ".repeat(5000));
    let block: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    let many =
        format!("do:\n{}", (0..6000).map(|i| format!("- t{i}: {{ set: {{ x: 1 }} }}\n")).collect::<String>());
    let nodes = format!("do: [{}]", "1,".repeat(250_000));
    for (source, expected) in [
        (bomb.to_owned(), "anchors"),
        (deep, "nested more than 64 deep"),
        (deep_map, "nested more than 64 deep"),
        (block, "nested more than 64 deep"),
        ("x".repeat(MAX_SOURCE + 1), "1048577 bytes"),
        (document(&many), "at most 5000 tasks"),
        (document(&nodes), "more than 200000 values"),
        ("\u{0}\u{1}".to_owned(), ""),
        ("%YAML 9.9\n---\n".to_owned(), ""),
        ("document: {}".to_owned(), "\"dsl\" is missing"),
        ("[]".to_owned(), "expected an object, found a list"),
        ("a: 1\n<<: 2".to_owned(), "merge keys"),
    ] {
        let found = Flow::parse(&source, "t").unwrap_err().to_string();
        assert!(found.contains(expected) && found.len() < 100_000, "{expected}: {found}");
    }
}

#[test]
fn a_document_nested_as_deep_as_allowed_runs() {
    let mut tasks = "{ set: { x: 1 } }".to_owned();
    for _ in 0..19 {
        tasks = format!("{{ do: [ {{ t: {tasks} }} ] }}");
    }
    let flow = parse(&format!("do: [ {{ t: {tasks} }} ]"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let outcome = runtime.block_on(async move {
        tokio::spawn(async move { support::run(&flow, json!({}), &support::Fake::echo()).await })
            .await
            .unwrap()
    });
    assert_eq!(outcome, factotum_flow::Outcome::Completed(json!({"x": 1})));
}

#[test]
fn a_flow_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Flow>();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = Flow::parse(&text, "t");
        let _ = Flow::parse(&document(&text), "t");
    }

    #[test]
    fn no_yaml_like_text_makes_the_parser_panic(text in "(do|set|call|- |a|: |\\n|  |\\$\\{|\\}|\\[|\\]|\\{|,|'|\"|\\.|\\||&|\\*|!|#|[0-9]){0,60}") {
        let _ = Flow::parse(&text, "t");
        let _ = Flow::parse(&document(&format!("do:\n- a: {{ set: {{ x: '${{ {} }}' }} }}", text.replace('\'', "''"))), "t");
    }

    #[test]
    fn cutting_or_changing_a_good_document_never_panics(at in 0usize..600, with in "[ -~]?") {
        let good = document("use:\n  errors: { e: { type: 'https://x.example/e', status: 400 } }\ndo:\n- f:\n    for: { each: v, in: .l }\n    while: 'true'\n    do:\n    - t:\n        try: [ { c: { call: 'a/b:^1', with: { x: '${ $v.a | map(. + 1) }' } } } ]\n        catch: { retry: { delay: PT1S, limit: { attempt: { count: 1 } } }, do: [ { r: { raise: { error: e } } } ] }\n- s: { switch: [ { x: { when: '.a', then: end } } ] }\n");
        let at = at.min(good.len());
        let _ = Flow::parse(&good[..at], "t");
        let _ = Flow::parse(&format!("{}{with}{}", &good[..at], good.get(at + 1..).unwrap_or("")), "t");
    }
}
