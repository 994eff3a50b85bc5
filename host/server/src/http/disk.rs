//! When nothing can be written, what would write is refused at once and in words, instead of waiting or failing half way.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, Problem};

/// Refuses requests that may write, while the store cannot.
pub async fn refuse_what_cannot_be_written(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && let Err(error) = app.host.check_writable() {
        return Problem::from(error).into_response();
    }
    next.run(request).await
}
