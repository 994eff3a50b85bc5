//! Writes a letter: the asked template in the nearest language, filled in, with brand and signature around it.

use std::collections::BTreeMap;

use factotum_sdk::Fault;
use minijinja::Value;

use crate::{
    bindings::exports::factotum::mail::mail::{Letter, Rendered},
    engine::{Part, fill},
    sources::{Language, choose, configured},
};

/// The most bytes of a letter's data.
const MAX_DATA_BYTES: usize = 256 * 1024;
/// The most characters of a subject.
const MAX_SUBJECT_CHARS: usize = 250;

const LAYOUT: &str = include_str!("../templates/layout.html");
/// The HTML of a template that has only a text.
const FROM_TEXT: &str = "<p style=\"white-space: pre-line\">{{ text }}</p>";

/// Writes the letter.
///
/// # Errors
/// `not-found` for a template that does not exist, `invalid-input` for data that does not fit it.
pub(crate) fn render(letter: &Letter) -> Result<Rendered, Fault> {
    let (source, language) = choose(&letter.template, Language::nearest(letter.language.as_deref()))?;
    let name = letter.template.as_str();
    let brand = configured("brand")?.unwrap_or_else(|| match language {
        Language::En => "Customer Service".into(),
        Language::Zh => "客户服务".into(),
    });
    let brand = one_line(&brand);
    let signature = configured("signature")?.unwrap_or_else(|| brand.clone());
    let signature = signature.trim();
    let data = data(&letter.data, &brand, signature, language)?;

    let subject = fill(name, Part::Subject, &source.subject, language, &data)?;
    let subject: String = one_line(&subject).chars().take(MAX_SUBJECT_CHARS).collect();
    if subject.is_empty() {
        return Err(Fault::invalid_input(format!("template {name}: the subject comes out empty")));
    }
    let body = fill(name, Part::Text, &source.text, language, &data)?;
    let body = body.trim();
    let content = match &source.html {
        Some(html) => fill(name, Part::Html, html, language, &data)?,
        None => fill(name, Part::Html, FROM_TEXT, language, &map([("text", body)]))?,
    };
    let frame = map([
        ("language", Value::from(language.tag())),
        ("subject", Value::from(subject.as_str())),
        ("brand", Value::from(brand)),
        ("signature", Value::from(signature)),
        // Escaped already, when it was filled in.
        ("content", Value::from_safe_string(content.trim().to_owned())),
    ]);
    let html = fill("layout", Part::Html, LAYOUT, language, &frame)?;
    // The line that mail programs know as the beginning of a signature.
    let text = format!("{body}\n\n-- \n{signature}\n");
    Ok(Rendered { subject, text, html, language: language.tag().to_owned() })
}

/// The letter's data, with brand, signature and language added where the data does not name them itself.
fn data(text: &str, brand: &str, signature: &str, language: Language) -> Result<Value, Fault> {
    if text.len() > MAX_DATA_BYTES {
        return Err(Fault::invalid_input(format!("the letter's data is larger than {MAX_DATA_BYTES} bytes")));
    }
    // The reader's message names a place and what it expected, and shows nothing of the data but single characters.
    let data: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|e| {
        Fault::invalid_input(format!(
            "the letter's data is no JSON object: line {}, column {}",
            e.line(),
            e.column()
        ))
    })?;
    let mut values: Vec<(String, Value)> = vec![
        ("brand".into(), brand.into()),
        ("signature".into(), signature.into()),
        ("language".into(), language.tag().into()),
    ];
    values.retain(|(key, _)| !data.contains_key(key));
    // A null is something the caller does not have: `if name` and a missing `name` mean the same.
    values.extend(
        data.into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, template_value(value))),
    );
    Ok(Value::from(values.into_iter().collect::<BTreeMap<_, _>>()))
}

/// A map for a template. Collecting pairs into a `Value` makes a sequence of pairs (minijinja 3), which has no keys, so
/// maps are made from the standard one.
fn map<V: Into<Value>>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> Value {
    Value::from(
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect::<BTreeMap<_, Value>>(),
    )
}

/// A JSON value as the template engine knows it.
fn template_value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => truth.into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(n), _, _) => n.into(),
            (None, Some(n), _) => n.into(),
            (None, None, n) => n.unwrap_or_default().into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => Value::from(items.into_iter().map(template_value).collect::<Vec<_>>()),
        Json::Object(members) => Value::from(
            members.into_iter().map(|(key, value)| (key, template_value(value))).collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// All on one line: every kind of line break and control character becomes a space, and directions of writing, which can
/// turn a subject around, are left out.
fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}'))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
