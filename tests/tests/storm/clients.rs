//! What the storm's clients do, and what was acknowledged to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use factotum_tests::Server;
use rand::RngExt;
use serde_json::{Value, json};

use crate::flows::{FLOWS, HOOKED, REPLIES, is_slow};

/// What the host promised.
#[derive(Default)]
pub struct Promised {
    number: AtomicUsize,
    /// Acknowledged runs: their flow and number, by identifier.
    pub runs: Mutex<BTreeMap<String, (&'static str, u64)>>,
    /// Webhook messages whose answer did not come: they are sent again, under the same key.
    unanswered: Mutex<BTreeSet<u64>>,
    /// How often a message was sent again.
    pub sent_again: AtomicUsize,
    /// Acknowledged answers of people: the word that was given, by item.
    pub answers: Mutex<BTreeMap<String, String>>,
    /// The runs of webhook messages, by number.
    messages: Mutex<BTreeMap<u64, String>>,
    /// The numbers of messages to flows that answer with their output, answered or not.
    pub asked: Mutex<BTreeSet<u64>>,
}

impl Promised {
    /// One message of a client, who thinks for up to `think` before it.
    pub fn post(&self, server: &Server, think: Duration) {
        std::thread::sleep(rand::rng().random_range(Duration::ZERO..think));
        let again = self.unanswered.lock().unwrap().pop_first();
        if let Some(n) = again {
            self.sent_again.fetch_add(1, Ordering::Relaxed);
            self.hook(server, n);
            return;
        }
        let n = self.number.fetch_add(1, Ordering::Relaxed);
        let flow = FLOWS[n % FLOWS.len()].name;
        let n = n as u64;
        if flow == HOOKED {
            // Some senders repeat what was answered, too.
            if self.hook(server, n) && n.is_multiple_of(4) {
                self.hook(server, n);
            }
            return;
        }
        if REPLIES.contains(&flow) {
            return self.ask(server, flow, n);
        }
        // 202 comes back as soon as the input is on disk.
        let request = server.api("POST", &format!("/api/v1/flows/storm/{flow}/runs"));
        if let Ok(response) = request.json(&json!({ "n": n })).send()
            && response.status() == 202
            && let Ok(started) = response.json::<Value>()
        {
            let id = started["run_id"].as_str().unwrap().to_owned();
            self.runs.lock().unwrap().insert(id, (flow, n));
        }
    }

    /// Sends a message to a webhook that answers with its flow's output. Such a message is never sent again: whoever has no
    /// answer was promised nothing.
    fn ask(&self, server: &Server, flow: &'static str, n: u64) {
        self.asked.lock().unwrap().insert(n);
        let request = server.http.post(format!("{}/hooks/storm/{flow}", server.address()));
        let Ok(answer) = request.json(&json!({ "n": n })).send() else { return };
        if answer.status() != 200 {
            return;
        }
        let id = answer.headers()["factotum-run"].to_str().unwrap().to_owned();
        if let Ok(output) = answer.json::<Value>() {
            assert_eq!(output, json!({ "n": n }), "{flow}");
        }
        self.runs.lock().unwrap().insert(id, (flow, n));
    }

    /// Sends a message to the webhook; whether it was answered.
    fn hook(&self, server: &Server, n: u64) -> bool {
        let url = format!("{}/hooks/storm/{HOOKED}", server.address());
        let request = server.http.post(url).header("idempotency-key", format!("message-{n}"));
        let answer = request.json(&json!({ "n": n })).send().ok().filter(|answer| answer.status() == 202);
        let Some(started) = answer.and_then(|answer| answer.json::<Value>().ok()) else {
            self.unanswered.lock().unwrap().insert(n);
            return false;
        };
        let id = started["run_id"].as_str().unwrap().to_owned();
        let first = self.messages.lock().unwrap().insert(n, id.clone());
        if let Some(first) = first {
            assert_eq!(first, id, "message {n} became two runs");
            assert_eq!(started["duplicate"], true, "message {n}: {started}");
        }
        self.runs.lock().unwrap().insert(id, (HOOKED, n));
        true
    }

    /// Sends the webhook messages again that have no answer yet.
    pub fn send_the_rest(&self, server: &Server) {
        loop {
            let Some(n) = self.unanswered.lock().unwrap().pop_first() else { return };
            self.hook(server, n);
        }
    }

    /// Answers open questions. Others do the same at the same time, with other words.
    pub fn decide(&self, server: &Server) -> Option<()> {
        let page: Value = server.api("GET", "/api/v1/inbox?limit=200").send().ok()?.json().ok()?;
        for item in page["items"].as_array()? {
            let n = number_of(item);
            if is_slow(n) && item["reminders"] == 0 {
                continue;
            }
            let id = item["id"].as_str()?;
            let word = format!("{n}-{}", rand::rng().random_range(0..u32::MAX));
            let request = server.api("POST", &format!("/api/v1/inbox/{id}/complete"));
            let body = json!({ "outcome": "approved", "answer": { "word": word } });
            let answer = request.json(&body).send().ok()?;
            match answer.status().as_u16() {
                200 => {
                    let before = self.answers.lock().unwrap().insert(id.to_owned(), word);
                    assert_eq!(before, None, "the item {id} was completed twice");
                }
                // Somebody else was quicker, or this one himself, before the host died.
                409 => {}
                status => panic!("the item {id} of {n} cannot be answered: {status} {:?}", answer.text()),
            }
        }
        Some(())
    }
}

/// The number in an item's title.
pub fn number_of(item: &Value) -> u64 {
    item["title"].as_str().and_then(|title| title.strip_prefix("n ")?.parse().ok()).expect("a number")
}

/// Sends each run that listens its answer. One that is sent twice, or while the host dies, does no harm.
pub fn send_events(server: &Server) -> Option<()> {
    let page = server.api("GET", "/api/v1/runs?flow=storm/listens&state=waiting&limit=200").send().ok()?;
    let page: Value = page.json().ok()?;
    for run in page["runs"].as_array()? {
        let id = run["id"].as_str()?;
        let shown: Value = server.api("GET", &format!("/api/v1/runs/{id}")).send().ok()?.json().ok()?;
        let event = json!({
            "specversion": "1.0", "id": format!("answer-{id}-{}", rand::rng().random_range(0..u32::MAX)),
            "source": "/storm", "type": "com.example.answer", "data": { "n": shown["input"]["n"] },
        });
        // Before the body, which would bring a type of its own.
        let request = server.api("POST", "/events").header("content-type", "application/cloudevents+json");
        let sent = request.json(&event).send().ok()?;
        assert!(sent.status().is_success(), "{} {:?}", sent.status(), sent.text());
    }
    Some(())
}
