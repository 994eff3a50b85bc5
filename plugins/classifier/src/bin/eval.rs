//! Prints how good the shipped model is on the held-out messages; with `--cv`, by cross-validation on the training data
//! (for whoever improves the model: the held-out messages are not for choosing between models), by fifths and by leaving
//! out whole batches; with `--cv-errors` what was got wrong by the latter; with `--file PATH` on messages of your own.
//!
//! `cargo run -p plugin-classifier --features train --bin classifier-eval [-- --cv | --cv-errors | --file PATH]`

use std::io::Write;
use std::process::ExitCode;

use plugin_classifier::classify::Classification;
use plugin_classifier::model::Model;
use plugin_classifier::train::{self, Parting, data, metrics};

fn main() -> ExitCode {
    let mode = std::env::args().nth(1);
    match run(mode.as_deref()) {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "classifier-eval: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Option<&str>) -> Result<String, String> {
    let read = |inside: &str| {
        let text = std::fs::read_to_string(data::path(inside)).map_err(|e| format!("{inside}: {e}"))?;
        data::parse(&text).map_err(|e| format!("{inside}, {e}"))
    };
    match mode {
        None => {
            // The file, not what was compiled in: it may just have been trained.
            let bytes =
                std::fs::read(data::path("model/model.bin")).map_err(|e| format!("model/model.bin: {e}"))?;
            let model =
                Model::read(&bytes).ok_or("model/model.bin is of another format: run classifier-train")?;
            let examples = read("data/heldout.jsonl")?;
            let got: Vec<_> = examples.iter().map(|e| train::classify_with(&model, e)).collect();
            Ok(metrics::table("held out", &examples.iter().zip(&got).collect::<Vec<_>>()))
        }
        Some("--cv") => {
            let examples = read("data/train.jsonl")?;
            let mut out = String::new();
            for (parting, title) in [
                (Parting::Fifths, "cross-validation (fifths; the model knows the author's other messages)"),
                (Parting::Batches, "leave-one-batch-out (choose between models by this)"),
            ] {
                let got = train::cross_validate(&examples, parting);
                let pairs: Vec<_> = examples.iter().zip(&got).collect();
                out.push_str(&metrics::table(title, &pairs));
                if parting == Parting::Batches {
                    out.push_str(&metrics::batches(&pairs));
                }
                out.push('\n');
            }
            Ok(out)
        }
        Some("--file") => {
            let path =
                std::env::args().nth(2).ok_or("--file needs the path of a file of labelled messages")?;
            let bytes =
                std::fs::read(data::path("model/model.bin")).map_err(|e| format!("model/model.bin: {e}"))?;
            let model =
                Model::read(&bytes).ok_or("model/model.bin is of another format: run classifier-train")?;
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
            let examples = data::parse(&text).map_err(|e| format!("{path}, {e}"))?;
            let got: Vec<_> = examples.iter().map(|e| train::classify_with(&model, e)).collect();
            let mut out = metrics::table(&path, &examples.iter().zip(&got).collect::<Vec<_>>());
            out.push_str(&errors(&examples, &got));
            Ok(out)
        }
        Some("--cv-errors") => {
            let examples = read("data/train.jsonl")?;
            let got = train::cross_validate(&examples, Parting::Batches);
            Ok(errors(&examples, &got))
        }
        Some(other) => Err(format!("unknown option {other:?}; use --cv, --cv-errors, --file PATH, or none")),
    }
}

/// What was got wrong, a line or two each.
fn errors(examples: &[data::Example], got: &[Classification]) -> String {
    let mut lines = Vec::new();
    for (e, c) in examples.iter().zip(got) {
        let wanted = (e.expect.category, e.expect.priority, e.expect.sentiment, e.expect.language);
        if wanted != (c.category, c.priority, c.sentiment, c.language) {
            let text: String = e.message.text.chars().take(90).collect();
            lines.push(format!(
                "{} {wanted:?}\n     {:?}  {text:?}",
                e.id,
                (c.category, c.priority, c.sentiment, c.language)
            ));
        }
        let f = &e.expect.fields;
        let orders = f.order_numbers.clone().unwrap_or_else(|| f.order_number.iter().cloned().collect());
        if (&f.name, &f.email, &f.phone, &orders)
            != (&c.fields.name, &c.fields.email, &c.fields.phone, &c.fields.orders)
        {
            lines.push(format!(
                "{} fields: wanted {:?} {:?} {:?} {orders:?}, got {:?}",
                e.id, f.name, f.email, f.phone, c.fields
            ));
        }
    }
    lines.join("\n")
}
