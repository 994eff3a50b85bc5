//! What stands in a message: mail address, telephone number, order numbers, name. Hand-written scanners instead of
//! regular expressions, because those would have to be compiled in every call.

pub mod email;
pub mod name;
pub mod order;
pub mod phone;

use crate::normalise::Prepared;

/// What was found; absent when not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The customer's name, as written.
    pub name: Option<String>,
    /// A mail address, as written.
    pub email: Option<String>,
    /// A telephone number, as written.
    pub phone: Option<String>,
    /// The order numbers, in order of appearance, each once, in their plain form (see [`order`]).
    pub orders: Vec<String>,
}

/// Finds the fields of a message. Order numbers are looked for in the quotation too, when the customer's own words have
/// none; addresses and numbers in a quotation are the shop's own and are left alone.
#[must_use]
pub fn find(message: &Prepared) -> Fields {
    let mut orders = order::find(&message.own);
    if orders.is_empty() {
        orders = order::find(&message.signature);
    }
    if orders.is_empty() {
        orders = order::find(&message.quoted);
    }
    Fields {
        name: name::find(&message.own).or_else(|| name::signature(&message.signature)),
        email: email::find(&message.own).or_else(|| email::find(&message.signature)),
        phone: phone::find(&message.own).or_else(|| phone::find(&message.signature)),
        orders,
    }
}

/// The last `count` characters before a byte position, in lower case and simplified characters.
fn before(text: &str, at: usize, count: usize) -> String {
    let head = text.get(..at).unwrap_or("");
    let start = head.char_indices().rev().take(count).last().map_or(head.len(), |(i, _)| i);
    head.get(start..).unwrap_or("").to_lowercase().chars().map(crate::fold::simplify).collect()
}

/// True when one of the words stands in the text.
fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}
