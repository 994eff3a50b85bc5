//! The query part of a REST request: which records, in which order, how many, and which of their fields.
//!
//! `d` and `o` are the base64url of a domain and an order in JSON; `f` names a field, through relations with dots.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

/// A query. The default is every record with no field but its identifier.
#[derive(Debug, Clone, Default)]
pub struct Query {
    domain: Vec<Value>,
    fields: &'static [&'static str],
    limit: Option<usize>,
}

impl Query {
    /// A query for these fields.
    pub fn fields(fields: &'static [&'static str]) -> Self {
        Self { fields, ..Self::default() }
    }

    /// Adds a clause that must hold.
    pub fn clause(mut self, clause: Value) -> Self {
        self.domain.push(clause);
        self
    }

    /// At most so many records, those with the lowest identifiers.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// As text, without the question mark.
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = self.fields.iter().map(|field| format!("f={field}")).collect();
        if !self.domain.is_empty() {
            parts.push(format!("d={}", encoded(&Value::from(self.domain.clone()))));
        }
        if let Some(limit) = self.limit {
            parts.push(format!("s={limit}"));
            parts.push(format!("o={}", encoded(&json!([["id", "ASC"]]))));
        }
        if self.fields.is_empty() {
            parts.push("f=id".into());
        }
        parts.join("&")
    }
}

/// `%` stands in a URL for itself only as `%25`; base64url has none, only `=` for padding, which a query may hold
/// (RFC 3986, section 3.4).
fn encoded(value: &Value) -> String {
    URL_SAFE.encode(value.to_string())
}

/// `text` for `ilike`, with its wildcards made letters.
pub fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_as_tryton_wants_it() {
        let query = Query::fields(&["name", "lang.code"]).clause(json!(["name", "=", "王"])).limit(2);
        assert_eq!(
            query.text(),
            "f=name&f=lang.code&d=W1sibmFtZSIsIj0iLCLnjosiXV0=&s=2&o=W1siaWQiLCJBU0MiXV0="
        );
        assert_eq!(Query::default().text(), "f=id");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_a_query(text in any::<String>()) {
            let query = Query::fields(&["name"]).clause(json!(["name", "ilike", literal(&text)])).text();
            prop_assert!(query.bytes().all(|b| b.is_ascii_alphanumeric() || b"=&-_.".contains(&b)));
            prop_assert_eq!(query.matches('&').count(), 1);
        }
    }
}
