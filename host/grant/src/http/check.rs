//! Asks the rules about one request.

use factotum_provenance::Carried;

use super::{HttpRule, MAX_LIST, body, query, rules_toml, wire::is_method};
use crate::{Capability, Denial, FieldPointer, data, pattern::is_plain_path, text::quoted};

/// The most fields that a denial proposes to grant.
const MAX_MENDED_FIELDS: usize = 32;
/// The largest body whose fields a denial proposes: it is read once for each of them.
const MAX_MENDED_BYTES: usize = 64 << 10;
/// What to do about a body whose fields cannot be told.
const PLAIN_JSON: &str = "# send plain JSON: application/json, UTF-8, each key once";

/// The parts of a request's URL that a rule looks at, and its method.
#[derive(Debug, Clone, Copy)]
pub struct HttpTarget<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host, without port.
    pub host: &'a str,
    /// The port, the scheme's own when none was written.
    pub port: u16,
    /// The method.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
}

/// A whole request, as far as rules look at it.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// Where it goes.
    pub target: HttpTarget<'a>,
    /// The query as it is sent, without `?`; absent when the URL has none.
    pub query: Option<&'a str>,
    /// What it carries.
    pub body: HttpBody<'a>,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpBody<'a> {
    /// All of its bytes, as they are sent.
    pub bytes: &'a [u8],
    /// The `Content-Type` field. When there is more than one, or one that is not ASCII: anything that is no media type.
    pub content_type: Option<&'a str>,
    /// The `Content-Encoding` field. When there is more than one: all of them, with commas between.
    pub content_encoding: Option<&'a str>,
}

/// A request that is allowed, and by what. The bounds that the host has to hold from here on are those of the rule:
/// `max_response_bytes`, `per_minute`, `concurrency`, `private_network`, the secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit<'r> {
    /// The rule that allows it.
    pub rule: &'r HttpRule,
    /// The rule's place among the rules that the administrator granted: what rate and concurrency are counted by.
    pub index: usize,
}

/// How far a request came with the rule that took it furthest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Nowhere,
    Origin,
    Method,
    Target,
}

impl HttpRule {
    fn stage(&self, target: &HttpTarget<'_>, plain_path: bool) -> Stage {
        if self.scheme != target.scheme
            || self.effective_port() != target.port
            || !self.host.matches(target.host)
        {
            return Stage::Nowhere;
        }
        if !self.methods.iter().any(|m| m == target.method) {
            return Stage::Origin;
        }
        if !plain_path || !self.paths.iter().any(|p| p.matches_plain(target.path)) {
            return Stage::Method;
        }
        Stage::Target
    }
}

/// The first rule that allows the request, for a caller who knows no more of it than the target. Rules that look at
/// more (query, body, bytes, rate, concurrency, secrets outside of headers) allow nothing here: what is not checked is
/// not granted. See [`check_request`].
///
/// # Errors
/// A denial that names the smallest rule that would have allowed it.
pub fn check_http<'r>(rules: &'r [HttpRule], target: &HttpTarget<'_>) -> Result<&'r HttpRule, Denial> {
    let plain_path = is_plain_path(target.path);
    let mut furthest = Stage::Nowhere;
    for rule in rules {
        let stage = rule.stage(target, plain_path);
        if stage == Stage::Target && rule.is_target_only() {
            return Ok(rule);
        }
        furthest = furthest.max(stage);
    }
    Err(denied(target, why(furthest, plain_path), bare_mend(target)))
}

fn why(stage: Stage, plain_path: bool) -> &'static str {
    match stage {
        Stage::Nowhere => "this destination is not granted",
        Stage::Origin => "this method is not granted there",
        Stage::Method if !plain_path => {
            "this path is written in a way that servers read differently (.., //, ;, %2f, …); no grant allows it"
        }
        Stage::Method => "this path is not granted there",
        Stage::Target => "the grant narrows more than the target, and this caller does not check that",
    }
}

fn denied(target: &HttpTarget<'_>, why: impl std::fmt::Display, mend: String) -> Denial {
    let HttpTarget { scheme, host, port, method, path } = *target;
    Denial {
        capability: Capability::Http,
        message: format!("{method} {scheme}://{host}:{port}{path}: {why}"),
        mend,
    }
}

/// The smallest rule for the target alone.
fn bare_mend(target: &HttpTarget<'_>) -> String {
    let HttpTarget { scheme, host, port, method, path } = *target;
    if let Some(problem) = cannot_be_named(target) {
        return problem.into();
    }
    format!(
        "[[http]]\nscheme = {}\nhost = {}\nport = {port}\nmethods = [{}]\npaths = [{}]",
        quoted(scheme),
        quoted(host),
        quoted(method),
        quoted(path)
    )
}

/// Why no rule can name just this target.
fn cannot_be_named(target: &HttpTarget<'_>) -> Option<&'static str> {
    if !is_plain_path(target.path) || target.path.len() > 2048 {
        Some("# no grant allows such a path")
    } else if target.path.contains('*') {
        Some(
            "# a grant cannot name a path with a star alone; a star as a whole segment stands for any segment",
        )
    } else if target.host.parse::<crate::HostPattern>().is_err() || target.host.contains('*') {
        Some("# no grant allows such a host")
    } else if !matches!(target.scheme, "https" | "http") || target.port == 0 {
        Some("# a grant is for https or http, in small letters, at a port from 1")
    } else if !is_method(target.method) {
        Some("# a grant names methods of upper-case letters and hyphens")
    } else {
        None
    }
}

impl HttpRule {
    /// Why a request whose target the rule takes is not allowed; `None` when it is.
    fn fall<'q>(
        &self,
        request: &HttpRequest<'q>,
        Carries { data, secrets }: Carries<'q>,
    ) -> Option<Fall<'q>> {
        if let Some(name) = secrets.iter().find(|name| !self.usable.iter().any(|usable| usable == *name)) {
            return Some(Fall::Secret(name));
        }
        if let Some(key) = request.query.and_then(|query| self.refused_key(query)) {
            return Some(Fall::Key(key));
        }
        if request.body.bytes.len() as u64 > self.request_budget() {
            return Some(Fall::Size(self.request_budget()));
        }
        // What the host writes into must be read by everybody in the same way, too.
        const ANY: &[FieldPointer] = &[FieldPointer::ROOT];
        let fields = match &self.body_fields {
            Some(fields) => Some(fields.as_slice()),
            None if self.writes_body() => Some(ANY),
            None => None,
        };
        if self.writes_body() && request.body.bytes.is_empty() {
            let problem = "the host writes a secret into it, and there is none";
            return Some(Fall::Body(body::BodyProblem::Unclear(problem)));
        }
        let body = fields.and_then(|fields| body::check_body(fields, &request.body).err());
        body.map(Fall::Body).or_else(|| data::fall(&self.not_from, data).map(Fall::Data))
    }
}

/// Where a request fell under the rule that took it furthest, beyond its target.
enum Fall<'q> {
    Secret(&'q str),
    Key(&'q str),
    Size(u64),
    Body(body::BodyProblem),
    Data(data::Fall),
}

/// The first rule that allows all of the request, for a caller who does not know where the call's data comes from: rules
/// that keep some data away allow nothing here. See [`check_request_with`].
///
/// # Errors
/// A denial that names the smallest rule that would have allowed it.
pub fn check_request<'r>(rules: &'r [HttpRule], request: &HttpRequest<'_>) -> Result<Permit<'r>, Denial> {
    check_all(rules, request, Carries::default())
}

/// As [`check_request_with`], for a request that the host signs in with these secrets on a flow's behalf: the rule must name
/// each of them.
///
/// # Errors
/// A denial that names the smallest rule that would have allowed it.
pub fn check_request_as<'r>(
    rules: &'r [HttpRule],
    request: &HttpRequest<'_>,
    data: &Carried,
    secrets: &[&str],
) -> Result<Permit<'r>, Denial> {
    check_all(rules, request, Carries { data: Some(data), secrets })
}

/// The first rule that allows all of the request with the data of a call. Allocates nothing when there is one (of a body that a rule with
/// `body-fields` reads: when it has no escapes in its keys, at most 16 keys in each object, and no rule before refuses it).
///
/// # Errors
/// A denial that names the smallest rule that would have allowed it.
pub fn check_request_with<'r>(
    rules: &'r [HttpRule],
    request: &HttpRequest<'_>,
    data: &Carried,
) -> Result<Permit<'r>, Denial> {
    check_all(rules, request, Carries { data: Some(data), secrets: &[] })
}

/// What goes along with a request and is not in it.
#[derive(Clone, Copy, Default)]
struct Carries<'q> {
    /// Where its data comes from; absent when that is not known.
    data: Option<&'q Carried>,
    /// The secrets that it is signed in with.
    secrets: &'q [&'q str],
}

fn check_all<'r>(
    rules: &'r [HttpRule],
    request: &HttpRequest<'_>,
    carries: Carries<'_>,
) -> Result<Permit<'r>, Denial> {
    let target = &request.target;
    let plain_path = is_plain_path(target.path);
    let mut furthest = Stage::Nowhere;
    let mut fall: Option<(&HttpRule, Fall<'_>)> = None;
    for (index, rule) in rules.iter().enumerate() {
        let stage = rule.stage(target, plain_path);
        furthest = furthest.max(stage);
        if stage < Stage::Target {
            continue;
        }
        let Some(fell) = rule.fall(request, carries) else { return Ok(Permit { rule, index }) };
        fall = Some((rule, fell));
    }
    Err(match fall {
        None => denied(target, why(furthest, plain_path), request_mend(request, carries, None)),
        Some((rule, fell)) => explain(request, carries, rule, fell),
    })
}

fn data_mend(rule: &HttpRule, fall: &data::Fall) -> String {
    fall.mend(&format!("the [[http]] rule for {}", rule.host), &rule.not_from)
}

/// A stranger's word, cut for a message.
fn short(word: &str) -> String {
    word.chars().take(200).collect()
}

fn explain(request: &HttpRequest<'_>, carries: Carries<'_>, rule: &HttpRule, fell: Fall<'_>) -> Denial {
    let target = &request.target;
    match fell {
        Fall::Secret(name) => denied(
            target,
            format_args!("signing in there with the secret {:?} is not granted", short(name)),
            request_mend(request, carries, Some(rule)),
        ),
        Fall::Key(key) if rule.secret_keys().any(|secret| query::loosely_equal(key.bytes(), secret)) => {
            denied(
                target,
                format_args!("the query key {:?} is written by the host", short(key)),
                "# the host writes this key; leave it out of the request".into(),
            )
        }
        Fall::Key(key) => denied(
            target,
            format_args!("the query key {:?} is not granted there", short(key)),
            request_mend(request, carries, Some(rule)),
        ),
        Fall::Size(budget) => {
            let bytes = request.body.bytes.len() as u64;
            let most = if rule.body_fields.is_some() || rule.writes_body() {
                HttpRule::MAX_CHECKED_BODY_BYTES
            } else {
                HttpRule::MAX_BYTES
            };
            let mend = if bytes > most {
                format!("# no grant allows more than {most} bytes there")
            } else {
                request_mend(request, carries, Some(rule))
            };
            denied(target, format_args!("a body of {bytes} bytes; granted are {budget}"), mend)
        }
        Fall::Data(fall) => denied(
            target,
            fall.message(&format!("the grant's rule for {}", rule.host)),
            data_mend(rule, &fall),
        ),
        Fall::Body(body::BodyProblem::Unclear(problem)) => {
            denied(target, format_args!("the grant looks into the body, and {problem}"), PLAIN_JSON.into())
        }
        Fall::Body(body::BodyProblem::Field(field)) => denied(
            target,
            format_args!("the body's field {:?} is not granted there", short(&field)),
            request_mend(request, carries, Some(rule)),
        ),
    }
}

/// The smallest rule for the request: its target and its query keys, with what `near`, the rule that almost allowed it,
/// says of body, secrets and network.
fn request_mend(request: &HttpRequest<'_>, carries: Carries<'_>, near: Option<&HttpRule>) -> String {
    let target = &request.target;
    if let Some(problem) = cannot_be_named(target) {
        return problem.into();
    }
    let bare = bare_mend(target);
    if carries.secrets.iter().any(|name| name.len() > 200 || name.chars().any(char::is_control)) {
        return "# no grant names such a secret".into();
    }
    let Some(mut rule) = crate::Grants::from_toml(&bare).ok().and_then(|mut grants| grants.http.pop()) else {
        return "# no grant allows such a request".into();
    };
    let mut keys = Vec::new();
    for key in request.query.into_iter().flat_map(query::keys) {
        let Some(name) = query::name_of(key).filter(|name| name.len() <= 200) else {
            return "# no grant names such a query key".into();
        };
        if !keys.contains(&name) {
            keys.push(name);
        }
        if keys.len() > 32 {
            return "# the request has more than 32 query keys; grant it without a list of keys".into();
        }
    }
    if near.is_none_or(|near| near.query.is_some()) || keys.iter().any(|key| query::is_override(key)) {
        rule.query = Some(keys);
    }
    if let Some(near) = near {
        rule.body_fields.clone_from(&near.body_fields);
        rule.max_request_bytes = near.max_request_bytes.max(request.body.bytes.len() as u64);
        rule.max_response_bytes = near.max_response_bytes;
        rule.per_minute = near.per_minute;
        rule.concurrency = near.concurrency;
        rule.not_from.clone_from(&near.not_from);
        rule.private_network = near.may_be_private();
        rule.inject.clone_from(&near.inject);
        rule.credentials.clone_from(&near.credentials);
        rule.usable.clone_from(&near.usable);
    }
    for name in carries.secrets {
        if !rule.usable.iter().any(|known| known == name) {
            rule.usable.push((*name).to_owned());
        }
    }
    if near.is_none() && carries.secrets.is_empty() && rule.query.as_ref().is_some_and(Vec::is_empty) {
        return bare;
    }
    if rule.body_fields.is_some() && request.body.bytes.len() > MAX_MENDED_BYTES {
        return "# the body is too large to propose its fields; name a field around them".into();
    }
    // A request may fall in more than one way: what is proposed allows it, or says why nothing would.
    for _ in 0..MAX_MENDED_FIELDS {
        let field = match rule.fall(request, carries) {
            None => return rules_toml(&[rule]),
            Some(Fall::Body(body::BodyProblem::Field(field))) => field,
            Some(Fall::Body(body::BodyProblem::Unclear(_))) => return PLAIN_JSON.into(),
            Some(Fall::Data(fall)) => return data_mend(&rule, &fall),
            Some(Fall::Key(_) | Fall::Size(_) | Fall::Secret(_)) => {
                return "# no grant allows all of such a request".into();
            }
        };
        // A member that is really called * cannot be named.
        let named = field.parse().ok().filter(|_| !field.contains('*'));
        match (&mut rule.body_fields, named) {
            (Some(fields), Some(named)) if fields.len() < MAX_LIST => fields.push(named),
            _ => return "# no grant names a field of this body alone".into(),
        }
    }
    "# the body writes more fields than are proposed one by one; name a field around them".into()
}
