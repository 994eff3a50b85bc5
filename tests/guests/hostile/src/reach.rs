//! Uses each capability in the plain way, with whatever arguments: the tests bring the malice.

use factotum_sdk::{
    Fault, artifacts, config, context,
    http::Request,
    kv::Bucket,
    mail::{self, Attachment, File, Mailbox, Message},
};
use wasip2::http::{
    outgoing_handler,
    types::{Fields, OutgoingBody, OutgoingRequest, Scheme},
};

use crate::{
    Hostile,
    bindings::exports::hostile::guest::reach::{Answer, Circumstances, Guest},
};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn mailbox(address: String) -> Mailbox {
    Mailbox { name: None, address }
}

impl Guest for Hostile {
    fn request(
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: String,
    ) -> Result<Answer, Fault> {
        let request = Request { headers, body: body.into_bytes(), ..Request::new(&method, url) };
        let response = request.send()?;
        Ok(Answer { status: response.status, headers: response.headers, body: text(response.body) })
    }

    fn request_raw(authority: String, path: String) -> Result<u16, String> {
        let request = OutgoingRequest::new(Fields::new());
        request.set_scheme(Some(&Scheme::Http)).map_err(|()| "scheme")?;
        request.set_authority(Some(&authority)).map_err(|()| "authority")?;
        request.set_path_with_query(Some(&path)).map_err(|()| "path")?;
        let body = request.body().map_err(|()| "body")?;
        let future = outgoing_handler::handle(request, None).map_err(|e| format!("{e:?}"))?;
        OutgoingBody::finish(body, None).map_err(|e| format!("{e:?}"))?;
        loop {
            if let Some(answer) = future.get() {
                let answer = answer.map_err(|()| "taken twice")?.map_err(|e| format!("{e:?}"))?;
                return Ok(answer.status());
            }
            future.subscribe().block();
        }
    }

    fn put(bucket: String, key: String, value: String) -> Result<(), Fault> {
        Bucket::named(&bucket)?.set(&key, value.as_bytes())
    }

    fn put_bytes(key: String, bytes: u64) -> Result<(), Fault> {
        Bucket::open()?.set(&key, &vec![1; size(bytes)])
    }

    fn get(bucket: String, key: String) -> Result<Option<String>, Fault> {
        Ok(Bucket::named(&bucket)?.get(&key)?.map(text))
    }

    fn send_stored(key: String, url: String) -> Result<u16, Fault> {
        let value = Bucket::open()?.get(&key)?.map(text).unwrap_or_default();
        Ok(Request::new("GET", format!("{url}?q={value}")).send()?.status)
    }

    fn keys() -> Result<Vec<String>, Fault> {
        Ok(Bucket::open()?.list(None)?.keys)
    }

    fn delete(key: String) -> Result<(), Fault> {
        Bucket::open()?.delete(&key)
    }

    fn increment(key: String, delta: u64) -> Result<u64, Fault> {
        Bucket::open()?.increment(&key, delta)
    }

    fn put_many(count: u64, bytes: u64) -> Result<(), Fault> {
        let pairs: Vec<_> = (0..count).map(|i| (format!("key-{i}"), vec![1; size(bytes)])).collect();
        Bucket::open()?.set_many(&pairs)
    }

    fn get_many(key: String, count: u64) -> Result<u64, Fault> {
        let found = Bucket::open()?.get_many(&vec![key; size(count)])?;
        Ok(found.into_iter().flatten().map(|value| value.len() as u64).sum())
    }

    fn configuration(key: String) -> Result<Option<String>, Fault> {
        config::get(&key)
    }

    fn send_mail(
        sender: Option<String>,
        to: Vec<String>,
        cc: Vec<String>,
        subject: String,
    ) -> Result<String, Fault> {
        let receipt = mail::send(&Message {
            sender: sender.map(mailbox),
            to: to.into_iter().map(mailbox).collect(),
            cc: cc.into_iter().map(mailbox).collect(),
            reply_to: None,
            subject,
            text: "Good day".into(),
            html: None,
            in_reply_to: None,
            attachments: Vec::new(),
        })?;
        Ok(format!("{} {}", receipt.message_id, receipt.repeated))
    }

    fn attach(to: String, artifacts: Vec<String>, files: u64, bytes: u64) -> Result<String, Fault> {
        let file = |n: u64| {
            Attachment::File(File {
                name: format!("{n}.bin"),
                media_type: "application/octet-stream".into(),
                content: vec![1; size(bytes)],
            })
        };
        let receipt = mail::send(&Message {
            sender: None,
            to: vec![mailbox(to)],
            cc: Vec::new(),
            reply_to: None,
            subject: "Files".into(),
            text: "Good day".into(),
            html: None,
            in_reply_to: None,
            attachments: artifacts
                .into_iter()
                .map(Attachment::Artifact)
                .chain((0..files).map(file))
                .collect(),
        })?;
        Ok(receipt.message_id)
    }

    fn store_file(name: String, media_type: String, bytes: u64) -> Result<String, Fault> {
        Ok(artifacts::put(&name, &media_type, &vec![b'a'; size(bytes)])?.id)
    }

    fn read_file(id: String) -> Result<u64, Fault> {
        Ok(artifacts::get(&id)?.len() as u64)
    }

    fn describe_file(id: String) -> Result<(String, String, u64), Fault> {
        let info = artifacts::info(&id)?;
        Ok((info.name, info.media_type, info.size))
    }

    fn list_files(after: Option<String>) -> Result<Vec<String>, Fault> {
        Ok(artifacts::list(after.as_deref())?.into_iter().map(|artifact| artifact.id).collect())
    }

    fn context() -> Circumstances {
        let c = context::current();
        Circumstances {
            run_id: c.run_id,
            flow: c.flow,
            task: c.task,
            attempt: c.attempt,
            idempotency_key: c.idempotency_key,
            remaining_ms: c.remaining_ms,
        }
    }
}
