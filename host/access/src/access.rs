//! The tokens of one host: made, listed, revoked, checked.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use factotum_audit::{Actor, AuditLog, Clock, EntryBuilder, Outcome};
use factotum_store::{Batch, ScanRange, Store, StoreError, Table};
use secrecy::SecretString;
use subtle::ConstantTimeEq;

use crate::{
    AccessError, Caller, MAX_LIFE, MAX_TOKENS, Refusal, RefusalKind, Role, Scope, Source, TokenInfo,
    TokenState,
    limiter::{Limiter, Verdict},
    record::{Live, Record, Revoked, check_name, shown},
    token::{self, TokenDigest},
};

/// Records that are read or written at once.
const PAGE: usize = 500;
/// Longer texts are not even digested.
const LONGEST_SHOWN: usize = 1024;

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

/// The tokens of one host, and the limit on failed attempts; clones share them. Only one may be open on a [`Store`].
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    audit: AuditLog,
    clock: Clock,
    started: Instant,
    limiter: Limiter,
    /// Held for the whole of every change.
    admin: Mutex<()>,
    tokens: RwLock<Tokens>,
}

#[derive(Default)]
struct Tokens {
    by_name: BTreeMap<String, Arc<Live>>,
    /// The map's hash is keyed at random for each process, so that how long a look-up takes says nothing about digests.
    by_digest: HashMap<TokenDigest, Arc<Live>>,
}

impl Tokens {
    fn insert(&mut self, live: Live) {
        let live = Arc::new(live);
        self.by_digest.insert(live.record.digest, Arc::clone(&live));
        self.by_name.insert(live.name.clone(), live);
    }

    fn remove(&mut self, name: &str) {
        if let Some(live) = self.by_name.remove(name) {
            self.by_digest.remove(&live.record.digest);
        }
    }
}

impl Access {
    /// Opens the tokens of a store. `audit` must be the log whose linker the store was opened with. A record that cannot be read opens nothing
    /// and is logged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Store, audit: AuditLog) -> Result<Self, AccessError> {
        Self::open_with_clock(store, audit, Arc::new(system_clock))
    }

    /// [`Access::open`] with another clock (milliseconds since 1970), for tests of expiry.
    ///
    /// # Errors
    /// Like [`Access::open`].
    pub fn open_with_clock(store: Store, audit: AuditLog, clock: Clock) -> Result<Self, AccessError> {
        let mut tokens = Tokens::default();
        let mut cursor = None;
        loop {
            let page = store.scan(Table::Tokens, &ScanRange::default().after(cursor.take()).limit(PAGE))?;
            let Some((last, _)) = page.last() else { break };
            cursor = Some(last.clone());
            for (key, value) in page {
                match (String::from_utf8(key), serde_json::from_slice::<Record>(&value)) {
                    (Ok(name), Ok(record)) => tokens.insert(Live::new(name, record)),
                    (name, record) => {
                        let key = shown(&name.unwrap_or_else(|error| hex::encode(error.as_bytes())));
                        let error = record.err().map(|error| error.to_string()).unwrap_or_default();
                        tracing::error!(
                            token = key,
                            error,
                            "a token's record cannot be read; the token opens nothing"
                        );
                    }
                }
            }
        }
        let (limiter, started) = (Limiter::default(), Instant::now());
        let (admin, tokens) = (Mutex::new(()), RwLock::new(tokens));
        Ok(Self { inner: Arc::new(Inner { store, audit, clock, started, limiter, admin, tokens }) })
    }

    /// Who shows this token, the text after `Bearer`. Notes the use, by the hour.
    ///
    /// # Errors
    /// The refusal, for the answer and for the audit log.
    pub fn authenticate(&self, shown: Option<&str>, source: Source) -> Result<Caller, Refusal> {
        let now = self.now();
        let (kind, actor) = match shown.map(str::trim).filter(|text| !text.is_empty()) {
            None => (RefusalKind::Missing, Actor::Anonymous),
            Some(text) if text.len() > LONGEST_SHOWN || !token::is_whole(text) => {
                (RefusalKind::Malformed, Actor::Anonymous)
            }
            Some(text) => match self.find(&token::digest(text)) {
                None => (RefusalKind::Unknown, Actor::Anonymous),
                Some(live) => match live.state(now) {
                    TokenState::Active => {
                        live.used(now);
                        return Ok(Caller::new(live, source));
                    }
                    TokenState::Expired => (RefusalKind::Expired, Actor::Token(live.name.clone())),
                    TokenState::Revoked => (RefusalKind::Revoked, Actor::Token(live.name.clone())),
                },
            },
        };
        Err(self.refuse(kind, actor, source))
    }

    /// A refusal that counts against the source's allowance; past it, it becomes [`RefusalKind::TooManyFailures`]. For credentials that
    /// are checked elsewhere (a webhook's signature); [`Access::authenticate`] does it by itself.
    #[must_use]
    pub fn refuse(&self, kind: RefusalKind, actor: Actor, source: Source) -> Refusal {
        let kind = match self.inner.limiter.fail(source, self.elapsed()) {
            Verdict::Within => kind,
            Verdict::Past(wait) => RefusalKind::TooManyFailures(wait),
        };
        Refusal::new(kind, actor, Some(source))
    }

    /// Whether a source may try a credential that people chose. Ask before comparing, and [`Access::refuse`] after a failure.
    ///
    /// # Errors
    /// [`RefusalKind::TooManyFailures`].
    pub fn permit(&self, source: Source) -> Result<(), Refusal> {
        match self.inner.limiter.blocked(source, self.elapsed()) {
            None => Ok(()),
            Some(wait) => {
                Err(Refusal::new(RefusalKind::TooManyFailures(wait), Actor::Anonymous, Some(source)))
            }
        }
    }

    /// Audit entries for the refusals past the limit since the last call, one for each source. Call it every minute or so, and
    /// at the end; commit them in one batch.
    pub fn take_counted(&self) -> Vec<EntryBuilder<'_>> {
        let counted = self.inner.limiter.take_counted();
        counted
            .into_iter()
            .map(|(source, count)| {
                let source = source.map_or_else(|| "several".to_owned(), |source| source.to_string());
                self.inner
                    .audit
                    .entry(&Actor::Anonymous, "auth.refused", "several requests")
                    .outcome(Outcome::Denied)
                    .detail("reason", "too-many-failures")
                    .detail("source", &source)
                    .detail("count", &count.to_string())
            })
            .collect()
    }

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

    /// Sees to it that somebody can administer the host: does nothing when a token can. Otherwise takes over `present`, the token in the
    /// owner's file, when it is one that was never known; else makes one and hands it to `write`, which puts it into that file (mode 0600)
    /// down to the disk. Returns what it made or took over.
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

    fn find(&self, digest: &TokenDigest) -> Option<Arc<Live>> {
        let live = self.read(|tokens| tokens.by_digest.get(digest).cloned())?;
        bool::from(live.record.digest.ct_eq(digest)).then_some(live)
    }

    fn named(&self, name: &str) -> Option<Arc<Live>> {
        self.read(|tokens| tokens.by_name.get(name).cloned())
    }

    fn read<T>(&self, with: impl FnOnce(&Tokens) -> T) -> T {
        with(&self.inner.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, with: impl FnOnce(&mut Tokens)) {
        with(&mut self.inner.tokens.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn admin(&self) -> MutexGuard<'_, ()> {
        self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        (self.inner.clock)()
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.inner.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.read(|tokens| tokens.by_name.len());
        f.debug_struct("Access").field("tokens", &tokens).finish_non_exhaustive()
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, AccessError> {
    serde_json::to_vec(record).map_err(|error| StoreError::Invalid(error.to_string()).into())
}

fn system_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
