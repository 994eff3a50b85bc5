//! The audit log over the API: list, verify, export.

use axum::{
    Json,
    body::Body,
    extract::{Query, State},
    http::{HeaderValue, header},
    response::Response,
};
use factotum_audit::{AuditError, Filter, Record, Report};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, DuplexStream};
use utoipa::IntoParams;

use super::{App, Problem, blocking, store_failed};

/// Which entries to list; everything given must match.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// The actor as written (`token:admin`), or its kind alone (`token`).
    actor: Option<String>,
    /// The action, or its beginning up to a dot.
    action: Option<String>,
    /// The target.
    target: Option<String>,
    /// The outcome: `ok`, `denied`, `business-fault`, `technical-fault`, `cancelled`, `started`.
    outcome: Option<String>,
    /// The run.
    run: Option<String>,
    /// The plugin: as actor, as target, or in the details.
    plugin: Option<String>,
    /// At most so many, up to 1000; 50 when absent.
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<u64>,
}

/// A page of entries, newest first.
#[derive(Serialize)]
pub struct Page {
    records: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<u64>,
}

/// A page of entries, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", security(("token" = ["audit.read"])), params(ListQuery), responses(
    (status = 200, description = "The page.", body = serde_json::Value),
    (status = 400, description = "The query is not one.", body = Problem),
))]
pub async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Json<Page>, Problem> {
    let outcome =
        query.outcome.map(|text| serde_json::from_value(text.into())).transpose().map_err(|_| {
            Problem::bad_request(
                "outcome is one of ok, denied, business-fault, technical-fault, cancelled, started",
            )
        })?;
    let filter = Filter {
        actor: query.actor,
        action: query.action,
        target: query.target,
        outcome,
        run: query.run,
        plugin: query.plugin,
        ..Filter::default()
    };
    let limit = query.limit.unwrap_or(50);
    let listed = move || app.host.audit().list(app.host.store(), &filter, query.cursor, limit);
    let page = blocking(move || listed().map_err(|error| failed(&error))).await?;
    Ok(Json(Page { records: page.records, cursor: page.cursor }))
}

/// Checks the whole chain: a changed, removed, reordered or cut entry is named.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", security(("token" = ["audit.read"])), responses(
    (status = 200, description = "What was found; an intact log has no findings.", body = serde_json::Value),
))]
pub async fn verify(State(app): State<App>) -> Result<Json<Report>, Problem> {
    let verified = move || app.host.audit().verify(app.host.store(), &[]);
    Ok(Json(blocking(move || verified().map_err(|error| failed(&error))).await?))
}

/// Where to start an export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// The first entry's number; 1 when absent.
    from: Option<u64>,
}

/// The log as JSON Lines, its signed head in the last line.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", security(("token" = ["audit.read"])), params(ExportQuery), responses(
    (status = 200, description = "The log.", content_type = "application/jsonl"),
))]
pub async fn export(State(app): State<App>, Query(query): Query<ExportQuery>) -> Response {
    let (writer, reader) = tokio::io::duplex(256 << 10);
    let from = query.from.unwrap_or(1);
    tokio::task::spawn_blocking(move || {
        let mut writer = Pipe(writer, tokio::runtime::Handle::current());
        if let Err(error) = app.host.audit().export(app.host.store(), from, &mut writer) {
            // The stream ends without its head line, so the reader knows that it is not whole.
            tracing::error!("the export of the audit log broke off: {error}");
        }
    });
    let mut response = Response::new(Body::from_stream(tokio_util::io::ReaderStream::new(reader)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    response
}

/// The blocking end of the stream; a slow reader slows the export, nothing piles up.
struct Pipe(DuplexStream, tokio::runtime::Handle);

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.block_on(self.0.write(bytes))
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.1.block_on(self.0.flush())
    }
}

fn failed(error: &AuditError) -> Problem {
    tracing::error!("audit log: {error}");
    store_failed()
}
