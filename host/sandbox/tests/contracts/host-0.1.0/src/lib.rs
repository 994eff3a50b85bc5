//! Calls every interface that the host offered when `factotum:host` was 0.1.0, each in the plain way.

wit_bindgen::generate!({
    path: [
        "../../../../../wit/factotum-types-0.1.0",
        "../../../../../wit/factotum-host-0.1.0",
        "../../../../../wit/wasi-keyvalue-0.2.0-draft",
        "../../../../../wit/wasi-config-0.2.0-rc.1",
        "src/world.wit",
    ],
    world: "contract:guest/guest",
    generate_all,
});

use exports::contract::guest::probe::Guest;
use factotum::{
    host::{
        artifacts,
        mail_out::{self, Attachment, Mailbox, Message},
        run_context,
    },
    types::faults::{Fault, FaultKind},
};
use wasi::{config, keyvalue};

struct Probe;

type Keys = (Vec<u8>, Vec<String>, u64);

impl Guest for Probe {
    fn context() -> (Option<String>, Option<String>, Option<String>, u32, String, bool) {
        let c = run_context::get();
        (c.run_id, c.flow, c.task, c.attempt, c.idempotency_key, c.remaining_ms > 0)
    }

    fn send(to: String, attachment: Vec<u8>) -> Result<(String, bool), Fault> {
        let receipt = mail_out::send(&Message {
            sender: None,
            to: vec![Mailbox { name: Some("Jane".into()), address: to }],
            cc: Vec::new(),
            reply_to: None,
            subject: "An old letter".into(),
            text: "Good day".into(),
            html: None,
            in_reply_to: None,
            attachments: vec![Attachment {
                name: "old.txt".into(),
                media_type: "text/plain".into(),
                content: attachment,
            }],
        })?;
        Ok((receipt.message_id, receipt.repeated))
    }

    fn store(name: String, content: Vec<u8>) -> Result<(String, u64, String), Fault> {
        let stored = artifacts::put(&name, "text/plain", &content)?;
        if artifacts::get(&stored.id)? != content {
            return Err(Fault {
                kind: FaultKind::Technical,
                code: "changed".into(),
                message: "another file came back".into(),
                hint: None,
                retry_after_ms: None,
            });
        }
        Ok((stored.id, stored.size, stored.sha256))
    }

    fn keys(value: Vec<u8>) -> Result<Keys, String> {
        let said = |e: keyvalue::store::Error| match e {
            keyvalue::store::Error::NoSuchStore => "no such store".to_string(),
            keyvalue::store::Error::AccessDenied => "access denied".to_string(),
            keyvalue::store::Error::Other(text) => text,
        };
        let bucket = keyvalue::store::open("default").map_err(said)?;
        bucket.set("single", &value).map_err(said)?;
        keyvalue::batch::set_many(&bucket, &[("many".into(), value)]).map_err(said)?;
        let read = bucket.get("single").map_err(said)?.unwrap_or_default();
        let sum = keyvalue::atomics::increment(&bucket, "count", 2).map_err(said)?;
        bucket.delete("many").map_err(said)?;
        let keys = bucket.list_keys(None).map_err(said)?.keys;
        Ok((read, keys, sum))
    }

    fn configured(key: String) -> Result<Option<String>, String> {
        config::store::get(&key).map_err(|e| match e {
            config::store::Error::Upstream(text) | config::store::Error::Io(text) => text,
        })
    }
}

export!(Probe);
