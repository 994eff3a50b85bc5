//! What the checks cost a call with one HTTP request, as a ratio in one run. Run with `cargo xtask bench`.
//!
//! The same guest posts the same body to the same server on loopback. On one side it does so under a grant of a dozen rules
//! with query keys, body fields, budgets and a rate, narrowed by a flow; on the other under one rule that allows everything
//! there, whose check is a few comparisons. Below that the door out alone, under the same grant and under a policy that asks
//! nothing at all.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)] // a program for people at a terminal

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{hostile, server::Server};
use factotum_egress::{Egress, EgressConfig, EgressError, Hold, Limits, NoSecrets, Policy, SystemResolver};
use factotum_grant::{Denial, Effective, HttpRequest, HttpRule, Narrowing, Permit};
use factotum_sandbox::{Narrowed, Plugin};
use serde_json::{Value, json};

const ROUNDS: usize = 60;
const CALLS: usize = 50;
const BODY: &str = r#"{"contact":{"name":"Jane Doe","mail":"jane@example.com"},"note":"asks for a replacement","tags":["new","urgent"]}"#;

/// Allows everything, and looks at nothing.
struct Unchecked(HttpRule);

impl Policy for Unchecked {
    fn check(&self, _: &HttpRequest<'_>) -> Result<Permit<'_>, Denial> {
        Ok(Permit { rule: &self.0, index: 0 })
    }
    fn begin(&self, _: &Permit<'_>) -> Result<Hold, EgressError> {
        Ok(None)
    }
}

/// The right of a call, without its counting.
struct Checked(Effective);

impl Policy for Checked {
    fn check(&self, request: &HttpRequest<'_>) -> Result<Permit<'_>, Denial> {
        self.0.check_http(request)
    }
    fn begin(&self, _: &Permit<'_>) -> Result<Hold, EgressError> {
        Ok(None)
    }
}

/// A grant as a connector of the desk has it; the rule that is needed stands last.
fn desk(server: &Server) -> String {
    let others: String = (0..11)
        .map(|n| format!("[[http]]\nhost = \"api-{n}.example.com\"\nmethods = [\"GET\", \"POST\"]\npaths = [\"/rest/contact/*\", \"/rest/case/*/notes\", \"/rest/order/**\"]\n"))
        .collect();
    let rule =
        server.rule(r#"["GET", "POST"]"#, r#"["/rest/case/*", "/rest/contact/*", "/rest/contact/*/notes"]"#);
    format!(
        "{others}{rule}query = [\"page\", \"notify\"]\nbody-fields = [\"/contact/name\", \"/contact/mail\", \"/note\", \"/tags/*\"]\nmax-request-bytes = 65536\nper-minute = 4000000000\nconcurrency = 1000\n"
    )
}

const NARROWING: &str = "[[http]]\nmethods = [\"POST\"]\npaths = [\"/rest/contact/**\"]";

fn by_flow() -> Narrowing {
    toml::from_str(NARROWING).unwrap()
}

async fn call(plugin: &Plugin, narrowed: Option<&Arc<Narrowed>>, input: &Value) {
    let report = plugin.call_narrowed("request", input, &common::context(), narrowed).await;
    assert_eq!(report.result.unwrap()["status"], json!(200));
}

async fn send(egress: &Egress, policy: &dyn Policy, url: &str) {
    let request = http::Request::post(url).header("content-type", "application/json");
    let request = request.body(bytes::Bytes::from_static(BODY.as_bytes())).unwrap();
    let answer = egress.send_under(policy, request, &Limits::default()).await.unwrap();
    assert_eq!(answer.status(), 200);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn timed(times: &mut Vec<Duration>, what: impl Future<Output = ()>) {
    let start = Instant::now();
    what.await;
    times.push(start.elapsed());
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo test --benches` runs this program too, to see that it runs.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    let server = Server::saying("ok").await;
    let desk = desk(&server);
    let (narrow, _) = hostile(&desk);
    let (wide, _) = hostile(&server.rule(r#"["POST"]"#, r#"["/**"]"#));
    let narrowed = Arc::new(Narrowed::new(by_flow()));
    let url = server.url("/rest/contact/4711?notify=1");
    let input = json!({"method": "POST", "url": url, "headers": [["content-type", "application/json"]], "body": BODY});
    let egress = Egress::new(EgressConfig::default(), Arc::new(SystemResolver), Arc::new(NoSecrets)).unwrap();
    let granted = common::grants(&desk);
    let checked = Checked(Effective::new(&Narrowing::default(), &granted, &by_flow()).unwrap());
    let unchecked = Unchecked(wide.grants().http[0].clone());
    let [mut narrow_times, mut wide_times, mut door_times, mut bare_times] = [const { Vec::new() }; 4];
    // Call by call, and in turns, so that whatever else the machine does meets all alike.
    for round in 0..rounds * CALLS {
        for turn in 0..4 {
            match (round + turn) % 4 {
                0 => timed(&mut wide_times, call(&wide, None, &input)).await,
                1 => timed(&mut bare_times, send(&egress, &unchecked, &url)).await,
                2 => timed(&mut narrow_times, call(&narrow, Some(&narrowed), &input)).await,
                _ => timed(&mut door_times, send(&egress, &checked, &url)).await,
            }
        }
        server.requests.lock().unwrap().clear();
    }
    let [narrow, wide, door, bare] = [narrow_times, wide_times, door_times, bare_times].map(median);
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    println!("one call with one HTTP request on loopback; median of {}", rounds * CALLS);
    println!(
        "  sandboxed, 12 rules, narrowed    {narrow:>10.1?}   ratio {:.2} (target: at most 1.10)",
        ratio(narrow, wide)
    );
    println!("  sandboxed, one wide rule         {wide:>10.1?}");
    println!("  the door out, 12 rules, narrowed {door:>10.1?}   ratio {:.2}", ratio(door, bare));
    println!("  the door out, nothing asked      {bare:>10.1?}");
}
