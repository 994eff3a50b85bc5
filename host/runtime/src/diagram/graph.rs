//! What is drawn: the tasks of a flow as a tree, with the ways between them and how they went in a run.

use std::collections::HashMap;

use factotum_flow::Flow;
use serde_json::Value;

use crate::rehearsal::How;

/// The longest name or detail, in characters.
const MAX_TEXT: usize = 36;

/// A flow to be drawn.
pub(super) struct Tree {
    pub title: String,
    pub tasks: Vec<Task>,
    /// Whether the path of a run is on it.
    pub path: bool,
}

/// A task.
pub(super) struct Task {
    /// Unique in the diagram.
    pub id: String,
    pub name: String,
    /// Its kind and what it does, in a few words.
    pub detail: String,
    /// The lists of tasks inside it.
    pub groups: Vec<Group>,
    /// Where it goes by name: the word on the way, and the target's identifier, or `end`.
    pub jumps: Vec<(String, String)>,
    /// Whether it also goes on to the task below it.
    pub goes_on: bool,
    /// How it went in a run.
    pub how: Option<How>,
}

/// A list of tasks inside a task.
pub(super) struct Group {
    pub label: &'static str,
    /// They run beside one another.
    pub beside: bool,
    pub tasks: Vec<Task>,
}

/// The tasks of a flow. `ran` says of tasks (JSON Pointers) how they went; the last that is said of one counts, but for a
/// skipped one that ran before.
pub(super) fn tree(flow: &Flow, ran: &[(String, How)]) -> Tree {
    let mut how: HashMap<&str, How> = HashMap::new();
    for (task, went) in ran {
        match how.get(task.as_str()) {
            Some(_) if *went == How::Skipped => {}
            _ => drop(how.insert(task, *went)),
        }
    }
    let document = flow.document();
    let title = document.title.clone().unwrap_or_else(|| flow.id());
    let title = format!("{} {}", cut(&title, 80), document.version);
    let mut count = 0;
    let list = flow.definition().get("do").and_then(Value::as_array);
    let tasks = list.map(|list| tasks(list, "/do", &how, &mut count)).unwrap_or_default();
    Tree { title, tasks, path: !ran.is_empty() }
}

fn tasks(list: &[Value], at: &str, how: &HashMap<&str, How>, count: &mut usize) -> Vec<Task> {
    let named: Vec<(&String, &Value)> =
        list.iter().filter_map(|item| item.as_object().and_then(|item| item.iter().next())).collect();
    let first = *count;
    *count += named.len();
    let id = |index: usize| format!("n{}", first + index);
    let target = |name: &str| match name {
        "exit" | "end" => "end".to_owned(),
        name => named.iter().position(|(other, _)| other.as_str() == name).map_or("end".to_owned(), id),
    };
    let mut drawn = Vec::with_capacity(named.len());
    for (index, (name, task)) in named.iter().enumerate() {
        let pointer = format!("{at}/{index}/{}", name.replace('~', "~0").replace('/', "~1"));
        let (jumps, goes_on) = ways(task, &target);
        drawn.push(Task {
            id: id(index),
            name: cut(name, MAX_TEXT),
            detail: cut(&detail(task), MAX_TEXT),
            groups: groups(task, &pointer, how, count),
            jumps,
            goes_on,
            how: how.get(pointer.as_str()).copied(),
        });
    }
    drawn
}

fn ways(task: &Value, target: &dyn Fn(&str) -> String) -> (Vec<(String, String)>, bool) {
    let mut jumps = Vec::new();
    let mut goes_on = true;
    if let Some(cases) = task.get("switch").and_then(Value::as_array) {
        let mut always = false;
        for (name, case) in cases.iter().filter_map(Value::as_object).filter_map(|case| case.iter().next()) {
            always |= case.get("when").is_none();
            match case.get("then").and_then(Value::as_str) {
                None | Some("continue") => {}
                Some(then) => jumps.push((cut(name, 20), target(then))),
            }
        }
        let continues = cases
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|case| case.values().next())
            .any(|case| case.get("then").and_then(Value::as_str).is_none_or(|then| then == "continue"));
        goes_on = continues || !always;
    }
    match task.get("then").and_then(Value::as_str) {
        None | Some("continue") => {}
        Some(then) => {
            jumps.push((String::new(), target(then)));
            goes_on = false;
        }
    }
    if task.get("raise").is_some() {
        goes_on = false;
    }
    (jumps, goes_on)
}

fn groups(task: &Value, pointer: &str, how: &HashMap<&str, How>, count: &mut usize) -> Vec<Group> {
    let mut groups = Vec::new();
    for (label, path, beside) in [
        ("", "do", false),
        ("try", "try", false),
        ("catch", "catch/do", false),
        ("", "fork/branches", true),
        ("for each event", "foreach/do", false),
        ("for each item", "with/do", false),
    ] {
        let list = task.pointer(&format!("/{path}")).and_then(Value::as_array);
        if let Some(list) = list {
            let tasks = tasks(list, &format!("{pointer}/{path}"), how, count);
            groups.push(Group { label, beside, tasks });
        }
    }
    groups
}

/// What a task does, in a few words.
fn detail(task: &Value) -> String {
    let text = |pointer: &str| task.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let has = |key: &str| task.get(key).is_some();
    if has("for") {
        return format!("for each {} in {}", text("/for/each"), text("/for/in"));
    }
    for (key, word) in [("try", "try"), ("fork", "at the same time"), ("listen", "listen"), ("set", "set")] {
        if has(key) {
            return word.to_owned();
        }
    }
    if has("call") {
        let more = match text("/call") {
            "http" => format!(" {} {}", text("/with/method"), text("/with/endpoint")),
            "human-task" => format!(": {}", text("/with/title")),
            _ => String::new(),
        };
        return format!("call {}{more}", text("/call"));
    }
    if has("wait") {
        let wait = task.get("wait").map(|wait| wait.as_str().map_or_else(|| wait.to_string(), str::to_owned));
        return format!("wait {}", wait.unwrap_or_default());
    }
    if has("run") {
        let name = text("/run/workflow/name");
        return if name.is_empty() { "run a script".into() } else { format!("run {name}") };
    }
    if has("emit") {
        return format!("emit {}", text("/emit/event/with/type"));
    }
    for key in ["raise", "switch", "do"] {
        if has(key) {
            return key.to_owned();
        }
    }
    String::new()
}

fn cut(text: &str, most: usize) -> String {
    let clean = || text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if clean().count() <= most {
        return clean().collect();
    }
    let mut short: String = clean().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}
