//! The diagram as Mermaid's text (flowchart).

use std::fmt::Write as _;

use super::graph::{Task, Tree};
use crate::rehearsal::How;

/// Writes a tree. Writing to a string cannot fail.
pub(super) fn draw(tree: &Tree) -> String {
    let mut text = String::from("flowchart TD\n");
    let _ = writeln!(text, "  start([\"{}\"])", label(&tree.title));
    nodes(&mut text, &tree.tasks, 1);
    text.push_str("  end_([\"end\"])\n");
    match tree.tasks.first() {
        Some(first) => drop(writeln!(text, "  start --> {}", first.id)),
        None => text.push_str("  start --> end_\n"),
    }
    ways(&mut text, &tree.tasks, true);
    if tree.path {
        text.push_str("  classDef done fill:#d7f0dd,stroke:#2e7d46\n  classDef failed fill:#fbd9d7,stroke:#b3261e\n  classDef skipped stroke-dasharray:4\n");
    }
    text
}

fn nodes(text: &mut String, tasks: &[Task], depth: usize) {
    let indent = "  ".repeat(depth);
    for task in tasks {
        let content = format!("<b>{}</b><br/>{}", label(&task.name), label(&task.detail));
        if task.groups.is_empty() {
            let class = match task.how {
                Some(How::Completed) => ":::done",
                Some(How::Faulted) => ":::failed",
                Some(How::Skipped) => ":::skipped",
                None => "",
            };
            let (open, close) = if task.detail == "switch" { ("{", "}") } else { ("[", "]") };
            let _ = writeln!(text, "{indent}{}{open}\"{content}\"{close}{class}", task.id);
            continue;
        }
        let _ = writeln!(text, "{indent}subgraph {}[\"{content}\"]", task.id);
        for (index, group) in task.groups.iter().enumerate() {
            if group.label.is_empty() {
                nodes(text, &group.tasks, depth + 1);
            } else {
                let _ = writeln!(text, "{indent}  subgraph {}_{index}[\"{}\"]", task.id, group.label);
                nodes(text, &group.tasks, depth + 2);
                let _ = writeln!(text, "{indent}  end");
            }
        }
        let _ = writeln!(text, "{indent}end");
    }
}

fn ways(text: &mut String, tasks: &[Task], top: bool) {
    for (index, task) in tasks.iter().enumerate() {
        match tasks.get(index + 1) {
            Some(next) if task.goes_on => drop(writeln!(text, "  {} --> {}", task.id, next.id)),
            None if task.goes_on && top => drop(writeln!(text, "  {} --> end_", task.id)),
            _ => {}
        }
        for (word, target) in &task.jumps {
            let target = if target == "end" { "end_" } else { target };
            let word = if word.is_empty() { String::new() } else { format!("|{}|", label(word)) };
            let _ = writeln!(text, "  {} -->{word} {target}", task.id);
        }
        for group in &task.groups {
            if group.beside {
                for branch in &group.tasks {
                    ways(text, std::slice::from_ref(branch), false);
                }
            } else {
                ways(text, &group.tasks, false);
            }
        }
    }
}

/// Text in a label: nothing in it is markup or ends the label.
fn label(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("#amp;"),
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '#' => out.push_str("#35;"),
            '|' | '[' | ']' | '{' | '}' | '`' | '\\' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
