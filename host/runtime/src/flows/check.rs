//! A flow is checked: the document by itself, then what its calls mean on this host, then their arguments.

use std::collections::BTreeMap;

use factotum_flow::{CallSite, Declassified, Flow, Problem, Problems, Severity};
use factotum_provenance::Source;

use crate::actions::{Actions, Pin};

/// Checks a document as deploying it would. Reports everything that is wrong, not only the first.
pub(crate) fn check(actions: &dyn Actions, source: &str, file: &str) -> Result<(Flow, Vec<Pin>), Problems> {
    let flow = Flow::parse(source, file)?;
    let mut pins: BTreeMap<String, Pin> = BTreeMap::new();
    let mut problems = Vec::new();
    for site in flow.calls() {
        match actions.resolve(&site.function) {
            Ok(pin) => {
                for wrong in actions.check_input(&pin, &site.with) {
                    let path = format!("{}/with{}", site.path, wrong.pointer);
                    problems.push(problem(file, site, path, wrong.message, None));
                }
                if let Some(why) = site.grants.as_ref().and_then(|by| actions.check_narrowing(&pin, by)) {
                    let path = format!("{}/metadata/grants", site.path);
                    problems.push(problem(file, site, path, why, None));
                }
                pins.entry(site.function.to_string()).or_insert(pin);
            }
            Err(unresolved) => {
                let path = format!("{}/call", site.path);
                problems.push(problem(file, site, path, unresolved.message, unresolved.hint));
            }
        }
    }
    if problems.is_empty() { Ok((flow, pins.into_values().collect())) } else { Err(Problems(problems)) }
}

/// What works, but probably not as meant: data that nothing here gives out cannot be taken for free of anything.
pub(crate) fn doubts(actions: &dyn Actions, flow: &Flow, file: &str) -> Vec<Problem> {
    let of_task = |task: &Declassified| {
        let unknown = task.from.iter().filter(|source| !actions.gives_out(source));
        let doubt = |source: &Source| Problem {
            severity: Severity::Warning,
            file: file.to_owned(),
            line: task.line,
            column: 1,
            path: format!("{}/metadata/declassify/from", task.path),
            message: match source {
                Source::Origin(name) => format!("no installed plugin is called {name:?}"),
                Source::Class(class) => format!("no installed plugin's data is of the class {class:?}"),
            },
            hint: Some(
                "as long as that is so, it takes nothing off; is it spelled as in plugin list?".into(),
            ),
        };
        unknown.map(doubt).collect::<Vec<_>>()
    };
    flow.declassified().iter().flat_map(of_task).collect()
}

fn problem(file: &str, site: &CallSite, path: String, message: String, hint: Option<String>) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: site.line,
        column: site.column,
        path,
        message,
        hint,
    }
}

/// Whether a string in `with` is an expression as a whole, and so of any type until it runs.
pub(crate) fn is_expression(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("${") && text.ends_with('}')
}
