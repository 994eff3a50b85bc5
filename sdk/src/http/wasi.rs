//! One request over the `wasi:http` interfaces, blocking.

use wasip2::http::{
    outgoing_handler,
    types::{
        ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
        RequestOptions, Scheme,
    },
};
use wasip2::io::streams::StreamError;

use super::{MAX_RESPONSE_BYTES, Request, Response};
use crate::Fault;

/// `blocking-write-and-flush` takes at most this many bytes at once (wasi:io/streams).
const WRITE_BYTES: usize = 4096;
const READ_BYTES: u64 = 64 * 1024;

pub(super) fn send(request: &Request) -> Result<Response, Fault> {
    let (outgoing, body) = outgoing(request)?;
    let options = RequestOptions::new();
    if let Some(ms) = request.timeout_ms {
        let ns = ms.saturating_mul(1_000_000);
        // Refused only by a host without timeouts; the call's own limit still holds then.
        let _ = options.set_first_byte_timeout(Some(ns));
        let _ = options.set_connect_timeout(Some(ns));
    }
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(fault)?;
    let written = write_body(body, &request.body);
    let incoming = wait(&future)?;
    // An answer that came although the body could not be sent whole (as with 413) says more than the broken pipe.
    let response = read(incoming)?;
    if response.status < 400 {
        written?;
    }
    Ok(response)
}

fn outgoing(request: &Request) -> Result<(OutgoingRequest, OutgoingBody), Fault> {
    let bad = |what: &str| Fault::invalid_input(format!("{} {}: {what}", request.method, request.url));
    let (scheme, rest) = request.url.split_once("://").ok_or_else(|| bad("no absolute URL"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let headers = Fields::new();
    for (name, value) in &request.headers {
        headers.append(name, value.as_bytes()).map_err(|e| bad(&format!("header {name}: {e:?}")))?;
    }
    if !request.body.is_empty() {
        let _ = headers.set("content-length", &[request.body.len().to_string().into_bytes()]);
    }
    let outgoing = OutgoingRequest::new(headers);
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => Scheme::Other(other.to_owned()),
    };
    outgoing.set_method(&method(&request.method)).map_err(|()| bad("method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| bad("scheme"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| bad("authority"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(|()| bad("path"))?;
    let body = outgoing.body().map_err(|()| bad("body"))?;
    Ok((outgoing, body))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn write_body(body: OutgoingBody, bytes: &[u8]) -> Result<(), Fault> {
    let stream = body.write().map_err(|()| Fault::internal("request body: no stream"))?;
    for chunk in bytes.chunks(WRITE_BYTES) {
        stream
            .blocking_write_and_flush(chunk)
            .map_err(|e| Fault::unavailable(format!("request body could not be sent: {e:?}")))?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(fault)
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, Fault> {
    loop {
        if let Some(answer) = future.get() {
            return answer.map_err(|()| Fault::internal("the answer was taken twice"))?.map_err(fault);
        }
        future.subscribe().block();
    }
}

fn read(incoming: IncomingResponse) -> Result<Response, Fault> {
    let status = incoming.status();
    let headers = incoming
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let stream_body = incoming.consume().map_err(|()| Fault::internal("the answer has no body stream"))?;
    let stream = stream_body.stream().map_err(|()| Fault::internal("the answer has no body stream"))?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(e)) => {
                return Err(Fault::unavailable(format!("the answer broke off: {}", e.to_debug_string())));
            }
        }
        if body.len() > MAX_RESPONSE_BYTES {
            return Err(Fault::internal(format!("the answer is larger than {MAX_RESPONSE_BYTES} bytes")));
        }
    }
    Ok(Response { status, headers, body })
}

/// A policy's refusal is a business fault; everything else that the network does is technical.
fn fault(code: ErrorCode) -> Fault {
    match code {
        ErrorCode::HttpRequestDenied => {
            Fault::denied("HTTP request: not granted, see the host's log for the grant it needs")
        }
        ErrorCode::DestinationIpProhibited | ErrorCode::DestinationNotFound => {
            Fault::denied(format!("HTTP request: {code:?}"))
        }
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong => Fault::invalid_input(format!("HTTP request: {code:?}")),
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => {
            Fault::timeout(format!("HTTP request: {code:?}"))
        }
        other => Fault::unavailable(format!("HTTP request: {other:?}")),
    }
}
