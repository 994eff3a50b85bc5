//! `document.metadata.trigger`: what starts a flow.
//!
//! ```yaml
//! metadata:
//!   trigger:
//!     webhook:
//!       auth: { hmac: { secret: intake-key, header: X-Signature, prefix: sha256= } }   # or: none,
//!       # { bearer: { secret } }, { github: { secret } }, { slack: { secret } }, { stripe: { secret, tolerance: PT5M } },
//!       # { mtls: { dns: [hooks.partner.example] } }, by the names that `client_name` lists
//!       reply: sync
//!       timeout: PT10S
//!       dedupe: .headers["x-message-id"] // .body.id
//!     mail: { mailbox: support, folder: INBOX }   # a mailbox of the host's configuration; one flow for each folder
//! ```

use crate::FlowError;
use crate::client_name::{self, ClientName};
use crate::decode::{At, Decoder, shorten};
use crate::duration;
use crate::expr::{self, Data, Expr, Vars};
use crate::yaml::Kind as NodeKind;
use serde_json::Value;
use std::time::Duration;

/// How long a synchronous caller waits when the flow does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that a synchronous caller may wait.
const MAX_TIMEOUT: Duration = Duration::from_secs(300);
/// How old a signature may be when the flow does not say: as Stripe and Slack have it.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);
/// The oldest signature that a flow can let pass: what is replayed later is not told from what is new.
const MAX_TOLERANCE: Duration = Duration::from_secs(3600);

/// A webhook that starts a flow.
#[derive(Debug)]
pub struct WebhookTrigger {
    /// How a caller shows who it is.
    pub auth: WebhookAuth,
    /// Whether the caller gets the run's id at once, or waits for the output.
    pub reply: Reply,
    /// How long a synchronous caller waits before it gets the run's id instead.
    pub timeout: Duration,
    /// Tells duplicates apart from new messages, if given.
    pub dedupe: Option<DedupeKey>,
}

/// What starts a flow from outside.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    pub webhook: Option<WebhookTrigger>,
    pub mail: Option<MailTrigger>,
}

/// Messages of a mailbox that start a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTrigger {
    /// The mailbox, by its name in the host's configuration.
    pub mailbox: String,
    /// The folder; `INBOX` when the flow does not say.
    pub folder: String,
    /// Where the trigger stands: line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// And as a JSON Pointer (RFC 6901).
    pub path: String,
}

/// How a webhook's caller shows who it is. Secrets are named, never held here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAuth {
    /// It does not.
    None,
    /// By `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// The secret's name.
        secret: String,
    },
    /// By a signature of the body: HMAC (RFC 2104) with SHA-256, in hexadecimal.
    Hmac {
        /// The secret's name.
        secret: String,
        /// The header that carries the signature.
        header: String,
        /// What stands in front of the signature in the header, such as `sha256=`.
        prefix: Option<String>,
        /// The header with the time of signing, in seconds since 1970; signed is then the time, a dot and the body.
        timestamp: Option<String>,
        /// How old, or how far ahead, that time may be.
        tolerance: Duration,
    },
    /// As GitHub signs: `X-Hub-Signature-256: sha256=…`.
    Github {
        /// The secret's name.
        secret: String,
    },
    /// As Stripe signs: `Stripe-Signature: t=…,v1=…`.
    Stripe {
        /// The secret's name.
        secret: String,
        /// How old, or how far ahead, the time of signing may be.
        tolerance: Duration,
    },
    /// As Slack signs: `X-Slack-Signature: v0=…`, not older than 5 minutes.
    Slack {
        /// The secret's name.
        secret: String,
    },
    /// By a client's certificate (mutual TLS), signed by an authority that the host trusts for this.
    Mtls {
        /// Whose certificates are taken: those that have one of these. At least one.
        clients: Vec<ClientName>,
    },
}

/// What a webhook's caller gets back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reply {
    /// The run's id, at once.
    #[default]
    Async,
    /// The flow's output.
    Sync,
}

/// An expression over `{body, headers}` (header names in lower case) that gives a message's key.
#[derive(Debug)]
pub struct DedupeKey(Expr);

impl DedupeKey {
    /// The key of a message: a string, or any other value as JSON. None when it gives null.
    ///
    /// # Errors
    /// The DSL's expression error, status 400.
    pub fn key(&self, message: &Value) -> Result<Option<String>, FlowError> {
        let value = self
            .0
            .eval(&Data::from(message.clone()), &|_| None)
            .map_err(|failure| failure.message)
            .and_then(Data::into_json);
        match value.map_err(FlowError::expression)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Ok(Some(other.to_string())),
        }
    }
}

/// Decodes `trigger`.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Triggers> {
    let object = d.object(at, &["webhook", "mail"])?;
    let mail = object.get_any("mail").map(|at| mail(d, at));
    let webhook = object.get_any("webhook").map(|at| webhook(d, at));
    Some(Triggers { webhook: crate::task::flat(webhook)?, mail: crate::task::flat(mail)? })
}

fn mail(d: &mut Decoder<'_>, at: At<'_>) -> Option<MailTrigger> {
    let (line, column, path) = (at.node.mark.line, at.node.mark.column, at.path.clone());
    let object = d.object(at, &["mailbox", "folder"])?;
    let mailbox = d.required(&object, "mailbox").and_then(|at| token(d, &at));
    let folder = match object.get("folder") {
        None => Some("INBOX".to_owned()),
        Some(at) => match d.text(&at)? {
            folder if !folder.is_empty() && folder.len() <= 200 && !folder.contains(char::is_control) => {
                // The one name that is the same in capitals and not (RFC 3501, section 5.1).
                Some(if folder.eq_ignore_ascii_case("inbox") { "INBOX" } else { folder }.to_owned())
            }
            _ => {
                d.error_hint(&at, "this names no folder", "1 to 200 bytes, such as INBOX or Orders/New");
                None
            }
        },
    };
    Some(MailTrigger { mailbox: mailbox?, folder: folder?, line, column, path })
}

fn webhook(d: &mut Decoder<'_>, at: At<'_>) -> Option<WebhookTrigger> {
    if matches!(at.node.kind, NodeKind::Null) {
        d.error_hint(
            &at,
            "a webhook must say how callers show who they are",
            "write `auth: none` if they need not",
        );
        return None;
    }
    let object = d.object(at, &["auth", "reply", "timeout", "dedupe"])?;
    let auth = match object.get("auth") {
        Some(at) => auth(d, at),
        None => {
            d.error_hint(
                &object.at,
                "\"auth\" is missing",
                "write `auth: none` if callers need not show who they are",
            );
            None
        }
    };
    let reply = match object.get("reply") {
        None => Some(Reply::Async),
        Some(at) => match d.text(&at)? {
            "async" => Some(Reply::Async),
            "sync" => Some(Reply::Sync),
            other => {
                d.error_hint(&at, format!("\"{}\" is not a reply", shorten(other, 40)), "use sync or async");
                None
            }
        },
    };
    let timeout = match object.get("timeout") {
        None => Some(DEFAULT_TIMEOUT),
        Some(at) => duration::fixed(d, &at).and_then(|timeout| {
            if reply == Some(Reply::Async) {
                d.error_hint(
                    &at,
                    "only a synchronous reply has a timeout",
                    "write `reply: sync`, or leave it out",
                );
            }
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                d.error(&at, "a caller waits more than nothing and at most 5 minutes");
                return None;
            }
            Some(timeout)
        }),
    };
    let dedupe = object.get("dedupe").map(|at| expr::decode(d, &at, &Vars::new(&[])).map(DedupeKey));
    Some(WebhookTrigger { auth: auth?, reply: reply?, timeout: timeout?, dedupe: crate::task::flat(dedupe)? })
}

fn auth(d: &mut Decoder<'_>, at: At<'_>) -> Option<WebhookAuth> {
    if let NodeKind::Text(text) = &at.node.kind {
        if text == "none" {
            return Some(WebhookAuth::None);
        }
        d.error_hint(
            &at,
            format!("\"{}\" is not a way to authenticate", shorten(text, 40)),
            "use none, bearer, hmac, github, stripe, slack or mtls",
        );
        return None;
    }
    let object = d.object(at, &["bearer", "hmac", "github", "stripe", "slack", "mtls"])?;
    let [entry] = object.entries() else {
        d.error(
            &object.at,
            "authentication is one of bearer, hmac, github, stripe, slack, mtls, or the word none",
        );
        return None;
    };
    let here = object.at.entry(entry);
    match entry.key.as_str() {
        "mtls" => return client_name::decode(d, here).map(|clients| WebhookAuth::Mtls { clients }),
        "bearer" | "github" | "slack" => {
            let named = d.object(here, &["secret"])?;
            let secret = d.required(&named, "secret").and_then(|at| token(d, &at))?;
            return Some(match entry.key.as_str() {
                "bearer" => WebhookAuth::Bearer { secret },
                "github" => WebhookAuth::Github { secret },
                _ => WebhookAuth::Slack { secret },
            });
        }
        "stripe" => {
            let stripe = d.object(here, &["secret", "tolerance"])?;
            let secret = d.required(&stripe, "secret").and_then(|at| token(d, &at));
            let tolerance = tolerance(d, stripe.get("tolerance"));
            return Some(WebhookAuth::Stripe { secret: secret?, tolerance: tolerance? });
        }
        _ => {}
    }
    let hmac = d.object(here, &["secret", "header", "prefix", "algorithm", "timestamp", "tolerance"])?;
    if let Some(at) = hmac.get("algorithm")
        && d.text(&at)? != "sha256"
    {
        d.error(&at, "the algorithm must be sha256");
        return None;
    }
    let secret = d.required(&hmac, "secret").and_then(|at| token(d, &at));
    let header = d.required(&hmac, "header").and_then(|at| token(d, &at));
    let prefix = hmac.get("prefix").map(|at| d.text(&at).map(str::to_owned));
    let timestamp = hmac.get("timestamp").map(|at| token(d, &at));
    if let Some(at) = hmac.get("tolerance")
        && timestamp.is_none()
    {
        d.error_hint(&at, "without a signed time there is nothing to tolerate", "name its header: timestamp");
    }
    let tolerance = tolerance(d, hmac.get("tolerance"));
    Some(WebhookAuth::Hmac {
        secret: secret?,
        header: header?,
        prefix: crate::task::flat(prefix)?,
        timestamp: crate::task::flat(timestamp)?,
        tolerance: tolerance?,
    })
}

/// How old a signature may be.
fn tolerance(d: &mut Decoder<'_>, at: Option<At<'_>>) -> Option<Duration> {
    let Some(at) = at else { return Some(DEFAULT_TOLERANCE) };
    let tolerance = duration::fixed(d, &at)?;
    if tolerance.is_zero() || tolerance > MAX_TOLERANCE {
        d.error(&at, "a signature may be older than nothing and at most an hour");
        return None;
    }
    Some(tolerance)
}

/// The name of a secret or a header: letters, digits, and `-_.`.
pub(crate) fn token(d: &mut Decoder<'_>, at: &At<'_>) -> Option<String> {
    let text = d.text(at)?;
    let ok = (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !ok {
        d.error(at, "a name here is 1 to 128 letters, digits, and - _ .");
        return None;
    }
    Some(text.to_owned())
}
