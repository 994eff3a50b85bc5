//! What must be true after the storm.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use factotum_tests::{Received, Server};
use serde_json::Value;

use crate::{
    clients::{Promised, number_of, send_events},
    flows::{FLOWS, HOOKED, is_slow, rank},
    post::Post,
};

/// Waits until every run is over, and answers those that listen and ask meanwhile.
pub fn settle(server: &Server, promised: &Promised) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(600);
    promised.send_the_rest(server);
    loop {
        send_events(server);
        promised.decide(server);
        let runs = server.all_runs();
        let left: Vec<_> =
            runs.iter().filter(|run| run["state"] == "waiting" || run["state"] == "running").collect();
        if left.is_empty() {
            return runs;
        }
        assert!(
            Instant::now() < deadline,
            "{} runs are still under way, such as {:?}",
            left.len(),
            left.first()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Nothing acknowledged is lost, every run ended as its flow ends, and no message became two runs.
pub fn runs(runs: &[Value], promised: &Promised) {
    let acknowledged = promised.runs.lock().unwrap();
    assert!(acknowledged.len() > 50, "only {} were acknowledged; the test shows nothing", acknowledged.len());
    let ended: HashMap<&str, &Value> = runs.iter().map(|run| (run["id"].as_str().unwrap(), run)).collect();
    for (id, (flow, n)) in &*acknowledged {
        assert!(ended.contains_key(id.as_str()), "{flow} {n} was acknowledged and is lost");
    }
    for kind in &FLOWS {
        let name = format!("storm/{}", kind.name);
        for run in runs.iter().filter(|run| run["flow"] == *name) {
            assert_eq!(run["state"], kind.ends, "{run}");
        }
    }
    let count = |flow: &str| runs.iter().filter(|run| run["flow"] == format!("storm/{flow}")).count();
    let messages: BTreeSet<u64> =
        acknowledged.values().filter(|(flow, _)| *flow == HOOKED).map(|(_, n)| *n).collect();
    assert_eq!(count(HOOKED), messages.len(), "runs of webhook messages");
    assert_eq!(count("child"), count("forks"), "children and parents");
}

/// No effect began before its run was on disk: what the counting server saw of messages whose senders wait belongs to a run
/// that is there, answered or not.
pub fn no_effect_without_its_run(runs: &[Value], received: &[Received], promised: &Promised) {
    let asked = promised.asked.lock().unwrap();
    let number = |request: &Received| request.body["n"].as_u64();
    let seen: BTreeSet<u64> = received.iter().filter_map(number).filter(|n| asked.contains(n)).collect();
    let there = runs.iter().filter(|run| run["flow"] == "storm/relays").count();
    assert_eq!(seen.len(), there, "messages that led to requests, and runs that sent some");
}

/// What the counting server saw. Returns how many requests were repetitions.
pub fn requests(received: &[Received], promised: &Promised) -> usize {
    let mut by_number: BTreeMap<u64, Vec<&Received>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut keys: HashMap<&str, (&str, u64)> = HashMap::new();
    for request in received {
        let n = request.body["n"].as_u64().expect("every request names its run");
        let key = request.key.as_deref().expect("every request has an idempotency key");
        assert!(seen.insert((request.generation, key)), "{} for {n} came twice without a kill", request.path);
        let whose = *keys.entry(key).or_insert((&request.path, n));
        assert_eq!(whose, (request.path.as_str(), n), "two effects have one key");
        by_number.entry(n).or_default().push(request);
    }
    for requests in by_number.values() {
        // An effect that follows another was not sent before the other was journalled: after it, never again the other.
        let ranks = requests.iter().map(|request| rank(&request.path));
        assert!(ranks.is_sorted(), "something journalled was done again: {requests:?}");
        let paths: BTreeSet<&str> = requests.iter().map(|request| request.path.as_str()).collect();
        for path in paths {
            let of_path = || requests.iter().filter(|request| request.path == path);
            let keys: BTreeSet<_> = of_path().map(|request| &request.key).collect();
            assert_eq!(keys.len(), 1, "{path} was repeated under another key: {requests:?}");
            let bodies: BTreeSet<String> = of_path().map(|request| request.body.to_string()).collect();
            assert_eq!(bodies.len(), 1, "{path} was repeated with another body: {requests:?}");
        }
    }
    for (flow, n) in promised.runs.lock().unwrap().values() {
        let paths: BTreeSet<&str> =
            by_number.get(n).into_iter().flatten().map(|request| request.path.as_str()).collect();
        let wanted = FLOWS.iter().find(|kind| kind.name == *flow).unwrap().requests;
        assert!(paths.iter().eq(wanted), "{flow} {n} did {paths:?}");
    }
    received.len() - keys.len()
}

/// Each question was asked once, answered once, called to mind at most once; and the answer that was acknowledged is the
/// one that its run acted on.
pub fn questions(server: &Server, runs: &[Value], received: &[Received], promised: &Promised) -> usize {
    let items = pages(server, "/api/v1/inbox?closed=true&limit=500", "items");
    assert_eq!(pages(server, "/api/v1/inbox?limit=500", "items"), Vec::<Value>::new(), "nothing waits");
    let asked: BTreeSet<&str> = items.iter().map(|item| item["run"].as_str().unwrap()).collect();
    assert_eq!(asked.len(), items.len(), "a run asked twice");
    let asking = runs.iter().filter(|run| run["flow"] == "storm/asks").count();
    assert_eq!(items.len(), asking, "questions and runs that ask");
    let words: HashMap<u64, &str> = received
        .iter()
        .filter_map(|request| Some((request.body["n"].as_u64()?, request.body["word"].as_str()?)))
        .collect();
    let answers = promised.answers.lock().unwrap();
    let count = |action: &str| {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for record in pages(server, &format!("/api/v1/audit?action={action}&limit=1000"), "records") {
            *counts.entry(record["entry"]["target"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    };
    let (completed, reminded) = (count("inbox.complete"), count("inbox.remind"));
    for item in &items {
        let (id, n) = (item["id"].as_str().unwrap(), number_of(item));
        assert_eq!(item["state"], "answered", "{item}");
        assert_eq!(completed.get(id), Some(&1), "answers of {item}");
        let reminders = item["reminders"].as_u64().unwrap();
        assert_eq!(reminded.get(id).copied().unwrap_or_default(), reminders, "reminders of {item}");
        assert!(reminders <= 1 && (reminders == 1 || !is_slow(n)), "{item}");
        if let Some(word) = answers.get(id) {
            let acted_on = words.get(&n).unwrap_or_else(|| panic!("{item} led to nothing"));
            assert_eq!(acted_on, word, "an acknowledged answer was replaced: {item}");
        }
    }
    answers.len()
}

/// Whatever a failed run had done was taken back, whatever was to be sent was sent; nothing else was. A mail came twice
/// only with the same `Message-ID`, and no more often than mails can be in flight at a kill. Returns how many there
/// were, and how many came again.
pub fn mails(post: &Post, runs: &[Value], kills: usize) -> (usize, usize) {
    let count = |flow: &str| runs.iter().filter(|run| run["flow"] == format!("storm/{flow}")).count();
    let wanted = 2 * count("undone") + count("mails");
    let mails = post.wait_for(wanted);
    let mut by_address: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for mail in &mails {
        by_address.entry(&mail.to).or_default().insert(&mail.message_id);
    }
    for (to, ids) in &by_address {
        assert_eq!(ids.len(), 1, "{to} was sent the same under several identifiers: {ids:?}");
    }
    assert_eq!(
        by_address.len(),
        wanted,
        "mails of {} runs that were undone and {} others",
        count("undone"),
        { count("mails") }
    );
    let again = mails.len() - by_address.len();
    let most = kills * post.connections();
    assert!(again <= most, "{again} mails came again; {most} can have been in flight");
    (by_address.len(), again)
}

/// The mails that acknowledged runs were to send have arrived: nothing acknowledged is lost.
pub fn promised_mails(post: &Post, promised: &Promised) {
    let arrived: BTreeSet<String> = post.mails().into_iter().map(|mail| mail.to).collect();
    for (flow, n) in promised.runs.lock().unwrap().values() {
        let wanted: &[&str] = match *flow {
            "undone" => &["undo-first", "undo-second"],
            "mails" => &["mail"],
            _ => &[],
        };
        for what in wanted {
            assert!(arrived.contains(&post.address(what, *n)), "{flow} {n}: its mail {what} is missing");
        }
    }
}

/// All entries of a list that comes in pages.
fn pages(server: &Server, path: &str, member: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = server.api("GET", &format!("{path}{cursor}")).send().unwrap().json().unwrap();
        all.extend(page[member].as_array().unwrap_or_else(|| panic!("{path}: {page}")).iter().cloned());
        cursor = match &page["cursor"] {
            Value::String(next) => format!("&cursor={next}"),
            Value::Number(next) => format!("&cursor={next}"),
            _ => return all,
        };
    }
}
