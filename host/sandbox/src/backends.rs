//! What the sandbox needs of the rest of the host: one trait for each kind of effect.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factotum_egress::{Egress, EgressError, Limits, Login, Policy};
use factotum_grant::KeyValueGrant;
use factotum_provenance::Labels;

use crate::{CallContext, CallFault};

/// The effects behind the capabilities.
#[derive(Clone)]
pub struct Backends {
    /// Behind `wasi:keyvalue`.
    pub key_value: Arc<dyn KeyValue>,
    /// Behind `factotum:host/mail-out`.
    pub mail: Arc<dyn MailOut>,
    /// Behind `factotum:host/artifacts`.
    pub artifacts: Arc<dyn Artifacts>,
    /// Behind `wasi:http/outgoing-handler`: [`Egress`], the one door out, or what answers in its stead.
    pub egress: Arc<dyn HttpOut>,
    /// Whose data the stored places hold.
    pub labels: Arc<dyn StoredLabels>,
}

/// Answers HTTP requests.
#[async_trait]
pub trait HttpOut: Send + Sync {
    /// Sends one request when `policy` allows it, and brings the whole answer.
    async fn send(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError>;

    /// The same, signed in on the way.
    async fn send_as(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: &Login,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError>;
}

#[async_trait]
impl HttpOut for Egress {
    async fn send(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        self.send_under(policy, request, limits).await
    }

    async fn send_as(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: &Login,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        Egress::send_as(self, policy, request, login, limits).await
    }
}

/// A store that did not do what was asked. The plugin reads the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(pub String);

/// Durable keys and values. `namespace` is chosen by the sandbox, never by the plugin.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// The value under `key`.
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, BackendError>;
    /// The values under `keys`, in that order.
    async fn get_many(&self, namespace: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, BackendError>;
    /// Puts all pairs or none of them, within the quota.
    async fn set_many(
        &self,
        namespace: &str,
        pairs: Vec<(String, Vec<u8>)>,
        quota: &KeyValueGrant,
    ) -> Result<(), BackendError>;
    /// Takes all keys away.
    async fn delete_many(&self, namespace: &str, keys: &[String]) -> Result<(), BackendError>;
    /// Whether `key` is there.
    async fn exists(&self, namespace: &str, key: &str) -> Result<bool, BackendError>;
    /// At most `limit` keys in the order of their bytes, from position `cursor`, and the next position if there is more.
    async fn list_keys(
        &self,
        namespace: &str,
        cursor: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<u64>), BackendError>;
    /// Adds `delta` to the decimal number under `key`, atomically, and returns the sum.
    async fn increment(
        &self,
        namespace: &str,
        key: &str,
        delta: u64,
        quota: &KeyValueGrant,
    ) -> Result<u64, BackendError>;
}

/// Whose data stored places hold, so that nothing is laundered by storing it. Coarse: a place has one set of labels, which
/// only grows.
#[async_trait]
pub trait StoredLabels: Send + Sync {
    /// The labels of all that `place` may hold.
    async fn labels(&self, place: &str) -> Result<Labels, BackendError>;
    /// Notes, durably and before it is written, that `place` will hold data with these labels.
    async fn mark(&self, place: &str, labels: &Labels) -> Result<(), BackendError>;
}

/// A mailbox (RFC 5322, section 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailMailbox {
    /// The name shown to people.
    pub name: Option<String>,
    /// The address.
    pub address: String,
}

/// A file that travels with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAttachment {
    /// The file's name.
    pub name: String,
    /// The media type.
    pub media_type: String,
    /// The bytes.
    pub content: Vec<u8>,
}

/// A mail that passed the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailMessage {
    /// The sender; the host's default when absent.
    pub sender: Option<MailMailbox>,
    /// The recipients.
    pub to: Vec<MailMailbox>,
    /// Recipients of a copy.
    pub cc: Vec<MailMailbox>,
    /// Where answers go.
    pub reply_to: Option<MailMailbox>,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// The `Message-ID` this answers.
    pub in_reply_to: Option<String>,
    /// Files that travel with the mail.
    pub attachments: Vec<MailAttachment>,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailReceipt {
    /// Its `Message-ID`.
    pub message_id: String,
    /// Whether an earlier attempt had already sent it.
    pub repeated: bool,
}

/// Sends mails, each idempotency key once.
#[async_trait]
pub trait MailOut: Send + Sync {
    /// Sends one mail on behalf of `plugin`.
    async fn send(
        &self,
        plugin: &str,
        context: &CallContext,
        message: MailMessage,
    ) -> Result<MailReceipt, CallFault>;
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactInfo {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
}

/// Stores files.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Stores a file on behalf of `plugin`.
    async fn put(
        &self,
        plugin: &str,
        context: &CallContext,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<ArtifactInfo, CallFault>;
    /// Reads a file that `plugin` stored, or that came with what started the run at hand.
    async fn get(&self, plugin: &str, context: &CallContext, id: &str) -> Result<Vec<u8>, CallFault>;
    /// What is known of such a file.
    async fn info(&self, plugin: &str, context: &CallContext, id: &str) -> Result<ArtifactInfo, CallFault>;
    /// At most `limit` of the files that `plugin` stored in the run at hand, by identifier, after the one named.
    async fn list(
        &self,
        plugin: &str,
        context: &CallContext,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ArtifactInfo>, CallFault>;
}
