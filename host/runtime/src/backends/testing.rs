//! What the tests of backends share.

use factotum_provenance::Provenance;
use factotum_sandbox::CallContext;

/// A call of a run, or of none, that holds nothing of anyone's.
pub(crate) fn call_of(run: Option<&str>) -> CallContext {
    CallContext {
        run_id: run.map(str::to_owned),
        flow: None,
        task: None,
        attempt: 1,
        idempotency_key: "k".into(),
        timeout: None,
        data: Provenance::default(),
    }
}
