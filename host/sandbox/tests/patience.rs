//! Components that keep the engine's validator busy: refused after a while, and not begun without end. A file, and so a
//! process, of its own: the threads that are left behind take the cores.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use factotum_sandbox::{Sandbox, SandboxConfig, SandboxError};

/// Some kilobytes that take seconds: their types unfold to ten thousand times the same long name, and are compared twice.
fn slow() -> Vec<u8> {
    let name = "n".repeat(60_000);
    let mut wat = format!(r#"(component (type $leaf (flags "{name}")) (export $t0 "t0" (type $leaf))"#);
    for at in 0..4 {
        let parts = format!("$t{at} ").repeat(10);
        wat += &format!("(type $t{} (tuple {parts}))", at + 1);
    }
    for name in ["e0", "e1"] {
        wat += &format!(r#"(export "{name}" (type $t4) (type (eq $t4)))"#);
    }
    wat::parse_str(wat + ")").unwrap()
}

/// For `fuzz/targets/component`: 200 bytes of input made a component that was validated for a quarter of a minute.
#[test]
fn a_component_that_takes_too_long_is_refused_and_not_begun_without_end() {
    let compile_time = Duration::from_millis(50);
    let config = SandboxConfig { max_calls: 1, compile_time, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config).unwrap();
    let load = |bytes: &[u8]| sandbox.load(bytes).map(|_| ());
    for _ in 0..2 {
        let error = load(&slow()).unwrap_err();
        assert!(matches!(error, SandboxError::TooSlow { .. }), "{error}");
        assert!(error.to_string().contains("within 50ms"), "{error}");
    }
    let small = wat::parse_str("(component)").unwrap();
    let error = load(&small).unwrap_err();
    assert!(matches!(error, SandboxError::Busy), "{error}");
    // When one of them has come to its end, there is room again.
    while load(&small).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
}
