//! The engine: one configuration for compiling and running, the pool, the epoch ticker, and the place in the queue.

use std::{path::PathBuf, sync::Arc, time::Duration};

use factotum_grant::Limits;
use tokio::sync::Semaphore;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::{
    Component, LinkError, Plugin, PluginSpec, backends::Backends, cache::Cache, link, meter::Ledgers,
    patience::Patience,
};

/// How often a running guest gives way to others, and to its own time limit.
const TICK: Duration = Duration::from_millis(10);
/// The guest's own stack. The fiber's stack is larger by what host functions need on top.
const WASM_STACK_BYTES: usize = 512 << 10;
const ASYNC_STACK_BYTES: usize = 2 << 20;

/// How to set up the sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where compiled components are kept; `None` compiles anew at each start.
    pub cache_dir: Option<PathBuf>,
    /// The key that authenticates the cache. Whoever knows it can make the host run native code.
    pub cache_key: [u8; 32],
    /// The most bytes the cache may hold.
    pub cache_bytes: u64,
    /// The most calls at one time; also sizes the pool.
    pub max_calls: u32,
    /// The longest that compiling a component may take, beside ten seconds for each MiB of it. What takes longer is
    /// refused.
    pub compile_time: Duration,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        let compile_time = Duration::from_secs(60);
        Self { cache_dir: None, cache_key: [0; 32], cache_bytes: 1 << 30, max_calls: 128, compile_time }
    }
}

/// A sandbox that could not be set up, or a component that could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime refused its configuration on this machine.
    #[error("the WebAssembly engine cannot start on this machine: {0:#}")]
    Engine(wasmtime::Error),
    /// The cache folder cannot be used.
    #[error("the cache of compiled plugins at {path} cannot be used: {error}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The component is larger than this host takes.
    #[error("the component has {bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most bytes taken.
        limit: usize,
    },
    /// The bytes are no component that this engine can run.
    #[error("the component cannot be compiled: {0:#}")]
    Compile(wasmtime::Error),
    /// The compiler itself broke on these bytes. A defect of the compiler, held to this one component.
    #[error("the compiler gave up on this component; it is refused")]
    CompilerPanic,
    /// It is not compiled in time. No honest component of the size that is taken needs as long.
    #[error(
        "the component is not compiled within {limit:?} and refused; the usual reason is types made of each other with long names, \
         which unfold to very large ones: make them smaller"
    )]
    TooSlow {
        /// How long was waited.
        limit: Duration,
    },
    /// Components that were too slow are still being worked on.
    #[error(
        "components that were refused because they take too long are still being worked on, and no further one is begun; \
         try again later, or start the host again"
    )]
    Busy,
}

/// The engine with everything that all plugins share.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiling: Patience,
    pub(crate) compile_time: Duration,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) ledgers: Arc<Ledgers>,
    pub(crate) max_calls: u32,
    pub(crate) pooled: bool,
}

impl Sandbox {
    /// Sets up the engine. Pooling is probed: where the machine does not give the address space, the pool is made
    /// smaller, and at last left out, with a warning.
    ///
    /// # Errors
    /// When even the plain engine does not start, or the cache folder cannot be used.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let (engine, max_calls, pooled) = probe(config.max_calls.max(1))?;
        let cache = config
            .cache_dir
            .map(|dir| Cache::open(dir, config.cache_key, config.cache_bytes, &engine))
            .transpose()?;
        tick(&engine)?;
        let places = Arc::new(Semaphore::new(max_calls as usize));
        let inner = Inner {
            engine,
            cache,
            compiling: Patience::default(),
            compile_time: config.compile_time,
            places,
            ledgers: Arc::default(),
            max_calls,
            pooled,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Compiles a component, or takes it from the cache. Takes seconds, and minutes when its author means harm; call it off
    /// the async threads.
    ///
    /// # Errors
    /// When the bytes are no component this engine can run, or are not compiled in time.
    pub fn load(&self, wasm: &[u8]) -> Result<Component, SandboxError> {
        Component::load(self, wasm)
    }

    /// Links a component with just what is granted.
    ///
    /// # Errors
    /// The list of what it imports and was not granted, or what this host does not know.
    pub fn link(
        &self,
        component: &Component,
        spec: PluginSpec,
        backends: &Backends,
    ) -> Result<Plugin, LinkError> {
        link::check_imports(component, &spec.grants)?;
        link::link(self, component, spec, backends)
    }

    /// Links a component that was installed before. An import that is no longer granted is linked all the same, and its
    /// effects are denied: what an administrator took back does not break the plugin when the host starts again.
    ///
    /// # Errors
    /// What this host does not know.
    pub fn link_installed(
        &self,
        component: &Component,
        spec: PluginSpec,
        backends: &Backends,
    ) -> Result<Plugin, LinkError> {
        link::check_known(component)?;
        link::link(self, component, spec, backends)
    }

    /// The most calls at one time, after probing.
    #[must_use]
    pub fn max_calls(&self) -> u32 {
        self.inner.max_calls
    }

    /// Whether instances come from a pool.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.inner.pooled
    }
}

fn probe(wanted: u32) -> Result<(Engine, u32, bool), SandboxError> {
    let mut calls = wanted;
    // Below this, a pool would rather be a queue.
    let least = wanted.min(8);
    while calls >= least {
        match Engine::new(&config(Some(calls))) {
            Ok(engine) => {
                if calls < wanted {
                    tracing::warn!(
                        wanted,
                        calls,
                        "the machine gives less address space than asked for; the pool of instances is smaller"
                    );
                }
                return Ok((engine, calls, true));
            }
            Err(error) => tracing::debug!(calls, "pooling allocator: {error:#}"),
        }
        calls /= 2;
    }
    tracing::warn!(
        "no pooling allocator on this machine (is there a limit on virtual memory?); calls will be slower"
    );
    let engine = Engine::new(&config(None)).map_err(SandboxError::Engine)?;
    Ok((engine, wanted, false))
}

/// The one configuration. Compiling and running must agree on it, and the cache key covers it.
fn config(pool: Option<u32>) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .memory_init_cow(true);
    if let Some(calls) = pool {
        let mut pooling = PoolingAllocationConfig::new();
        // With the kernel's help (PAGEMAP_SCAN, Linux 6.7) only the pages that a call wrote are put back, and they stay
        // mapped: half the cost of a small call. Without it, what is kept is written over each time, so keep less.
        let kept = if PoolingAllocationConfig::is_pagemap_scan_available() { 1 << 20 } else { 256 << 10 };
        pooling
            .total_component_instances(calls)
            .total_stacks(calls)
            .total_core_instances(calls.saturating_mul(8))
            .total_memories(calls.saturating_mul(2))
            .total_tables(calls.saturating_mul(4))
            .max_core_instances_per_component(64)
            .max_memories_per_component(8)
            .max_tables_per_component(16)
            .table_elements(20_000)
            .max_component_instance_size(4 << 20)
            .max_core_instance_size(4 << 20)
            .max_memory_size(usize::try_from(Limits::MAX_MEMORY_BYTES).unwrap_or(usize::MAX))
            .linear_memory_keep_resident(kept)
            .pagemap_scan(Enabled::Auto)
            .table_keep_resident(64 << 10)
            .async_stack_keep_resident(64 << 10)
            .max_unused_warm_slots(32);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    config
}

/// Starts the one thread that moves this engine's epoch on. It ends when the engine does.
fn tick(engine: &Engine) -> Result<(), SandboxError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("factotum-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(|e| SandboxError::Engine(e.into()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{Memory, context};

    /// A sandbox as it is on a machine that does not give the address space for a pool.
    fn without_pool() -> Sandbox {
        let engine = Engine::new(&config(None)).unwrap();
        tick(&engine).unwrap();
        let places = Arc::new(Semaphore::new(4));
        Sandbox {
            inner: Arc::new(Inner {
                engine,
                cache: None,
                compiling: Patience::default(),
                compile_time: Duration::from_secs(60),
                places,
                ledgers: Arc::default(),
                max_calls: 4,
                pooled: false,
            }),
        }
    }

    async fn run(sandbox: &Sandbox, body: &str) -> Result<serde_json::Value, String> {
        let wat = format!(
            r#"(component
                (core module $m (memory 16) (func (export "run") (result i32) {body}))
                (core instance $m (instantiate $m))
                (func (export "run") (result u32) (canon lift (core func $m "run"))))"#
        );
        let component = sandbox.load(&wat::parse_str(wat).unwrap()).unwrap();
        let spec = PluginSpec {
            name: "p".into(),
            version: "1.0.0".into(),
            digest: String::new(),
            grants: factotum_grant::Grants::from_toml("limits.memory-bytes = 2000000\nlimits.time-ms = 300")
                .unwrap(),
            asked: factotum_grant::Narrowing::default(),
            config: BTreeMap::new(),
        };
        let plugin = sandbox.link(&component, spec, &Memory::backends().0).unwrap();
        plugin.call("run", &serde_json::Value::Null, &context("k")).await.result.map_err(|fault| fault.code)
    }

    #[tokio::test]
    async fn without_a_pool_calls_work_and_the_limits_hold() {
        let sandbox = without_pool();
        assert!(!sandbox.is_pooled());
        assert_eq!(run(&sandbox, "i32.const 7").await, Ok(7.into()));
        assert_eq!(run(&sandbox, "(memory.grow (i32.const 100))").await, Ok(u32::MAX.into()));
        assert_eq!(run(&sandbox, "(loop $l (br $l)) (i32.const 1)").await, Err("timeout".into()));
        assert_eq!(run(&sandbox, "unreachable").await, Err("trap".into()));
        assert_eq!(run(&sandbox, "i32.const 8").await, Ok(8.into()));
    }

    #[test]
    fn a_pool_that_the_machine_cannot_give_becomes_smaller_or_none_and_never_an_error() {
        // More than the address space of a 64-bit processor.
        let (_, calls, pooled) = probe(1 << 20).unwrap();
        assert!(!pooled || calls < 1 << 20, "{calls}");
    }

    #[test]
    fn a_sandbox_for_few_calls_is_pooled_too() {
        for wanted in [1, 2, 7, 8] {
            let (_, calls, pooled) = probe(wanted).unwrap();
            assert_eq!((calls, pooled), (wanted, true));
        }
    }

    #[test]
    fn the_ticking_thread_does_not_keep_the_engine() {
        let engine = Engine::new(&config(None)).unwrap();
        let weak = engine.weak();
        tick(&engine).unwrap();
        drop(engine);
        std::thread::sleep(TICK * 20);
        assert!(weak.upgrade().is_none());
    }
}
