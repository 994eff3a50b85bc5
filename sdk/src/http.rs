//! HTTP requests (`wasi:http`), in one call. What may be reached is what the administrator granted; secrets are put in by
//! the host, so a plugin sends none.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::Fault;

#[cfg(target_family = "wasm")]
mod wasi;

/// The most bytes of an answer that [`Request::send`] reads.
pub const MAX_RESPONSE_BYTES: usize = 16 << 20;

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method (RFC 9110, section 9), upper case.
    pub method: String,
    /// The absolute URL, `http` or `https`.
    pub url: String,
    /// The header fields, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long to wait for the answer, in milliseconds; the call's own limit when absent.
    pub timeout_ms: Option<u64>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with `method` to `url`, without header fields and body.
    #[must_use]
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
        }
    }

    /// A GET request.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a JSON body and its content type.
    ///
    /// # Errors
    /// `internal` when `value` cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, Fault> {
        self.body = serde_json::to_vec(value).map_err(|e| Fault::internal(format!("request body: {e}")))?;
        Ok(self.header("content-type", "application/json"))
    }

    /// Sends it and waits for the whole answer. Redirects are not followed.
    ///
    /// # Errors
    /// `denied` when it is not granted; `unavailable`, `timeout` or `internal` when no whole answer comes. An answer with
    /// an error status is an answer, not a fault.
    pub fn send(&self) -> Result<Response, Fault> {
        #[cfg(target_family = "wasm")]
        {
            wasi::send(self)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            crate::testing::answer_http(self)
        }
    }
}

impl Response {
    /// The first header field of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The answer itself for a 2xx status, else the fault that fits the status. `what` says whose answer it was.
    ///
    /// # Errors
    /// See [`Fault::from_http_status`].
    pub fn error_for_status(self, what: impl fmt::Display) -> Result<Self, Fault> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let retry_after_ms = self
            .header("retry-after")
            .and_then(|seconds| seconds.trim().parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1000));
        Err(Fault::from_http_status(self.status, what, retry_after_ms))
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `internal` when it is not the JSON that `T` wants.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body)
            .map_err(|e| Fault::internal(format!("answer is not the JSON expected: {e}")))
    }
}
