//! The built component asks for what its manifest says, and for nothing else. Skipped when it is not built, except in CI:
//! `cargo build -p plugin-crm-tryton --target wasm32-wasip2 --profile plugin`.

use std::path::Path;

use factotum_grant::{Capability, Import, classify_import};
use factotum_registry::Package;

#[test]
fn the_component_asks_for_no_more_than_it_says() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../wasm32-wasip2/plugin/plugin_crm_tryton.wasm");
    let Ok(bytes) = std::fs::read(&file) else {
        assert!(std::env::var_os("CI").is_none(), "{} is not built; in CI it must be", file.display());
        println!("skipped: the component of crm-tryton: {} is not built", file.display());
        return;
    };
    let package = Package::read(&bytes).unwrap();
    let manifest = package.manifest.expect("the component carries its manifest");
    let mut imported = Vec::new();
    for name in &package.imports {
        match classify_import(name) {
            Import::Capability(capability) if !imported.contains(&capability) => imported.push(capability),
            Import::Capability(_) | Import::Base | Import::Types => {}
            Import::Unknown => panic!("{name} is nothing this host offers"),
        }
    }
    imported.sort();
    assert_eq!(imported, [Capability::RunContext, Capability::Config, Capability::Http]);
    manifest.check_imports(&imported).unwrap();
    for ask in &manifest.asks {
        assert!(!ask.reason.en.is_empty() && !ask.reason.zh.is_empty(), "{}: no reason", ask.capability);
        assert!(manifest.grants.allows(ask.capability), "{}: no grant suggested", ask.capability);
    }
}
