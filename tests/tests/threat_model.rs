//! The threat model names a test for each of its claims; a name that is no test any more fails here.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = "docs/threat-model.md";
/// Where sources with tests are.
const SOURCES: [&str; 6] = ["host", "plugins", "registry", "sdk", "tests", "xtask"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of all tests below a folder: functions right after an attribute that ends in `test]`, `test(…)]`.
fn tests_below(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                tests_below(&path, names);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut is_test = false;
            for line in fs::read_to_string(&path).unwrap().lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((_, rest)) = line.split_once("fn ") {
                    let name: String =
                        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    if is_test {
                        names.insert(name);
                    }
                    is_test = false;
                } else if line.starts_with("#[ignore") {
                    is_test = false;
                }
            }
        }
    }
}

/// The words in backticks of a line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_claim_of_the_threat_model_names_tests_that_exist() {
    let root = root();
    let page = fs::read_to_string(root.join(PAGE)).unwrap();
    assert!(page.lines().count() <= 100, "the threat model is one page");
    let mut names = BTreeSet::new();
    for folder in SOURCES {
        tests_below(&root.join(folder), &mut names);
    }
    assert!(names.contains("every_claim_of_the_threat_model_names_tests_that_exist"), "tests are found");
    let (mut claims, mut missing) = (0, Vec::new());
    for line in page.lines() {
        let is_claim = line.starts_with("| ") && !line.starts_with("| layer");
        let shown_by = line.rsplit('|').nth(1).unwrap_or_default();
        if is_claim {
            claims += 1;
            assert!(code(shown_by).next().is_some(), "a claim without a test: {line}");
        }
        for word in code(line) {
            let is_path = word.contains('/') || word.ends_with(".toml");
            if is_path && !root.join(word).exists() {
                missing.push(word);
            }
        }
        missing
            .extend(code(shown_by).filter(|word| is_claim && !word.contains('/') && !names.contains(*word)));
    }
    assert!(claims >= 15, "{claims} claims were read");
    assert!(missing.is_empty(), "no such test or file: {missing:#?}");
}
