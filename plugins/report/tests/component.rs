//! Looks at the built component: its size, its manifest, and that it asks for artifacts and nothing else.
//!
//! Run with FACTOTUM_PLUGIN_DIR set to the folder that `cargo build -p plugin-report --target wasm32-wasip2 --release`
//! leaves `plugin_report.wasm` in; without it there is nothing to look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

use factotum_registry::Package;

#[test]
fn the_component_asks_for_artifacts_only() {
    let Some(folder) = std::env::var_os("FACTOTUM_PLUGIN_DIR") else {
        eprintln!("skipped: the_component_asks_for_artifacts_only (FACTOTUM_PLUGIN_DIR is not set)");
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let file =
        ["plugin_report.wasm", "report.wasm"].map(|name| folder.join(name)).into_iter().find(|f| f.exists());
    let bytes =
        std::fs::read(file.expect("FACTOTUM_PLUGIN_DIR has no plugin_report.wasm; build it first")).unwrap();
    let package = Package::read(&bytes).unwrap();
    assert_eq!(package.manifest.as_ref().unwrap().name, "report");
    let capabilities: Vec<String> = package.capabilities().iter().map(ToString::to_string).collect();
    assert_eq!(capabilities, ["artifacts"], "{:?}", package.imports);
    assert!(bytes.len() < 2_000_000, "{} bytes", bytes.len());
}
