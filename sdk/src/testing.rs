//! Native stand-ins for every capability, so that `cargo test` runs a plugin's logic without a sandbox.
//!
//! Each test thread has a [`World`] of its own, empty at first. Nothing here exists in the built component.
//!
//! ```
//! use factotum_sdk::{testing, http::{Request, Response}};
//!
//! testing::reset();
//! testing::set_config("base-url", "https://erp.example");
//! testing::on_http(|request| Ok(Response { status: 200, headers: vec![], body: request.url.clone().into_bytes() }));
//! assert_eq!(Request::get("https://erp.example/x").send().unwrap().body, b"https://erp.example/x");
//! ```

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{
    Fault,
    artifacts::Artifact,
    context::Context,
    http::{Request, Response},
    mail::{Attachment, Message, Receipt},
};

type HttpHandler = Rc<dyn Fn(&Request) -> Result<Response, Fault>>;

/// Everything outside of the plugin, as the test set it up and as the plugin left it.
pub struct World {
    /// What `config::get` answers.
    pub config: BTreeMap<String, String>,
    /// The buckets, by name.
    pub buckets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// What `context::current` answers.
    pub context: Context,
    /// The mails sent, with the idempotency key each was sent under.
    pub mails: Vec<(String, Message)>,
    /// The artifacts stored.
    pub artifacts: Vec<(Artifact, Vec<u8>)>,
    /// The HTTP requests sent.
    pub requests: Vec<Request>,
    /// The fault the next mail meets, instead of being sent.
    pub mail_fault: Option<Fault>,
    http: Option<HttpHandler>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            config: BTreeMap::new(),
            buckets: BTreeMap::new(),
            context: Context {
                run_id: Some("test-run".into()),
                flow: Some("test/flow".into()),
                task: Some("/do/0/test".into()),
                attempt: 1,
                idempotency_key: "test-key-1".into(),
                remaining_ms: 30_000,
            },
            mails: Vec::new(),
            artifacts: Vec::new(),
            requests: Vec::new(),
            mail_fault: None,
            http: None,
        }
    }
}

impl World {
    pub(crate) fn send_mail(&mut self, message: &Message) -> Result<Receipt, Fault> {
        if let Some(fault) = self.mail_fault.take() {
            return Err(fault);
        }
        for attachment in &message.attachments {
            if let Attachment::Artifact(id) = attachment
                && !self.artifacts.iter().any(|(a, _)| a.id == *id)
            {
                return Err(Fault::not_found(format!("artifact {id}")));
            }
        }
        let key = self.context.idempotency_key.clone();
        let repeated = self.mails.iter().any(|(sent, _)| *sent == key);
        if !repeated {
            self.mails.push((key.clone(), message.clone()));
        }
        Ok(Receipt { message_id: format!("<{key}@test>"), repeated })
    }

    pub(crate) fn put_artifact(&mut self, name: &str, media_type: &str, content: &[u8]) -> Artifact {
        let artifact = Artifact {
            id: format!("artifact-{}", self.artifacts.len().saturating_add(1)),
            name: name.into(),
            media_type: media_type.into(),
            size: content.len() as u64,
            // The stand-in does not hash; the host does.
            sha256: "0".repeat(64),
        };
        self.artifacts.push((artifact.clone(), content.to_vec()));
        artifact
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::default());
}

/// Reads or changes this thread's world.
pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|world| f(&mut world.borrow_mut()))
}

/// Empties this thread's world.
pub fn reset() {
    with(|world| *world = World::default());
}

/// Sets a configuration value.
pub fn set_config(key: &str, value: &str) {
    with(|world| world.config.insert(key.into(), value.into()));
}

/// Sets the idempotency key, as if another task were calling.
pub fn set_idempotency_key(key: &str) {
    with(|world| world.context.idempotency_key = key.into());
}

/// Sets who answers HTTP requests. Without one, every request is denied, as without a grant.
pub fn on_http(handler: impl Fn(&Request) -> Result<Response, Fault> + 'static) {
    with(|world| world.http = Some(Rc::new(handler)));
}

pub(crate) fn answer_http(request: &Request) -> Result<Response, Fault> {
    // The handler runs outside of the borrow, so that it may look at the world.
    let handler = with(|world| {
        world.requests.push(request.clone());
        world.http.clone()
    });
    match handler {
        Some(handler) => handler(request),
        None => Err(Fault::denied(format!(
            "HTTP request: {} {}: the test granted none",
            request.method, request.url
        ))),
    }
}
