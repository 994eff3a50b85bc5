//! Labelled messages, one JSON object per line.

use std::path::PathBuf;

use serde::Deserialize;

use crate::labels::{Category, Language, Priority, Sentiment};

/// A message with what should be found out about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its name in the file.
    pub id: String,
    /// Which messages were written together: those of one batch share author, day and trades. 0 when nothing is known.
    #[serde(default)]
    pub batch: u32,
    /// The message.
    pub message: Message,
    /// What should be found out.
    pub expect: Expect,
}

/// A message as it comes in.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// How it came in: `web`, `mail`, `chat`, `social`, `phone`.
    pub channel: String,
    /// The subject.
    pub subject: Option<String>,
    /// The body.
    pub text: String,
}

/// What should be found out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What the customer wants.
    pub category: Category,
    /// How soon somebody must look.
    pub priority: Priority,
    /// The mood.
    pub sentiment: Sentiment,
    /// The main language.
    pub language: Language,
    /// What stands in the message.
    #[serde(default)]
    pub fields: ExpectFields,
}

/// The fields that stand in the message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectFields {
    /// The customer's name.
    pub name: Option<String>,
    /// A mail address.
    pub email: Option<String>,
    /// A telephone number.
    pub phone: Option<String>,
    /// The first order number.
    pub order_number: Option<String>,
    /// All of them, when there are several.
    pub order_numbers: Option<Vec<String>>,
}

/// A path inside this crate.
#[must_use]
pub fn path(inside: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// Reads lines of labelled messages; empty lines are skipped.
///
/// # Errors
/// Which line is wrong, and why.
pub fn parse(text: &str) -> Result<Vec<Example>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| serde_json::from_str(line).map_err(|e| format!("line {}: {e}", i + 1)))
        .collect()
}
