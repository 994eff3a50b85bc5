//! What cannot be installed is refused before anything runs, with all that is wrong in one list.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use common::{component, guest, sandbox, spec};
use factotum_grant::{Capability, Grants};
use factotum_sandbox::{LinkError, Plugin, SandboxError, testing::Memory};

fn link(name: &str, toml: &str) -> Result<Plugin, LinkError> {
    let (backends, _) = Memory::backends();
    sandbox().link(&component(name), spec(name, Grants::from_toml(toml).unwrap()), &backends)
}

fn link_by_hand(wat: &str, toml: &str) -> Result<Plugin, LinkError> {
    let (backends, _) = Memory::backends();
    let component = sandbox().load(&wat::parse_str(wat).unwrap()).unwrap();
    sandbox().link(&component, spec("by-hand", Grants::from_toml(toml).unwrap()), &backends)
}

fn load_error(bytes: &[u8]) -> SandboxError {
    match sandbox().load(bytes) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[test]
fn all_missing_grants_are_listed_at_once_each_with_its_mend() {
    let Err(LinkError::MissingGrants(missing)) = link("hostile", "config = true") else {
        panic!("it was linked")
    };
    let mut capabilities: Vec<_> = missing.iter().map(|m| m.capability).collect();
    capabilities.dedup();
    capabilities.sort();
    capabilities.dedup();
    assert_eq!(
        capabilities,
        [
            Capability::RunContext,
            Capability::KeyValue,
            Capability::Artifacts,
            Capability::Mail,
            Capability::Http
        ]
    );
    for m in &missing {
        assert!(component("hostile").imports().contains(&m.import), "{}", m.import);
        assert!(Grants::from_toml(&m.mend).unwrap().allows(m.capability), "{}", m.mend);
    }
    let all: String = missing.iter().map(|m| format!("{}\n", m.mend)).collect::<Vec<_>>().join("");
    assert!(all.contains("[[http]]") && all.contains("[mail]"));
}

#[test]
fn the_mends_together_make_it_installable() {
    let Err(LinkError::MissingGrants(missing)) = link("hostile", "") else { panic!("it was linked") };
    let mut mends: Vec<_> = missing.into_iter().map(|m| m.mend).collect();
    // In TOML, plain keys stand before tables.
    mends.sort_by_key(|mend| mend.contains('['));
    mends.dedup();
    assert!(link("hostile", &mends.join("\n")).is_ok());
}

#[test]
fn a_component_that_asks_for_nothing_needs_no_grant() {
    assert!(link("sampler", "").is_ok());
}

#[test]
fn imports_that_this_host_does_not_offer_are_listed() {
    let wat = r#"(component
        (import "wasi:sockets/tcp@0.2.0" (instance))
        (import "evil:host/exec@1.0.0" (instance))
        (import "wasi:config/store@0.2.0-rc.1" (instance)))"#;
    let Err(LinkError::UnknownImports(unknown)) = link_by_hand(wat, "") else { panic!("it was linked") };
    assert_eq!(unknown, ["wasi:sockets/tcp@0.2.0", "evil:host/exec@1.0.0"]);
}

#[test]
fn a_known_interface_with_a_function_that_it_does_not_have_is_refused() {
    let wat = r#"(component
        (import "wasi:random/random@0.2.0" (instance (export "escape" (func)))))"#;
    let Err(LinkError::Link(error)) = link_by_hand(wat, "") else { panic!("it was linked") };
    assert!(format!("{error:#}").contains("escape"), "{error:#}");
}

#[test]
fn a_known_function_with_other_types_is_refused() {
    let wat = r#"(component
        (import "wasi:random/random@0.2.0" (instance
            (export "get-random-u64" (func (param "seed" string) (result u64))))))"#;
    assert!(matches!(link_by_hand(wat, ""), Err(LinkError::Link(_))));
}

#[test]
fn limits_out_of_range_are_refused() {
    for (toml, word) in [
        ("[limits]\nmemory-bytes = 134217729", "memory-bytes"),
        ("[limits]\ntime-ms = 0", "time-ms"),
        ("[limits]\ntime-ms = 900001", "time-ms"),
        ("[limits]\nconcurrency = 0", "concurrency"),
        ("[limits]\nconcurrency = 100001", "concurrency"),
    ] {
        match link("sampler", toml) {
            Err(LinkError::Limits(message)) => assert!(message.contains(word), "{message}"),
            Err(other) => panic!("{toml}: {other}"),
            Ok(_) => panic!("{toml} was taken"),
        }
    }
}

#[test]
fn a_core_module_is_refused() {
    let error = load_error(&wat::parse_str("(module (func (export \"run\")))").unwrap());
    assert!(matches!(error, SandboxError::Compile(_)), "{error}");
    assert!(error.to_string().contains("component"), "{error}");
}

#[test]
fn garbage_is_refused() {
    for bytes in [&b""[..], b"\0", b"hello", b"\0asm", b"(component)", &[0xff; 4096]] {
        assert!(matches!(load_error(bytes), SandboxError::Compile(_)), "{bytes:?}");
    }
}

#[test]
fn a_truncated_component_is_refused_wherever_it_is_cut() {
    let whole = guest("sampler");
    for part in 1..16 {
        let cut = &whole[..whole.len() * part / 16];
        assert!(matches!(load_error(cut), SandboxError::Compile(_)), "{part}/16");
    }
}

#[test]
fn a_component_with_a_changed_byte_is_refused_or_still_a_component() {
    // No claim about meaning: only that no byte brings down the host.
    let whole = guest("sampler");
    for i in (8..whole.len()).step_by(whole.len() / 24) {
        let mut bytes = whole.clone();
        bytes[i] ^= 0x55;
        let _ = sandbox().load(&bytes);
    }
    assert!(sandbox().load(&whole).is_ok());
}

#[test]
fn an_oversized_component_is_refused_before_it_is_looked_at() {
    let error = load_error(&vec![0; (64 << 20) + 1]);
    assert!(matches!(error, SandboxError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("67108864"), "{error}");
}

#[test]
fn more_memories_than_a_place_in_the_pool_has_are_refused_at_install() {
    let module = r#"(core module $m (memory (export "m") 1))"#;
    let instances = "(core instance (instantiate $m))".repeat(9);
    let (backends, _) = Memory::backends();
    let refused = sandbox()
        .load(&wat::parse_str(format!("(component {module} {instances})")).unwrap())
        .map_err(|e| e.to_string())
        .and_then(|c| {
            sandbox().link(&c, spec("many", Grants::default()), &backends).map_err(|e| e.to_string())
        });
    let message = refused.err().expect("nine memories are refused");
    assert!(message.contains("memories"), "{message}");
}
