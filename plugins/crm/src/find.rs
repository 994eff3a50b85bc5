//! `find-contacts`: by mail address or telephone number with a few reads; by name alone through all contacts in batches.

use factotum_crm_contract::{CheckedContactQuery, Contact};
use factotum_sdk::{Fault, kv::Bucket};

use crate::{contacts, keys, slots};

/// Names read at once when looking through all contacts.
const BATCH: u64 = 500;

/// The contacts that match all parts of the query.
pub fn find(bucket: &Bucket, query: &CheckedContactQuery) -> Result<Vec<Contact>, Fault> {
    let candidates = if let Some(email) = &query.email {
        contacts::load(bucket, &[contacts::id_of_email(email)])?
    } else if let Some(digits) = &query.digits {
        contacts::with_phone(bucket, digits)?
    } else {
        return by_name(bucket, query);
    };
    Ok(candidates
        .into_iter()
        .map(|stored| stored.contact)
        .filter(|c| matches(c, query))
        .take(query.limit)
        .collect())
}

fn matches(contact: &Contact, query: &CheckedContactQuery) -> bool {
    let holds = |part: &Option<String>, wanted: &str| {
        part.as_ref().is_some_and(|p| p.to_lowercase().contains(wanted))
    };
    query.email.as_ref().is_none_or(|email| contact.email.as_ref() == Some(email))
        && query.digits.as_ref().is_none_or(|digits| contacts::digits_of(contact) == *digits)
        && query.name.as_ref().is_none_or(|name| holds(&contact.name, name))
}

fn by_name(bucket: &Bucket, query: &CheckedContactQuery) -> Result<Vec<Contact>, Fault> {
    let count = slots::count(bucket, keys::CONTACTS)?;
    let wanted = query.name.as_deref().unwrap_or_default();
    let mut found: Vec<Contact> = Vec::new();
    let mut from = 1;
    while from <= count {
        let to = count.min(from.saturating_add(BATCH - 1));
        let at: Vec<String> = (from..=to).map(keys::contact_at).collect();
        let ids = at.iter().zip(bucket.get_many(&at)?).filter_map(|(key, id)| Some(slots::string(key, id?)));
        let ids = ids.collect::<Result<Vec<String>, Fault>>()?;
        let names: Vec<String> = ids.iter().map(|id| keys::part(id, "name")).collect();
        let mut likely = Vec::new();
        for (id, name) in ids.into_iter().zip(bucket.get_many(&names)?) {
            // The stored JSON leaves letters as they are, so this finds every match, and `matches` drops the wrong ones.
            let name = name.map(|bytes| String::from_utf8_lossy(&bytes).to_lowercase());
            if name.is_some_and(|name| name.contains(wanted) || wanted.contains(['"', '\\'])) {
                likely.push(id);
            }
        }
        for stored in contacts::load(bucket, &likely)? {
            if matches(&stored.contact, query) && !found.iter().any(|known| known.id == stored.contact.id) {
                found.push(stored.contact);
                if found.len() >= query.limit {
                    return Ok(found);
                }
            }
        }
        from = to.saturating_add(1);
    }
    Ok(found)
}
