//! What people and programs read: data to standard output, everything else to standard error.

use std::io::{self, Write};

use anyhow::Result;
use comfy_table::{Table, presets};
use serde_json::Value;

/// Writes a line to standard output. A reader that went away (`| head`) ends the program without a word, as is usual.
pub fn line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}") {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Writes JSON, indented.
pub fn json(value: &Value) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Writes a remark to standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error to standard error.
pub fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// Writes a table. Text from outside cannot move the cursor or colour the screen.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(|h| h.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for row in table.lines() {
        line(row.trim_end())?;
    }
    Ok(())
}

/// The text with control characters shown instead of sent.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() && c != '\n' { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// A member as text; a dash when it is absent.
pub fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
