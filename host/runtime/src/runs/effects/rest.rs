//! Effects that rest: what a run waits for that none of its effects goes on with.

use factotum_flow::{Position, Stop};
use factotum_store::Batch;
use serde_json::Value;

use super::{Durable, State};
use crate::place::place;

/// What a run waits for.
#[derive(Debug, Default)]
pub(in crate::runs) struct Suspension {
    /// When it goes on at the latest; `None` when only something from outside lets it go on.
    pub due: Option<u64>,
    /// The promises it waits for, by their keys in the store: when one was kept meanwhile, it does not go to rest.
    pub promises: Vec<Vec<u8>>,
    /// The subscriptions it waits on, by their keys in the store, as they were when nothing was there for it.
    pub subscriptions: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where in the flow.
    pub places: Vec<String>,
}

/// An effect that rests.
pub(super) struct Rest {
    /// The key of its place.
    pub place: String,
    pub due: Option<u64>,
    /// The promise it waits for, by its key in the store.
    pub promise: Option<Vec<u8>>,
    /// The subscription it waits on, and what the store keeps of it.
    pub subscription: Option<(Vec<u8>, Vec<u8>)>,
}

impl Durable<'_> {
    /// Lets this effect rest until `due` at the latest. The others of the run go on.
    pub(super) fn rest_until(&self, at: &Position, due: Option<u64>) -> Stop {
        self.put_to_rest(Rest { place: at.key().to_owned(), due, promise: None, subscription: None })
    }

    pub(super) fn put_to_rest(&self, rest: Rest) -> Stop {
        self.lock().rests.push(rest);
        Stop::Suspended
    }

    /// Writes down why an effect comes to rest: with the run's suspension, which follows at once; or now, when other
    /// branches may go on for long.
    pub(super) async fn note_rest(&self, at: &Position, record: Vec<u8>, entries: Batch) -> Result<(), Stop> {
        if in_fork(at) {
            self.write(Some(record), entries).await
        } else {
            self.put_ahead(record, entries).await
        }
    }
}

impl State {
    /// A branch of a `fork` or an iteration of a `map` ended it: what the others rest on is not waited for any more.
    pub(super) fn forget_losers(&mut self, at: &Position, decision: &Value) {
        let number = |name: &str| decision.get(name).and_then(Value::as_u64);
        let task = at.key().rsplit_once('!').map_or(at.key(), |(task, _)| task);
        let (all, winner) = match (number("branch"), number("iteration")) {
            (Some(branch), _) => {
                (format!("{task}/fork/branches/"), format!("{task}/fork/branches/{branch}/"))
            }
            (None, Some(iteration)) => (format!("{task}["), format!("{task}[{iteration}]/")),
            (None, None) => return,
        };
        self.rests.retain(|rest| !rest.place.starts_with(&all) || rest.place.starts_with(&winner));
    }
}

/// What a run waits for whose effects rest.
pub(super) fn suspension(rests: Vec<Rest>) -> Suspension {
    let mut all = Suspension::default();
    for rest in rests {
        all.due = match (all.due, rest.due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        all.places.push(place(&rest.place));
        all.promises.extend(rest.promise);
        all.subscriptions.extend(rest.subscription.map(|(id, stored)| (crate::events::key(&id), stored)));
    }
    all
}

/// Whether other effects of the run may be under way beside this one: in a `fork` or a `map`. A task that is named `fork` or
/// `with` is taken for one, which costs little.
pub(super) fn in_fork(at: &Position) -> bool {
    at.pointer().contains("/fork/") || at.pointer().contains("/with/do/")
}
