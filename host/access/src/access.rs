//! The tokens of one host: opened, and checked request by request.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use factotum_audit::{Actor, AuditLog, Clock, EntryBuilder, Outcome};
use factotum_store::{ScanRange, Store, Table};
use subtle::ConstantTimeEq;

use crate::{
    AccessError, Caller, Refusal, RefusalKind, Source, TokenState,
    limiter::{Limiter, Verdict},
    record::{Live, Record, shown},
    token::{self, TokenDigest},
};

/// Records that are read or written at once.
pub(crate) const PAGE: usize = 500;
/// Longer texts are not even digested.
const LONGEST_SHOWN: usize = 1024;

/// The tokens of one host, and the limit on failed attempts; clones share them. Only one may be open on a [`Store`].
#[derive(Clone)]
pub struct Access {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) audit: AuditLog,
    clock: Clock,
    started: Instant,
    limiter: Limiter,
    /// Held for the whole of every change.
    admin: Mutex<()>,
    tokens: RwLock<Tokens>,
}

#[derive(Default)]
pub(crate) struct Tokens {
    pub(crate) by_name: BTreeMap<String, Arc<Live>>,
    /// The map's hash is keyed at random for each process, so that how long a look-up takes says nothing about
    /// digests.
    by_digest: HashMap<TokenDigest, Arc<Live>>,
}

impl Tokens {
    pub(crate) fn insert(&mut self, live: Live) {
        let live = Arc::new(live);
        self.by_digest.insert(live.record.digest, Arc::clone(&live));
        self.by_name.insert(live.name.clone(), live);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(live) = self.by_name.remove(name) {
            self.by_digest.remove(&live.record.digest);
        }
    }
}

impl Access {
    /// Opens the tokens of a store. `audit` must be the log whose linker the store was opened with. A record that
    /// cannot be read opens nothing and is logged.
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

    /// A refusal that counts against the source's allowance; past it, it becomes [`RefusalKind::TooManyFailures`].
    /// For credentials that are checked elsewhere (a webhook's signature); [`Access::authenticate`] does it by
    /// itself.
    #[must_use]
    pub fn refuse(&self, kind: RefusalKind, actor: Actor, source: Source) -> Refusal {
        let kind = match self.inner.limiter.fail(source, self.elapsed()) {
            Verdict::Within => kind,
            Verdict::Past(wait) => RefusalKind::TooManyFailures(wait),
        };
        Refusal::new(kind, actor, Some(source))
    }

    /// Whether a source may try a credential that people chose. Ask before comparing, and [`Access::refuse`] after
    /// a failure.
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

    /// Audit entries for the refusals past the limit since the last call, one for each source. Call it every minute
    /// or so, and at the end; commit them in one batch.
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

    pub(crate) fn find(&self, digest: &TokenDigest) -> Option<Arc<Live>> {
        let live = self.read(|tokens| tokens.by_digest.get(digest).cloned())?;
        bool::from(live.record.digest.ct_eq(digest)).then_some(live)
    }

    pub(crate) fn named(&self, name: &str) -> Option<Arc<Live>> {
        self.read(|tokens| tokens.by_name.get(name).cloned())
    }

    pub(crate) fn read<T>(&self, with: impl FnOnce(&Tokens) -> T) -> T {
        with(&self.inner.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write(&self, with: impl FnOnce(&mut Tokens)) {
        with(&mut self.inner.tokens.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn admin(&self) -> MutexGuard<'_, ()> {
        self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
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

fn system_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
