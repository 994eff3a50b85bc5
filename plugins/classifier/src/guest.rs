//! The component's exports: from the contract's types to the core and back.

use factotum_sdk::{Fault, config};

use crate::classify::{self, MAX_TEXT};
use crate::labels::{Category, Priority, Sentiment};
use crate::model::{METRICS, Model};
use crate::rules::Rules;

#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used
)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/factotum-types-0.1.0", "../../wit/factotum-classifier-0.1.0"],
        inline: "package plugin:classifier; world plugin { export factotum:classifier/classifier@0.1.0; }",
        world: "plugin:classifier/plugin",
        with: { "factotum:types/faults@0.1.0": factotum_sdk::faults },
        generate_all,
    });
}

use bindings::exports::factotum::classifier::classifier as wit;

/// The plugin.
pub struct Plugin;

impl wit::Guest for Plugin {
    fn classify(message: wit::Message) -> Result<wit::Classification, Fault> {
        if message.text.len() > MAX_TEXT {
            return Err(Fault::invalid_input(format!(
                "the text has {} bytes; at most {MAX_TEXT}",
                message.text.len()
            ))
            .with_hint("classify the first part of the message only"));
        }
        let rules = match config::get("rules")? {
            None => Rules::default(),
            Some(text) => Rules::parse(&text).map_err(|e| {
                Fault::invalid_configuration(format!("configuration \"rules\": {}", e.0)).with_hint(
                    "mend the rules in the plugin's configuration; README.md of the plugin shows their form",
                )
            })?,
        };
        let model = shipped()?;
        Ok(classify::classify(&model, &rules, message.subject.as_deref(), &message.text).into())
    }

    fn model() -> wit::ModelInfo {
        let version = serde_json::from_str::<serde_json::Value>(METRICS)
            .ok()
            .and_then(|m| m.get("version").and_then(|v| v.as_str()).map(str::to_owned))
            .unwrap_or_default();
        wit::ModelInfo { version, metrics: METRICS.to_owned() }
    }
}

fn shipped() -> Result<Model<'static>, Fault> {
    Model::shipped().ok_or_else(|| {
        Fault::internal("the model in the plugin cannot be read").with_hint("build the plugin again")
    })
}

impl From<classify::Classification> for wit::Classification {
    fn from(c: classify::Classification) -> Self {
        let mut orders = c.fields.orders;
        let order_number = orders.first().cloned();
        let order_numbers = (orders.len() > 1).then(|| std::mem::take(&mut orders));
        Self {
            category: c.category.into(),
            priority: c.priority.into(),
            sentiment: c.sentiment.into(),
            language: c.language.word().to_owned(),
            confidence: c.confidence,
            fields: wit::Fields {
                name: c.fields.name,
                email: c.fields.email,
                phone: c.fields.phone,
                order_number,
                order_numbers,
            },
            reasons: c
                .reasons
                .into_iter()
                .map(|r| wit::Reason { target: r.target.to_owned(), text: r.text })
                .collect(),
        }
    }
}

impl From<Category> for wit::Category {
    fn from(category: Category) -> Self {
        match category {
            Category::Refund => Self::Refund,
            Category::ReturnExchange => Self::ReturnExchange,
            Category::Delivery => Self::Delivery,
            Category::OrderChange => Self::OrderChange,
            Category::Billing => Self::Billing,
            Category::Technical => Self::Technical,
            Category::Account => Self::Account,
            Category::Complaint => Self::Complaint,
            Category::Praise => Self::Praise,
            Category::ProductQuestion => Self::ProductQuestion,
            Category::Other => Self::Other,
        }
    }
}

impl From<Priority> for wit::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Urgent => Self::Urgent,
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

impl From<Sentiment> for wit::Sentiment {
    fn from(sentiment: Sentiment) -> Self {
        match sentiment {
            Sentiment::Positive => Self::Positive,
            Sentiment::Neutral => Self::Neutral,
            Sentiment::Negative => Self::Negative,
        }
    }
}

// The exported symbols themselves; their names are none that a native linker takes.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
mod export {
    use super::{Plugin, bindings};
    bindings::export!(Plugin with_types_in bindings);
}

factotum_sdk::manifest!("plugin.toml");
