//! The storm's flows: each kind of thing that a run can be at when its host is killed.

use std::fs;

use factotum_tests::{Counter, Server};

/// A flow, the state that its runs end in, and the requests that each of them makes.
pub struct Kind {
    pub name: &'static str,
    pub ends: &'static str,
    pub requests: &'static [&'static str],
}

/// What clients start.
pub const FLOWS: [Kind; 9] = [
    Kind { name: "timers", ends: "completed", requests: &["/first", "/second"] },
    Kind { name: "listens", ends: "completed", requests: &["/first", "/second"] },
    Kind { name: "undone", ends: "faulted", requests: &["/first", "/second"] },
    Kind { name: "asks", ends: "completed", requests: &["/first", "/second"] },
    Kind { name: "forks", ends: "completed", requests: &["/child", "/left", "/middle", "/right", "/second"] },
    Kind { name: "mails", ends: "completed", requests: &["/first", "/second"] },
    Kind { name: HOOKED, ends: "completed", requests: &["/first"] },
    Kind { name: REPLIES[0], ends: "completed", requests: &[] },
    Kind { name: REPLIES[1], ends: "completed", requests: &["/first"] },
];
/// The flow that a webhook starts.
pub const HOOKED: &str = "hooked";
/// The flows whose webhook answers with their output: one that acts on nothing, and one that sends a request.
pub const REPLIES: [&str; 2] = ["replies", "relays"];
/// The flow that `forks` starts.
const CHILD: &str = "child";

/// An order for the requests of a run: one of a higher rank is only sent when those of a lower are journalled.
pub fn rank(path: &str) -> usize {
    usize::from(path == "/second")
}

/// A question whose number this is is answered only after its reminder.
pub fn is_slow(n: u64) -> bool {
    n.is_multiple_of(3)
}

fn flow(name: &str, counter: &str, domain: &str) -> String {
    let request = |task: &str, body: &str, more: &str| {
        format!(
            "- {task}: {{ call: http, with: {{ method: post, endpoint: 'http://{counter}/{task}', body: {{ n: '${{ $workflow.input.n }}'{body} }} }}{more} }}\n"
        )
    };
    let letter = |to: &str| {
        format!(
            "{{ letter: {{ template: acknowledge-case, language: en, data: '${{ {{ case_id: \"c-\\($workflow.input.n)\", name: \"Jane\", category: \"order\", priority: \"normal\", order_numbers: [], subject: \"{to}\" }} | tojson }}' }}, delivery: {{ to: '${{ \"{to}-\\($workflow.input.n)@{domain}\" }}' }} }}"
        )
    };
    // What was done is taken back by a mail.
    let undoable = |task: &str| {
        let with = letter(&format!("undo-{task}"));
        request(task, "", &format!(", metadata: {{ compensate: {{ call: mail/send, with: {with} }} }}"))
    };
    let (first, second) = (request("first", "", ""), request("second", "", ""));
    let tasks = match name {
        "timers" => format!("{first}- pause: {{ wait: {{ milliseconds: 2500 }} }}\n{second}"),
        "listens" => format!(
            "{first}- answer:\n    listen:\n      to:\n        one:\n          with: {{ type: com.example.answer, data: '${{ .n == $workflow.input.n }}' }}\n{second}"
        ),
        "undone" => format!(
            "{}{}- fail: {{ raise: {{ error: {{ type: 'https://example.com/refused', status: 409, title: Refused }} }} }}\n",
            undoable("first"),
            undoable("second")
        ),
        "asks" => format!(
            "{first}- ask: {{ call: human-task, with: {{ title: '${{ \"n \\($workflow.input.n)\" }}', group: desk, remind: PT1S, form: {{ type: object, properties: {{ word: {{ type: string }} }}, required: [word] }} }} }}\n{}",
            request("second", ", word: '${ .answer.word }'", "")
        ),
        "forks" => format!(
            "- spread:\n    fork:\n      branches:\n      {}      {}      - slow:\n          do:\n          - pause: {{ wait: {{ milliseconds: 200 }} }}\n          {}      - below: {{ run: {{ workflow: {{ namespace: storm, name: {CHILD}, version: '1.0.0', input: {{ n: '${{ $workflow.input.n }}' }} }} }} }}\n{second}",
            request("left", "", ""),
            request("middle", "", ""),
            request("right", "", "")
        ),
        "mails" => format!("{first}- letter: {{ call: mail/send, with: {} }}\n{second}", letter("mail")),
        HOOKED => first,
        "replies" => "- said: { set: { n: '${ $workflow.input.n }' } }\n".to_owned(),
        "relays" => {
            let said = "{ set: { n: '${ $workflow.input.n }' } }";
            format!("- begun: {said}\n{first}- said: {said}\n")
        }
        _ => format!("- pause: {{ wait: {{ milliseconds: 50 }} }}\n{}", request("child", "", "")),
    };
    let hook =
        |reply: &str| format!(", metadata: {{ trigger: {{ webhook: {{ auth: none, reply: {reply} }} }} }}");
    let metadata = match name {
        HOOKED => hook("async"),
        name if REPLIES.contains(&name) => hook("sync"),
        _ => String::new(),
    };
    format!(
        "document: {{ dsl: '1.0.3', namespace: storm, name: {name}, version: '1.0.0'{metadata} }}\ndo:\n{tasks}"
    )
}

/// Installs the mail plugin, grants and deploys all flows. Mails go to addresses at `domain`.
pub fn deploy(server: &Server, counter: &Counter, domain: &str) {
    let (host, port) = counter.address().split_once(':').unwrap();
    let grants = server.data().join("storm.toml");
    let rule = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"{host}\"\nport = {port}\nmethods = [\"POST\"]\npaths = [\"/**\"]\nprivate-network = true\n"
    );
    fs::write(&grants, rule).unwrap();
    server.install("mail", "config = true\n[mail]\nrecipients = [\"*\"]");
    for name in FLOWS.iter().map(|kind| kind.name).chain([CHILD]) {
        server.ok(&["flow", "grant", &format!("storm/{name}"), grants.to_str().unwrap(), "--yes"]);
    }
    // What another one starts comes first.
    for name in [CHILD].into_iter().chain(FLOWS.iter().map(|kind| kind.name)) {
        server.deploy(name, &flow(name, counter.address(), domain));
    }
}
