//! A fresh instance for each call, and more calls than places.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::time::{Duration, Instant};

use common::{call, component, context, guest, hostile, ok, sampler, sandbox_of, spec};
use factotum_grant::Grants;
use factotum_sandbox::{CallReport, testing::Memory};
use serde_json::{Value, json};

#[tokio::test]
async fn every_call_has_an_instance_of_its_own() {
    let plugin = sampler();
    for _ in 0..50 {
        assert_eq!(ok(&plugin, "surroundings.count", json!({})).await, json!(1));
    }
}

/// Memory with a beginning of its own and room to grow, and a table: `spoil` writes over all of it, `look` counts what
/// differs from the beginning.
const RESIDUE: &str = r#"(component
  (core module $m
    (memory 24 640)
    (data (i32.const 4096) "beginning")
    (table $t 8 funcref)
    (elem (i32.const 3) func $look)
    (func $fill (param $from i32) (param $to i32) (param $byte i32)
      (memory.fill (local.get $from) (local.get $byte) (i32.sub (local.get $to) (local.get $from))))
    (func (export "spoil") (result i32)
      (drop (memory.grow (i32.const 600)))
      (call $fill (i32.const 0) (i32.mul (memory.size) (i32.const 65536)) (i32.const 170))
      (table.set $t (i32.const 3) (ref.null func))
      (table.set $t (i32.const 5) (ref.func $look))
      (memory.size))
    (func $look (export "look") (result i32) (local $at i32) (local $wrong i32) (local $end i32)
      (drop (memory.grow (i32.const 600)))
      (local.set $end (i32.mul (memory.size) (i32.const 65536)))
      (loop $next
        (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
          (then (local.set $wrong (i32.add (local.get $wrong) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      ;; Nine letters stand in two words of eight bytes, and the table has one entry, in its place.
      (local.set $wrong (i32.sub (local.get $wrong) (i32.const 2)))
      (local.set $wrong (i32.add (local.get $wrong) (ref.is_null (table.get $t (i32.const 3)))))
      (i32.add (local.get $wrong) (i32.eqz (ref.is_null (table.get $t (i32.const 5)))))))
  (core instance $i (instantiate $m))
  (func (export "spoil") (result u32) (canon lift (core func $i "spoil")))
  (func (export "look") (result u32) (canon lift (core func $i "look"))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_one_call_is_left_for_the_next_one_in_its_place() {
    let (backends, _) = Memory::backends();
    // One place, so that every call gets the memory of the one before.
    let sandbox = sandbox_of(1);
    let component = sandbox.load(&wat::parse_str(RESIDUE).unwrap()).unwrap();
    let grants = Grants::from_toml("[limits]\nmemory-bytes = 67108864\ntime-ms = 20000").unwrap();
    let plugin = sandbox.link(&component, spec("residue", grants), &backends).unwrap();
    for _ in 0..20 {
        assert_eq!(ok(&plugin, "look", json!({})).await, json!(0));
        assert_eq!(ok(&plugin, "spoil", json!({})).await, json!(624));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_one_time_do_not_see_each_other() {
    let plugin = sampler();
    let calls: Vec<_> = (0..64)
        .map(|i| {
            let plugin = plugin.clone();
            tokio::spawn(async move {
                let name = "surroundings.count";
                let counted = ok(&plugin, name, json!({})).await;
                (counted, ok(&plugin, "echo-u32", json!({"value": i})).await)
            })
        })
        .collect();
    for (i, task) in calls.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), (json!(1), json!(i)));
    }
}

async fn many(plugin: &factotum_sandbox::Plugin, calls: usize, function: &str, input: Value) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..calls)
        .map(|_| {
            let (plugin, function, input) = (plugin.clone(), function.to_owned(), input.clone());
            tokio::spawn(async move { ok(&plugin, &function, input).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_places_wait_and_finish() {
    let sandbox = sandbox_of(8);
    assert_eq!(sandbox.max_calls(), 8);
    let (backends, _) = Memory::backends();
    let component = sandbox.load(&guest("sampler")).unwrap();
    let plugin = sandbox.link(&component, spec("sampler", Grants::default()), &backends).unwrap();
    many(&plugin, 300, "echo-string", json!({"value": "x"})).await;
}

#[tokio::test]
async fn a_plugins_own_concurrency_limit_holds() {
    let (narrow, _) = hostile("[limits]\nconcurrency = 2\ntime-ms = 20000");
    let elapsed = many(&narrow, 6, "sleep-ms", json!({"ms": 100})).await;
    assert!(elapsed >= Duration::from_millis(290), "six calls of 100 ms, two at a time: {elapsed:?}");
    let (wide, _) = hostile("[limits]\ntime-ms = 20000");
    // Asleep, they hold no thread: all at once on one.
    let together = many(&wide, 6, "sleep-ms", json!({"ms": 1_000})).await;
    assert!(together < Duration::from_secs(6), "{together:?}");
}

/// Twenty calls that would take a minute each, two at a time.
fn hogs(time_ms: u32) -> Vec<tokio::task::JoinHandle<CallReport>> {
    let (hog, _) = hostile(&format!("[limits]\nconcurrency = 2\ntime-ms = {time_ms}"));
    let sleep = || {
        let hog = hog.clone();
        tokio::spawn(async move { call(&hog, "sleep-ms", json!({"ms": 60_000})).await })
    };
    (0..20).map(|_| sleep()).collect()
}

#[tokio::test]
async fn a_plugin_that_hogs_its_places_does_not_hold_up_another() {
    let hogs = hogs(30_000);
    tokio::task::yield_now().await;
    ok(&sampler(), "greet", json!({"name": "you"})).await;
    assert!(hogs.iter().all(|hog| !hog.is_finished()), "the other call waited for them");
    hogs.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn waiting_for_a_place_is_part_of_a_calls_time() {
    for hog in hogs(1_000) {
        let report = hog.await.unwrap();
        assert_eq!(report.result.unwrap_err().code, "timeout");
        assert!(
            report.elapsed < Duration::from_secs(10),
            "it waited for all before it: {:?}",
            report.elapsed
        );
    }
}

#[tokio::test]
async fn a_sandbox_with_one_place_works() {
    let sandbox = sandbox_of(1);
    assert_eq!((sandbox.max_calls(), sandbox.is_pooled()), (1, true));
    let (backends, _) = Memory::backends();
    let component = sandbox.load(&guest("hostile")).unwrap();
    let grants = common::grants("[limits]\ntime-ms = 20000");
    let plugin = sandbox.link(&component, spec("hostile", grants), &backends).unwrap();
    let elapsed = many(&plugin, 4, "sleep-ms", json!({"ms": 50})).await;
    assert!(elapsed >= Duration::from_millis(190), "one after the other: {elapsed:?}");
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_its_place_back() {
    let (plugin, _) = hostile("[limits]\nconcurrency = 1");
    for _ in 0..5 {
        let (input, context) = (json!({"ms": 60_000}), context());
        let call = plugin.call("sleep-ms", &input, &context);
        assert!(tokio::time::timeout(Duration::from_millis(30), call).await.is_err());
    }
    ok(&plugin, "sleep-ms", json!({"ms": 1})).await;
}

#[tokio::test]
async fn the_pool_can_be_filled_to_its_last_place_with_the_largest_guests() {
    let sandbox = sandbox_of(8);
    let (backends, _) = Memory::backends();
    let component = sandbox.load(&guest("hostile")).unwrap();
    let grants = common::grants("[limits]\ntime-ms = 20000");
    let plugin = sandbox.link(&component, spec("hostile", grants), &backends).unwrap();
    let elapsed = many(&plugin, 8, "sleep-ms", json!({"ms": 2_000})).await;
    assert!(elapsed < Duration::from_secs(8 * 2), "one after the other: {elapsed:?}");
    // The same plugin, from the shared component, in another sandbox: each engine has its own pool.
    assert_eq!(component.functions().len(), self::component("hostile").functions().len());
}
