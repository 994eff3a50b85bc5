//! Contacts: `party.party`, with mail address and telephone number as its contact mechanisms.

use factotum_crm_contract::{
    CheckedContact, CheckedContactQuery, Contact, Upserted, idempotency_digest, phone_digits,
};
use factotum_sdk::Fault;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    client::Client,
    lang,
    query::{Query, literal},
    wire::{DateTime, record_id},
};

const MODEL: &str = "party.party";
const FIELDS: &[&str] = &[
    "name",
    "lang.code",
    "create_date",
    "write_date",
    "contact_mechanisms.type",
    "contact_mechanisms.value",
    "contact_mechanisms.name",
];
/// So many parties are looked at for one telephone number.
const MAX_SAME_PHONE: usize = 100;
/// The name of the mechanism that holds a telephone number which Tryton does not accept as one.
const AS_GIVEN: &str = "phone as given";

#[derive(Debug, Clone, Deserialize)]
struct Party {
    id: i64,
    name: Option<String>,
    lang: Option<Lang>,
    create_date: Option<DateTime>,
    write_date: Option<DateTime>,
    #[serde(default)]
    contact_mechanisms: Vec<Mechanism>,
}

#[derive(Debug, Clone, Deserialize)]
struct Lang {
    code: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Mechanism {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    value: String,
    name: Option<String>,
}

impl Mechanism {
    fn is_phone(&self) -> bool {
        matches!(self.kind.as_str(), "phone" | "mobile")
            || (self.kind == "other" && self.name.as_deref() == Some(AS_GIVEN))
    }
}

impl Party {
    fn phone(&self) -> Option<&Mechanism> {
        self.contact_mechanisms.iter().find(|m| m.is_phone())
    }

    fn has_digits(&self, digits: &str) -> bool {
        self.contact_mechanisms.iter().any(|m| m.is_phone() && phone_digits(&m.value) == digits)
    }

    fn into_contact(self) -> Contact {
        let created = self.create_date.as_ref().and_then(DateTime::rfc3339);
        Contact {
            id: self.id.to_string(),
            email: self.contact_mechanisms.iter().find(|m| m.kind == "email").map(|m| m.value.to_lowercase()),
            phone: self.phone().map(|m| m.value.clone()),
            language: self.lang.map(|lang| lang::tag(&lang.code)),
            updated: self.write_date.as_ref().and_then(DateTime::rfc3339).or_else(|| created.clone()),
            created,
            name: self.name.filter(|name| !name.is_empty()),
        }
    }
}

/// The contacts that match all parts of the query.
pub fn find(client: &Client, query: &CheckedContactQuery) -> Result<Vec<Contact>, Fault> {
    let mut search = Query::fields(FIELDS);
    if let Some(email) = &query.email {
        search = search.clause(email_clause(email));
    }
    if let Some(name) = &query.name {
        search = search.clause(json!(["name", "ilike", format!("%{}%", literal(name))]));
    }
    let mut limit = query.limit;
    if let Some(digits) = &query.digits {
        search = search.clause(phone_clause(digits));
        limit = MAX_SAME_PHONE;
    }
    let mut parties: Vec<Party> = client.search(MODEL, &search.limit(limit))?;
    if let Some(digits) = &query.digits {
        parties.retain(|party| party.has_digits(digits));
    }
    Ok(parties.into_iter().take(query.limit).map(Party::into_contact).collect())
}

/// One contact.
pub fn get(client: &Client, id: &str) -> Result<Contact, Fault> {
    let missing = || Fault::not_found("Tryton has no such party");
    let id = record_id(id).ok_or_else(missing)?;
    let party: Option<Party> = client.read(MODEL, id, &Query::fields(FIELDS))?;
    party.map(Party::into_contact).ok_or_else(missing)
}

/// Makes or updates a contact.
pub fn upsert(client: &Client, given: &CheckedContact) -> Result<Upserted, Fault> {
    let by = idempotency_digest("upsert-contact").map(|digest| format!("factotum-{digest}"));
    if let Some(party) = same(client, given, by.as_deref())? {
        return Ok(Upserted { contact: update(client, party, given)?.into_contact(), created: false });
    }
    let made = create(client, given, by.as_deref())?;
    // Two calls may have made the contact at once, and Tryton does not mind: the older one stays, ours goes.
    match same(client, given, by.as_deref())? {
        Some(older) if older.id < made.id => {
            let _: Party =
                client.write(MODEL, made.id, &Query::fields(FIELDS), &json!({ "active": false }))?;
            Ok(Upserted { contact: update(client, older, given)?.into_contact(), created: false })
        }
        _ => Ok(Upserted { contact: made.into_contact(), created: true }),
    }
}

/// The oldest party that is the given contact.
fn same(client: &Client, given: &CheckedContact, by: Option<&str>) -> Result<Option<Party>, Fault> {
    let search = Query::fields(FIELDS);
    let found: Vec<Party> = if let Some(email) = &given.email {
        client.search(MODEL, &search.clause(email_clause(email)).limit(1))?
    } else if !given.digits.is_empty() {
        let mut found: Vec<Party> =
            client.search(MODEL, &search.clause(phone_clause(&given.digits)).limit(MAX_SAME_PHONE))?;
        found.retain(|party| party.has_digits(&given.digits));
        found
    } else if let Some(by) = by {
        // A name alone identifies nobody; only a repeated attempt finds what it made.
        let clause = json!(["contact_mechanisms", "where", [["type", "=", "other"], ["value", "=", by]]]);
        client.search(MODEL, &search.clause(clause).limit(1))?
    } else {
        Vec::new()
    };
    Ok(found.into_iter().next())
}

fn create(client: &Client, given: &CheckedContact, by: Option<&str>) -> Result<Party, Fault> {
    let mut mechanisms = Vec::new();
    if let Some(email) = &given.email {
        mechanisms.push(json!({ "type": "email", "value": email }));
    }
    if let (None, None, Some(by)) = (&given.email, &given.phone, by) {
        mechanisms.push(json!({ "type": "other", "name": "Factotum", "value": by }));
    }
    let mut values = Map::new();
    values.insert("name".into(), json!(given.name));
    if let Some((id, _)) = given.language.as_deref().map(|tag| lang::find(client, tag)).transpose()?.flatten()
    {
        values.insert("lang".into(), json!(id));
    }
    with_phone(given, |phone| {
        let all: Vec<&Value> = mechanisms.iter().chain(phone).collect();
        if !all.is_empty() {
            values.insert("contact_mechanisms".into(), json!([["create", all]]));
        }
        client.create(MODEL, &Query::fields(FIELDS), &values)
    })
}

fn update(client: &Client, party: Party, given: &CheckedContact) -> Result<Party, Fault> {
    let mut values = Map::new();
    if given.name.is_some() && given.name != party.name {
        values.insert("name".into(), json!(given.name));
    }
    if let Some(wanted) = &given.language
        && !party.lang.as_ref().is_some_and(|lang| lang::covers(&lang.code, wanted))
        && let Some((id, code)) = lang::find(client, wanted)?
        && party.lang.as_ref().is_none_or(|lang| lang.code != code)
    {
        values.insert("lang".into(), json!(id));
    }
    if !given.digits.is_empty() && !party.has_digits(&given.digits) {
        let known = party.phone().map(|mechanism| mechanism.id);
        return with_phone(given, |phone| {
            if let Some(phone) = phone {
                let command =
                    known.map_or_else(|| json!(["create", [phone]]), |id| json!(["write", [id], phone]));
                values.insert("contact_mechanisms".into(), json!([command]));
            }
            client.write(MODEL, party.id, &Query::fields(FIELDS), &values)
        });
    }
    if values.is_empty() { Ok(party) } else { client.write(MODEL, party.id, &Query::fields(FIELDS), &values) }
}

/// Does `attempt` with the telephone number as a number, and when Tryton (with the library `phonenumbers`) refuses that,
/// as a text: a customer who gives `020 7946 0018` without a country is still a customer.
fn with_phone(
    given: &CheckedContact,
    mut attempt: impl FnMut(Option<&Value>) -> Result<Party, Fault>,
) -> Result<Party, Fault> {
    let Some(phone) = &given.phone else { return attempt(None) };
    let start = phone.trim_start();
    let international = start.starts_with(['+', '\u{FF0B}']) || start.starts_with("00");
    let value = if international { format!("+{}", given.digits) } else { phone.clone() };
    match attempt(Some(&json!({ "type": "phone", "value": value, "name": null }))) {
        Err(fault) if fault.code == "invalid-input" && fault.message.contains(&value) => {
            attempt(Some(&json!({ "type": "other", "value": value, "name": AS_GIVEN })))
        }
        result => result,
    }
}

fn email_clause(email: &str) -> Value {
    json!(["contact_mechanisms", "where", [["type", "=", "email"], ["value", "ilike", literal(email)]]])
}

/// Every party whose number holds these digits in this order, whatever stands between them; the caller compares exactly.
fn phone_clause(digits: &str) -> Value {
    let mut pattern = String::from("%");
    for digit in digits.chars() {
        pattern.push(digit);
        pattern.push('%');
    }
    json!([
        "contact_mechanisms",
        "where",
        [["type", "in", ["phone", "mobile", "other"]], ["value", "ilike", pattern]]
    ])
}
