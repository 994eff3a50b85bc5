//! What a plugin may do at this moment: asked at each effect, so that what is taken back is gone at the next one.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use factotum_egress::{EgressError, Hold, Policy};
use factotum_grant::{Capability, Denial, Effective, Grants, HttpRequest, Narrowing, Permit, TooManyRules};
use factotum_provenance::{Carried, Labels};
use tokio::sync::Semaphore;

use crate::{
    meter::{Ledger, RuleMeter},
    plugin::Identity,
};

/// The rights of a plugin, replaced whole.
pub(crate) struct Rights {
    asked: Narrowing,
    live: RwLock<Arc<Live>>,
}

/// The rights as they were set at one time.
pub(crate) struct Live {
    /// No two that were ever set in this process have the same.
    generation: u64,
    pub(crate) grants: Arc<Grants>,
    /// What the manifest asked for of what was granted.
    plain: Arc<Effective>,
    /// For each granted HTTP rule.
    meters: Vec<Arc<RuleMeter>>,
}

impl Live {
    fn new(asked: &Narrowing, grants: Grants, ledger: &Ledger) -> Result<Self, TooManyRules> {
        let plain = Arc::new(Effective::new(asked, &grants, &Narrowing::default())?);
        let meters = ledger.meters(&grants.http);
        Ok(Self { generation: generation(), grants: Arc::new(grants), plain, meters })
    }
}

/// A number that nobody had before.
fn generation() -> u64 {
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    GENERATION.fetch_add(1, Ordering::Relaxed)
}

impl Rights {
    pub(crate) fn new(asked: Narrowing, grants: Grants, ledger: &Ledger) -> Result<Self, TooManyRules> {
        let live = RwLock::new(Arc::new(Live::new(&asked, grants, ledger)?));
        Ok(Self { asked, live })
    }

    /// Those of someone who was granted nothing.
    pub(crate) fn nothing() -> Self {
        let grants = Grants::default();
        let plain = Arc::new(Effective::nothing_of(&grants));
        let live = Live { generation: generation(), grants: Arc::new(grants), plain, meters: Vec::new() };
        Self { asked: Narrowing::default(), live: RwLock::new(Arc::new(live)) }
    }

    pub(crate) fn set(&self, grants: Grants, ledger: &Ledger) -> Result<(), TooManyRules> {
        let live = Arc::new(Live::new(&self.asked, grants, ledger)?);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    pub(crate) fn check(&self, grants: &Grants) -> Result<(), TooManyRules> {
        Effective::new(&self.asked, grants, &Narrowing::default()).map(|_| ())
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `holder` may do at this moment, where a flow may leave less of it.
    pub(crate) fn now(&self, holder: &str, narrowed: Option<&Narrowed>) -> Now {
        let live = self.live();
        let effective = match narrowed {
            None => Arc::clone(&live.plain),
            Some(narrowed) => narrowed.of(holder, self, &live),
        };
        Now { live, effective }
    }

    /// The right that is left by a flow's narrowing.
    pub(crate) fn narrowed(&self, by: &Narrowing) -> Result<Effective, TooManyRules> {
        Effective::new(&self.asked, &self.live().grants, by)
    }
}

/// What a deployed flow leaves of a plugin's rights at one task. Made once, when the flow is deployed, and shared by all
/// calls of the task: the right that is left is worked out once for each change of the grants.
pub struct Narrowed {
    by: Narrowing,
    /// The calls at one time that the narrowing leaves.
    pub(crate) places: Option<Arc<Semaphore>>,
    known: Mutex<Option<(u64, Arc<Effective>)>>,
}

impl std::fmt::Debug for Narrowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Narrowed").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Narrowed {
    /// A narrowing, to be shared by the calls it is for.
    #[must_use]
    pub fn new(by: Narrowing) -> Self {
        let most = by.limits.as_ref().and_then(|limits| limits.concurrency);
        // A semaphore holds at least 2^29 places.
        let places = most.map(|most| Arc::new(Semaphore::new(most.clamp(1, 1 << 20) as usize)));
        Self { by, places, known: Mutex::default() }
    }

    /// What it leaves, as it is written.
    #[must_use]
    pub fn narrowing(&self) -> &Narrowing {
        &self.by
    }

    fn of(&self, holder: &str, rights: &Rights, live: &Live) -> Arc<Effective> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, right)) = &*known
            && *generation == live.generation
        {
            return Arc::clone(right);
        }
        let right = Effective::new(&rights.asked, &live.grants, &self.by).unwrap_or_else(|error| {
            // Deploying checks this; a grant that grew since then may still come to it.
            tracing::error!(holder, %error, "a flow's narrowing leaves nothing of the grant");
            Effective::nothing_of(&live.grants)
        });
        let right = Arc::new(right);
        *known = Some((live.generation, Arc::clone(&right)));
        right
    }
}

/// Whose right an effect asks for: that of a plugin, in a call that a flow may have narrowed.
#[derive(Clone)]
pub(crate) struct Right {
    pub(crate) identity: Arc<Identity>,
    narrowed: Option<Arc<Narrowed>>,
}

impl Right {
    pub(crate) fn new(identity: Arc<Identity>, narrowed: Option<Arc<Narrowed>>) -> Self {
        Self { identity, narrowed }
    }

    /// The right at this moment. Costs a lock and two counts while the grants stay what they are.
    pub(crate) fn now(&self) -> Now {
        self.identity.rights.now(&self.identity.name, self.narrowed.as_deref())
    }
}

/// The right at one moment, to check one effect by.
pub(crate) struct Now {
    live: Arc<Live>,
    pub(crate) effective: Arc<Effective>,
}

impl Now {
    /// Where the plugin's own data comes from: its name, with the classes that its grant names.
    pub(crate) fn own_labels(&self, identity: &Identity) -> Labels {
        self.labels_of(&identity.name)
    }

    /// Where data from `origin` comes from, with the classes that the grant names.
    pub(crate) fn labels_of(&self, origin: &str) -> Labels {
        let classes = &self.live.grants.data.sensitivity;
        Labels::from_origin(origin, classes.iter().map(String::as_str))
    }

    /// Counts a mail against the plugin's mails an hour. Says whether there is anything to count it against.
    pub(crate) fn begin_mail(&self, ledger: &Ledger) -> Result<bool, TooOften> {
        let most = self.effective.grants().mail.as_ref().and_then(|grant| grant.per_hour);
        let Some(most) = most else { return Ok(false) };
        let counted = ledger.mails.take(most).map(|()| true);
        counted.map_err(|after| TooOften::new(Capability::Mail, "mails", most, after))
    }

    /// Counts an artifact against the plugin's artifacts an hour.
    pub(crate) fn begin_artifact(&self, ledger: &Ledger) -> Result<(), TooOften> {
        let most = self.effective.grants().artifacts.as_ref().and_then(|grant| grant.per_hour);
        let Some(most) = most else { return Ok(()) };
        ledger
            .artifacts
            .take(most)
            .map_err(|after| TooOften::new(Capability::Artifacts, "artifacts", most, after))
    }
}

/// More of something than an hour allows.
pub(crate) struct TooOften {
    pub(crate) denial: Denial,
    pub(crate) retry_after: Duration,
}

impl TooOften {
    fn new(capability: Capability, what: &str, most: u32, retry_after: Duration) -> Self {
        let message = format!("{most} {what} in an hour; granted are no more");
        let mend = format!("[{capability}]\nper-hour = {}", most.saturating_add(1));
        Self { denial: Denial { capability, message, mend }, retry_after }
    }
}

/// The right at one moment, and the data that a request may carry out.
pub(crate) struct Carrying {
    pub(crate) now: Now,
    pub(crate) data: Carried,
}

impl Policy for Carrying {
    fn check(&self, request: &HttpRequest<'_>) -> Result<Permit<'_>, Denial> {
        self.now.effective.check_http_with(request, &self.data)
    }

    fn check_as(&self, request: &HttpRequest<'_>, secrets: &[&str]) -> Result<Permit<'_>, Denial> {
        self.now.effective.check_http_as(request, &self.data, secrets)
    }

    fn begin(&self, permit: &Permit<'_>) -> Result<Hold, EgressError> {
        match self.now.live.meters.get(permit.index) {
            Some(meter) => meter.begin(permit.rule),
            None => Ok(None),
        }
    }
}
