//! Fills in one template. What a customer wrote is data: it is escaped in HTML, kept to one line in subjects, and never
//! read as a template.

use std::borrow::Cow;

use factotum_sdk::Fault;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::{labels::label, sources::Language};

/// Steps of the template engine for one part of a letter: thousands of times what a letter needs, and a loop ends.
const FUEL: u64 = 200_000;
/// The most bytes one part of a letter may come to.
const MAX_PART_BYTES: usize = 512 * 1024;

/// Which part of a letter; names the template in messages, and decides on escaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Subject,
    Text,
    Html,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Text => "text",
            Self::Html => "html",
        }
    }
}

/// Fills `source`, a part of the template `name`, with `data`.
///
/// # Errors
/// `invalid-input` when the data lacks something, `invalid-configuration` when the template is none.
pub(crate) fn fill(
    name: &str,
    part: Part,
    source: &str,
    language: Language,
    data: &Value,
) -> Result<String, Fault> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(50);
    engine.set_auto_escape_callback(move |_| match part {
        Part::Html => AutoEscape::Html,
        Part::Subject | Part::Text => AutoEscape::None,
    });
    // No template, not even an administrator's, takes the escaping off what a customer wrote.
    engine.remove_filter("safe");
    engine.add_filter("label", move |word: String| label(&word, language));
    engine.add_filter("excerpt", excerpt);
    engine.add_filter("web_address", web_address);
    if source.contains("autoescape") {
        return Err(Fault::invalid_configuration(format!(
            "template {name}.{}: autoescape cannot be changed",
            part.name()
        )));
    }
    let template = engine.template_from_named_str(name, source).map_err(|e| {
        Fault::invalid_configuration(format!("template {name}.{}: {}", part.name(), place(&e)))
    })?;
    let filled = template
        .render(data)
        .map_err(|e| failed(name, part, &template.undeclared_variables(true), data, &e))?;
    if filled.len() > MAX_PART_BYTES {
        return Err(Fault::invalid_input(format!(
            "template {name}: the {} comes to more than {MAX_PART_BYTES} bytes",
            part.name()
        )));
    }
    Ok(filled)
}

/// The error with its line, without any of the data.
fn place(error: &Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{line}{}{}", error.kind(), error.detail().map(|d| format!(": {d}")).unwrap_or_default())
}

fn failed(
    name: &str,
    part: Part,
    used: &std::collections::HashSet<String>,
    data: &Value,
    error: &Error,
) -> Fault {
    let whose = format!("template {name}.{}", part.name());
    match error.kind() {
        ErrorKind::UndefinedError => {
            let mut missing: Vec<&str> = used
                .iter()
                .map(String::as_str)
                .filter(|path| {
                    let found = path.split('.').try_fold(data.clone(), |value, key| value.get_attr(key));
                    found.map_or(true, |value| value.is_undefined())
                })
                .collect();
            missing.sort_unstable();
            Fault::invalid_input(format!("{whose}: {}; the data lacks something it needs", place(error)))
                .with_hint(format!("the template also knows, and the data has not: {}", missing.join(", ")))
        }
        ErrorKind::OutOfFuel => Fault::invalid_input(format!("{whose}: it takes too long with this data")),
        // Raised by our own filters: the data, not the template, is wrong.
        ErrorKind::InvalidOperation | ErrorKind::BadSerialization => {
            Fault::invalid_input(format!("{whose}: {}", place(error)))
        }
        _ => Fault::invalid_configuration(format!("{whose}: {}", place(error))),
    }
}

/// The first `most` characters, with a sign where something was cut off.
fn excerpt(text: Cow<'_, str>, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text).trim_end()),
    }
}

/// A link that a mail may carry: http or https, one word. Anything else (`javascript:`, `data:`) is an error.
fn web_address(text: Cow<'_, str>) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase();
    let web = lower.starts_with("https://") || lower.starts_with("http://");
    if web
        && text.len() <= 2000
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'<>`\\".contains(c))
    {
        return Ok(text.into_owned());
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        "a link is no web address; it starts with https:// and has no spaces",
    ))
}
