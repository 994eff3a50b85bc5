//! Mailboxes over the API: how they are doing, and what is kept aside in them.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use factotum_runtime::{KeptAside, MailboxStatus, Started};
use serde::Serialize;

use super::{App, Problem, auth::Who, blocking};

/// The folders that flows are started from.
#[derive(Serialize)]
pub struct Mailboxes {
    mailboxes: Vec<MailboxStatus>,
}

/// The messages of a mailbox that are kept aside.
#[derive(Serialize)]
pub struct Aside {
    aside: Vec<Shown>,
}

/// A message that is kept aside, with the time as people read it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    kept: KeptAside,
    kept_at: String,
}

/// How the mailboxes are doing: connected, the last message, what is wrong.
#[utoipa::path(get, path = "/api/v1/mailboxes", tag = "mailboxes", security(("token" = ["mailbox.read"])), responses(
    (status = 200, description = "Every folder that flows are started from.", body = serde_json::Value),
))]
pub async fn list(State(app): State<App>) -> Result<Json<Mailboxes>, Problem> {
    blocking(move || Ok(Json(Mailboxes { mailboxes: app.host.mailboxes()? }))).await
}

/// What is kept aside in a mailbox: messages that nothing could be made of, or that the flow does not take.
#[utoipa::path(get, path = "/api/v1/mailboxes/{name}/aside", tag = "mailboxes", security(("token" = ["mailbox.read"])),
    params(("name" = String, Path, description = "The mailbox, by its name in the configuration.")),
    responses((status = 200, description = "The messages, the oldest first.", body = serde_json::Value)))]
pub async fn aside(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Aside>, Problem> {
    let shown = |kept: KeptAside| {
        let at = i64::try_from(kept.at).unwrap_or_default();
        Shown { kept_at: super::rfc3339(at), kept }
    };
    blocking(move || {
        let aside = app.host.mail_aside(&name)?.into_iter().map(shown).collect();
        Ok(Json(Aside { aside }))
    })
    .await
}

/// Starts the flow with a message that was kept aside, after what was in its way is mended.
#[utoipa::path(post, path = "/api/v1/mailboxes/{name}/aside/{id}/retry", tag = "mailboxes",
    security(("token" = ["mailbox.manage"])),
    params(
        ("name" = String, Path, description = "The mailbox, by its name in the configuration."),
        ("id" = String, Path, description = "The message's identifier here."),
    ),
    responses(
        (status = 200, description = "The run.", body = serde_json::Value),
        (status = 404, description = "There is none of that identifier.", body = Problem),
        (status = 422, description = "The flow does not take it still.", body = Problem),
        (status = 503, description = "The host has no room; come back after Retry-After.", body = Problem),
    ))]
pub async fn retry(
    State(app): State<App>,
    Extension(caller): Who,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Started>, Problem> {
    Ok(Json(app.host.retry_mail(&caller.actor(), &name, &id).await?))
}

/// Forgets a message that was kept aside; the raw message stays as an artifact.
#[utoipa::path(delete, path = "/api/v1/mailboxes/{name}/aside/{id}", tag = "mailboxes",
    security(("token" = ["mailbox.manage"])),
    params(
        ("name" = String, Path, description = "The mailbox, by its name in the configuration."),
        ("id" = String, Path, description = "The message's identifier here."),
    ),
    responses(
        (status = 204, description = "It is forgotten."),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn dismiss(
    State(app): State<App>,
    Extension(caller): Who,
    Path((name, id)): Path<(String, String)>,
) -> Result<axum::http::StatusCode, Problem> {
    app.host.dismiss_mail(&caller.actor(), &name, &id).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}
