//! The key layout: the one place that knows how keys are written. Numbers are padded, so that keys stand in time order.

/// Counts the contacts made.
pub const CONTACTS: &str = "contacts";
/// Counts the cases opened.
pub const CASES: &str = "cases";

/// The parts of a contact, each under a key of its own.
pub const PARTS: [&str; 4] = ["name", "email", "phone", "language"];

/// A contact's creation.
pub fn contact(id: &str) -> String {
    format!("contact/{id}")
}

/// One part of a contact.
pub fn part(id: &str, part: &str) -> String {
    format!("contact/{id}/{part}")
}

/// The identifier of the contact made as the `n`th.
pub fn contact_at(n: u64) -> String {
    format!("contact-at/{n:012}")
}

/// Counts the contacts with this telephone number; its slots hold their identifiers.
pub fn phone(digits: &str) -> String {
    format!("phone/{digits}")
}

/// Counts a contact's cases; its slots hold the cases' numbers.
pub fn contact_cases(id: &str) -> String {
    format!("contact/{id}/cases")
}

/// The `n`th entry of a counted list.
pub fn slot(list: &str, n: u64) -> String {
    format!("{list}/{n:012}")
}

/// A case without its text.
pub fn case(number: u64) -> String {
    format!("case/{number:012}")
}

/// A case's text.
pub fn case_text(number: u64) -> String {
    format!("case/{number:012}/text")
}

/// Counts a case's notes; its slots hold them.
pub fn case_notes(number: u64) -> String {
    format!("case/{number:012}/notes")
}

/// What an action made under an idempotency key.
pub fn done(digest: &str) -> String {
    format!("done/{digest}")
}

/// A case's identifier, as people read it.
pub fn case_id(number: u64) -> String {
    format!("CASE-{number:06}")
}

/// The number in a case's identifier.
pub fn case_number(id: &str) -> Option<u64> {
    let number = id.strip_prefix("CASE-")?.parse().ok()?;
    // Only the one way of writing it, so that an identifier can be compared as text.
    (case_id(number) == id).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_back_and_strangers_refused() {
        for number in [1, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(case_number(&case_id(number)), Some(number));
        }
        for bad in [
            "",
            "CASE-",
            "CASE-1",
            "case-000001",
            "CASE--00001",
            "CASE-+00001",
            "CASE-000001/text",
            "CASE-0000001",
        ] {
            assert_eq!(case_number(bad), None, "{bad}");
        }
    }
}
