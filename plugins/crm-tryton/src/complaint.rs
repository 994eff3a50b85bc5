//! Cases: `sale.complaint`, the record that Tryton users keep a customer's trouble in, and that returns and credit notes
//! start from. The category is the complaint's type; the idempotency key is its reference.

use factotum_crm_contract::{Case, CaseInput, CasePage, CheckedCaseQuery, idempotency_digest};
use factotum_sdk::{Fault, config};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    body,
    client::Client,
    query::Query,
    wire::{DateTime, Only, record_id},
};

const MODEL: &str = "sale.complaint";
const FIELDS: &[&str] = &["customer", "description", "state", "type.name", "create_date"];
/// Complaints read with one request: even with the longest texts, escaped, the answer stays below the SDK's limit.
const BATCH: usize = 25;
/// Bytes of text on one page, more only when a single case has more.
const MAX_PAGE_BYTES: usize = 4 << 20;

#[derive(Debug, Deserialize)]
struct Complaint {
    id: i64,
    customer: Option<i64>,
    description: Option<String>,
    state: String,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    create_date: Option<DateTime>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    name: String,
}

impl Complaint {
    fn into_case(self) -> Case {
        let texts = body::read_description(self.description.as_deref().unwrap_or_default());
        Case {
            id: self.id.to_string(),
            contact_id: self.customer.map(|id| id.to_string()).unwrap_or_default(),
            subject: texts.subject,
            text: texts.text,
            // A complaint that a person typed into Tryton came by none of the desk's channels.
            channel: texts.channel.unwrap_or_else(|| "other".into()),
            status: if matches!(self.state.as_str(), "draft" | "waiting" | "approved") {
                "open"
            } else {
                "closed"
            }
            .into(),
            category: self.kind.map(|kind| kind.name),
            priority: texts.priority,
            sentiment: texts.sentiment,
            language: texts.language,
            order_numbers: texts.order_numbers,
            created: self.create_date.as_ref().and_then(DateTime::rfc3339).unwrap_or_default(),
        }
    }
}

/// Opens a case, or finds the one that this idempotency key opened.
pub fn add(client: &Client, case: &CaseInput) -> Result<Case, Fault> {
    let reference = idempotency_digest("add-case").map(|digest| format!("factotum-{digest}"));
    if let Some(reference) = &reference {
        let query = Query::fields(FIELDS).clause(json!(["reference", "=", reference])).limit(1);
        if let Some(complaint) = client.search::<Complaint>(MODEL, &query)?.pop() {
            return Ok(complaint.into_case());
        }
    }
    // Tryton on SQLite takes a complaint of a party that does not exist.
    let unknown = || {
        Fault::not_found(format!("Tryton has no party {:?}", case.contact_id))
            .with_hint("make it first: crm/upsert-contact gives its identifier")
    };
    let customer = record_id(&case.contact_id).ok_or_else(unknown)?;
    client.read::<Only>("party.party", customer, &Query::default())?.ok_or_else(unknown)?;
    let values = json!({
        "customer": customer,
        "company": company(client)?,
        "type": kind(client, case.category.as_deref())?,
        "reference": reference,
        "description": body::description(case),
    });
    let made: Complaint = client.create(MODEL, &Query::fields(FIELDS), &values)?;
    Ok(made.into_case())
}

/// One case.
pub fn get(client: &Client, id: &str) -> Result<Case, Fault> {
    let id = record_id(id).ok_or_else(missing)?;
    let found: Option<Complaint> = client.read(MODEL, id, &Query::fields(FIELDS))?;
    found.map(Complaint::into_case).ok_or_else(missing)
}

/// The identifier of a case that exists.
pub fn existing(client: &Client, id: &str) -> Result<i64, Fault> {
    let id = record_id(id).ok_or_else(missing)?;
    client.read::<Only>(MODEL, id, &Query::default())?.map(|only| only.id).ok_or_else(missing)
}

fn missing() -> Fault {
    Fault::not_found("Tryton has no such complaint")
}

/// A page of cases, by identifier, which is the order they were opened in.
pub fn list(client: &Client, query: &CheckedCaseQuery) -> Result<CasePage, Fault> {
    let mut clauses: Vec<Value> = Vec::new();
    if let Some(contact) = &query.contact_id {
        let Some(customer) = record_id(contact) else {
            return Ok(CasePage { cases: Vec::new(), next: None });
        };
        clauses.push(json!(["customer", "=", customer]));
    }
    if let Some(category) = &query.category {
        clauses.push(json!(["type.name", "=", category]));
    }
    if let Some(since) = query.since.and_then(DateTime::from_instant) {
        clauses.push(json!(["create_date", ">=", since]));
    }
    if query.after.is_some_and(|after| i32::try_from(after).is_err()) {
        return Ok(CasePage { cases: Vec::new(), next: None });
    }
    let mut after = query.after.unwrap_or(0);
    let (mut cases, mut bytes) = (Vec::new(), 0_usize);
    loop {
        let search = Query::fields(FIELDS).clause(json!(["id", ">", after])).limit(BATCH);
        let search = clauses.iter().cloned().fold(search, Query::clause);
        let found: Vec<Complaint> = client.search(MODEL, &search)?;
        let whole = found.len() < BATCH;
        for complaint in found {
            let id = u64::try_from(complaint.id).unwrap_or_default();
            let case = complaint.into_case();
            bytes = bytes.saturating_add(case.text.len());
            if cases.len() >= query.limit || (bytes > MAX_PAGE_BYTES && !cases.is_empty()) {
                return Ok(CasePage { cases, next: Some(after.to_string()) });
            }
            after = id;
            cases.push(case);
        }
        if whole {
            return Ok(CasePage { cases, next: None });
        }
    }
}

/// The company whose complaints these are: the configured one, else the only one.
fn company(client: &Client) -> Result<i64, Fault> {
    if let Some(configured) = config::get("company")?.filter(|text| !text.is_empty()) {
        return record_id(&configured).ok_or_else(|| {
            Fault::invalid_configuration("company is no Tryton identifier").with_hint("a number, such as 1")
        });
    }
    match client.search::<Only>("company.company", &Query::default().limit(2))?.as_slice() {
        [only] => Ok(only.id),
        [] => Err(Fault::invalid_configuration("Tryton shows no company to the user of the REST key")),
        _ => Err(Fault::invalid_configuration("Tryton has more than one company").with_hint(
            "set the configuration key company to the identifier of the one whose complaints these are",
        )),
    }
}

/// The complaint type for a category.
fn kind(client: &Client, category: Option<&str>) -> Result<i64, Fault> {
    let default = config::get("default-type")?.filter(|text| !text.is_empty());
    for name in category.into_iter().chain(default.as_deref()) {
        let query = Query::default().clause(json!(["name", "=", name])).limit(1);
        if let Some(kind) = client.search::<Only>("sale.complaint.type", &query)?.pop() {
            return Ok(kind.id);
        }
    }
    let what = match category {
        Some(category) => format!("Tryton has no complaint type {category:?}"),
        None => "the case has no category, and so no complaint type".into(),
    };
    Err(Fault::invalid_configuration(what).with_hint(
        "make it in Tryton under Sales, Configuration, Customer Complaint, Types; or set the configuration key default-type",
    ))
}
