//! Whose data a call holds: its argument, what it read of stored data, and its own.

use std::sync::{Arc, Mutex, PoisonError};

use factotum_grant::{Capability, Denial};
use factotum_provenance::{Carried, Labels, Provenance};

use crate::{BackendError, CallFault, plugin::Identity, right::Now, state::State};

/// The data of one call. Shared with effects that outlive the borrow of the state.
#[derive(Clone)]
pub(crate) struct Data(Arc<Inner>);

struct Inner {
    argument: Provenance,
    /// The plugin's own, with its classes.
    own: Labels,
    stored: Mutex<Labels>,
}

impl Data {
    pub(crate) fn new(argument: Provenance, own: Labels) -> Self {
        Self(Arc::new(Inner { argument, own, stored: Mutex::default() }))
    }

    /// What may reach a destination that the plugin writes to. Its own data is not in it: what a plugin may do with that,
    /// its rules say already.
    pub(crate) fn carried(&self) -> Carried {
        Carried { argument: self.0.argument.clone(), stored: self.stored() }
    }

    /// What the call's result comes from, beside its argument.
    pub(crate) fn from(&self) -> Labels {
        self.0.own.union(&self.stored())
    }

    /// What may be in anything that the call writes.
    fn all(&self) -> Labels {
        self.carried().total().union(&self.0.own)
    }

    fn stored(&self) -> Labels {
        self.0.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_read(&self, labels: &Labels) {
        let mut stored = self.0.stored.lock().unwrap_or_else(PoisonError::into_inner);
        *stored = stored.union(labels);
    }

    /// Before data is written to a stored place: the place has its labels from now on.
    pub(crate) async fn will_write(&self, identity: &Identity, place: &str) -> Result<(), BackendError> {
        identity.backends.labels.mark(place, &self.all()).await
    }

    /// After data was read from a stored place, before the guest gets it: the call has the labels of the place from now on.
    /// The labels are asked for after the value, so that those of a write in between are among them.
    pub(crate) async fn did_read(
        &self,
        identity: &Identity,
        now: &Now,
        capability: Capability,
        place: &str,
    ) -> Result<(), NotGiven> {
        let labels = identity.backends.labels.labels(place).await.map_err(NotGiven::Failed)?;
        let carried = Carried { stored: labels.clone(), ..Carried::default() };
        if let Err(denial) = now.effective.check_data(&carried) {
            return Err(NotGiven::Denied(Denial { capability, message: denial.message, mend: denial.mend }));
        }
        self.has_read(&labels);
        Ok(())
    }
}

/// Why stored data is not given to the guest.
pub(crate) enum NotGiven {
    Failed(BackendError),
    Denied(Denial),
}

impl State {
    /// The stored place of this plugin's artifacts. No namespace is called so.
    pub(crate) fn artifacts_place(&self) -> String {
        format!("{}/artifacts", self.identity().name)
    }

    /// What was learned of this plugin's artifacts, when the guest may have it: bytes, but also names and sizes. Notes the
    /// use, or its denial.
    pub(crate) async fn of_artifacts<T>(
        &mut self,
        action: &str,
        target: &str,
        result: Result<T, CallFault>,
    ) -> Result<T, CallFault> {
        let result = match result {
            Ok(value) => {
                let (now, place) = (self.right(), self.artifacts_place());
                match self.data.did_read(self.identity(), &now, Capability::Artifacts, &place).await {
                    Ok(()) => Ok(value),
                    Err(NotGiven::Failed(error)) => Err(CallFault::technical("internal", error.0)),
                    Err(NotGiven::Denied(denial)) => {
                        self.deny(action, target, &denial);
                        return Err(CallFault::business("data-not-allowed", denial.message));
                    }
                }
            }
            failed => failed,
        };
        self.note(Capability::Artifacts, action, target, &result, |fault| fault.code.clone());
        result
    }
}
