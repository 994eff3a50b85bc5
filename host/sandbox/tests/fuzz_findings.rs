//! What the fuzz targets found in this room, or what was seen when they were written, so that it stays mended.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

/// A component of a few kilobytes with one function, whose result is a type that uses another many times over.
fn unfolding(inner: &str) -> Vec<u8> {
    let many = "$t ".repeat(100);
    let wat = format!(
        r#"(component
            (type $inner' {inner})
            (export $t "t" (type $inner'))
            (type $u (tuple {many}))
            (type $v (tuple {}))
            (core module $m (memory (export "m") 1) (func (export "run") (result i32) (i32.const 0)))
            (core instance $m (instantiate $m))
            (func (export "run") (result $v) (canon lift (core func $m "run") (memory (core memory $m "m"))))
            (func (export "one") (result $t) (canon lift (core func $m "run") (memory (core memory $m "m")))))"#,
        many.replace("$t", "$u")
    );
    wat::parse_str(wat).unwrap()
}

fn why_not_callable(wasm: &[u8], name: &str) -> Option<&'static str> {
    let component = common::sandbox().load(wasm).unwrap();
    component.functions().iter().find(|function| function.name() == name).unwrap().not_callable()
}

/// For `fuzz/targets/component`: the names in a type were not counted, so that 10 kB of component described gigabytes.
#[test]
fn names_in_types_count_when_a_type_unfolds() {
    let cases: String = (0..1000).map(|at| format!("\"case-{at}\" ")).collect();
    let wasm = unfolding(&format!("(enum {cases})"));
    assert!(why_not_callable(&wasm, "run").unwrap().contains("too large"));
    assert_eq!(why_not_callable(&wasm, "one"), None);
}

/// For `fuzz/targets/component`: a name may have 100,000 bytes, and stands in every schema and every value of its type.
#[test]
fn a_name_in_a_type_has_a_longest_length() {
    let wasm = unfolding(&format!("(flags \"{}\")", "x".repeat(5_000)));
    assert!(why_not_callable(&wasm, "one").unwrap().contains("longer than"));
    let wasm = unfolding(&format!("(flags \"{}\")", "x".repeat(200)));
    assert_eq!(why_not_callable(&wasm, "one"), None);
}
