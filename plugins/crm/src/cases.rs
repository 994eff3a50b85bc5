//! Cases: numbered in the order they are opened, head and text apart, so that lists can be filtered without the texts.

use factotum_crm_contract::{Case, CaseInput, idempotency_digest, now};
use factotum_sdk::{Fault, kv::Bucket};
use serde::{Deserialize, Serialize};

use crate::{keys, slots};

/// A case without its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    pub contact_id: String,
    pub subject: String,
    pub channel: String,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_numbers: Vec<String>,
    pub created: String,
    /// How long the text is, in bytes, so that a page can be cut before its texts are fetched.
    pub text_bytes: usize,
}

impl Head {
    /// The whole case.
    pub fn into_case(self, number: u64, text: String) -> Case {
        Case {
            id: keys::case_id(number),
            contact_id: self.contact_id,
            subject: self.subject,
            text,
            channel: self.channel,
            status: self.status,
            category: self.category,
            priority: self.priority,
            sentiment: self.sentiment,
            language: self.language,
            order_numbers: self.order_numbers,
            created: self.created,
        }
    }
}

/// Opens a case, or finds the one that this idempotency key opened.
pub fn add(bucket: &Bucket, input: CaseInput) -> Result<Case, Fault> {
    let done = idempotency_digest("add-case").map(|digest| keys::done(&digest));
    let looked_up: Vec<String> =
        std::iter::once(keys::contact(&input.contact_id)).chain(done.clone()).collect();
    let mut found = bucket.get_many(&looked_up)?.into_iter();
    let contact = found.next().flatten();
    if let (Some(key), Some(bytes)) = (&done, found.next().flatten()) {
        return by_number(bucket, slots::json(key, &bytes)?);
    }
    if contact.is_none() {
        let hint = "make it first: crm/upsert-contact gives its identifier";
        return Err(Fault::not_found(format!("no contact {:?}", input.contact_id)).with_hint(hint));
    }
    let cases_of_contact = keys::contact_cases(&input.contact_id);
    let number = slots::reserve(bucket, keys::CASES)?;
    let slot = slots::reserve(bucket, &cases_of_contact)?;
    let head = Head {
        contact_id: input.contact_id,
        subject: input.subject,
        channel: input.channel,
        status: "open".into(),
        category: input.category,
        priority: input.priority,
        sentiment: input.sentiment,
        language: input.language,
        order_numbers: input.order_numbers,
        created: now().rfc3339(),
        text_bytes: input.text.len(),
    };
    let mut pairs = vec![
        slots::pair(keys::case(number), &head)?,
        (keys::case_text(number), input.text.clone().into_bytes()),
        (keys::slot(&cases_of_contact, slot), number.to_string().into_bytes()),
    ];
    if let Some(done) = done {
        pairs.push(slots::pair(done, &number)?);
    }
    bucket.set_many(&pairs)?;
    Ok(head.into_case(number, input.text))
}

/// One case.
pub fn get(bucket: &Bucket, id: &str) -> Result<Case, Fault> {
    by_number(bucket, keys::case_number(id).ok_or_else(missing)?)
}

fn by_number(bucket: &Bucket, number: u64) -> Result<Case, Fault> {
    let keys = [keys::case(number), keys::case_text(number)];
    let mut values = keys.iter().zip(bucket.get_many(&keys)?);
    let (Some((head_key, Some(head))), Some((text_key, text))) = (values.next(), values.next()) else {
        return Err(missing());
    };
    let text = slots::string(text_key, text.unwrap_or_default())?;
    Ok(slots::json::<Head>(head_key, &head)?.into_case(number, text))
}

/// There is no such case.
pub fn missing() -> Fault {
    Fault::not_found("no such case")
}
