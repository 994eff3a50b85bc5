//! A letter as the input of a flow: JSON of a bounded size.

use serde_json::{Value, json};

use super::Letter;

/// Where a message lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The mailbox, by its name in the configuration.
    pub mailbox: String,
    /// The folder.
    pub folder: String,
    /// The message's number there (RFC 3501, section 2.3.1.1).
    pub uid: u32,
    /// What the number belongs to: when it changes, numbers begin anew.
    pub uid_validity: u32,
    /// When the server got it, RFC 3339.
    pub received_at: Option<String>,
}

impl Letter {
    /// The flow's input. `files` are the identifiers of the artifacts that hold the attachments, in their order, and `raw`
    /// that of the whole message. What does not go into `max_bytes` of JSON is left out, the HTML first; `cut` says so.
    #[must_use]
    pub fn input(&self, place: &Place, files: &[String], raw: &str, max_bytes: usize) -> Value {
        let mut input = self.whole(place, files, raw);
        if size(&input) <= max_bytes {
            return input;
        }
        set(&mut input, "cut", Value::Bool(true));
        set(&mut input, "html", Value::Null);
        if size(&input) > max_bytes {
            set(&mut input, "headers", json!([]));
        }
        let mut text = self.text.as_str();
        while size(&input) > max_bytes && !text.is_empty() {
            text = text.get(..text.floor_char_boundary(text.len() / 2)).unwrap_or_default();
            set(&mut input, "text", text.into());
        }
        for name in ["references", "cc", "to", "reply_to", "attachments"] {
            if size(&input) > max_bytes {
                set(&mut input, name, json!([]));
            }
        }
        input
    }

    fn whole(&self, place: &Place, files: &[String], raw: &str) -> Value {
        let attachments: Vec<Value> = self
            .attachments
            .iter()
            .zip(files)
            .map(|(file, artifact)| {
                json!({
                    "name": file.name,
                    "type": file.media_type,
                    "bytes": file.content.len(),
                    "content_id": file.content_id,
                    "artifact": artifact,
                })
            })
            .collect();
        let headers: Vec<Value> =
            self.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({
            "mailbox": place.mailbox,
            "folder": place.folder,
            "uid": place.uid,
            "uid_validity": place.uid_validity,
            "received_at": place.received_at,
            "message_id": self.message_id,
            "from": self.from.first(),
            "reply_to": self.reply_to,
            "to": self.to,
            "cc": self.cc,
            "subject": self.subject,
            "date": self.date,
            "text": self.text,
            "html": self.html,
            "in_reply_to": self.in_reply_to,
            "references": self.references,
            "automatic": self.automatic,
            "list": self.list,
            "headers": headers,
            "attachments": attachments,
            "raw": raw,
            "cut": self.cut,
        })
    }
}

fn size(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

fn set(input: &mut Value, name: &str, value: Value) {
    if let Some(members) = input.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
