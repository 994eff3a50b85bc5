//! One customer's data are erased over the API.

use axum::{Extension, Json, extract::State};
use factotum_runtime::{Erase, Erased};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{App, Body, Problem, auth::Who};

/// Whose data, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// What names the customer and nobody else: an address, a customer's number. Found as a word of its own.
    subject: String,
    /// Only where it stands there, such as `.customer.email` or `.contacts[].email`.
    path: Option<String>,
    /// Cancel runs that are under way, to erase them as well.
    #[serde(default)]
    cancel: bool,
    /// The most finds, up to 10,000; 1000 when absent.
    #[serde(default = "default_cap")]
    cap: usize,
    /// Only tell what would be erased.
    #[serde(default)]
    preview: bool,
}

fn default_cap() -> usize {
    1_000
}

/// Erases one customer's data: contents of runs that are over, questions to people, artifacts, keys and values, events, mails
/// of the outbox folder. Tells what was erased and what is left. The audit log stays whole.
#[utoipa::path(post, path = "/api/v1/erasures", tag = "erasures", security(("token" = ["store.purge"])),
    request_body = Erasure,
    responses(
        (status = 200, description = "What was erased; nothing yet with `preview`.", body = serde_json::Value),
        (status = 400, description = "The subject names nobody, or everybody; or a path or cap that is none.", body = Problem),
        (status = 503, description = "Another erasure goes on.", body = Problem),
    ))]
pub async fn erase(
    State(app): State<App>,
    Extension(caller): Who,
    Body(erasure): Body<Erasure>,
) -> Result<Json<Erased>, Problem> {
    let request = Erase {
        actor: caller.actor(),
        subject: erasure.subject,
        path: erasure.path,
        cancel: erasure.cancel,
        cap: erasure.cap,
        preview: erasure.preview,
    };
    Ok(Json(app.host.erase(request).await?))
}
