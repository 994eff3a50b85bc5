//! `factotum:host@0.2.0`, linked beside 0.1.0. What did not change goes to the same code; what is new is here: a plugin's
//! own artifacts can be listed, described, and sent as attachments without passing through the plugin again.

use factotum_grant::Capability;
use wasmtime::component::{HasSelf, Linker};

use super::{
    bindings::factotum::{
        host::{artifacts as artifacts_0_1, run_context as run_context_0_1},
        types::faults::Fault,
    },
    to_guest,
};
use crate::{ArtifactInfo, CallFault, MailAttachment, MailMailbox, MailMessage, state::State};
use bindings::factotum::host::{artifacts, mail_out, run_context};

/// The most attachments of one mail.
const MAX_ATTACHMENTS: usize = 20;
/// The most bytes of all attachments of one mail.
const MAX_ATTACHED_BYTES: u64 = 25 << 20;
/// The most artifacts of one page of a list.
const PAGE: u32 = 100;
/// The longest identifier of an artifact that is looked for, in bytes.
const MAX_ID: usize = 200;

/// What wasmtime makes of the WIT files.
#[allow(
    missing_docs,
    clippy::all,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/factotum-types-0.1.0", "../../wit/factotum-host-0.2.0"],
        inline: "
            package factotum:sandbox;
            world host {
                import factotum:host/run-context@0.2.0;
                import factotum:host/mail-out@0.2.0;
                import factotum:host/artifacts@0.2.0;
            }
        ",
        world: "factotum:sandbox/host",
        imports: { default: async | trappable },
        with: { "factotum:types/faults": crate::capability::bindings::factotum::types::faults },
    });
}

/// Links the interfaces of the capabilities that are wanted.
pub(crate) fn add_to_linker(
    linker: &mut Linker<State>,
    wanted: impl Fn(Capability) -> bool,
) -> wasmtime::Result<()> {
    if wanted(Capability::RunContext) {
        run_context::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    }
    if wanted(Capability::Mail) {
        mail_out::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    }
    if wanted(Capability::Artifacts) {
        artifacts::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    }
    Ok(())
}

impl run_context::Host for State {
    async fn get(&mut self) -> wasmtime::Result<run_context::Context> {
        let c = run_context_0_1::Host::get(self).await?;
        Ok(run_context::Context {
            run_id: c.run_id,
            flow: c.flow,
            task: c.task,
            attempt: c.attempt,
            idempotency_key: c.idempotency_key,
            remaining_ms: c.remaining_ms,
        })
    }
}

impl artifacts::Host for State {
    async fn put(
        &mut self,
        name: String,
        media_type: String,
        content: Vec<u8>,
    ) -> wasmtime::Result<Result<artifacts::Artifact, Fault>> {
        let stored = artifacts_0_1::Host::put(self, name, media_type, content).await?;
        Ok(stored.map(|a| artifacts::Artifact {
            id: a.id,
            name: a.name,
            media_type: a.media_type,
            size: a.size,
            sha256: a.sha256,
        }))
    }

    async fn get(&mut self, id: String) -> wasmtime::Result<Result<Vec<u8>, Fault>> {
        artifacts_0_1::Host::get(self, id).await
    }

    async fn info(&mut self, id: String) -> wasmtime::Result<Result<artifacts::Artifact, Fault>> {
        Ok(self.artifact_info("info", &id).await.map(artifact).map_err(to_guest))
    }

    async fn list(
        &mut self,
        after: Option<String>,
    ) -> wasmtime::Result<Result<Vec<artifacts::Artifact>, Fault>> {
        Ok(self.list_artifacts(after.as_deref()).await.map_err(to_guest))
    }
}

impl mail_out::Host for State {
    async fn send(
        &mut self,
        message: mail_out::Message,
    ) -> wasmtime::Result<Result<mail_out::Receipt, Fault>> {
        let attachments = match self.attachments(message.attachments).await {
            Ok(attachments) => attachments,
            Err(fault) => return Ok(Err(to_guest(fault))),
        };
        let mailbox = |m: mail_out::Mailbox| MailMailbox { name: m.name, address: m.address };
        let message = MailMessage {
            sender: message.sender.map(mailbox),
            to: message.to.into_iter().map(mailbox).collect(),
            cc: message.cc.into_iter().map(mailbox).collect(),
            reply_to: message.reply_to.map(mailbox),
            subject: message.subject,
            text: message.text,
            html: message.html,
            in_reply_to: message.in_reply_to,
            attachments,
        };
        let sent = self.send_mail(message).await.map_err(to_guest);
        Ok(sent.map(|r| mail_out::Receipt { message_id: r.message_id, repeated: r.repeated }))
    }
}

fn artifact(info: ArtifactInfo) -> artifacts::Artifact {
    artifacts::Artifact {
        id: info.id,
        name: info.name,
        media_type: info.media_type,
        size: info.size,
        sha256: info.sha256,
    }
}

impl State {
    async fn artifact_info(&mut self, action: &str, id: &str) -> Result<ArtifactInfo, CallFault> {
        self.check_artifacts(action, id)?;
        if id.len() > MAX_ID {
            return Err(CallFault::business("not-found", "this plugin stored no such artifact"));
        }
        let backend = self.backends().artifacts.clone();
        let result = backend.info(self.plugin_name(), &self.context, id).await;
        self.of_artifacts(action, id, result).await
    }

    async fn list_artifacts(&mut self, after: Option<&str>) -> Result<Vec<artifacts::Artifact>, CallFault> {
        self.check_artifacts("list", "own artifacts of the run")?;
        if after.is_some_and(|after| after.len() > MAX_ID) {
            return Err(CallFault::business("invalid-input", "no artifact has an identifier that long"));
        }
        let backend = self.backends().artifacts.clone();
        let result = backend.list(self.plugin_name(), &self.context, after, PAGE).await;
        let listed = self.of_artifacts("list", "own artifacts of the run", result).await?;
        Ok(listed.into_iter().map(artifact).collect())
    }

    /// The attachments with their bytes. Sizes are asked first, so that the bytes read are bounded; with them the call gets
    /// the labels of the artifacts, before the mail is checked.
    async fn attachments(
        &mut self,
        attachments: Vec<mail_out::Attachment>,
    ) -> Result<Vec<MailAttachment>, CallFault> {
        if attachments.len() > MAX_ATTACHMENTS {
            let found = attachments.len();
            let message = format!("a mail has at most {MAX_ATTACHMENTS} attachments, this one {found}");
            return Err(CallFault::business("invalid-input", message));
        }
        let mut bytes = 0_u64;
        let mut checked = Vec::with_capacity(attachments.len());
        for attachment in attachments {
            let part = match attachment {
                mail_out::Attachment::File(file) => (file.content.len() as u64, Ok(file)),
                mail_out::Attachment::Artifact(id) => {
                    let info = self.artifact_info("attach", &id).await?;
                    (info.size, Err(info))
                }
            };
            bytes = bytes.saturating_add(part.0);
            if bytes > MAX_ATTACHED_BYTES {
                let message =
                    format!("the attachments of a mail have at most {MAX_ATTACHED_BYTES} bytes together");
                return Err(CallFault::business("invalid-input", message));
            }
            checked.push(part.1);
        }
        let backend = self.backends().artifacts.clone();
        let mut ready = Vec::with_capacity(checked.len());
        for part in checked {
            ready.push(match part {
                Ok(file) => {
                    MailAttachment { name: file.name, media_type: file.media_type, content: file.content }
                }
                Err(info) => {
                    let content = backend.get(self.plugin_name(), &self.context, &info.id).await?;
                    MailAttachment { name: info.name, media_type: info.media_type, content }
                }
            });
        }
        Ok(ready)
    }

    fn plugin_name(&self) -> &str {
        &self.identity().name
    }

    /// Whether artifacts are granted at this moment.
    fn check_artifacts(&self, action: &str, target: &str) -> Result<(), CallFault> {
        self.right().effective.check_capability(Capability::Artifacts).map_err(|denial| {
            self.deny(action, target, &denial);
            CallFault::business("denied", denial.message)
        })
    }
}
