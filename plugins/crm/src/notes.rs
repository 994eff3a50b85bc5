//! Notes on cases: a counted list for each case.

use factotum_crm_contract::{Note, idempotency_digest, now};
use factotum_sdk::{Fault, kv::Bucket};
use serde::{Deserialize, Serialize};

use crate::{cases, keys, slots};

/// The most notes of one case; the contract lists no more.
const MAX_NOTES: u64 = 1000;
/// Notes read at once; each has at most 16 KiB.
const BATCH: u64 = 100;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    author: String,
    text: String,
    created: String,
}

impl Stored {
    fn into_note(self, number: u64, slot: u64) -> Note {
        let case_id = keys::case_id(number);
        Note {
            id: format!("{case_id}-{slot}"),
            case_id,
            author: self.author,
            text: self.text,
            created: self.created,
        }
    }
}

/// Adds a note, or finds the one that this idempotency key added.
pub fn add(bucket: &Bucket, case_id: &str, author: String, text: String) -> Result<Note, Fault> {
    let number = keys::case_number(case_id).ok_or_else(cases::missing)?;
    let done = idempotency_digest("add-note").map(|digest| keys::done(&digest));
    let looked_up: Vec<String> = std::iter::once(keys::case(number)).chain(done.clone()).collect();
    let mut found = bucket.get_many(&looked_up)?.into_iter();
    let case = found.next().flatten();
    if let (Some(key), Some(bytes)) = (&done, found.next().flatten()) {
        let (number, slot): (u64, u64) = slots::json(key, &bytes)?;
        let key = keys::slot(&keys::case_notes(number), slot);
        let bytes =
            bucket.get(&key)?.ok_or_else(|| Fault::internal(format!("key-value: {key:?} is gone")))?;
        return Ok(slots::json::<Stored>(&key, &bytes)?.into_note(number, slot));
    }
    if case.is_none() {
        return Err(cases::missing());
    }
    let list = keys::case_notes(number);
    let slot = slots::reserve(bucket, &list)?;
    if slot > MAX_NOTES {
        return Err(Fault::conflict(format!("case {case_id} has {MAX_NOTES} notes, which is the most"))
            .with_hint("open a case of its own for what follows"));
    }
    let note = Stored { author, text, created: now().rfc3339() };
    let mut pairs = vec![slots::pair(keys::slot(&list, slot), &note)?];
    if let Some(done) = done {
        pairs.push(slots::pair(done, &(number, slot))?);
    }
    bucket.set_many(&pairs)?;
    Ok(note.into_note(number, slot))
}

/// A case's notes, oldest first.
pub fn list(bucket: &Bucket, case_id: &str) -> Result<Vec<Note>, Fault> {
    let number = keys::case_number(case_id).ok_or_else(cases::missing)?;
    if bucket.get(&keys::case(number))?.is_none() {
        return Err(cases::missing());
    }
    let list = keys::case_notes(number);
    let count = slots::count(bucket, &list)?.min(MAX_NOTES);
    let mut notes = Vec::new();
    let mut from = 1;
    while from <= count {
        let to = count.min(from.saturating_add(BATCH - 1));
        for (slot, note) in slots::read(bucket, &list, from, to)? {
            let key = keys::slot(&list, slot);
            notes.push(slots::json::<Stored>(&key, note.as_bytes())?.into_note(number, slot));
        }
        from = to.saturating_add(1);
    }
    Ok(notes)
}
