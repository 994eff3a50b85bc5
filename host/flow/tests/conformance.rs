//! The DSL's conformance features, run through the interpreter. They are not part of this repository: the variable
//! OWF_CTK_DIR names their folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // Test code.

mod support;

use factotum_flow::{Flow, Outcome};
use gherkin::{Feature, GherkinEnv, Step};
use serde_json::{Map, Value};
use support::Fake;

/// Scenarios whose tasks are refused in this version: file, scenario, the word that the refusal names.
const NOT_YET: [(&str, &str, &str); 11] = [
    ("branch.feature", "Fork Task With Competing Concurrent Sub Tasks", "`fork`"),
    ("call.feature", "Call HTTP With Content Output", "`call: http`"),
    ("call.feature", "Call HTTP With Response Output", "`call: http`"),
    ("call.feature", "Call HTTP Using Basic Authentication", "`call: http`"),
    ("call.feature", "Call OpenAPI With Content Output", "`call: openapi`"),
    ("call.feature", "Call OpenAPI With Response Output", "`call: openapi`"),
    ("data-flow.feature", "Output Filtering", "`call: http`"),
    ("data-flow.feature", "Use Non-object Output", "`call: http`"),
    ("emit.feature", "Emit Task", "`emit`"),
    ("try.feature", "Try Handle Caught Error", "`call: http`"),
    ("try.feature", "Try Raise Uncaught Error", "`call: http`"),
];

/// A value written in a feature's text block: a flow may be read as any YAML, so a document is wrapped around it.
fn value(step: &Step) -> Value {
    let text = step.docstring.as_deref().expect("a text block");
    let body = text.trim_start_matches(|c: char| c != '\n').trim_start_matches('\n');
    let body = if text.trim_start().starts_with("yaml") { body } else { text };
    let indented: String = body.lines().map(|line| format!("        {line}\n")).collect();
    let source = support::document(&format!("do:\n- x:\n    set:\n      value:\n{indented}"));
    let flow = Flow::parse(&source, "value").unwrap_or_else(|p| panic!("{p}\n{source}"));
    flow.definition().pointer("/do/0/x/set/value").unwrap().clone()
}

fn yaml(step: &Step) -> String {
    let text = step.docstring.as_deref().expect("a text block");
    match text.trim_start().strip_prefix("yaml\n") {
        Some(rest) => rest.to_owned(),
        None => text.to_owned(),
    }
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('\'').skip(1).step_by(2).collect()
}

fn property<'v>(output: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(output, |value, key| value.get(key))
}

/// One scenario; what is not as it should be comes back as text.
async fn scenario(steps: &[Step]) -> Result<(), String> {
    let mut definition = String::new();
    let mut input = Value::Object(Map::new());
    let mut ran: Option<(Outcome, Vec<String>)> = None;
    for step in steps {
        let text = step.value.as_str();
        let want = |ok: bool, found: &dyn std::fmt::Debug| {
            if ok { Ok(()) } else { Err(format!("{text}: found {found:?}")) }
        };
        if text.ends_with("a workflow with definition:") {
            definition = yaml(step);
        } else if text.ends_with("the workflow input is:") {
            input = value(step);
        } else if text == "the workflow is executed" {
            let flow = Flow::parse(&definition, "feature").map_err(|problems| problems.to_string())?;
            let fx = Fake::echo();
            let outcome = support::run(&flow, input.clone(), &fx).await;
            let order = fx
                .events()
                .into_iter()
                .filter_map(|e| e.strip_suffix(" started").map(str::to_owned))
                .collect();
            ran = Some((outcome, order));
        } else {
            let (outcome, order) = ran.as_ref().expect("the workflow was executed");
            let output = match outcome {
                Outcome::Completed(output) => output.clone(),
                _ => Value::Null,
            };
            let completed = matches!(outcome, Outcome::Completed(_));
            if text == "the workflow should complete" {
                want(completed, outcome)?;
            } else if text == "the workflow should fault" {
                want(matches!(outcome, Outcome::Faulted(_)), outcome)?;
            } else if text == "the workflow should complete with output:" {
                want(completed && output == value(step), outcome)?;
            } else if text == "the workflow should fault with error:" {
                let Outcome::Faulted(error) = outcome else { return want(false, outcome) };
                want(error.to_value() == value(step), outcome)?;
            } else if text.contains("should have properties") {
                for path in quoted(text) {
                    want(property(&output, path).is_some(), outcome)?;
                }
            } else if text.contains("property with value:") {
                want(property(&output, quoted(text)[0]) == Some(&value(step)), outcome)?;
            } else if text.contains("property containing") {
                let count: usize = text.split(' ').rev().nth(1).unwrap().parse().unwrap();
                let found = property(&output, quoted(text)[0]).and_then(Value::as_array).map(Vec::len);
                want(found == Some(count), outcome)?;
            } else if let Some(name) = text.strip_suffix(" should run first") {
                want(order.first().map(String::as_str) == Some(name), order)?;
            } else if let Some(name) = text.strip_suffix(" should run last") {
                want(order.last().map(String::as_str) == Some(name), order)?;
            } else if let Some((later, earlier)) = text.split_once(" should run after ") {
                let place = |name: &str| order.iter().position(|n| n == name);
                want(place(earlier).is_some() && place(earlier) < place(later), order)?;
            } else {
                return Err(format!("this step is not understood: {text}"));
            }
        }
    }
    ran.map(|_| ()).ok_or_else(|| "nothing was executed".into())
}

#[tokio::test]
#[ignore = "needs OWF_CTK_DIR"]
async fn conformance_features() {
    let folder = std::env::var("OWF_CTK_DIR").expect("OWF_CTK_DIR names the folder of the features");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "feature"))
        .collect();
    files.sort();
    let (mut passed, mut not_yet, mut failed) = (0, 0, Vec::new());
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let feature = Feature::parse_path(&path, GherkinEnv::default()).unwrap();
        for s in &feature.scenarios {
            let name = s.name.as_str();
            let refused = NOT_YET.iter().find(|(f, n, _)| *f == file && *n == name);
            match (scenario(&s.steps).await, refused) {
                (Ok(()), None) => {
                    println!("{file}: {name}: passed");
                    passed += 1;
                }
                (Err(why), Some((_, _, word))) if why.contains(&format!("{word} is not supported yet")) => {
                    println!("{file}: {name}: not supported yet ({word})");
                    not_yet += 1;
                }
                (Ok(()), Some(_)) => failed.push(format!("{file}: {name}: passes now; take it off the list")),
                (Err(why), _) => failed.push(format!("{file}: {name}: {why}")),
            }
        }
    }
    println!("{passed} passed, {not_yet} not supported yet, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed > 0, "there are no features in OWF_CTK_DIR");
    assert_eq!(not_yet, NOT_YET.len(), "a scenario of the list is gone");
}
