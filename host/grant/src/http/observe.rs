//! The least rule for a request that was seen: what an administrator could have granted for it, without the data in it.
//!
//! What names one thing among many is generalised: a path segment that looks like an identifier becomes a star, and so does
//! the place in a list. All else stays as it was sent, the names of query keys and body fields among it; values are dropped.

use super::{HttpBody, HttpRequest, HttpRule, MAX_LIST, check_request, query, rules_toml};
use crate::{FieldPointer, Grants, PathPattern, pattern::escape_member, pattern::is_plain_path};

/// The most fields of one body that are named one by one; beyond it, the fields around them are named.
const MAX_FIELDS: usize = 64;
/// The deepest body that is looked into.
const MAX_DEPTH: usize = 32;
/// The least room that a body's budget leaves: one sample says little about the next one's size.
const MIN_BUDGET: u64 = 64 << 10;

/// Something that was attempted and that no proposal can cover; says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unlearnable(String);

impl HttpRule {
    /// The least rule that allows `request` and what differs from it only in identifiers. It names no secret and opens no
    /// private network: that is for an administrator to add.
    ///
    /// # Errors
    /// When no such rule exists: a path or a body that servers read in different ways, or a query key that changes the
    /// method at some servers.
    pub fn observed(request: &HttpRequest<'_>) -> Result<Self, Unlearnable> {
        let target = &request.target;
        let refuse = |problem: &str| {
            let path: String = template(target.path).chars().take(200).collect();
            Unlearnable(format!("{} {}://{}{path}: {problem}", target.method, target.scheme, target.host))
        };
        if !is_plain_path(target.path) {
            return Err(refuse("the path is written in a way that servers read differently"));
        }
        let host = target.host.parse().map_err(|_| refuse("no grant names such a host"))?;
        let path: PathPattern =
            template(target.path).parse().map_err(|_| refuse("no grant names such a path"))?;
        let mut keys: Vec<String> = Vec::new();
        for key in request.query.into_iter().flat_map(query::keys) {
            let name = query::name_of(key).filter(|name| name.len() <= 200);
            let name = name.ok_or_else(|| refuse("no grant names such a query key"))?;
            if query::is_override(&name) {
                return Err(refuse(
                    "a query key changes the method at some servers; grant that by hand, if at all",
                ));
            }
            if !keys.contains(&name) {
                keys.push(name);
            }
        }
        keys.sort_unstable();
        if keys.len() > MAX_LIST {
            return Err(refuse("the request has too many query keys"));
        }
        let default_port = if target.scheme == "http" { 80 } else { 443 };
        let mut rule = Self {
            scheme: target.scheme.to_owned(),
            host,
            port: (target.port != default_port).then_some(target.port),
            methods: vec![target.method.to_owned()],
            paths: vec![path],
            query: Some(keys),
            body_fields: fields(&request.body),
            max_request_bytes: budget(request.body.bytes.len() as u64),
            max_response_bytes: Self::MAX_BYTES,
            per_minute: None,
            concurrency: None,
            not_from: Vec::new(),
            private_network: false,
            usable: Vec::new(),
            inject: Vec::new(),
            credentials: Vec::new(),
        };
        // As an administrator would write it; what cannot be written cannot be granted.
        let allows = |rule: &Self| {
            Grants::from_toml(&rules_toml(std::slice::from_ref(rule)))
                .is_ok_and(|grants| grants.http.len() == 1 && check_request(&grants.http, request).is_ok())
        };
        if !allows(&rule) {
            // A body whose fields cannot be told: the whole of it, or nothing.
            rule.body_fields = None;
        }
        if allows(&rule) { Ok(rule) } else { Err(refuse("no grant allows such a request")) }
    }
}

/// Room for bodies of about this size.
fn budget(bytes: u64) -> u64 {
    match bytes {
        0 => 0,
        bytes => bytes.saturating_mul(4).next_power_of_two().clamp(MIN_BUDGET, HttpRule::MAX_BYTES),
    }
}

/// The path with a star for each segment that looks like an identifier.
fn template(path: &str) -> String {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if is_identifier(segment) { "*" } else { segment }).collect();
    segments.join("/")
}

/// Whether a path segment names one thing among many, rather than a kind of things: numbers, dates, UUIDs, long keys,
/// order numbers such as `SO-1042`, and whatever is percent-encoded or holds an `@`, which is data and no place.
fn is_identifier(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let all = |allowed: fn(&u8) -> bool| bytes.iter().all(allowed);
    if bytes.iter().any(|b| matches!(b, b'%' | b'@' | b'*' | b'+' | b',' | b':' | b'=')) {
        return true;
    }
    if digits == 0 {
        return false;
    }
    // 42, 2026-11-21
    all(|b| b.is_ascii_digit() || *b == b'-')
        // 9f86d081, 0190f5ce-7b3e-7cc3-98c4-dc0c0c07398f
        || (bytes.len() >= 8 && all(|b| b.is_ascii_hexdigit() || *b == b'-'))
        // 01ARZ3NDEKTSV4RRFFQ69G5FAV, cus_9s6XKzkNRiz8i3
        || (bytes.len() >= 16 && digits >= 2 && all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
        // SO-1042, T_7
        || segment.rsplit_once(['-', '_']).is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        })
}

/// The fields that a body writes, or `None` when that cannot be told.
fn fields(body: &HttpBody<'_>) -> Option<Vec<FieldPointer>> {
    if body.bytes.is_empty() {
        return Some(Vec::new());
    }
    if body.bytes.len() as u64 > HttpRule::MAX_CHECKED_BODY_BYTES {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(body.bytes).ok()?;
    let mut found = Vec::new();
    walk(&value, &mut Vec::new(), &mut found);
    Some(fewer(found))
}

/// A way through a body: escaped member names, and stars for places in lists.
type Way = Vec<String>;

fn walk(value: &serde_json::Value, way: &mut Way, found: &mut Vec<Way>) {
    let mut inner = |step: String, value: &serde_json::Value, way: &mut Way| {
        way.push(step);
        walk(value, way, found);
        way.pop();
    };
    match value {
        serde_json::Value::Object(members) if way.is_empty() && members.is_empty() => {}
        serde_json::Value::Object(members) if !members.is_empty() && way.len() < MAX_DEPTH => {
            // A member that no pointer names alone is granted with all that stands beside it.
            if members.keys().any(|name| name.contains('*') || name.chars().any(char::is_control)) {
                found.push(way.clone());
                return;
            }
            for (name, value) in members {
                inner(escape_member(name), value, way);
            }
        }
        serde_json::Value::Array(items) if !items.is_empty() && way.len() < MAX_DEPTH => {
            for value in items {
                inner("*".into(), value, way);
            }
        }
        _ => found.push(way.clone()),
    }
}

/// The same fields in at most [`MAX_FIELDS`] pointers: the deepest are cut until they are few enough.
fn fewer(mut found: Vec<Way>) -> Vec<FieldPointer> {
    loop {
        found.sort_unstable();
        found.dedup();
        let pointers: Option<Vec<FieldPointer>> = (found.len() <= MAX_FIELDS)
            .then(|| found.iter().map(|way| text(way).parse().ok()).collect())
            .flatten();
        let deepest = found.iter().map(Vec::len).max().unwrap_or_default();
        match pointers {
            Some(pointers) => return without_contained(pointers),
            None if deepest == 0 => return Vec::new(),
            None => {
                found.iter_mut().filter(|way| way.len() == deepest).for_each(|way| way.truncate(deepest - 1))
            }
        }
    }
}

fn text(way: &Way) -> String {
    way.iter().map(|step| format!("/{step}")).collect()
}

/// The pointers that no other one contains.
pub(crate) fn without_contained(pointers: Vec<FieldPointer>) -> Vec<FieldPointer> {
    let mut kept: Vec<FieldPointer> = Vec::new();
    for pointer in pointers {
        if !kept.iter().any(|wide| wide.contains(&pointer)) {
            kept.retain(|narrow| !pointer.contains(narrow));
            kept.push(pointer);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_become_stars_and_words_stay() {
        for (path, wanted) in [
            ("/", "/"),
            ("/rest/party/42", "/rest/party/*"),
            ("/v1/contacts", "/v1/contacts"),
            ("/api/v2.1/orders/SO-1042/lines/3", "/api/v2.1/orders/*/lines/*"),
            ("/u/0190f5ce-7b3e-7cc3-98c4-dc0c0c07398f/avatar", "/u/*/avatar"),
            ("/erp/rest/model/sale.complaint.type", "/erp/rest/model/sale.complaint.type"),
            ("/by-mail/jane%40example.com", "/by-mail/*"),
            ("/customers/cus_9s6XKzkNRiz8i3", "/customers/*"),
            ("/days/2026-11-21/", "/days/*/"),
            ("/oauth2/token", "/oauth2/token"),
        ] {
            assert_eq!(template(path), wanted, "{path}");
        }
    }

    #[test]
    fn fields_are_named_without_their_values() {
        let of = |text: &str| {
            let body = HttpBody { bytes: text.as_bytes(), content_type: None, content_encoding: None };
            fields(&body).map(|fields| fields.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            of(r#"{"a":{"b":1,"c":[{"d":2},{"d":3,"e":null}]},"f/g":[]}"#).unwrap(),
            ["/a/b", "/a/c/*/d", "/a/c/*/e", "/f~1g"]
        );
        assert_eq!(of(r#"{"a":{"*":1,"b":2}}"#).unwrap(), ["/a"]);
        assert_eq!(of("{}").unwrap(), [""; 0]);
        assert_eq!(of("[1]").unwrap(), ["/*"]);
        assert_eq!(of("7").unwrap(), [""]);
        assert_eq!(of("a=1"), None);
        let many: String = (0..200).map(|i| format!("\"k{i}\":{i},")).collect();
        assert_eq!(of(&format!("{{\"x\":{{{many}\"z\":0}},\"y\":1}}")).unwrap(), ["/x", "/y"]);
    }
}
