//! Puts the rooms together: durable runs, retries, timers, installs, deployments.
//!
//! [`Host`] is the whole of it for the server and the command line. Inside, `runs` knows no plugins (it calls resolved
//! actions through a trait) and `plugins` knows no runs; `flows` turns documents into deployments; `backends` is what
//! plugins' capabilities do.
//!
//! What is promised: when [`Host::start_run`] or [`Host::start_and_wait`] returns, the run is on disk and ends, whatever
//! happens to the process, and no effect of a run begins before it is there. An effect whose outcome was journalled is never
//! done again. One that was in flight at a crash is repeated with the same idempotency key. A flow of three calls that may act
//! makes five commits: accepted, three outcomes, ended; each holds the audit entries of what it commits. Calls that can act
//! on nothing need none of their own, and a run whose caller waits none to be accepted.

mod actions;
mod audit;
mod backends;
mod calendars;
mod clock;
mod clock_watch;
mod config;
mod diagram;
mod error;
mod events;
mod faults;
mod flow_rights;
mod flows;
mod gate;
mod host;
mod ids;
mod inbox;
mod journal;
mod keep;
mod keys;
mod learn;
mod mailboxes;
mod masking;
mod notices;
mod place;
mod plugins;
mod rehearsal;
mod repair;
mod requests;
mod retry;
mod runs;
mod schedule;
mod scripts;
mod secrets;
mod sla;
mod stop;
mod time;

pub use actions::Pin;
pub use backends::{Artifact, ArtifactContent};
pub use calendars::{CalendarInfo, HolidayImport, HolidayYears, Imported};
pub use clock::{Clock, SystemClock};
pub use config::{HostConfig, Limits};
pub use diagram::{DiagramFormat, diagram};
pub use error::{ErrorCode, HostError};
pub use events::{
    EventPage, EventQuery, Lived, MAX_EVENT, Published, PublishedEvent, RunWatch, Watched, cloud_event,
};
pub use factotum_audit::Actor;
pub use flow_rights::{ChangedFlowGrants, FlowGrants};
pub use flows::{Deployment, FlowInfo};
pub use gate::{DEFAULT_QUEUE, FlowLimits, Queued, WaitsFor};
pub use host::{FlowLeft, Host, Status};
pub use inbox::{AnswerItem, InboxItem, InboxPage, InboxQuery, InboxState};
pub use keep::{Closed, Erase, Erased, ErasedKey, ErasedRun, LookedAt};
pub use learn::{Fixtures, LearnRequest, Learned, LearnedFlow, LearnedPlugin, LearnedRun};
pub use mailboxes::{KeptAside, MailboxState, MailboxStatus};
pub use notices::{Group, NoticeConfig, NoticeState, UnsentNotice};
pub use plugins::{
    AddPlugin, ChangedGrants, FunctionInfo, GrantChange, MoreAsked, PendingUpgrade, PluginInfo, Sentences,
    Told, UpgradePlugin, Upgraded,
};
pub use rehearsal::{
    AnswersDiffer, Asking, CaseReport, Differs, EditedPlugin, ReplayRun, Replayed, Suite, SuiteError,
    TakenBack, differences,
};
pub use repair::{
    CancelRun, DoneAgain, Intervened, Retried, RetriedRuns, RetryFlow, RetryRun, RetryRuns, RunFilter,
};
pub use runs::{RunDetail, RunEvent, RunInfo, RunPage, RunQuery, RunState, StartRun, Started};
pub use secrets::HostSecrets;
pub use sla::{RunSla, SlaClockInfo, SlaState};
