//! Calendars over the API: business hours and holidays that flows name.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use factotum_runtime::CalendarInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{App, Body, Problem, auth::Who};

/// A list of calendars.
#[derive(Serialize)]
pub struct Calendars {
    /// Them, by name.
    calendars: Vec<CalendarInfo>,
}

/// The calendars that the host keeps.
#[utoipa::path(get, path = "/api/v1/calendars", tag = "calendars", security(("token" = ["calendar.read"])),
    responses((status = 200, description = "Their names, time zones, and whether they are open now.", body = serde_json::Value)))]
pub async fn list(State(app): State<App>) -> Json<Calendars> {
    Json(Calendars { calendars: app.host.calendars() })
}

/// A calendar as it was written.
#[utoipa::path(get, path = "/api/v1/calendars/{name}", tag = "calendars", security(("token" = ["calendar.read"])),
    params(("name" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The calendar.", body = serde_json::Value),
        (status = 404, description = "There is none of that name.", body = Problem),
    ))]
pub async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Json<CalendarInfo>, Problem> {
    Ok(Json(app.host.calendar(&name)?))
}

/// A calendar.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCalendar {
    /// `timezone` (an IANA name), `week` (as in `{"mon-fri": ["09:00-17:00"]}`), `holidays` (dates, or days of every year
    /// as in `12-25`), `special` (dates with hours of their own).
    calendar: Value,
}

/// Keeps a calendar, new or in place of another of the name. It counts from the next wait of every flow that names it;
/// waits that have begun end when they would have.
#[utoipa::path(put, path = "/api/v1/calendars/{name}", tag = "calendars", security(("token" = ["calendar.manage"])),
    params(("name" = String, Path, description = "Its name.")), request_body = NewCalendar,
    responses(
        (status = 200, description = "The calendar.", body = serde_json::Value),
        (status = 400, description = "It cannot be read, or never opens.", body = Problem),
    ))]
pub async fn set(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Body(new): Body<NewCalendar>,
) -> Result<Json<CalendarInfo>, Problem> {
    Ok(Json(app.host.set_calendar(&caller.actor(), &name, new.calendar).await?))
}

/// Removes a calendar that no deployed flow names.
#[utoipa::path(delete, path = "/api/v1/calendars/{name}", tag = "calendars", security(("token" = ["calendar.manage"])),
    params(("name" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "It is gone."),
        (status = 404, description = "There is none of that name.", body = Problem),
        (status = 409, description = "A deployed flow names it.", body = Problem),
    ))]
pub async fn remove(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    app.host.remove_calendar(&caller.actor(), &name).await?;
    Ok(Json(serde_json::json!({ "removed": name })))
}
