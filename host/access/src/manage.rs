//! What an administrator does with tokens: makes, lists, revokes and forgets them. Each act is one batch with its
//! audit entry.

use std::{io, sync::Arc, time::Duration};

use factotum_audit::Actor;
use factotum_store::{Batch, StoreError, Table};
use secrecy::SecretString;

use crate::{
    Access, AccessError, MAX_LIFE, MAX_TOKENS, Role, Scope, TokenInfo,
    access::{PAGE, Tokens},
    record::{Live, Record, Revoked, check_name, shown},
    token::{self, TokenDigest},
};

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Its name; never used twice.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// How long it lives; `None` until it is revoked.
    pub life: Option<Duration>,
}

/// A token that was just made. This is the only time its text is to be had.
#[derive(Debug)]
pub struct NewToken {
    /// The token.
    pub token: SecretString,
    /// What is kept of it.
    pub info: TokenInfo,
}

impl Access {
    /// Makes a token.
    ///
    /// # Errors
    /// [`AccessError::Name`], [`AccessError::Namespaces`], [`AccessError::Life`], [`AccessError::Exists`],
    /// [`AccessError::TooMany`], [`AccessError::Store`].
    pub fn create(&self, actor: &Actor, request: &TokenRequest) -> Result<NewToken, AccessError> {
        check_name(&request.name)?;
        request.scope.check()?;
        if request.life.is_some_and(|life| life < Duration::from_secs(1) || life > MAX_LIFE) {
            return Err(AccessError::Life);
        }
        let _admin = self.admin();
        let token = token::generate();
        let info = self.keep(actor, "token.create", request, token::digest_of(&token))?;
        Ok(NewToken { token, info })
    }

    /// All tokens by name, ended ones included.
    #[must_use]
    pub fn list(&self) -> Vec<TokenInfo> {
        let now = self.now();
        self.read(|tokens| tokens.by_name.values().map(|live| live.info(now)).collect())
    }

    /// Ends a token; requests that carry it are refused from now on. Nothing happens to one that is revoked already.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::LastAdmin`], [`AccessError::Store`].
    pub fn revoke(&self, actor: &Actor, name: &str) -> Result<TokenInfo, AccessError> {
        let _admin = self.admin();
        let now = self.now();
        let live = self.named(name).ok_or_else(|| AccessError::NotFound { name: shown(name) })?;
        if live.record.revoked.is_some() {
            return Ok(live.info(now));
        }
        let another = |tokens: &Tokens| {
            tokens.by_name.values().any(|other| other.name != name && other.administers(now))
        };
        if live.administers(now) && !self.read(another) {
            return Err(AccessError::LastAdmin { name: name.to_owned() });
        }
        let mut record = live.current();
        record.revoked = Some(Revoked { at: now, by: actor.to_string() });
        let revoked = Live::new(name.to_owned(), record);
        let mut batch = Batch::new();
        batch.put(Table::Tokens, name, encode(&revoked.record)?);
        let entry = self.inner.audit.entry(actor, "token.revoke", name);
        entry.detail("id", &revoked.id()).detail("role", revoked.record.role.name()).add_to(&mut batch);
        self.inner.store.commit_blocking(batch)?;
        let info = revoked.info(now);
        self.write(|tokens| tokens.insert(revoked));
        Ok(info)
    }

    /// Forgets tokens that were revoked or expired at least `ago` ago; how many. Their names are free again.
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub fn prune(&self, actor: &Actor, ago: Duration) -> Result<usize, AccessError> {
        let _admin = self.admin();
        let before = self.now().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
        let ended = |live: &Live| {
            let revoked = live.record.revoked.as_ref().map(|revoked| revoked.at);
            [revoked, live.record.expires].into_iter().flatten().min().is_some_and(|at| at <= before)
        };
        let due: Vec<_> =
            self.read(|tokens| tokens.by_name.values().filter(|live| ended(live)).cloned().collect());
        for page in due.chunks(PAGE) {
            let mut batch = Batch::new();
            for live in page {
                batch.delete(Table::Tokens, live.name.as_str());
                let entry = self.inner.audit.entry(actor, "token.forget", &live.name);
                entry.detail("id", &live.id()).add_to(&mut batch);
            }
            self.inner.store.commit_blocking(batch)?;
            self.write(|tokens| page.iter().for_each(|live| tokens.remove(&live.name)));
        }
        Ok(due.len())
    }

    /// Puts the hours of last use on disk, where they changed; how many. Call it from time to time and at the end.
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub fn flush(&self) -> Result<usize, AccessError> {
        let _admin = self.admin();
        let changed = |live: &&Arc<Live>| live.last_used() != live.record.last_used;
        let due: Vec<_> = self.read(|tokens| tokens.by_name.values().filter(changed).cloned().collect());
        for page in due.chunks(PAGE) {
            let mut batch = Batch::new();
            let mut stored = Vec::with_capacity(page.len());
            for live in page {
                let record = live.current();
                batch.put(Table::Tokens, live.name.as_str(), encode(&record)?);
                stored.push(Live::new(live.name.clone(), record));
            }
            self.inner.store.commit_blocking(batch)?;
            self.write(|tokens| stored.into_iter().for_each(|live| tokens.insert(live)));
        }
        Ok(due.len())
    }

    /// Sees to it that somebody can administer the host: does nothing when a token can. Otherwise takes over
    /// `present`, the token in the owner's file, when it is one that was never known; else makes one and hands it
    /// to `write`, which puts it into that file (mode 0600) down to the disk. Returns what it made or took over.
    ///
    /// The file comes before the store, so that a crash in between leaves a token that the next start takes over.
    ///
    /// # Errors
    /// [`AccessError::Write`], [`AccessError::TooMany`], [`AccessError::Store`].
    pub fn bootstrap(
        &self,
        present: Option<&str>,
        write: impl FnOnce(&SecretString) -> io::Result<()>,
    ) -> Result<Option<TokenInfo>, AccessError> {
        let _admin = self.admin();
        let now = self.now();
        if self.read(|tokens| tokens.by_name.values().any(|live| live.administers(now))) {
            return Ok(None);
        }
        let present = present
            .map(str::trim)
            .filter(|text| token::is_whole(text))
            .map(token::digest)
            .filter(|digest| self.find(digest).is_none());
        let digest = match present {
            Some(digest) => digest,
            None => {
                let made = token::generate();
                write(&made).map_err(AccessError::Write)?;
                token::digest_of(&made)
            }
        };
        let free = |name: &String| self.named(name).is_none();
        let mut names = std::iter::once("admin".to_owned()).chain((2..).map(|n: u32| format!("admin-{n}")));
        let name = names.find(free).unwrap_or_default();
        let request = TokenRequest { name, role: Role::Admin, scope: Scope::Host, life: None };
        self.keep(&Actor::System, "token.bootstrap", &request, digest).map(Some)
    }

    /// Stores a token's record with its audit entry.
    fn keep(
        &self,
        actor: &Actor,
        action: &str,
        request: &TokenRequest,
        digest: TokenDigest,
    ) -> Result<TokenInfo, AccessError> {
        let now = self.now();
        let name = request.name.as_str();
        if self.named(name).is_some() {
            return Err(AccessError::Exists { name: name.to_owned() });
        }
        if self.read(|tokens| tokens.by_name.len()) >= MAX_TOKENS {
            return Err(AccessError::TooMany);
        }
        let life = request.life.map(|life| i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let live = Live::new(
            name.to_owned(),
            Record {
                digest,
                role: request.role,
                scope: request.scope.clone(),
                created: now,
                created_by: actor.to_string(),
                expires: life.map(|life| now.saturating_add(life)),
                revoked: None,
                last_used: None,
            },
        );
        let mut batch = Batch::new();
        batch.put_new(Table::Tokens, name, encode(&live.record)?);
        let mut entry = self
            .inner
            .audit
            .entry(actor, action, name)
            .detail("id", &live.id())
            .detail("role", request.role.name());
        if let Scope::Namespaces(names) = &request.scope {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            entry = entry.detail("namespaces", &names.join(", "));
        }
        if let Some(life) = request.life {
            entry = entry.detail("life-seconds", &life.as_secs().to_string());
        }
        entry.add_to(&mut batch);
        self.inner.store.commit_blocking(batch).map_err(|error| match error {
            // A record under this name that could not be read when the store was opened.
            StoreError::Conflict { table: Table::Tokens, .. } => {
                AccessError::Exists { name: name.to_owned() }
            }
            other => other.into(),
        })?;
        let info = live.info(now);
        self.write(|tokens| tokens.insert(live));
        Ok(info)
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, AccessError> {
    serde_json::to_vec(record).map_err(|error| StoreError::Invalid(error.to_string()).into())
}
