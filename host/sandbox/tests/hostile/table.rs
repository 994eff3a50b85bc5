//! Holds the table in `README.md` to the truth: every test it names exists.

use std::path::Path;

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = std::fs::read_to_string(root.join("host/sandbox/tests/hostile/README.md")).unwrap();
    let mut named = 0;
    for (file, test) in table.split('`').filter_map(|word| word.split_once("::")) {
        let path = root.join(file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
        named += 1;
    }
    assert!(named > 50, "the table names only {named} tests");
}
