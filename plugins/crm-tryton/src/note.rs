//! Notes: `ir.note` on the complaint, which Tryton shows behind the note symbol of its form.

use factotum_crm_contract::{Note, idempotency_digest};
use factotum_sdk::Fault;
use serde::Deserialize;
use serde_json::json;

use crate::{
    body,
    client::Client,
    complaint,
    query::{Query, literal},
    wire::DateTime,
};

const MODEL: &str = "ir.note";
const FIELDS: &[&str] = &["message", "create_date", "create_uid.name"];
/// The most notes that are listed.
const MAX_NOTES: usize = 1000;
/// Notes read with one request.
const BATCH: usize = 100;

#[derive(Debug, Deserialize)]
struct Stored {
    id: i64,
    message: Option<String>,
    create_date: Option<DateTime>,
    create_uid: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    name: Option<String>,
}

impl Stored {
    fn into_note(self, case_id: &str) -> Note {
        let texts = body::read_message(self.message.as_deref().unwrap_or_default());
        Note {
            id: self.id.to_string(),
            case_id: case_id.to_owned(),
            // A note that a person wrote in Tryton is that person's.
            author: texts.author.or_else(|| self.create_uid.and_then(|user| user.name)).unwrap_or_default(),
            text: texts.text,
            created: self.create_date.as_ref().and_then(DateTime::rfc3339).unwrap_or_default(),
        }
    }
}

/// Adds a note, or finds the one that this idempotency key added.
pub fn add(client: &Client, case_id: &str, author: &str, text: &str) -> Result<Note, Fault> {
    let resource = resource(client, case_id)?;
    let reference = idempotency_digest("add-note").map(|digest| format!("factotum-{digest}"));
    if let Some(reference) = &reference {
        let query = Query::fields(FIELDS)
            .clause(json!(["resource", "=", resource]))
            .clause(json!(["message", "ilike", format!("%{}%", literal(reference))]))
            .limit(BATCH);
        // Somebody may have quoted the reference in a text of their own.
        let ours = |note: &Stored| {
            let texts = body::read_message(note.message.as_deref().unwrap_or_default());
            texts.reference.as_ref() == Some(reference)
        };
        if let Some(note) = client.search::<Stored>(MODEL, &query)?.into_iter().find(ours) {
            return Ok(note.into_note(case_id));
        }
    }
    let values =
        json!({ "resource": resource, "message": body::message(text, author, reference.as_deref()) });
    let made: Stored = client.create(MODEL, &Query::fields(FIELDS), &values)?;
    Ok(made.into_note(case_id))
}

/// A case's notes, oldest first.
pub fn list(client: &Client, case_id: &str) -> Result<Vec<Note>, Fault> {
    let resource = resource(client, case_id)?;
    let (mut notes, mut after) = (Vec::new(), 0);
    loop {
        let query = Query::fields(FIELDS)
            .clause(json!(["resource", "=", resource]))
            .clause(json!(["id", ">", after]))
            .limit(BATCH.min(MAX_NOTES.saturating_sub(notes.len())));
        let found: Vec<Stored> = client.search(MODEL, &query)?;
        let whole = found.len() < BATCH;
        after = found.last().map_or(after, |note| note.id);
        notes.extend(found.into_iter().map(|note| note.into_note(case_id)));
        if whole || notes.len() >= MAX_NOTES {
            return Ok(notes);
        }
    }
}

fn resource(client: &Client, case_id: &str) -> Result<String, Fault> {
    Ok(format!("sale.complaint,{}", complaint::existing(client, case_id)?))
}
