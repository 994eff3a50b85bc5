//! What may come in with `find-contacts` and `list-cases`.

use factotum_sdk::Fault;

use crate::input::{check_category, check_id};
use crate::{CaseQuery, ContactQuery, Instant, email, one_line, parse_time, phone_digits};

const MAX_NAME_CHARS: usize = 200;

/// A contact query, checked: at least one part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedContactQuery {
    /// The mail address, lower case.
    pub email: Option<String>,
    /// The telephone number's digits.
    pub digits: Option<String>,
    /// The part of the name, lower case.
    pub name: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A case query, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCaseQuery {
    /// Only this contact's.
    pub contact_id: Option<String>,
    /// Only this category's.
    pub category: Option<String>,
    /// Only those opened then or later.
    pub since: Option<Instant>,
    /// At most so many.
    pub limit: usize,
    /// After this position, which only the implementation understands: a count or an identifier.
    pub after: Option<u64>,
}

/// Checks a contact query.
///
/// # Errors
/// `invalid-input`, also for a query without any part.
pub fn check_contact_query(given: &ContactQuery) -> Result<CheckedContactQuery, Fault> {
    let email = given.email.as_deref().map(email).transpose()?.flatten();
    let phone = given.phone.as_deref().map(str::trim).filter(|p| !p.is_empty());
    let digits = phone.map(|p| if p.len() > 200 { String::new() } else { phone_digits(p) });
    if digits.as_ref().is_some_and(|d| !(3..=20).contains(&d.len())) {
        return Err(Fault::invalid_input("phone: a telephone number has 3 to 20 digits"));
    }
    let name = given.name.as_deref().map(|n| one_line("name", n, MAX_NAME_CHARS)).transpose()?;
    let name = name.filter(|n| !n.is_empty()).map(|n| n.to_lowercase());
    if email.is_none() && digits.is_none() && name.is_none() {
        return Err(Fault::invalid_input("the query has no part; give email, phone or name"));
    }
    Ok(CheckedContactQuery { email, digits, name, limit: limit(given.limit, 20, 100)? })
}

/// Checks a case query.
///
/// # Errors
/// `invalid-input`.
pub fn check_case_query(given: &CaseQuery) -> Result<CheckedCaseQuery, Fault> {
    if let Some(id) = &given.contact_id {
        check_id("contact-id", id)?;
    }
    let after = given.cursor.as_deref().map(|cursor| {
        cursor.parse::<u64>().ok().filter(|n| *n < u64::MAX).ok_or_else(|| {
            Fault::invalid_input("cursor: not one that list-cases gave")
                .with_hint("pass the last page's next, unchanged")
        })
    });
    Ok(CheckedCaseQuery {
        contact_id: given.contact_id.clone(),
        category: given.category.as_deref().map(check_category).transpose()?,
        since: given.since.as_deref().map(|since| parse_time("since", since)).transpose()?,
        limit: limit(given.limit, 100, 1000)?,
        after: after.transpose()?,
    })
}

fn limit(given: Option<u32>, usual: u32, max: u32) -> Result<usize, Fault> {
    let limit = given.unwrap_or(usual);
    if (1..=max).contains(&limit) {
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    } else {
        Err(Fault::invalid_input(format!("limit {limit}: 1 to {max}")))
    }
}
