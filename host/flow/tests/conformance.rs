//! The DSL's conformance features, run through the interpreter. They are not part of this repository: the variable
//! OWF_CTK_DIR names their folder. The web that they ask is answered here (`support/web.rs`), so nothing leaves the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // Test code.

mod support;

use gherkin::{Feature, GherkinEnv};
use std::path::Path;
use support::steps::scenario;

/// Scenarios of the kit for DSL 1.0.3.
const SCENARIOS: usize = 21;

/// Runs every scenario of a folder; gives how many there were, and what is wrong.
async fn folder(folder: &Path) -> (usize, Vec<String>) {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "feature"))
        .collect();
    files.sort();
    let (mut count, mut failed) = (0, Vec::new());
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let feature = Feature::parse_path(&path, GherkinEnv::default()).unwrap();
        for s in &feature.scenarios {
            count += 1;
            match scenario(&s.steps).await {
                Ok(()) => println!("{file}: {}: passed", s.name),
                Err(why) => failed.push(format!("{file}: {}: {why}", s.name)),
            }
        }
    }
    (count, failed)
}

#[tokio::test]
#[ignore = "needs OWF_CTK_DIR"]
async fn conformance_features() {
    let kit = std::env::var("OWF_CTK_DIR").expect("OWF_CTK_DIR names the folder of the features");
    let (count, failed) = folder(Path::new(&kit)).await;
    println!("{} of {count} passed", count - failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= SCENARIOS, "the kit has {SCENARIOS} scenarios, and here are {count}");
}

/// What the kit leaves out, in the same steps.
#[tokio::test]
async fn our_features() {
    let (count, failed) = folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/features")).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count > 0, "there are no features");
}
