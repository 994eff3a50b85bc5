//! The inbox over the API: what waits for people, and their answers.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use factotum_access::{Caller, Permission, Role, Scope};
use factotum_runtime::{AnswerItem, InboxItem, InboxPage, InboxQuery};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{App, Body, Problem, auth::Who, runs::namespace_of};

/// Which items to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Those that were closed, the newest first, instead of those that wait, the oldest first.
    #[serde(default)]
    closed: bool,
    /// Only those that the caller is asked, by name or as a member of a group.
    #[serde(default)]
    mine: bool,
    /// At most so many, up to 500; 50 when absent.
    #[serde(default)]
    limit: usize,
    /// Where the page before ended: its `cursor`.
    cursor: Option<String>,
}

/// A page of what waits for people.
#[utoipa::path(get, path = "/api/v1/inbox", tag = "inbox", security(("token" = ["inbox.read"])), params(ListQuery), responses(
    (status = 200, description = "The page, without forms and answers.", body = serde_json::Value),
    (status = 400, description = "The query is not one.", body = Problem),
))]
pub async fn list(
    State(app): State<App>,
    Extension(caller): Who,
    Query(query): Query<ListQuery>,
) -> Result<Json<InboxPage>, Problem> {
    let within = match caller.scope() {
        Scope::Host => None,
        Scope::Namespaces(names) => Some(names.clone()),
    };
    let query = InboxQuery {
        closed: query.closed,
        for_name: query.mine.then(|| caller.name().to_owned()),
        within,
        limit: query.limit,
        cursor: query.cursor,
    };
    Ok(Json(app.host.inbox(&query).await?))
}

/// One item, with its form and its answer. Once it is closed, what its flow calls sensitive is masked.
#[utoipa::path(get, path = "/api/v1/inbox/{id}", tag = "inbox", security(("token" = ["inbox.read"])),
    params(("id" = String, Path, description = "The item's identifier.")),
    responses(
        (status = 200, description = "The item.", body = serde_json::Value),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn show(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
) -> Result<Json<InboxItem>, Problem> {
    allowed(&app, &caller, Permission::InboxRead, &id)?;
    Ok(Json(app.host.inbox_item_masked(&id).await?))
}

/// An answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The decision in a word, such as `approved`; `completed` when absent.
    outcome: Option<String>,
    /// The answer, as the item's form has it.
    #[serde(default)]
    answer: Value,
}

/// Answers an item; its run goes on. The first answer stands. Who asked for the decision does not make it.
#[utoipa::path(post, path = "/api/v1/inbox/{id}/complete", tag = "inbox", security(("token" = ["inbox.complete"])),
    params(("id" = String, Path, description = "The item's identifier.")), request_body = Completion,
    responses(
        (status = 200, description = "The item, answered.", body = serde_json::Value),
        (status = 403, description = "Somebody else is asked, or the caller asked for it.", body = Problem),
        (status = 404, description = "There is none of that identifier.", body = Problem),
        (status = 409, description = "It was answered, or its run does not wait any more.", body = Problem),
        (status = 422, description = "The answer does not fit the form; `detail` says where.", body = Problem),
    ))]
pub async fn complete(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
    Body(completion): Body<Completion>,
) -> Result<Json<InboxItem>, Problem> {
    allowed(&app, &caller, Permission::InboxComplete, &id)?;
    let request = AnswerItem {
        actor: caller.actor(),
        name: caller.name().to_owned(),
        for_others: caller.role() == Role::Admin,
        id,
        outcome: completion.outcome,
        answer: completion.answer,
    };
    Ok(Json(app.host.answer_inbox_item(request).await?))
}

fn allowed(app: &App, caller: &Caller, permission: Permission, id: &str) -> Result<InboxItem, Problem> {
    let item = app.host.inbox_item(id)?;
    caller.allow(permission, Some(namespace_of(&item.flow)))?;
    Ok(item)
}
