//! What a flow's own requests say of the grant that it needs: `call: http` and `call: openapi`, with the requests that a
//! login makes beside them.

use bytes::Bytes;
use factotum_egress::{Login, Way, look_at};
use factotum_grant::{Attempt, Capability, Grants, HttpRule, contains, keeping_bounds, propose};
use http::{Method, Request, header};
use serde::Serialize;
use serde_json::Value;

use super::fixtures::Fixtures;
use super::scratch::Seen;
use crate::error::HostError;
use crate::plugins::{GrantChange, Sentences, Told};

/// What a flow itself attempted and needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnedFlow {
    /// How many requests it attempted.
    pub attempts: u64,
    /// The least grant that allows what it attempted, as TOML in the grant language.
    pub proposal: String,
    /// The same in sentences.
    pub may: Sentences,
    /// What of it the flow may not do today: what would have been refused.
    pub refused_today: Vec<Told>,
    /// Attempts that no grant should allow, or that cannot be named by one.
    pub unlearnable: Vec<String>,
    /// Requests that no fixture answered; what the flow would have done next is not known.
    pub unanswered: Vec<String>,
}

impl LearnedFlow {
    /// What `seen` says, beside what is granted today; `None` when the flow sent nothing itself.
    pub(super) fn of(seen: Seen, granted: &Grants) -> Result<Option<Self>, HostError> {
        if seen.count == 0 && seen.unlearnable.is_empty() {
            return Ok(None);
        }
        let proposal = keeping_bounds(propose(&seen.attempts, &[Capability::Http], &granted.http), granted);
        let refused_today = match contains(granted, &proposal) {
            Ok(()) => Vec::new(),
            Err(_) => GrantChange::between(granted, &proposal).gained,
        };
        Ok(Some(Self {
            attempts: seen.count,
            may: Sentences::of(&proposal),
            proposal: super::written(&proposal)?,
            refused_today,
            unlearnable: seen.unlearnable.into_iter().collect(),
            unanswered: seen.unanswered.into_iter().collect(),
        }))
    }
}

/// The requests that a login makes itself: for a token, and for the place where tokens are given. Returned beside them is
/// what cannot be told.
pub(super) fn of_login(login: &Login, fixtures: &Fixtures) -> (Vec<Attempt>, Option<String>) {
    let Way::OAuth2(oauth) = &login.way else { return (Vec::new(), None) };
    let base = oauth.authority.trim_end_matches('/');
    let mut attempts = Vec::new();
    let mut endpoint = format!("{base}/{}", oauth.token_path.trim_start_matches('/'));
    if oauth.discover {
        let place = format!("{base}/.well-known/openid-configuration");
        let unknown = format!(
            "the token endpoint that {place} names: give that as a fixture, or grant it by hand (POST, with the login's secrets)"
        );
        let Ok(request) = Request::get(&place).body(Bytes::new()) else { return (attempts, Some(unknown)) };
        let Ok((rule, answer)) = look_at(&request, |seen| (HttpRule::observed(seen), fixtures.answer(seen)))
        else {
            return (attempts, Some(unknown));
        };
        attempts.extend(rule.ok().map(|rule| Attempt::Http(Box::new(rule))));
        let metadata = answer.and_then(|answer| serde_json::from_slice::<Value>(answer.body()).ok());
        match metadata.as_ref().and_then(|metadata| metadata.get("token_endpoint")?.as_str()) {
            Some(named) => named.clone_into(&mut endpoint),
            None => return (attempts, Some(unknown)),
        }
    }
    // Its form's fields are the host's own words; their size is not the flow's to choose.
    let form = "grant_type=client_credentials&client_id=0&client_secret=0&scope=0";
    let request = Request::builder()
        .method(Method::POST)
        .uri(&endpoint)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_static(form.as_bytes()));
    let observed = request.ok().and_then(|request| look_at(&request, HttpRule::observed).ok());
    match observed {
        Some(Ok(mut rule)) => {
            rule.usable = login.secrets().into_iter().map(str::to_owned).collect();
            // The form has more or fewer fields by the login.
            rule.body_fields = None;
            attempts.push(Attempt::Http(Box::new(rule)));
            (attempts, None)
        }
        Some(Err(problem)) => (attempts, Some(problem.to_string())),
        None => (attempts, Some(format!("the token endpoint {endpoint} is no URL"))),
    }
}
