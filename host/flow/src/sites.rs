//! The places of a document that reach outside, so that a deployer can check, show and grant them.

use crate::FunctionRef;
use factotum_grant::Narrowing;
use serde_json::Value;

/// A place in a flow that calls a plugin's function.
#[derive(Debug, Clone)]
pub struct CallSite {
    /// The task: a JSON Pointer (RFC 6901).
    pub path: String,
    /// Line of the call, from 1.
    pub line: usize,
    /// Column of the call, from 1.
    pub column: usize,
    /// What is called.
    pub function: FunctionRef,
    /// The arguments as written; strings that are `${ … }` as a whole are expressions. An object.
    pub with: Value,
    /// What the task's `metadata.grants` leaves of the plugin's rights; absent when it says nothing.
    pub grants: Option<Narrowing>,
}

/// A place in a flow that sends requests of its own (`call: http`, `call: openapi`), so that a deployer can be shown where
/// to and grant it.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSite {
    /// The task: a JSON Pointer (RFC 6901).
    pub path: String,
    /// Line of the endpoint, from 1.
    pub line: usize,
    /// Column of the endpoint, from 1.
    pub column: usize,
    /// The method in upper case; absent when an OpenAPI document says it.
    pub method: Option<String>,
    /// The endpoint as written, `{name}` standing for a member of the input; absent when it is an expression. With
    /// `described`, where the document is read.
    pub endpoint: Option<String>,
    /// Whether an OpenAPI document says where the request goes.
    pub described: bool,
    /// The secrets that go along, by name.
    pub secrets: Vec<String>,
    /// What the task's `metadata.grants` leaves of the flow's rights; absent when it says nothing.
    pub grants: Option<Narrowing>,
}
