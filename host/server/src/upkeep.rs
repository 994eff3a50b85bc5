//! What the host does by the clock: notes the uses of tokens, reports counted refusals, wipes secrets whose time is over,
//! and looks whether the sealed ones are whole.

use std::time::Duration;

use factotum_access::Access;
use factotum_runtime::Host;
use factotum_store::Batch;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

/// How often tokens and refusals are seen to.
const TOKENS: Duration = Duration::from_secs(60);
/// Every so many of these, expired values of secrets are wiped.
const PRUNE_EVERY: u64 = 5;
/// Every so many of these, all secrets are opened for a check.
const VERIFY_EVERY: u64 = 60;

/// Begins; it goes on until the task is aborted.
pub fn begin(host: Host, access: Access) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(TOKENS);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0_u64.. {
            // The first tick is now: what happened to the secrets while the host was away is known at once.
            clock.tick().await;
            let (host, access) = (host.clone(), access.clone());
            let done = tokio::task::spawn_blocking(move || {
                note_tokens(&host, &access);
                if tick.is_multiple_of(PRUNE_EVERY) {
                    prune_secrets(&host);
                }
                if tick.is_multiple_of(VERIFY_EVERY) {
                    verify_secrets(&host);
                }
            });
            if let Err(error) = done.await {
                tracing::error!("upkeep broke off: {error}");
            }
        }
    })
}

/// Puts on disk what is only in memory: uses of tokens, and refusals that were counted. Waits for the disk.
pub fn note_tokens(host: &Host, access: &Access) {
    if let Err(error) = access.flush() {
        tracing::error!("the last uses of tokens could not be kept: {error}");
    }
    let mut batch = Batch::new();
    let counted = access.take_counted();
    if counted.is_empty() {
        return;
    }
    for entry in counted {
        entry.add_to(&mut batch);
    }
    if let Err(error) = host.store().commit_blocking(batch) {
        tracing::error!("counted refusals could not be audited: {error}");
    }
}

fn prune_secrets(host: &Host) {
    match host.secrets().sealed().prune() {
        Ok(0) => {}
        Ok(secrets) => tracing::info!(secrets, "wiped values whose overlap is over"),
        Err(error) => tracing::error!("expired values of secrets could not be wiped: {error}"),
    }
}

fn verify_secrets(host: &Host) {
    match host.secrets().sealed().verify() {
        Ok(findings) => {
            findings
                .iter()
                .for_each(|finding| tracing::error!(%finding, "the secrets are not as they were left"));
        }
        Err(error) => tracing::error!("the secrets could not be checked: {error}"),
    }
}
