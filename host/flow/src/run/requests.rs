//! What a run asks for: requests with everything computed, so that a host needs nothing of the document to do them.

use crate::{FunctionRef, Hours};
use factotum_provenance::Provenance;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A moment by which work must be over: milliseconds since the Unix epoch, recorded, so that a replay has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub u64);

/// A call of a plugin's function.
#[derive(Debug)]
pub struct Call<'a> {
    /// What is called.
    pub function: &'a FunctionRef,
    /// Its arguments, computed.
    pub with: Value,
    /// Where they come from, and the idempotency key.
    pub from: Provenance,
    /// What the flow tells the call apart by; without it the host makes a key of the run and the place.
    pub idempotency_key: Option<String>,
    /// Whether the host should repeat the call on technical faults. False inside a `try` that has its own `retry`.
    pub host_retries: bool,
    /// The task's `metadata`.
    pub metadata: &'a Map<String, Value>,
    /// When it must be over, if a timeout stands around.
    pub deadline: Option<Deadline>,
}

/// A request of a flow's own (`call: http`, `call: openapi`). It goes through the same door as a plugin's, under what is
/// granted to the flow.
#[derive(Debug)]
pub struct HttpCall<'a> {
    /// The method, in upper case.
    pub method: String,
    /// The absolute URI, its template filled in, without what `query` adds.
    pub uri: String,
    /// Headers, as written.
    pub headers: Vec<(String, String)>,
    /// What is added to the query, not yet encoded.
    pub query: Vec<(String, String)>,
    /// The body: a string goes as it is, anything else as JSON. `None` sends none.
    pub body: Option<Value>,
    /// How the flow shows who it is, if it does.
    pub authentication: Option<&'a Authentication>,
    /// Whether redirects are followed, each checked again, and what is left of the statuses from 300 to 399 is an answer.
    /// Otherwise every status outside of 200 to 299 is an error.
    pub redirect: bool,
    /// How the answer is wanted.
    pub output: HttpOutput,
    /// Where what is sent comes from.
    pub from: Provenance,
    /// As in [`Call`].
    pub idempotency_key: Option<String>,
    /// As in [`Call`].
    pub host_retries: bool,
    /// The task's `metadata`.
    pub metadata: &'a Map<String, Value>,
    /// When it must be over.
    pub deadline: Option<Deadline>,
}

/// How `call: http` gives its answer (`with.output`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HttpOutput {
    /// The body's bytes in Base64 (RFC 4648, section 4).
    Raw,
    /// The body: parsed when its media type is JSON, else text; Base64 when it is not text.
    #[default]
    Content,
    /// `{request: {method, uri, headers}, statusCode, headers, content}`.
    Response,
}

/// An authentication policy (`use.authentications`, or inline). Secrets are named, never held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // One for a request; a box would be in every pattern.
pub enum Authentication {
    /// RFC 7617.
    Basic {
        /// The user.
        username: Credential,
        /// The password.
        password: Credential,
    },
    /// RFC 6750.
    Bearer {
        /// The token.
        token: Credential,
    },
    /// RFC 7616.
    Digest {
        /// The user.
        username: Credential,
        /// The password.
        password: Credential,
    },
    /// RFC 6749; OpenID Connect discovery when `discover` is true (`oidc`).
    OAuth2 {
        /// The authority's base URI.
        authority: String,
        /// The token endpoint's path under the authority; `/oauth2/token` unless the flow says otherwise.
        token_path: String,
        /// Whether the token endpoint is read from `/.well-known/openid-configuration`.
        discover: bool,
        /// `client_credentials` or `password`.
        grant: String,
        /// Whether the client shows its identifier and secret by HTTP Basic (`client_secret_basic`) rather than in the
        /// form (`client_secret_post`). An empty secret is not sent.
        client_basic: bool,
        /// The client's identifier and secret.
        client: Option<(Credential, Credential)>,
        /// The user's name and password, for the `password` grant.
        user: Option<(Credential, Credential)>,
        /// Wanted scopes.
        scopes: Vec<String>,
        /// Wanted audiences.
        audiences: Vec<String>,
    },
}

/// A part of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// Written in the flow; a user's name may stand there.
    Literal(String),
    /// A secret by its name, or a member of one that holds a JSON object. Only the host reads it, when it sends.
    Secret {
        /// The secret's name, as `use.secrets` lists it.
        name: String,
        /// The member, if the secret is an object.
        member: Option<String>,
    },
}

/// What takes an earlier task's work back.
#[derive(Debug)]
pub enum Undoing<'a, 'c> {
    /// A call of a plugin.
    Call(&'a Call<'c>),
    /// A request of the flow's own.
    Http(&'a HttpCall<'c>),
    /// Another flow, which is waited for.
    Subflow(&'a Subflow),
}

/// An event that the flow emits.
#[derive(Debug)]
pub struct Emit {
    /// A CloudEvent (version 1.0) in its JSON form, without `id` and `time` when the flow gives none: the host adds them,
    /// the same on a replay.
    pub event: Value,
    /// Where it comes from.
    pub from: Provenance,
    /// When it must be over.
    pub deadline: Option<Deadline>,
}

/// What a listening task waits for. Coarse on purpose: the host keeps an index of it and must not evaluate expressions.
/// The interpreter decides on each event whether it fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// Attributes and the exact text that each must have; an event is delivered when one of these fits. An empty one fits
    /// every event.
    pub any_of: Vec<BTreeMap<String, String>>,
}

/// A flow that a task starts (`run: workflow`).
#[derive(Debug)]
pub struct Subflow {
    /// The flow's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The version; the deployed one when there is none or `latest`.
    pub version: Option<String>,
    /// Its input.
    pub input: Value,
    /// Where the input comes from.
    pub from: Provenance,
    /// Whether the task waits for its end and takes its output.
    pub wait: bool,
    /// When it must be over.
    pub deadline: Option<Deadline>,
}

/// A script (`run: script`): JavaScript in a sandbox without any capability.
#[derive(Debug)]
pub struct Script<'a> {
    /// The source.
    pub code: &'a str,
    /// Its arguments: `process.argv` from the third on.
    pub arguments: Vec<String>,
    /// Environment variables, under `process.env`.
    pub environment: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Option<String>,
    /// Where the arguments come from.
    pub from: Provenance,
    /// When it must be over.
    pub deadline: Option<Deadline>,
}

/// A person is asked (`call: human-task`).
#[derive(Debug)]
pub struct Ask<'a> {
    /// Whose hours its durations count in, when they are business time.
    pub hours: Option<&'a Hours>,
    /// `title`, `description`, `form` (JSON Schema of the answer), `assignee` or `group`, `requester`, `priority`, and
    /// `due`, `remind`, `escalate` as the document writes them; values computed.
    pub with: Value,
    /// Where it comes from.
    pub from: Provenance,
    /// The task's `metadata`.
    pub metadata: &'a Map<String, Value>,
    /// When it must be over.
    pub deadline: Option<Deadline>,
}
