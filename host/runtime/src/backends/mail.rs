//! Mail out, each mail once per idempotency key.
//!
//! Order: look for a record of an earlier attempt; send; commit record and audit entry in one batch. Between the server's
//! "taken" and our commit lies a moment in which a crash loses the record. The mail is then sent again by the repeated
//! call, under the same `Message-ID`, which is made from the idempotency key: receiving systems show it once. No protocol
//! closes this gap (SMTP has no transactions with the sender); committing before sending would lose mails instead.
//!
//! A call may send several mails. They are told apart by recipients and subject, which a repeated attempt repeats; the
//! text may contain a time and is not looked at.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use factotum_audit::AuditLog;
use factotum_sandbox::{CallContext, CallFault, MailMessage, MailOut, MailReceipt};
use factotum_store::{Batch, Store, Table};
use serde::{Deserialize, Serialize};

use super::{Courier, store_fault};
use crate::audit;
use crate::clock::Clock;
use crate::ids::digest_parts;

/// Sends mails through a courier, and remembers which were sent.
pub(crate) struct MailBackend {
    store: Store,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    courier: Arc<dyn Courier>,
    /// Mails being sent at this moment, by key.
    in_flight: Mutex<HashSet<String>>,
}

/// The record of a mail that was sent.
#[derive(Serialize, Deserialize)]
struct Sent {
    message_id: String,
    at: u64,
    plugin: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    run: Option<String>,
}

impl MailBackend {
    pub fn new(store: Store, audit: AuditLog, clock: Arc<dyn Clock>, courier: Arc<dyn Courier>) -> Self {
        Self { store, audit, clock, courier, in_flight: Mutex::default() }
    }

    async fn send_once(
        &self,
        plugin: &str,
        context: &CallContext,
        message: MailMessage,
        key: &str,
    ) -> Result<MailReceipt, CallFault> {
        if let Some(stored) = self.store.get(Table::Mail, key.as_bytes()).map_err(|e| store_fault(&e))? {
            let sent: Sent = serde_json::from_slice(&stored).map_err(|e| {
                CallFault::technical("internal", format!("the record of a sent mail is damaged: {e}"))
            })?;
            return Ok(MailReceipt { message_id: sent.message_id, repeated: true });
        }
        let recipients = recipients(&message).join(", ");
        let receipt = self.courier.deliver(message, key).await?;
        let sent = Sent {
            message_id: receipt.message_id.clone(),
            at: self.clock.now_ms(),
            plugin: plugin.to_owned(),
            run: context.run_id.clone(),
        };
        let record =
            serde_json::to_vec(&sent).map_err(|e| CallFault::technical("internal", e.to_string()))?;
        let mut batch = Batch::new();
        batch.put(Table::Mail, key, record);
        let (run, task) = (context.run_id.as_deref(), context.task.as_deref());
        audit::mail_sent(&mut batch, &self.audit, plugin, run, task, &receipt.message_id, &recipients);
        self.store.commit(batch).await.map_err(|e| store_fault(&e))?;
        Ok(receipt)
    }
}

#[async_trait]
impl MailOut for MailBackend {
    async fn send(
        &self,
        plugin: &str,
        context: &CallContext,
        message: MailMessage,
    ) -> Result<MailReceipt, CallFault> {
        let key = mail_key(plugin, context, &message);
        let _claim = Claim::new(&self.in_flight, &key).ok_or_else(|| {
            CallFault::technical("unavailable", "the same mail is being sent at this moment by another call")
        })?;
        self.send_once(plugin, context, message, &key).await
    }
}

/// What makes a mail the same mail as that of an earlier attempt.
fn mail_key(plugin: &str, context: &CallContext, message: &MailMessage) -> String {
    let mut recipients = recipients(message);
    recipients.sort_unstable();
    let recipients = recipients.join("\n");
    let parts = [plugin, &context.idempotency_key, &recipients, &message.subject];
    digest_parts("mail", &parts.map(str::as_bytes), 16)
}

fn recipients(message: &MailMessage) -> Vec<&str> {
    message.to.iter().chain(&message.cc).map(|mailbox| mailbox.address.as_str()).collect()
}

/// Holds a key among those in flight until dropped, also when the call is cut off.
struct Claim<'a>(&'a Mutex<HashSet<String>>, String);

impl<'a> Claim<'a> {
    fn new(all: &'a Mutex<HashSet<String>>, key: &str) -> Option<Self> {
        let fresh = all.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        fresh.then(|| Self(all, key.to_owned()))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::testing::call_of;
    use crate::clock::manual::ManualClock;
    use factotum_sandbox::MailMailbox;
    use factotum_store::Options;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Counting {
        sent: AtomicU32,
        refuse: bool,
    }

    #[async_trait]
    impl Courier for Counting {
        async fn deliver(&self, _: MailMessage, key: &str) -> Result<MailReceipt, CallFault> {
            if self.refuse {
                return Err(CallFault::technical("unavailable", "451 later"));
            }
            self.sent.fetch_add(1, Ordering::SeqCst);
            Ok(MailReceipt { message_id: format!("<{key}@test>"), repeated: false })
        }
    }

    fn mail(to: &str, subject: &str) -> MailMessage {
        MailMessage {
            sender: None,
            to: vec![MailMailbox { name: None, address: to.into() }],
            cc: vec![],
            reply_to: None,
            subject: subject.into(),
            text: "t".into(),
            html: None,
            in_reply_to: None,
            attachments: vec![],
        }
    }

    fn context(key: &str) -> CallContext {
        CallContext { idempotency_key: key.into(), ..call_of(Some("r")) }
    }

    #[tokio::test]
    async fn a_repeated_attempt_gets_the_receipt_and_sends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (log, linker) = AuditLog::open(dir.path()).unwrap();
        let store =
            Store::in_memory(Options { linker: Some(Box::new(linker)), ..Options::default() }).unwrap();
        let courier = Arc::new(Counting::default());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(5));
        let backend = |courier: Arc<dyn Courier>| {
            MailBackend::new(store.clone(), log.clone(), Arc::clone(&clock), courier)
        };
        let refusing = backend(Arc::new(Counting { refuse: true, ..Counting::default() }));
        assert!(refusing.send("mail", &context("k"), mail("a@b.c", "s")).await.is_err());

        let first = backend(courier.clone()).send("mail", &context("k"), mail("a@b.c", "s")).await.unwrap();
        assert!(!first.repeated, "a refused attempt leaves no record");
        let again = backend(courier.clone()).send("mail", &context("k"), mail("a@b.c", "s")).await.unwrap();
        assert_eq!(again, MailReceipt { repeated: true, ..first.clone() });
        for (key, to, subject) in [("k", "a@b.c", "other"), ("k", "x@b.c", "s"), ("l", "a@b.c", "s")] {
            let other =
                backend(courier.clone()).send("mail", &context(key), mail(to, subject)).await.unwrap();
            assert!(!other.repeated && other.message_id != first.message_id);
        }
        assert_eq!(courier.sent.load(Ordering::SeqCst), 4);
        assert!(log.verify(&store, &[]).unwrap().is_intact());
    }
}
