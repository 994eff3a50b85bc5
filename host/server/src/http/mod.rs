//! The HTTP face: webhooks, the API with its OpenAPI document, health.

mod audit;
mod auth;
mod calendars;
pub mod callers;
mod disk;
mod erasures;
mod events;
mod flows;
mod forwarded;
mod health;
mod holidays;
mod hooks;
mod inbox;
mod learn;
mod mailboxes;
mod notices;
mod plugins;
mod problem;
mod repair;
mod rights;
mod runs;
mod secrets;
mod signatures;
#[cfg(test)]
mod tests;
mod tokens;
mod upgrades;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use factotum_access::Access;
use factotum_runtime::Host;
use factotum_secrets::MAX_VALUE_BYTES;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

pub use problem::{Body, Problem};

use auth::{Door, Permissions};
use callers::Callers;

/// The most bytes of an API request that carries no plugin.
const MAX_API_BYTES: usize = 2 << 20;
/// The most bytes of a request that publishes events.
const MAX_EVENTS_BYTES: usize = 8 << 20;
/// The most bytes of a plugin's upload: the largest component, in base64, with its grants.
const MAX_UPLOAD_BYTES: usize = 96 << 20;

/// What every handler has at hand; clones share it. One pointer, since each layer clones it for each request.
#[derive(Clone)]
pub struct App(Arc<Shared>);

impl App {
    pub fn new(shared: Shared) -> App {
        App(Arc::new(shared))
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What an [`App`] holds.
pub struct Shared {
    /// The host.
    pub host: Host,
    /// Who may use the API.
    pub access: Access,
    /// The most bytes of a webhook's body.
    pub max_hook_bytes: usize,
    /// Who a request comes from.
    pub callers: Callers,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Factotum",
        description = "Plugins, flows, runs and the audit log of one host. The scope of an endpoint's `token` is the permission that it wants; roles have permissions."),
    modifiers(&BearerToken),
    components(schemas(Problem)),
    tags(
        (name = "plugins", description = "Sandboxed connectors and actions."),
        (name = "flows", description = "What chains plugins."),
        (name = "runs", description = "Executions of flows."),
        (name = "events", description = "What happened elsewhere comes in, what happens here is told."),
        (name = "inbox", description = "Where runs wait for a person."),
        (name = "calendars", description = "Business hours and holidays that flows name."),
        (name = "mailboxes", description = "Where mail comes in, and what of the host's own mail is not out yet."),
        (name = "erasures", description = "One customer's data are removed."),
        (name = "audit", description = "Who did what to what."),
        (name = "secrets", description = "What the host puts into requests; values go in and never come out."),
        (name = "tokens", description = "Who may use the API."),
        (name = "hooks", description = "Where the outside starts flows."),
        (name = "health", description = "For supervisors."),
    )
)]
struct Api;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        api.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

fn api() -> (Router<App>, Router<App>, utoipa::openapi::OpenApi) {
    let (secured, described) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(UtoipaMethodRouterExt::layer(
            routes!(plugins::list, plugins::add),
            DefaultBodyLimit::max(MAX_UPLOAD_BYTES),
        ))
        .routes(routes!(plugins::show, plugins::remove))
        .routes(routes!(plugins::call))
        .routes(routes!(rights::replace, rights::revoke))
        .routes(UtoipaMethodRouterExt::layer(
            routes!(upgrades::bring),
            DefaultBodyLimit::max(MAX_UPLOAD_BYTES),
        ))
        .routes(routes!(upgrades::list))
        .routes(routes!(upgrades::agree))
        .routes(routes!(upgrades::decline))
        .routes(routes!(flows::check))
        .routes(routes!(flows::list, flows::deploy))
        .routes(routes!(flows::show))
        .routes(routes!(flows::start))
        .routes(routes!(rights::of_flow, rights::replace_of_flow, rights::revoke_of_flow))
        .routes(routes!(flows::diagram))
        .routes(routes!(learn::learn))
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::artifact))
        .routes(routes!(runs::diagram))
        .routes(routes!(repair::retry))
        .routes(routes!(repair::retry_many))
        .routes(routes!(repair::cancel))
        .routes(routes!(repair::suspend))
        .routes(routes!(repair::resume))
        .routes(routes!(repair::replay))
        .routes(UtoipaMethodRouterExt::layer(
            routes!(events::publish),
            DefaultBodyLimit::max(MAX_EVENTS_BYTES),
        ))
        .routes(routes!(events::list))
        .routes(routes!(events::watch))
        .routes(routes!(inbox::list))
        .routes(routes!(inbox::show))
        .routes(routes!(inbox::complete))
        .routes(routes!(calendars::list))
        .routes(routes!(calendars::show, calendars::set, calendars::remove))
        .routes(UtoipaMethodRouterExt::layer(
            routes!(holidays::import),
            DefaultBodyLimit::max(holidays::MAX_FILE),
        ))
        .routes(routes!(mailboxes::list))
        .routes(routes!(mailboxes::aside))
        .routes(routes!(mailboxes::retry))
        .routes(routes!(mailboxes::dismiss))
        .routes(routes!(notices::list))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(UtoipaMethodRouterExt::layer(
            routes!(secrets::set, secrets::remove),
            DefaultBodyLimit::max(MAX_VALUE_BYTES),
        ))
        .routes(routes!(erasures::erase))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::rotate_master))
        .routes(routes!(secrets::rotate_payload_key))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::prune))
        .routes(routes!(health::status))
        .split_for_parts();
    let (open, more) = OpenApiRouter::<App>::new()
        .routes(routes!(hooks::receive))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .split_for_parts();
    let mut document = described;
    document.merge(more);
    (secured, open, document)
}

/// The API's description, the same that `/api/v1/openapi.json` serves.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().2
}

/// The whole HTTP face.
pub fn router(app: App) -> Router {
    let (secured, open, document) = api();
    let hook_limit = app.max_hook_bytes;
    let door = Door { access: app.access.clone(), permissions: Arc::new(Permissions::of(&document)) };
    let audited = middleware::from_fn_with_state(app.clone(), auth::audit_refusals);
    let disk = app.clone();
    let callers = middleware::from_fn_with_state(app.callers.clone(), callers::identify);
    let secured = secured
        .layer(DefaultBodyLimit::max(MAX_API_BYTES))
        .layer(middleware::from_fn_with_state(door, auth::enter));
    let open = open.layer(DefaultBodyLimit::max(hook_limit));
    Router::new()
        .merge(secured)
        .merge(open)
        .route("/api/v1/openapi.json", get(move || async move { axum::Json(document) }))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
        // As one layer, the first outermost: each call of `layer` would put the services below it into one more box, which
        // is copied for each request.
        .layer((
            SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid),
            TraceLayer::new_for_http().make_span_with(span),
            PropagateRequestIdLayer::new(REQUEST_ID),
            SetResponseHeaderLayer::if_not_present(
                header::CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ),
            SetResponseHeaderLayer::if_not_present(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            CatchPanicLayer::custom(|_| internal().into_response()),
            callers,
            audited,
            middleware::from_fn_with_state(disk, disk::refuse_what_cannot_be_written),
        ))
}

/// Does what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!("a request's work broke off: {error}");
        Err(internal())
    })
}

/// A defect, or what only the log may know.
fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the host failed at this; its log says why")
}

/// The store could not be read or written.
fn store_failed() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "store-failed",
        "the host's store failed at this; its log says why",
    )
}

/// Milliseconds since 1970 as RFC 3339 in UTC. A number that no calendar has becomes the epoch.
fn rfc3339(milliseconds: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(milliseconds).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The span of a request. The path only: a query may hold what must not be logged.
fn span(request: &Request) -> tracing::Span {
    let id = request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

async fn unknown(request: Request) -> Response {
    Problem::new(StatusCode::NOT_FOUND, "not-found", format!("there is nothing at {}", request.uri().path()))
        .hint("/api/v1/openapi.json lists what there is; webhooks are at /hooks/{namespace}/{flow}")
        .into_response()
}

async fn wrong_method(request: Request) -> Response {
    let detail = format!("{} is not for {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        .hint("the Allow header lists what is")
        .into_response()
}
