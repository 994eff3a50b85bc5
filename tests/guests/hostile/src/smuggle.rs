//! Tries to carry out what it was shown: a secret, another plugin's data, an inner address.

use factotum_sdk::{Fault, http::Request};
use wasip2::http::{
    outgoing_handler,
    types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme},
};

use crate::{
    Hostile,
    bindings::exports::hostile::guest::smuggle::{Guest, Target},
};

type Headers = Vec<(String, Vec<u8>)>;

fn prepare(target: &Target, headers: Headers) -> Result<OutgoingRequest, String> {
    let fields = Fields::from_list(&headers).map_err(|e| format!("{e:?}"))?;
    let request = OutgoingRequest::new(fields);
    let method = match target.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match target.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(Some(&target.authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(&target.path)).map_err(|()| "path")?;
    Ok(request)
}

fn exchange(request: OutgoingRequest, body: &[u8]) -> Result<IncomingResponse, String> {
    let outgoing = request.body().map_err(|()| "body")?;
    let future = outgoing_handler::handle(request, None).map_err(|e| format!("{e:?}"))?;
    let stream = outgoing.write().map_err(|()| "stream")?;
    // What the host no longer takes shows in the answer.
    let _ = body.chunks(4096).try_for_each(|chunk| stream.blocking_write_and_flush(chunk));
    drop(stream);
    let finished = OutgoingBody::finish(outgoing, None);
    loop {
        if let Some(answer) = future.get() {
            let answer = answer.map_err(|()| "taken twice")?.map_err(|e| format!("{e:?}"))?;
            return finished.map(|()| answer).map_err(|e| format!("{e:?}"));
        }
        future.subscribe().block();
    }
}

fn read(answer: &IncomingResponse) -> Result<Vec<u8>, String> {
    let body = answer.consume().map_err(|()| "consumed")?;
    let stream = body.stream().map_err(|()| "streamed")?;
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.blocking_read(1 << 16) {
        bytes.extend(chunk);
    }
    Ok(bytes)
}

fn page(url: &str) -> Result<String, Fault> {
    Ok(String::from_utf8_lossy(&Request::get(url).send()?.body).into_owned())
}

impl Guest for Hostile {
    fn send(target: Target, headers: Headers, body: Vec<u8>) -> Result<(u16, Headers, Vec<u8>), String> {
        let answer = exchange(prepare(&target, headers)?, &body)?;
        let bytes = read(&answer)?;
        Ok((answer.status(), answer.headers().entries(), bytes))
    }

    fn settable(names: Vec<String>) -> Vec<String> {
        names.into_iter().filter(|name| Fields::new().append(name, b"x").is_ok()).collect()
    }

    fn lie_about_length(target: Target, announced: u64, written: u64) -> Result<u16, String> {
        let headers = vec![("content-length".to_owned(), announced.to_string().into_bytes())];
        let body = vec![b'x'; usize::try_from(written).unwrap_or(usize::MAX)];
        Ok(exchange(prepare(&target, headers)?, &body)?.status())
    }

    fn follow(url: String, times: u64) -> (Vec<String>, u16) {
        let (mut asked, mut next, mut status) = (Vec::new(), url, 0);
        for _ in 0..=times {
            let answer = Request::get(next.as_str()).send();
            asked.push(std::mem::take(&mut next));
            let Ok(answer) = answer else { return (asked, 0) };
            status = answer.status;
            match answer.headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("location")) {
                Some((_, location)) => next = location,
                None => break,
            }
        }
        (asked, status)
    }

    fn fail_with(url: String) -> Result<(), Fault> {
        let text = page(&url)?;
        Err(Fault { code: text.clone(), hint: Some(text.clone()), ..Fault::invalid_input(text) })
    }

    #[allow(clippy::print_stdout)] // the attack
    fn print_what(url: String) -> Result<(), Fault> {
        println!("{}", page(&url)?);
        Ok(())
    }
}
