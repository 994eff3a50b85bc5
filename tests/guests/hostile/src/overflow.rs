//! Hands large or many things to the host.

use std::time::Duration;

use factotum_sdk::{http::Request, kv::Bucket};
use wasip2::http::{
    outgoing_handler,
    types::{Fields, FutureIncomingResponse, OutgoingBody, OutgoingRequest, Scheme},
};

use crate::{Hostile, bindings::exports::hostile::guest::overflow::Guest};

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn send(url: &str) -> Result<FutureIncomingResponse, String> {
    let rest = url.strip_prefix("http://").ok_or("no http URL")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).map_err(|()| "scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path")?;
    let body = request.body().map_err(|()| "body")?;
    let future = outgoing_handler::handle(request, None).map_err(|e| format!("{e:?}"))?;
    OutgoingBody::finish(body, None).map_err(|e| format!("{e:?}"))?;
    Ok(future)
}

impl Guest for Hostile {
    fn text(bytes: u64) -> String {
        "x".repeat(size(bytes))
    }

    fn bytes(bytes: u64) -> Vec<u8> {
        vec![7; size(bytes)]
    }

    fn texts(count: u64, bytes: u64) -> Vec<String> {
        vec!["x".repeat(size(bytes)); size(count)]
    }

    fn units(count: u64) -> Vec<Option<Option<bool>>> {
        vec![Some(Some(true)); size(count)]
    }

    fn fail(bytes: u64) -> Result<(), String> {
        Err("x".repeat(size(bytes)))
    }

    fn swallow(text: String) -> u64 {
        text.len() as u64
    }

    fn swallow_bytes(bytes: Vec<u8>) -> u64 {
        bytes.len() as u64
    }

    fn hold_buckets(count: u64) -> u64 {
        let held: Vec<Bucket> = (0..count).filter_map(|_| Bucket::open().ok()).collect();
        held.len() as u64
    }

    fn hold_fields(count: u64) -> u64 {
        let held: Vec<Fields> = (0..count).map(|_| Fields::new()).collect();
        held.len() as u64
    }

    fn large_fields(count: u64, bytes: u64) -> Result<u64, String> {
        let fields = Fields::new();
        let value = vec![b'x'; size(bytes)];
        for i in 0..count {
            fields.append(&format!("x-{i}"), &value).map_err(|e| format!("{i} fields, then {e:?}"))?;
        }
        Ok(count)
    }

    fn many_requests(url: String, count: u64) -> u64 {
        let request = Request { timeout_ms: Some(5_000), ..Request::get(url) };
        (0..count).filter(|_| request.send().is_ok_and(|answer| answer.status == 200)).count() as u64
    }

    fn hold_answers(url: String, count: u64) -> Vec<String> {
        let futures: Vec<_> = (0..count).map(|_| send(&url)).collect();
        let mut held = Vec::new();
        futures
            .into_iter()
            .map(|future| {
                let future = future?;
                let answer = loop {
                    if let Some(answer) = future.get() {
                        break answer;
                    }
                    future.subscribe().block();
                };
                let answer = answer.map_err(|()| "taken twice")?.map_err(|e| format!("{e:?}"))?;
                let status = answer.status();
                held.push(answer);
                std::thread::sleep(Duration::from_millis(1));
                Ok(status.to_string())
            })
            .map(|outcome: Result<String, String>| outcome.unwrap_or_else(|error| error))
            .collect()
    }
}
