//! What the sandbox costs: a call through `Plugin::call` against the same call through bare wasmtime, in one run.
//!
//! Both make a fresh instance from a pool, with WASI linked; both call dynamically. The bare side gets its arguments
//! ready-made and throws its result away; the sandbox converts JSON both ways, waits for a place, sets its limits and
//! reports. The bare side stands twice: as wasmtime's defaults make it, and with the pool set up as the sandbox's is.
//! Run with `cargo xtask bench`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // a program for people at a terminal

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use factotum_sandbox::Plugin;
use serde_json::{Value, json};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable, Val},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

const ROUNDS: usize = 60;
const CALLS: u32 = 100;

struct Ctx {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

struct Bare {
    engine: Engine,
    pre: InstancePre<Ctx>,
    function: ComponentExportIndex,
    params: Vec<Val>,
}

impl Bare {
    fn new(wasm: &[u8], tuned: bool) -> Self {
        let mut config = Config::new();
        let mut pooling = PoolingAllocationConfig::new();
        if tuned {
            pooling
                .linear_memory_keep_resident(1 << 20)
                .table_keep_resident(64 << 10)
                .async_stack_keep_resident(64 << 10)
                .max_unused_warm_slots(32)
                .pagemap_scan(Enabled::Auto);
        }
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_binary(&engine, wasm).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let interface = component.get_export_index(None, "acme:sampler/shapes@1.0.0").unwrap();
        let function = component.get_export_index(Some(&interface), "describe").unwrap();
        let text = |text: &str| Val::String(text.into());
        let line = Val::Record(vec![
            ("article-number".into(), text("A-1")),
            ("quantity".into(), Val::U32(2)),
            ("unit-price".into(), Val::Float64(9.5)),
            ("gift-wrap".into(), Val::Option(None)),
            ("ship-to".into(), Val::Option(None)),
            ("tags".into(), Val::List(vec![text("new")])),
        ]);
        let params =
            vec![text("O-1"), Val::List(vec![line]), Val::Option(Some(Box::new(text("urgent, please"))))];
        let pre = linker.instantiate_pre(&component).unwrap();
        Self { engine, pre, function, params }
    }

    async fn call(&self) -> Val {
        let ctx = Ctx { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, ctx);
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let function = instance.get_func(&mut store, self.function).unwrap();
        let mut results = [Val::Bool(false)];
        function.call_async(&mut store, &self.params, &mut results).await.unwrap();
        let [result] = results;
        result
    }
}

async fn through_sandbox(plugin: &Plugin, input: &Value) -> Value {
    plugin.call("describe", input, &common::context()).await.result.unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2] / CALLS
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo test --benches` runs this program too, to see that it runs.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    let bare = Bare::new(&common::guest("sampler"), false);
    let tuned = Bare::new(&common::guest("sampler"), true);
    let plugin = common::sampler();
    let input = json!({
        "order_number": "O-1", "note": "urgent, please",
        "lines": [{"article_number": "A-1", "quantity": 2, "unit_price": 9.5, "tags": ["new"]}],
    });
    let expected = "O-1: 2 pieces, urgent, please";
    assert_eq!(through_sandbox(&plugin, &input).await, json!(expected));
    assert_eq!(bare.call().await, Val::String(expected.into()));
    let (mut sandbox_times, mut bare_times, mut tuned_times) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does meets both.
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..CALLS {
            std::hint::black_box(bare.call().await);
        }
        bare_times.push(start.elapsed());
        let start = Instant::now();
        for _ in 0..CALLS {
            std::hint::black_box(tuned.call().await);
        }
        tuned_times.push(start.elapsed());
        let start = Instant::now();
        for _ in 0..CALLS {
            std::hint::black_box(through_sandbox(&plugin, &input).await);
        }
        sandbox_times.push(start.elapsed());
    }
    let (sandbox, bare, tuned) = (median(sandbox_times), median(bare_times), median(tuned_times));
    let ratio = |to: Duration| sandbox.as_secs_f64() / to.as_secs_f64();
    println!("one call, fresh instance, small JSON; median of {rounds} rounds of {CALLS}");
    println!("  Plugin::call                     {sandbox:>10.1?}");
    println!(
        "  bare wasmtime                    {bare:>10.1?}   ratio {:.2} (target: at most 1.5)",
        ratio(bare)
    );
    println!("  bare wasmtime, the same pool     {tuned:>10.1?}   ratio {:.2}", ratio(tuned));
}
