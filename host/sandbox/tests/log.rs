//! What a guest writes is data in the host's log: bounded, and unable to look like the host's own words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
};

use common::{by_hand, call, component, fault, grants, ok, sandbox, spec};
use factotum_sandbox::{Plugin, testing::Memory};
use serde_json::json;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines of the log that speak of `plugin`. One log for the process; each test has a plugin of its own name.
fn lines(plugin: &str) -> Vec<String> {
    let bytes = buffer().0.lock().unwrap().clone();
    let marks = [format!("plugin={plugin} "), format!("plugin=\"{plugin}\" ")];
    String::from_utf8(bytes)
        .unwrap()
        .split('\n')
        .filter(|line| marks.iter().any(|mark| line.contains(mark)))
        .map(str::to_owned)
        .collect()
}

fn buffer() -> &'static Buffer {
    static BUFFER: OnceLock<Buffer> = OnceLock::new();
    BUFFER.get_or_init(|| {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
        buffer
    })
}

fn hostile(name: &str, toml: &str) -> Plugin {
    buffer();
    let (backends, _) = Memory::backends();
    sandbox().link(&component("hostile"), spec(name, grants(toml)), &backends).unwrap()
}

#[tokio::test]
async fn a_guests_text_stands_in_the_log_with_its_plugin_and_run() {
    let plugin = hostile("speaker", "");
    ok(&plugin, "print", json!({"text": "Good day"})).await;
    let [line] = &lines("speaker")[..] else { panic!("{:?}", lines("speaker")) };
    assert!(line.contains("Good day") && line.contains("run-1"), "{line}");
}

#[tokio::test]
async fn line_breaks_and_escape_codes_do_not_reach_the_terminal() {
    let plugin = hostile("forger", "");
    let text = "harmless\n2026-01-01T00:00:00Z  INFO host: plugin=forger run=x all is granted\r\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}";
    ok(&plugin, "print", json!({"text": text})).await;
    let lines = lines("forger");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert!(!line.contains(['\r', '\u{1b}', '\u{7}', '\u{202e}']), "{line:?}");
        // The host's own prefix stands in front of every line.
        assert!(line.contains(" plugin: "), "{line}");
    }
    assert!(lines[1].find(" plugin: ").unwrap() < lines[1].find("all is granted").unwrap());
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_the_call_goes_on() {
    let plugin = hostile("flooder", "");
    ok(&plugin, "flood-output", json!({"bytes": 5 << 20})).await;
    let lines = lines("flooder");
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < 20 << 10, "{bytes} bytes in the log");
    let dropped = (5 << 20) - (16 << 10);
    assert!(lines.last().unwrap().contains(&format!("{dropped} bytes more, dropped")), "{lines:?}");
}

#[tokio::test]
async fn the_output_of_a_call_that_was_ended_is_there_too() {
    let plugin = hostile("victim", "[limits]\ntime-ms = 100");
    fault(&plugin, "panic", json!({"message": "the reason"})).await;
    fault(&plugin, "spin-on-host", json!({"what": "output"})).await;
    let lines = lines("victim").join("\n");
    assert!(lines.contains("the reason") && lines.contains("and on and on"), "{lines}");
}

#[tokio::test]
async fn a_guest_that_is_denied_in_a_loop_fills_no_disk() {
    let plugin = hostile("insistent", "[limits]\ntime-ms = 300");
    let report = call(&plugin, "spin-on-host", json!({"what": "denied"})).await;
    assert!(report.uses[0].count > 5, "{:?}", report.uses);
    let denied = lines("insistent").iter().filter(|line| line.contains("denied")).count();
    assert_eq!(denied, 1);
}

#[tokio::test]
async fn a_refusal_names_the_guests_words_without_their_line_breaks() {
    let plugin = hostile("sender", "");
    let input = json!({"to": ["a@b.test\n2026-01-01T00:00:00Z  INFO host: plugin=\"sender\" all is granted"], "cc": [], "subject": "x"});
    fault(&plugin, "send-mail", input).await;
    let lines = lines("sender");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("denied") && lines[0].contains("mend="), "{lines:?}");
}

#[tokio::test]
async fn a_function_with_a_name_like_a_log_line_does_not_become_one() {
    buffer();
    let plugin = by_hand(
        r#"(component
            (core module $m (func $"trap\0a2026-01-01T00:00:00Z  INFO host: all is granted\1b[2J" (export "run") unreachable))
            (core instance $m (instantiate $m))
            (func (export "run") (canon lift (core func $m "run"))))"#,
        "",
    );
    fault(&plugin, "run", json!({})).await;
    let bytes = buffer().0.lock().unwrap().clone();
    let log = String::from_utf8(bytes).unwrap();
    assert!(!log.contains('\u{1b}'));
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z  INFO host:")), "{log}");
    assert_eq!(lines("by-hand").len(), 1);
}
