//! Holidays over the API: those of an iCalendar file go into a calendar.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use factotum_runtime::{HolidayImport, HolidayYears, Imported};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{App, Problem, auth::Who};

/// The largest file, in bytes.
pub const MAX_FILE: usize = factotum_flow::MAX_HOLIDAY_FILE;

/// How to import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// For this year and so many after it; 3 when absent, at most 20.
    years: Option<u8>,
    /// Whether the dates that are holidays now go. Days of every year stay.
    #[serde(default)]
    replace: bool,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// Adds the holidays of an iCalendar file (RFC 5545) to a calendar: its events of whole days, also of every year. They
/// count from the next wait of every flow that names the calendar.
#[utoipa::path(post, path = "/api/v1/calendars/{name}/holidays", tag = "calendars",
    security(("token" = ["calendar.manage"])),
    params(("name" = String, Path, description = "The calendar's name."), ImportQuery),
    request_body(content = String, content_type = "text/calendar", description = "The file, in UTF-8; at most 1 MiB."),
    responses(
        (status = 200, description = "The days that were added and removed, and what was left out.", body = serde_json::Value),
        (status = 400, description = "The file cannot be read; the line and why.", body = Problem),
        (status = 404, description = "There is no calendar of that name.", body = Problem),
        (status = 413, description = "The file is too large.", body = Problem),
        (status = 415, description = "The body is not declared as a calendar.", body = Problem),
    ))]
pub async fn import(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Imported>, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("text/calendar") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the body must be an iCalendar file, declared as such",
        )
        .hint("send the header Content-Type: text/calendar; charset=utf-8"));
    }
    let bytes = body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a file of holidays has at most {MAX_FILE} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "input-too-large", detail)
        } else {
            Problem::bad_request("the body could not be read to its end")
        }
    })?;
    let file = String::from_utf8(bytes.into()).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Problem::bad_request(format!("the file, line {line}: this is no UTF-8 text"))
            .hint("iCalendar files are UTF-8 (RFC 5545, section 3.1.4); save it as such")
    })?;
    let years = query.years.map(HolidayYears::new).transpose()?.unwrap_or_default();
    let import = HolidayImport { file, years, replace: query.replace, dry_run: query.dry_run };
    Ok(Json(app.host.import_holidays(&caller.actor(), &name, import).await?))
}
