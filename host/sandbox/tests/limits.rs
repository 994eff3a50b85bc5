//! Each attack on time, memory or space ends the call, with a fault that names it, and nothing but the call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::time::{Duration, Instant};

use common::{by_hand, call, context, fault, hostile, memory_now, ok, sampler};
use factotum_sandbox::{FaultKind, Plugin};
use serde_json::json;

/// The same plugin and another one work as if nothing had been.
async fn all_is_well(plugin: &Plugin) {
    assert_eq!(ok(plugin, "overflow.text", json!({"bytes": 3})).await, json!("xxx"));
    assert_eq!(ok(&sampler(), "greet", json!({"name": "you"})).await, json!("Hello, you!"));
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_time() {
    let (plugin, _) = hostile("[limits]\ntime-ms = 200");
    let start = Instant::now();
    let report = call(&plugin, "spin", json!({})).await;
    let fault = report.result.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Technical, "timeout"));
    assert!(fault.message.contains("200 ms") && fault.hint.unwrap().contains("limits.time-ms"));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn an_endless_loop_of_calls_to_the_host_ends_with_its_time() {
    let (plugin, memory) = hostile("[limits]\ntime-ms = 150");
    for what in ["random", "clock", "get", "set", "config", "denied", "output", "poll"] {
        let start = Instant::now();
        let report = call(&plugin, "spin-on-host", json!({"what": what})).await;
        let fault = report.result.unwrap_err();
        assert_eq!(fault.code, "timeout", "{what}: {fault:?} {:?}", report.uses);
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: {:?}", start.elapsed());
        assert!(report.uses.len() <= 2, "{what}: {:?}", report.uses);
    }
    assert_eq!(memory.pairs.lock().unwrap().len(), 1);
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn an_endless_loop_does_not_hold_up_other_calls_on_the_same_thread() {
    // One thread: without a yield on each tick, the second call would wait for the end of the first.
    let (plugin, _) = hostile("[limits]\ntime-ms = 3000");
    let spinning = tokio::spawn({
        let plugin = plugin.clone();
        async move { call(&plugin, "spin", json!({})).await }
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    all_is_well(&plugin).await;
    assert!(!spinning.is_finished(), "the loop was over before the other call: {:?}", start.elapsed());
    assert_eq!(spinning.await.unwrap().result.unwrap_err().code, "timeout");
}

#[tokio::test]
async fn sleeping_past_the_time_limit_ends_with_it() {
    let (plugin, _) = hostile("[limits]\ntime-ms = 100");
    let start = Instant::now();
    assert_eq!(fault(&plugin, "sleep-ms", json!({"ms": 60_000})).await.code, "timeout");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn the_shorter_of_the_two_time_limits_counts() {
    let (plugin, _) = hostile("[limits]\ntime-ms = 60000");
    let short = factotum_sandbox::CallContext { timeout: Some(Duration::from_millis(80)), ..context() };
    let report = plugin.call("sleep-ms", &json!({"ms": 60_000}), &short).await;
    assert!(report.result.unwrap_err().message.contains("80 ms"));
    assert!(report.elapsed < Duration::from_secs(30));
    let (plugin, _) = hostile("[limits]\ntime-ms = 80");
    let long = factotum_sandbox::CallContext { timeout: Some(Duration::from_secs(60)), ..context() };
    let report = plugin.call("sleep-ms", &json!({"ms": 60_000}), &long).await;
    assert!(report.result.unwrap_err().message.contains("80 ms"));
}

#[tokio::test]
async fn memory_beyond_the_limit_is_refused() {
    let (plugin, _) = hostile("[limits]\nmemory-bytes = 16777216");
    let fault = fault(&plugin, "fill-memory", json!({})).await;
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Technical, "memory-limit"));
    assert!(fault.message.contains("16777216") && fault.hint.unwrap().contains("memory-bytes"));
    // Who asks politely is told no, and goes on.
    let got = ok(&plugin, "fill-memory-politely", json!({})).await.as_u64().unwrap();
    assert!((8 << 20..16 << 20).contains(&got), "{got}");
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn the_largest_memory_limit_can_be_used_to_the_end() {
    let (plugin, _) = hostile(&format!("[limits]\nmemory-bytes = {}", 128 << 20));
    let got = ok(&plugin, "fill-memory-politely", json!({})).await.as_u64().unwrap();
    assert!((120 << 20..128 << 20).contains(&got), "{got}");
}

/// Two memories of 20 MiB each, in two core modules of one component.
const TWO_MEMORIES: &str = r#"(component
    (core module $a (memory (export "m") 320) (func (export "run")))
    (core module $b (memory (export "m") 320))
    (core instance $a (instantiate $a))
    (core instance $b (instantiate $b))
    (func (export "run") (canon lift (core func $a "run"))))"#;

#[tokio::test]
async fn the_limit_counts_all_memories_of_a_component_together() {
    let enough = by_hand(TWO_MEMORIES, "[limits]\nmemory-bytes = 42000000");
    assert_eq!(ok(&enough, "run", json!({})).await, json!(null));
    // Each memory alone would fit.
    let short = by_hand(TWO_MEMORIES, "[limits]\nmemory-bytes = 30000000");
    assert_eq!(fault(&short, "run", json!({})).await.code, "memory-limit");
}

#[tokio::test]
async fn tables_count_as_memory() {
    let component = r#"(component
        (core module $m
            (table $t 1 funcref)
            (func (export "run") (result i32)
                (local $grown i32)
                (loop $again
                    (if (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))
                        (then
                            (local.set $grown (i32.add (local.get $grown) (i32.const 1000)))
                            (br $again))))
                (local.get $grown)))
        (core instance $m (instantiate $m))
        (func (export "run") (result u32) (canon lift (core func $m "run"))))"#;
    let tight = by_hand(component, "[limits]\nmemory-bytes = 100000");
    let grown = ok(&tight, "run", json!({})).await.as_u64().unwrap();
    assert!((1000..=6000).contains(&grown), "{grown} elements of 16 bytes");
    // Whatever the limit says, a table of the pool has its own end.
    let wide = by_hand(component, "");
    let grown = ok(&wide, "run", json!({})).await.as_u64().unwrap();
    assert!(grown <= 20_000, "{grown}");
}

#[tokio::test]
async fn deep_recursion_runs_out_of_the_guests_stack_and_not_of_the_hosts() {
    let (plugin, _) = hostile("");
    assert!(ok(&plugin, "recurse", json!({"depth": 100})).await.is_u64());
    let fault = fault(&plugin, "recurse", json!({"depth": 10_000_000})).await;
    // A guest has two stacks: the engine's, and its own within its memory. Which one ends first is the compiler's choice.
    assert!(["stack-overflow", "trap"].contains(&fault.code.as_str()), "{fault:?}");
    all_is_well(&plugin).await;
    let by_hand = by_hand(
        r#"(component
            (core module $m (func $f (export "run") (call $f) (call $f)))
            (core instance $m (instantiate $m))
            (func (export "run") (canon lift (core func $m "run"))))"#,
        "",
    );
    assert_eq!(common::fault(&by_hand, "run", json!({})).await.code, "stack-overflow");
}

#[tokio::test]
async fn a_panic_and_an_exit_end_the_call_and_not_the_host() {
    let (plugin, _) = hostile("");
    let panicked = fault(&plugin, "panic", json!({"message": "no way"})).await;
    assert_eq!((panicked.kind, panicked.code.as_str()), (FaultKind::Technical, "trap"));
    for code in [0, 1] {
        let left = fault(&plugin, "exit", json!({"code": code})).await;
        assert_eq!(left.code, "trap");
        assert!(left.message.contains("left with exit code"), "{}", left.message);
    }
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn a_result_that_is_too_large_is_refused_before_the_host_allocates_it() {
    let (plugin, _) = hostile("[limits]\nmemory-bytes = 134217728");
    ok(&plugin, "overflow.text", json!({"bytes": 20 << 20})).await;
    let before = memory_now();
    for (function, input) in [
        ("overflow.text", json!({"bytes": 60 << 20})),
        ("overflow.bytes", json!({"bytes": 60 << 20})),
        ("overflow.units", json!({"count": 20_000_000})),
        ("overflow.texts", json!({"count": 1_000_000, "bytes": 60})),
        ("overflow.fail", json!({"bytes": 60 << 20})),
    ] {
        let fault = fault(&plugin, function, input).await;
        assert_eq!(fault.code, "output-too-large", "{function}: {fault:?}");
        assert!(fault.message.len() < 500, "{}", fault.message.len());
    }
    let more = memory_now().saturating_sub(before);
    assert!(more < 400 << 20, "the host holds {} MiB more", more >> 20);
    all_is_well(&plugin).await;
}

/// Answers with a list of a million texts, all of them the same megabyte of the guest's memory.
const ONE_TEXT_A_MILLION_TIMES: &str = r#"(component
    (core module $m
        (memory (export "m") 256)
        (func (export "run") (result i32)
            (local $i i32) (local $at i32)
            (loop $again
                (local.set $at (i32.add (i32.const 1048592) (i32.mul (local.get $i) (i32.const 8))))
                (i32.store (local.get $at) (i32.const 16))
                (i32.store offset=4 (local.get $at) (i32.const 1048576))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000))))
            (i32.store (i32.const 0) (i32.const 1048592))
            (i32.store (i32.const 4) (i32.const 1000000))
            (i32.const 0)))
    (core instance $m (instantiate $m))
    (func (export "run") (result (list string)) (canon lift (core func $m "run") (memory (core memory $m "m")))))"#;

#[tokio::test]
async fn a_result_that_names_the_same_memory_over_and_over_is_refused() {
    let plugin = by_hand(ONE_TEXT_A_MILLION_TIMES, "");
    let fault = fault(&plugin, "run", json!({})).await;
    assert_eq!(fault.code, "output-too-large", "{fault:?}");
}

#[tokio::test]
async fn a_plugins_own_error_is_kept_short() {
    let (plugin, _) = hostile("");
    let fault = fault(&plugin, "overflow.fail", json!({"bytes": 1 << 20})).await;
    assert_eq!((fault.code.as_str(), fault.message.chars().count()), ("action-failed", 2000));
}

#[tokio::test]
async fn an_input_that_would_take_too_much_of_the_host_is_refused() {
    let (plugin, _) = hostile("");
    let text = "x".repeat(1 << 20);
    assert_eq!(ok(&plugin, "overflow.swallow", json!({"text": text})).await, json!(1 << 20));
    let bytes = "AAAA".repeat(1 << 20);
    let fault = fault(&plugin, "overflow.swallow-bytes", json!({"bytes": bytes})).await;
    assert_eq!(fault.code, "invalid-input");
    assert!(fault.message.contains("at /bytes: the input takes more than"), "{}", fault.message);
}

#[tokio::test]
async fn handles_are_counted() {
    let (plugin, _) = hostile("");
    for function in ["overflow.hold-buckets", "overflow.hold-fields"] {
        assert_eq!(ok(&plugin, function, json!({"count": 500})).await, json!(500));
        let fault = fault(&plugin, function, json!({"count": 100_000})).await;
        assert_eq!(fault.code, "trap", "{function}: {fault:?}");
    }
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn header_fields_are_counted_by_their_bytes() {
    let (plugin, _) = hostile("");
    assert_eq!(ok(&plugin, "overflow.large-fields", json!({"count": 20, "bytes": 100})).await, json!(20));
    for (count, bytes) in [(1, 1 << 20), (100_000, 10)] {
        let fault = fault(&plugin, "overflow.large-fields", json!({"count": count, "bytes": bytes})).await;
        assert!(["action-failed", "trap"].contains(&fault.code.as_str()), "{fault:?}");
    }
    all_is_well(&plugin).await;
}

#[tokio::test]
async fn types_that_unfold_to_giants_are_listed_as_not_callable() {
    // Thirty pairs of pairs: a few hundred bytes that describe two to the thirtieth numbers.
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for i in 1..30 {
        types += &format!("(type $t{i} (tuple $t{} $t{}))", i - 1, i - 1);
    }
    let wat = format!(
        r#"(component {types}
            (core module $m (memory (export "m") 1)
                (func (export "run") (result i32) (i32.const 0)))
            (core instance $m (instantiate $m))
            (type $small (tuple u8 u8))
            (func (export "run") (result $t29) (canon lift (core func $m "run") (memory (core memory $m "m"))))
            (func (export "small") (result $small) (canon lift (core func $m "run") (memory (core memory $m "m")))))"#
    );
    match common::sandbox().load(&wat::parse_str(&wat).unwrap()) {
        // The engine may have a limit of its own.
        Err(error) => assert!(error.to_string().contains("type"), "{error}"),
        Ok(component) => {
            let run = component.functions().iter().find(|f| f.name() == "run").unwrap();
            assert!(run.not_callable().unwrap().contains("too large"));
            let small = component.functions().iter().find(|f| f.name() == "small").unwrap();
            assert_eq!(small.not_callable(), None, "one giant must not take the room of the others");
        }
    }
}

#[tokio::test]
async fn types_nested_beyond_measure_are_refused_and_do_not_break_the_host() {
    for depth in [50, 5_000] {
        let mut types = String::from("(type $t0 (list u16))");
        for i in 1..depth {
            types += &format!("(type $t{i} (list $t{}))", i - 1);
        }
        let wat = format!(
            r#"(component {types}
                (core module $m (memory (export "m") 1)
                    (func (export "run") (result i32) (i32.const 0)))
                (core instance $m (instantiate $m))
                (func (export "run") (result $t{}) (canon lift (core func $m "run") (memory (core memory $m "m")))))"#,
            depth - 1
        );
        let callable = common::sandbox()
            .load(&wat::parse_str(&wat).unwrap())
            .is_ok_and(|component| component.find("run").is_ok());
        assert_eq!(callable, depth == 50, "{depth} levels");
    }
}
