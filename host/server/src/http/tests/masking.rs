//! What a flow calls sensitive is nowhere to be read: not over any endpoint, not in the log.

use std::time::Duration;

use factotum_runtime::Watched;
use serde_json::{Value, json};

use super::{Body, Desk};

const MARKER: &str = "DE89370400440532013000";
const PAYS: &str = r#"
document: { dsl: '1.0.3', namespace: support, name: pays, version: '1.0.0' }
do:
  - tell:
      emit: { event: { with: { source: 'https://pay.example.com', type: com.example.paid, data: { iban: '${ .iban }' } } } }
      metadata: { sensitive: [ .data.iban ] }
  - ask:
      call: human-task
      with: { title: '${ "Pay to " + $workflow.input.iban + "?" }', description: '${ $workflow.input.iban }', group: desk }
  - fail:
      raise: { error: { type: 'https://example.com/no', status: 400, title: no, detail: '${ "not to " + $workflow.input.iban }' } }
"#;

/// Everything that can be read over the API but an open item itself, which somebody has to decide on.
async fn everything(desk: &Desk, run: &str, item: &str, closed: bool) -> Vec<(String, String)> {
    let mut paths: Vec<String> = crate::http::openapi()
        .paths
        .paths
        .into_iter()
        .filter(|(_, item)| item.get.is_some())
        .map(|(path, _)| path)
        .filter(|path| !path.ends_with("/stream"))
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    for more in [
        "/api/v1/inbox?closed=true",
        "/api/v1/runs?flow=support/pays",
        "/api/v1/events?type=com.example.paid",
    ] {
        paths.push(more.to_owned());
    }
    let mut read = Vec::new();
    for path in paths {
        let path = match path.as_str() {
            "/api/v1/inbox/{id}" if !closed => continue,
            "/api/v1/inbox/{id}" => path.replace("{id}", item),
            _ => path.replace("{id}", run).replace("{namespace}", "support").replace("{name}", "pays"),
        };
        let answer = desk.get(&desk.admin, &path).await;
        read.push((path, answer.text().await.unwrap()));
    }
    let edited = PAYS.replace("\"not to \"", "\"never to \"").replace("Pay to", "Send to");
    for (path, body) in [
        (format!("/api/v1/runs/{run}/replay"), json!({})),
        (format!("/api/v1/runs/{run}/replay"), json!({ "source": edited })),
        (format!("/api/v1/runs/{run}/retry"), json!({ "preview": true })),
        (format!("/api/v1/runs/{run}/cancel"), json!({ "preview": true })),
    ] {
        let answer = desk.send(1, &desk.admin, "post", &path, Body::Json(body)).await;
        read.push((path, answer.text().await.unwrap()));
    }
    read
}

fn assert_masked(read: &[(String, String)]) {
    for (path, text) in read {
        assert!(!text.contains(MARKER), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_sensitive_value_is_read_nowhere_and_logged_nowhere() {
    let log = factotum_test_log::log();
    let desk = Desk::start().await;
    let mut watch = desk.host.watch_runs().unwrap();
    let document = json!({ "source": PAYS, "file": "pays.yaml" });
    let deployed = desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(document)).await;
    assert_eq!(deployed.status(), 201, "{}", deployed.text().await.unwrap());
    let start =
        |body| desk.send(1, &desk.admin, "post", "/api/v1/flows/support/pays/runs?wait=1", Body::Json(body));
    let started: Value = start(json!({ "iban": MARKER, "n": 7 })).await.json().await.unwrap();
    let run = started["run_id"].as_str().or(started["id"].as_str()).unwrap().to_owned();
    let page: Value = desk.get(&desk.admin, "/api/v1/inbox").await.json().await.unwrap();
    assert_eq!(page["items"][0]["title"], "Pay to ***?");
    let item = page["items"][0]["id"].as_str().unwrap().to_owned();
    let whole: Value = desk.get(&desk.admin, &format!("/api/v1/inbox/{item}")).await.json().await.unwrap();
    assert_eq!(whole["title"], format!("Pay to {MARKER}?"), "who decides sees what is to be decided");
    assert_masked(&everything(&desk, &run, &item, false).await);

    let said = json!({ "outcome": "approved", "answer": { "to": MARKER } });
    let path = format!("/api/v1/inbox/{item}/complete");
    assert_eq!(desk.send(1, &desk.admin, "post", &path, Body::Json(said)).await.status(), 200);
    let ended = desk.host.wait_run(&run, Duration::from_secs(60)).await.unwrap();
    assert_eq!(ended.state.as_str(), "faulted");
    assert!(ended.reason.as_ref().unwrap().contains("not to ***"), "{:?}", ended.reason);
    let read = everything(&desk, &run, &item, true).await;
    assert_masked(&read);
    let shown = |path: &str| &read.iter().find(|(read, _)| read == path).unwrap().1;
    for path in [
        format!("/api/v1/runs/{run}"),
        "/api/v1/runs".into(),
        "/api/v1/events".into(),
        format!("/api/v1/inbox/{item}"),
    ] {
        assert!(shown(&path).contains("***"), "{path} shows it, masked: {}", shown(&path));
    }
    assert!(read.iter().any(|(path, text)| path.ends_with("/replay") && text.contains("never to ***")));

    let mut told = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(200), watch.next()).await {
        if let Watched::Lived(lived) = event {
            told += 1;
            assert!(!lived.event.to_string().contains(MARKER), "{}", lived.event);
        }
    }
    assert!(told > 3, "{told}");
    let log = log.lines();
    assert!(log.contains(&run), "what is logged is seen here");
    assert!(!log.contains(MARKER), "{}", log.lines().find(|line| line.contains(MARKER)).unwrap());
    drop(watch);
    desk.stop().await;
}
