//! How a host is set up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use factotum_egress::{EgressConfig, NoSecrets, Resolve, Secrets, SystemResolver};
use factotum_mailbox::MailboxConfig;
use factotum_mailer::MailConfig;
use factotum_secrets::MasterKeys;
use factotum_store::Durability;

use crate::clock::{Clock, SystemClock};

/// How a host is set up. [`HostConfig::new`] gives the defaults.
#[derive(Clone)]
pub struct HostConfig {
    /// The folder for everything the host keeps; made when absent, mode 0700.
    pub data_dir: PathBuf,
    /// Bounds on runs.
    pub limits: Limits,
    /// The most plugin calls at one time; also sizes the pool of instances.
    pub max_calls: u32,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// The store's page cache, in bytes.
    pub store_cache_bytes: u64,
    /// What is to stay free on the disk, in bytes: below it no new work is taken on and runs stand still, below a quarter
    /// of it nothing is written. 0 looks at nothing.
    pub min_free_bytes: u64,
    /// How mail leaves the house. A relative outbox lies in the data folder. The password is looked up in the secrets at each mail.
    pub mail: MailConfig,
    /// Where mail comes in, by name.
    pub mailboxes: BTreeMap<String, MailboxConfig>,
    /// Who is mailed what.
    pub notices: crate::NoticeConfig,
    /// The component that runs flows' scripts; without it, a run that comes to one is parked.
    pub script_engine: Option<PathBuf>,
    /// HTTP out.
    pub egress: EgressConfig,
    /// Resolves host names for HTTP out.
    pub resolver: Arc<dyn Resolve>,
    /// Secrets that the machine's configuration names; they go before the sealed ones of the store.
    pub secrets: Arc<dyn Secrets>,
    /// Where the master key of the sealed secrets comes from; `None` is the host's own file in the data folder.
    pub master_keys: Option<MasterKeys>,
    /// How long what finished runs held, and events, are kept when a flow does not say; for ever when absent.
    pub retention: Option<Duration>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How long calls in flight are given to end when the host stops.
    pub grace: Duration,
}

/// Bounds on runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most runs that execute at one time.
    pub max_active_runs: u32,
    /// The most accepted runs that stand in line for a place, and a tenth more of flows that have few there; further ones
    /// are refused with [`ErrorCode::Busy`](crate::ErrorCode::Busy).
    pub max_queued_runs: usize,
    /// The most accepted runs that the limits of their flows hold back, of all flows together; further ones are refused
    /// with [`ErrorCode::Busy`](crate::ErrorCode::Busy).
    pub max_held_runs: usize,
    /// Whether flows' limits (`document.metadata.limits`) hold.
    pub flow_limits: bool,
    /// The most bytes of a run's input, as JSON. At most 2 MiB.
    pub max_input_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_active_runs: 256,
            max_queued_runs: 10_000,
            max_held_runs: 200_000,
            flow_limits: true,
            max_input_bytes: 1 << 20,
        }
    }
}

impl Limits {
    /// The most input that any configuration can allow, in bytes.
    pub const MAX_INPUT_BYTES: usize = 2 << 20;
}

impl HostConfig {
    /// The defaults for a data folder: mail goes to an outbox in it, no secrets, the machine's clock and resolver.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            limits: Limits::default(),
            max_calls: 128,
            durability: Durability::default(),
            store_cache_bytes: 64 << 20,
            min_free_bytes: 256 << 20,
            mail: MailConfig {
                sender: "Service Desk <desk@example.com>".into(),
                outbox: Some("outbox".into()),
                smtp: None,
            },
            mailboxes: BTreeMap::new(),
            notices: crate::NoticeConfig::default(),
            script_engine: None,
            egress: EgressConfig::default(),
            resolver: Arc::new(SystemResolver),
            secrets: Arc::new(NoSecrets),
            master_keys: None,
            retention: None,
            clock: Arc::new(SystemClock),
            grace: Duration::from_secs(10),
        }
    }
}

impl std::fmt::Debug for HostConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostConfig")
            .field("data_dir", &self.data_dir)
            .field("limits", &self.limits)
            .field("max_calls", &self.max_calls)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
