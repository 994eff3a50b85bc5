//! What may come in with `upsert-contact`, `add-case` and `add-note`: everything bounded, normal, and of the known words.

use factotum_sdk::Fault;

use crate::text::excerpt;
use crate::{CaseInput, ContactInput, email, language, one_line, phone_digits, text};

const MAX_NAME_CHARS: usize = 200;
const MAX_PHONE_CHARS: usize = 50;
const MAX_SUBJECT_CHARS: usize = 500;
const MAX_TEXT_BYTES: usize = 256 * 1024;
const MAX_NOTE_BYTES: usize = 16 * 1024;
const MAX_ID_BYTES: usize = 64;
const MAX_ORDERS: usize = 50;
const MAX_WORD_CHARS: usize = 64;

/// A contact's parts, checked. At least one of name, email and phone is there; none is an empty text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedContact {
    /// The name, one line.
    pub name: Option<String>,
    /// The mail address, lower case.
    pub email: Option<String>,
    /// The telephone number as given, one line.
    pub phone: Option<String>,
    /// The digits of `phone`; empty without one.
    pub digits: String,
    /// The language tag.
    pub language: Option<String>,
}

/// A case, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCase(pub CaseInput);

/// Checks and normalises a contact. Empty texts count as absent: web forms send them.
///
/// # Errors
/// `invalid-input`.
pub fn check_contact(given: &ContactInput) -> Result<CheckedContact, Fault> {
    let name = line("name", given.name.as_deref(), MAX_NAME_CHARS)?;
    let phone = line("phone", given.phone.as_deref(), MAX_PHONE_CHARS)?;
    let digits = phone.as_deref().map(phone_digits).unwrap_or_default();
    if phone.is_some() && !(3..=20).contains(&digits.len()) {
        return Err(Fault::invalid_input("phone: a telephone number has 3 to 20 digits"));
    }
    let email = given.email.as_deref().map(email).transpose()?.flatten();
    if name.is_none() && email.is_none() && phone.is_none() {
        return Err(Fault::invalid_input(
            "the contact has neither email nor phone nor name; give at least one",
        ));
    }
    let language = given.language.as_deref().map(language).transpose()?.flatten();
    Ok(CheckedContact { name, email, phone, digits, language })
}

/// Checks and normalises a case.
///
/// # Errors
/// `invalid-input`.
pub fn check_case(given: CaseInput) -> Result<CheckedCase, Fault> {
    check_id("contact-id", &given.contact_id)?;
    if given.order_numbers.len() > MAX_ORDERS {
        return Err(Fault::invalid_input(format!("order-numbers: more than {MAX_ORDERS}")));
    }
    let mut order_numbers = Vec::with_capacity(given.order_numbers.len());
    for number in &given.order_numbers {
        let number = one_line("order-numbers", number, MAX_WORD_CHARS)?;
        // A comma separates them where an implementation keeps them in one text.
        if number.contains(',') {
            return Err(Fault::invalid_input("order-numbers: one number each, without commas"));
        }
        if !number.is_empty() && !order_numbers.contains(&number) {
            order_numbers.push(number);
        }
    }
    Ok(CheckedCase(CaseInput {
        subject: one_line("subject", &given.subject, MAX_SUBJECT_CHARS)?,
        text: text("text", &given.text, MAX_TEXT_BYTES)?,
        channel: one_of("channel", given.channel, &["web", "mail", "chat", "social", "phone"])?,
        category: given.category.filter(|c| !c.is_empty()).map(|c| check_category(&c)).transpose()?,
        priority: maybe_one_of("priority", given.priority, &["urgent", "high", "normal", "low"])?,
        sentiment: maybe_one_of("sentiment", given.sentiment, &["positive", "neutral", "negative"])?,
        language: given.language.as_deref().map(language).transpose()?.flatten(),
        order_numbers,
        contact_id: given.contact_id,
    }))
}

/// Checks and normalises a note: its author and its text.
///
/// # Errors
/// `invalid-input`.
pub fn check_note(case_id: &str, author: &str, note: &str) -> Result<(String, String), Fault> {
    check_id("case-id", case_id)?;
    let author = one_line("author", author, MAX_NAME_CHARS)?;
    if author.is_empty() {
        return Err(Fault::invalid_input("author: say who wrote the note"));
    }
    let note = text("text", note, MAX_NOTE_BYTES)?;
    if note.trim().is_empty() {
        return Err(Fault::invalid_input("text: the note is empty"));
    }
    Ok((author, note))
}

pub(crate) fn check_id(what: &str, id: &str) -> Result<(), Fault> {
    if !id.is_empty()
        && id.len() <= MAX_ID_BYTES
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        Ok(())
    } else {
        Err(Fault::invalid_input(format!("{what} {:?} is no identifier of this CRM", excerpt(id))))
    }
}

pub(crate) fn check_category(category: &str) -> Result<String, Fault> {
    let good = category.len() <= MAX_WORD_CHARS
        && category.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
    if good {
        Ok(category.to_owned())
    } else {
        Err(Fault::invalid_input(format!(
            "category {:?} is no word such as refund or order_change",
            excerpt(category)
        )))
    }
}

fn line(what: &str, given: Option<&str>, max: usize) -> Result<Option<String>, Fault> {
    Ok(given.map(|text| one_line(what, text, max)).transpose()?.filter(|text| !text.is_empty()))
}

fn one_of(what: &str, given: String, words: &[&str]) -> Result<String, Fault> {
    if words.contains(&given.as_str()) {
        Ok(given)
    } else {
        Err(Fault::invalid_input(format!("{what} {:?}: one of {}", excerpt(&given), words.join(", "))))
    }
}

fn maybe_one_of(what: &str, given: Option<String>, words: &[&str]) -> Result<Option<String>, Fault> {
    given.filter(|word| !word.is_empty()).map(|word| one_of(what, word, words)).transpose()
}
