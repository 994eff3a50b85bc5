//! Trains the model from `data/train.jsonl` and writes `model/model.bin` and `model/metrics.json`.
//!
//! `cargo run -p plugin-classifier --features train --bin classifier-train`

use std::io::Write;
use std::process::ExitCode;

use plugin_classifier::model::Model;
use plugin_classifier::train::{self, Parting, data, metrics};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "classifier-train: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let read =
        |inside: &str| std::fs::read_to_string(data::path(inside)).map_err(|e| format!("{inside}: {e}"));
    let write = |inside: &str, bytes: &[u8]| {
        std::fs::write(data::path(inside), bytes).map_err(|e| format!("{inside}: {e}"))
    };
    let examples = data::parse(&read("data/train.jsonl")?).map_err(|e| format!("data/train.jsonl, {e}"))?;
    let bytes = train::train(&examples);
    let model = Model::read(&bytes).ok_or("the trained model cannot be read back")?;
    let sum = plugin_classifier::model::checksum(&bytes);
    let crossed = |parting: Parting| {
        let got = train::cross_validate(&examples, parting);
        metrics::json(&examples.iter().zip(&got).collect::<Vec<_>>())
    };
    let mut document = serde_json::json!({
        "version": format!("{}+{sum:08x}", env!("CARGO_PKG_VERSION")),
        "trained_on": examples.len(),
        "features": model.rows(),
        "bytes": bytes.len(),
        "cross_validation": crossed(Parting::Fifths),
        "leave_batch_out": crossed(Parting::Batches),
    });
    // The held-out messages are another author's; they measure the model and never shape it.
    if data::path("data/heldout.jsonl").exists() {
        let held_out =
            data::parse(&read("data/heldout.jsonl")?).map_err(|e| format!("data/heldout.jsonl, {e}"))?;
        let got: Vec<_> = held_out.iter().map(|e| train::classify_with(&model, e)).collect();
        let measured = metrics::json(&held_out.iter().zip(&got).collect::<Vec<_>>());
        document.as_object_mut().ok_or("the metrics are no object")?.insert("held_out".to_owned(), measured);
    }
    write("model/model.bin", &bytes)?;
    let mut text = serde_json::to_string_pretty(&document).map_err(|e| e.to_string())?;
    text.push('\n');
    write("model/metrics.json", text.as_bytes())?;
    let line = format!(
        "model/model.bin: {} messages, {} features, {} bytes, temperature {}",
        examples.len(),
        model.rows(),
        bytes.len(),
        model.temperature()
    );
    writeln!(std::io::stdout(), "{line}").map_err(|e| e.to_string())
}
