//! How a case and a note stand in Tryton's one text field: the words first, as an agent wants to read them, and below a
//! signature line what Tryton has no field for.
//!
//! ```text
//! Where is my parcel?
//!
//! It should be here since Monday.
//!
//! --
//! Channel: mail
//! Priority: high
//! ```
//!
//! The customer's words may hold the same lines; what counts is the last signature, which is always ours. A text that a
//! person wrote or changed in Tryton is read as far as it goes.

use factotum_crm_contract::CaseInput;

const SIGNATURE: &str = "\n\n-- \n";

/// A case's texts as read from a description.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CaseTexts {
    pub subject: String,
    pub text: String,
    pub channel: Option<String>,
    pub priority: Option<String>,
    pub sentiment: Option<String>,
    pub language: Option<String>,
    pub order_numbers: Vec<String>,
}

/// A note's texts as read from a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NoteTexts {
    pub text: String,
    pub author: Option<String>,
    pub reference: Option<String>,
}

/// The description of a new case.
pub fn description(case: &CaseInput) -> String {
    let mut all = format!("{}\n\n{}{SIGNATURE}Channel: {}", case.subject, case.text, case.channel);
    let orders = (!case.order_numbers.is_empty()).then(|| case.order_numbers.join(", "));
    for (name, value) in [
        ("Priority", &case.priority),
        ("Sentiment", &case.sentiment),
        ("Language", &case.language),
        ("Orders", &orders),
    ] {
        if let Some(value) = value {
            all.push_str(&format!("\n{name}: {value}"));
        }
    }
    all
}

/// Reads a description.
pub fn read_description(description: &str) -> CaseTexts {
    let (words, lines) = split(description, "Channel: ");
    let (subject, text) = match words.split_once("\n\n") {
        Some((subject, text)) if !subject.contains('\n') => (subject, text),
        // Written by hand: the first line is the subject, and the rest, if any, the text.
        _ => words.split_once('\n').unwrap_or((words, "")),
    };
    let mut texts = CaseTexts { subject: subject.trim().into(), text: text.into(), ..CaseTexts::default() };
    for (name, value) in lines {
        let value = value.trim();
        match name {
            "Channel" => texts.channel = Some(value.into()),
            "Priority" => texts.priority = Some(value.into()),
            "Sentiment" => texts.sentiment = Some(value.into()),
            "Language" => texts.language = Some(value.into()),
            "Orders" => {
                texts.order_numbers =
                    value.split(',').map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect();
            }
            _ => {}
        }
    }
    texts
}

/// The message of a new note.
pub fn message(text: &str, author: &str, reference: Option<&str>) -> String {
    let reference = reference.map(|r| format!("\nReference: {r}")).unwrap_or_default();
    format!("{text}{SIGNATURE}Author: {author}{reference}")
}

/// Reads a message.
pub fn read_message(message: &str) -> NoteTexts {
    let (words, lines) = split(message, "Author: ");
    let mut texts = NoteTexts { text: words.into(), ..NoteTexts::default() };
    for (name, value) in lines {
        match name {
            "Author" => texts.author = Some(value.into()),
            "Reference" => texts.reference = Some(value.into()),
            _ => {}
        }
    }
    texts
}

/// The words before the last signature that starts with the line `first`, and the lines of it.
fn split<'t>(all: &'t str, first: &str) -> (&'t str, Vec<(&'t str, &'t str)>) {
    let signature = format!("{SIGNATURE}{first}");
    let Some(at) = all.rfind(&signature) else { return (all, Vec::new()) };
    let (words, rest) = all.split_at(at);
    let lines = rest.strip_prefix(SIGNATURE).unwrap_or_default().lines();
    (words, lines.filter_map(|line| line.split_once(": ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn case(subject: &str, text: &str) -> CaseInput {
        CaseInput {
            contact_id: "1".into(),
            subject: subject.into(),
            text: text.into(),
            channel: "mail".into(),
            category: None,
            priority: Some("high".into()),
            sentiment: None,
            language: Some("zh".into()),
            order_numbers: vec!["A-1".into(), "B 2".into()],
        }
    }

    #[test]
    fn what_a_person_typed_is_read_as_far_as_it_goes() {
        let texts = read_description("Parcel lost\nCalled twice.\nAngry.");
        assert_eq!((texts.subject.as_str(), texts.text.as_str()), ("Parcel lost", "Called twice.\nAngry."));
        assert_eq!(texts.channel, None);
        assert_eq!(read_description(""), CaseTexts::default());
        let note = read_message("called back");
        assert_eq!((note.text.as_str(), note.author), ("called back", None));
    }

    proptest! {
        #[test]
        fn a_case_is_read_as_it_was_written(subject in "[^\\n\\r]{0,40}", text in "(\\n\\n-- \\nChannel: x|.|\\n){0,20}") {
            let subject = subject.trim();
            let texts = read_description(&description(&case(subject, &text)));
            prop_assert_eq!(texts.subject, subject);
            prop_assert_eq!(texts.text, text);
            prop_assert_eq!(texts.channel.as_deref(), Some("mail"));
            prop_assert_eq!((texts.priority.as_deref(), texts.sentiment), (Some("high"), None));
            prop_assert_eq!(texts.order_numbers, ["A-1", "B 2"]);
        }

        #[test]
        fn a_note_is_read_as_it_was_written(text in "(\\n\\n-- \\nAuthor: x|.|\\n){0,20}", author in "[^\\n\\r]{1,20}") {
            let note = read_message(&message(&text, &author, Some("factotum-1")));
            prop_assert_eq!((note.text, note.author), (text, Some(author)));
            prop_assert_eq!(note.reference.as_deref(), Some("factotum-1"));
        }
    }
}
