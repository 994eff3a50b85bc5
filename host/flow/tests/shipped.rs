//! What ships fits together: the flows are valid, and each sample message is one that the intake flow takes.

use std::{fs, path::Path};

use factotum_flow::Flow;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_sample_message_fits_the_intake_flow() {
    let file = root().join("flows/support/ticket-intake.yaml");
    let flow = Flow::parse(&fs::read_to_string(file).unwrap(), "ticket-intake.yaml").unwrap();
    let mut checked = 0;
    for name in ["train.jsonl", "heldout.jsonl"] {
        let samples = fs::read_to_string(root().join("plugins/classifier/data").join(name)).unwrap();
        for (line, sample) in samples.lines().enumerate() {
            let sample: Value = serde_json::from_str(sample).unwrap();
            let fits = flow.check_input(&sample["message"]);
            assert!(fits.is_ok(), "{name}:{}: {fits:?}", line + 1);
            checked += 1;
        }
    }
    assert!(checked > 2000, "only {checked} samples were found");
}

#[test]
fn every_shipped_flow_is_valid_without_a_warning() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("flows/support")).unwrap() {
        let path = entry.unwrap().path();
        // Cases for `flow test` lie beside the flows.
        if path.to_string_lossy().ends_with(".test.yaml") {
            continue;
        }
        let flow = Flow::parse(&fs::read_to_string(&path).unwrap(), &path.display().to_string()).unwrap();
        assert_eq!(flow.warnings().iter().count(), 0, "{}: {}", path.display(), flow.warnings());
        seen += 1;
    }
    assert!(seen >= 2);
}
