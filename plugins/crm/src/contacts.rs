//! Contacts: each part under a key of its own, so that two calls that change different parts of one contact at once keep
//! both changes, and under an identifier that follows from the mail address (or telephone number), so that two calls that
//! make the same contact at once make one contact.

use factotum_crm_contract::{
    CheckedContact, Contact, Upserted, digest, idempotency_digest, now, phone_digits,
};
use factotum_sdk::{Fault, kv::Bucket};
use serde::{Deserialize, Serialize};

use crate::{keys, slots};

/// So many contacts with one telephone number are found by it; more than a household has, fewer than an attacker makes.
pub const MAX_SAME_PHONE: u64 = 100;

/// What is known of a contact's making. Written once.
#[derive(Debug, Serialize, Deserialize)]
struct Creation {
    created: String,
    /// Under which idempotency key, so that a repeated attempt is told "created" again.
    by: Option<String>,
}

/// One part of a contact.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    value: String,
    at: String,
}

/// A contact as stored.
pub struct Stored {
    pub contact: Contact,
    by: Option<String>,
}

/// One contact.
pub fn get(bucket: &Bucket, id: &str) -> Result<Contact, Fault> {
    // Whatever else stands under `contact/` has a slash in its key; a longer text could be no key.
    let possible = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    let found = if possible { load(bucket, &[id.to_owned()])?.pop() } else { None };
    found.map(|stored| stored.contact).ok_or_else(|| Fault::not_found("no such contact"))
}

/// Those of `ids` that exist, in that order, with one visit to the store.
pub fn load(bucket: &Bucket, ids: &[String]) -> Result<Vec<Stored>, Fault> {
    let keys: Vec<String> = ids
        .iter()
        .flat_map(|id| std::iter::once(keys::contact(id)).chain(keys::PARTS.map(|part| keys::part(id, part))))
        .collect();
    let mut values = keys.iter().zip(bucket.get_many(&keys)?);
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let mut next = || values.next().and_then(|(key, value)| Some((key, value?)));
        let creation = next();
        let mut part = || next().map(|(key, value)| slots::json::<Part>(key, &value)).transpose();
        let parts = [part()?, part()?, part()?, part()?];
        let Some((key, creation)) = creation else { continue };
        let creation: Creation = slots::json(key, &creation)?;
        let updated =
            parts.iter().flatten().map(|part| part.at.clone()).chain([creation.created.clone()]).max();
        let [name, email, phone, language] = parts.map(|part| part.map(|part| part.value));
        let contact = Contact {
            id: id.clone(),
            name,
            email,
            phone,
            language,
            created: Some(creation.created),
            updated,
        };
        found.push(Stored { contact, by: creation.by });
    }
    Ok(found)
}

/// The contacts with this telephone number, oldest first.
pub fn with_phone(bucket: &Bucket, digits: &str) -> Result<Vec<Stored>, Fault> {
    let list = keys::phone(digits);
    let count = slots::count(bucket, &list)?.min(MAX_SAME_PHONE);
    let mut ids = Vec::new();
    for (_, id) in slots::read(bucket, &list, 1, count)? {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut found = load(bucket, &ids)?;
    // Slots of contacts that have another number by now stay behind.
    found.retain(|stored| digits_of(&stored.contact) == digits);
    Ok(found)
}

/// The digits of a contact's telephone number; empty without one.
pub fn digits_of(contact: &Contact) -> String {
    contact.phone.as_deref().map(phone_digits).unwrap_or_default()
}

/// Makes or updates a contact.
pub fn upsert(bucket: &Bucket, given: &CheckedContact) -> Result<Upserted, Fault> {
    let by = idempotency_digest("upsert-contact");
    let (id, before) = identify(bucket, given, by.as_deref())?;
    if let (Some(before), Some(email)) = (&before, &given.email)
        && before.contact.email.as_deref().is_some_and(|known| known != email)
    {
        return Err(Fault::internal(format!("contact {id} belongs to another mail address")));
    }
    let now = now().rfc3339();
    let created = before.as_ref().is_none_or(|stored| by.is_some() && stored.by == by);
    let mut contact = match &before {
        Some(stored) => stored.contact.clone(),
        None => Contact {
            id: id.clone(),
            name: None,
            email: None,
            phone: None,
            language: None,
            created: Some(now.clone()),
            updated: None,
        },
    };
    let mut pairs = Vec::new();
    if before.is_none() {
        pairs.push(slots::pair(keys::contact(&id), &Creation { created: now.clone(), by })?);
        pairs.push((keys::contact_at(slots::reserve(bucket, keys::CONTACTS)?), id.clone().into_bytes()));
    }
    if !given.digits.is_empty() && digits_of(&contact) != given.digits {
        pairs.extend(phone_entry(bucket, &given.digits, &id, before.is_some())?);
    }
    let parts = [
        (&given.name, &mut contact.name),
        (&given.email, &mut contact.email),
        (&given.phone, &mut contact.phone),
        (&given.language, &mut contact.language),
    ];
    for (part, (given, known)) in keys::PARTS.into_iter().zip(parts) {
        if let Some(value) = given.as_ref().filter(|value| known.as_ref() != Some(*value)) {
            pairs.push(slots::pair(keys::part(&id, part), &Part { value: value.clone(), at: now.clone() })?);
            *known = Some(value.clone());
        }
    }
    if !pairs.is_empty() {
        bucket.set_many(&pairs)?;
        contact.updated = Some(now);
    }
    Ok(Upserted { contact, created })
}

/// Whose contact this is: its identifier, and what is stored of it.
fn identify(
    bucket: &Bucket,
    given: &CheckedContact,
    by: Option<&str>,
) -> Result<(String, Option<Stored>), Fault> {
    let id = if let Some(email) = &given.email {
        id_of_email(email)
    } else if !given.digits.is_empty() {
        match with_phone(bucket, &given.digits)?.into_iter().next() {
            Some(stored) => return Ok((stored.contact.id.clone(), Some(stored))),
            None => digest("contact-phone", &given.digits),
        }
    } else {
        // A name alone identifies nobody: every call makes a contact, and only a repeated attempt finds its own.
        match by {
            Some(key) => digest("contact-key", key),
            None => digest("contact-count", &bucket.increment(keys::CONTACTS, 1)?.to_string()),
        }
    };
    let before = load(bucket, std::slice::from_ref(&id))?.pop();
    Ok((id, before))
}

/// The identifier of the contact with this mail address.
pub fn id_of_email(email: &str) -> String {
    digest("contact-email", email)
}

fn phone_entry(
    bucket: &Bucket,
    digits: &str,
    id: &str,
    known: bool,
) -> Result<Option<(String, Vec<u8>)>, Fault> {
    let list = keys::phone(digits);
    if known {
        let count = slots::count(bucket, &list)?.min(MAX_SAME_PHONE);
        if slots::read(bucket, &list, 1, count)?.iter().any(|(_, entry)| entry == id) {
            return Ok(None);
        }
    }
    let slot = slots::reserve(bucket, &list)?;
    Ok(Some((keys::slot(&list, slot), id.as_bytes().to_vec())))
}
