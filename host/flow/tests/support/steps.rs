//! The steps of conformance features: those of the DSL's own kit, and ours in the same manner.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

use super::Fake;
use factotum_flow::{Flow, Outcome};
use gherkin::Step;
use serde_json::{Map, Value};

/// A value written in a feature's text block: a flow may be read as any YAML, so a document is wrapped around it.
fn value(step: &Step) -> Value {
    let text = step.docstring.as_deref().expect("a text block");
    let body = text.trim_start_matches(|c: char| c != '\n').trim_start_matches('\n');
    let body = if text.trim_start().starts_with("yaml") { body } else { text };
    let indented: String = body.lines().map(|line| format!("        {line}\n")).collect();
    let source = super::document(&format!("do:\n- x:\n    set:\n      value:\n{indented}"));
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

fn millis(time: &str) -> u64 {
    let time = chrono::DateTime::parse_from_rfc3339(time).unwrap();
    time.timestamp_millis().try_into().unwrap()
}

/// A run that is over, or waits.
struct Ran {
    outcome: Outcome,
    order: Vec<String>,
    fx: Fake,
}

fn outcome_step(text: &str, step: &Step, ran: &Ran) -> Result<(), String> {
    let want = |ok: bool, found: &dyn std::fmt::Debug| {
        if ok { Ok(()) } else { Err(format!("{text}: found {found:?}")) }
    };
    let Ran { outcome, order, fx } = ran;
    let output = match outcome {
        Outcome::Completed(output) => output.clone(),
        _ => Value::Null,
    };
    let completed = matches!(outcome, Outcome::Completed(_));
    let error = match outcome {
        Outcome::Faulted(error) => error.to_value(),
        _ => Value::Null,
    };
    if text == "the workflow should complete" {
        want(completed, outcome)
    } else if text == "the workflow should fault" {
        want(!error.is_null(), outcome)
    } else if text == "the workflow should be waiting" {
        want(*outcome == Outcome::Suspended, outcome)
    } else if text == "the workflow should complete with output:" {
        want(completed && output == value(step), outcome)
    } else if text == "the workflow should fault with error:" {
        want(error == value(step), outcome)
    } else if text.starts_with("the workflow should fault with") {
        let [kind, status] = quoted(text)[..] else { panic!("{text}") };
        let fits = |e: &Value| {
            e["type"].as_str().is_some_and(|t| t.ends_with(kind))
                && e["status"].as_u64() == status.parse().ok()
        };
        want(fits(&error), outcome)
    } else if text.contains("should have properties") {
        quoted(text).into_iter().try_for_each(|path| want(property(&output, path).is_some(), outcome))
    } else if text.contains("property with value:") {
        want(property(&output, quoted(text)[0]) == Some(&value(step)), outcome)
    } else if text.contains("property containing") {
        let count: usize = text.split(' ').rev().nth(1).unwrap().parse().unwrap();
        let found = property(&output, quoted(text)[0]).and_then(Value::as_array).map(Vec::len);
        want(found == Some(count), outcome)
    } else if let Some(name) = text.strip_suffix(" should run first") {
        want(order.first().map(String::as_str) == Some(name), order)
    } else if let Some(name) = text.strip_suffix(" should run last") {
        want(order.last().map(String::as_str) == Some(name), order)
    } else if let Some(name) = text.strip_suffix(" should not run") {
        want(!order.iter().any(|ran| ran == name), order)
    } else if let Some((name, times)) = text.split_once(" should run ").filter(|(_, t)| t.ends_with(" times"))
    {
        let times: usize = times.split(' ').next().unwrap().parse().unwrap();
        want(order.iter().filter(|ran| *ran == name).count() == times, order)
    } else if let Some((later, earlier)) = text.split_once(" should run after ") {
        let place = |name: &str| order.iter().position(|n| n == name);
        want(place(earlier).is_some() && place(earlier) < place(later), order)
    } else if let Some(seconds) = text.strip_prefix("the workflow should have taken ") {
        let seconds: u64 = seconds.split(' ').next().unwrap().parse().unwrap();
        let clock = *fx.clock.lock().unwrap();
        want(clock == seconds, &clock)
    } else if text.starts_with("the request should carry") {
        let requests = fx.requests.lock().unwrap();
        want(requests.iter().any(|r| r.to_string().contains(quoted(text)[0])), &*requests)
    } else if text.starts_with("the host should have been asked for") {
        let [kind, what] = quoted(text)[..] else { panic!("{text}") };
        let asked = fx.asked();
        want(asked.iter().any(|a| a.kind == kind && a.what.contains(what)), &asked)
    } else if text == "the lifecycle should be:" {
        want(serde_json::to_value(fx.events()).unwrap() == value(step), &fx.events())
    } else {
        Err(format!("this step is not understood: {text}"))
    }
}

/// One scenario; what is not as it should be comes back as text.
pub async fn scenario(steps: &[Step]) -> Result<(), String> {
    let mut definition = String::new();
    let mut input = Value::Object(Map::new());
    let mut fx = Fake::echo();
    fx.web = Some(Box::new(super::web::answer));
    let mut fx = Some(fx);
    let mut ran: Option<Ran> = None;
    let mut problems = String::new();
    for step in steps {
        let text = step.value.as_str();
        if text.ends_with("a workflow with definition:") {
            definition = yaml(step);
        } else if text.ends_with("the workflow input is:") {
            input = value(step);
        } else if text.ends_with("these events come:") {
            fx.as_mut().unwrap().inbox = value(step).as_array().unwrap().clone();
        } else if text.ends_with("every wait suspends the workflow") {
            fx.as_mut().unwrap().suspend = true;
        } else if let Some((_, seconds)) = text.split_once("every call takes ") {
            fx.as_mut().unwrap().slow = seconds.split(' ').next().unwrap().parse().unwrap();
        } else if text == "the workflow is executed" || text == "the workflow is executed again" {
            let flow = Flow::parse(&definition, "feature").map_err(|problems| problems.to_string())?;
            let fx = fx.take().or_else(|| ran.take().map(|ran| ran.fx)).unwrap();
            fx.events.lock().unwrap().clear();
            let outcome = super::run(&flow, input.clone(), &fx).await;
            let order = fx
                .events()
                .into_iter()
                .filter_map(|e| e.strip_suffix(" started").map(str::to_owned))
                .collect();
            ran = Some(Ran { outcome, order, fx });
        } else if text == "the workflow is deployed" {
            problems = match Flow::parse(&definition, "feature") {
                Ok(_) => String::new(),
                Err(problems) => problems.to_string(),
            };
        } else if text == "the workflow should be refused with:" {
            let expected = step.docstring.as_deref().unwrap().trim();
            if !problems.contains(expected) {
                return Err(format!("{text}: found {problems:?}"));
            }
        } else if text.starts_with("the workflow should next start") {
            let [at, after] = quoted(text)[..] else { panic!("{text}") };
            let flow = Flow::parse(&definition, "feature").map_err(|problems| problems.to_string())?;
            let found = flow.schedule().and_then(|s| s.next_after(millis(after), millis(after)));
            if found != Some(millis(at)) {
                return Err(format!("{text}: found {found:?}"));
            }
        } else {
            outcome_step(text, step, ran.as_ref().expect("the workflow was executed"))?;
        }
    }
    Ok(())
}
