//! Manifests as strangers write them, and the bytes of components as far as the registry looks at them.
//!
//! An input that begins like WebAssembly is read as it is. Any other is a manifest, and after a line `---` the names that
//! its component imports, one on each line.
#![no_main]

use cap::Cap;
use factotum_grant::{Language, contains, sentences};
use factotum_registry::{Manifest, Package, manifest::SECTION};
use libfuzzer_sys::fuzz_target;
use wasm_encoder::{Component, ComponentImportSection, ComponentTypeRef, CustomSection};

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// What reading may take: that much for each byte of the input, and a table of keys or two.
const BYTES_A_BYTE: usize = 512;
const BYTES_ANYWAY: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let before = MEMORY.total_allocated();
    if data.starts_with(b"\0asm") {
        look(data);
    } else {
        let at = data.windows(5).position(|window| window == b"\n---\n");
        let (manifest, imports) = match at {
            Some(at) => (&data[..at], &data[at + 5..]),
            None => (data, &[][..]),
        };
        alone(manifest);
        look(&component(manifest, imports));
    }
    let taken = MEMORY.total_allocated() - before;
    assert!(taken <= BYTES_ANYWAY + data.len() * BYTES_A_BYTE, "{taken} bytes for {}", data.len());
});

fn alone(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let text = toml::to_string(&manifest).expect("what was read can be written");
    assert_eq!(Manifest::parse(text.as_bytes()).expect("what was written can be read"), manifest);
    contains(&manifest.grants, &manifest.grants).expect("grants contain themselves");
    assert!(!sentences(&manifest.grants, Language::Chinese).is_empty());
    for key in &manifest.config {
        let words: Vec<&str> =
            key.key.split('.').map(|part| if part.is_empty() { "" } else { "x" }).collect();
        let _ = key.covers(&words.join("."));
    }
}

fn look(bytes: &[u8]) {
    let Ok(package) = Package::read(bytes) else { return };
    let capabilities = package.capabilities();
    if let Some(manifest) = &package.manifest {
        manifest.check_imports(&capabilities).expect("a package that was read agrees with its manifest");
        for capability in &capabilities {
            assert!(
                manifest.asks.iter().any(|ask| ask.capability == *capability),
                "{capability} is not asked for"
            );
        }
    }
    assert!(capabilities.len() <= package.imports.len());
}

/// A component with this manifest that imports these names, as far as the registry can tell.
fn component(manifest: &[u8], imports: &[u8]) -> Vec<u8> {
    let mut section = ComponentImportSection::new();
    for name in String::from_utf8_lossy(imports).lines() {
        section.import(name, ComponentTypeRef::Instance(0));
    }
    let mut component = Component::new();
    component.section(&section);
    component.section(&CustomSection { name: SECTION.into(), data: manifest.into() });
    component.finish()
}
