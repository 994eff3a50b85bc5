//! Sees when the machine's clock was set, and says so: what waits for a time then waits longer, or comes at once.
//!
//! Everything that is kept speaks of the wall clock, since no other outlives the process. Set forward, what fell into the
//! hour that never was is due now, and comes once. Set back, what waits goes on waiting until the clock is there again;
//! nothing comes twice. Neither is lost, and neither should be a riddle to whoever looks at it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use factotum_audit::Actor;
use factotum_store::Batch;

use crate::runs::Engine;

/// How often to compare the wall clock with one that cannot be set.
const LOOK: Duration = Duration::from_secs(5);
/// What a clock that is kept in step with others may be moved by without anybody noticing.
const TOLERANCE: Duration = Duration::from_secs(2);

/// Watches until the host stops.
pub(crate) async fn watch(engine: Arc<Engine>) {
    let (mut wall, mut steady) = (SystemTime::now(), Instant::now());
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = engine.stop.requested() => return,
        }
        let (now, passed) = (SystemTime::now(), steady.elapsed());
        let jump = jump(wall, passed, now);
        (wall, steady) = (now, Instant::now());
        if let Some((forward, by)) = jump {
            tell(&engine, forward, by).await;
        }
    }
}

/// How far the wall clock is from where it should be after `passed`, and whether forward; `None` when it is there.
fn jump(before: SystemTime, passed: Duration, now: SystemTime) -> Option<(bool, Duration)> {
    let expected = before.checked_add(passed)?;
    let (forward, by) = match now.duration_since(expected) {
        Ok(by) => (true, by),
        Err(error) => (false, error.duration()),
    };
    (by > TOLERANCE).then_some((forward, by))
}

async fn tell(engine: &Engine, forward: bool, by: Duration) {
    let seconds = by.as_secs();
    let (direction, means) = if forward {
        ("forward", "what was due in between comes now, once each")
    } else {
        ("back", "what waits for a time goes on waiting until the clock is there again")
    };
    tracing::warn!(seconds, "the machine's clock was set {direction}: {means}");
    let mut batch = Batch::new();
    engine
        .audit
        .entry(&Actor::System, "clock.set", direction)
        .detail("seconds", &seconds.to_string())
        .add_to(&mut batch);
    if let Err(error) = engine.commit(batch).await {
        tracing::error!(%error, "that the clock was set could not be audited");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_lived_through_is_a_jump() {
        let (then, ten) = (SystemTime::UNIX_EPOCH + Duration::from_secs(10_000), Duration::from_secs(10));
        let at = |seconds: i64| {
            let now = then + ten;
            let by = Duration::from_secs(seconds.unsigned_abs());
            jump(then, ten, if seconds < 0 { now - by } else { now + by })
        };
        assert_eq!((at(0), at(2), at(-2)), (None, None, None));
        assert_eq!(at(3600), Some((true, Duration::from_secs(3600))));
        assert_eq!(at(-3600), Some((false, Duration::from_secs(3600))));
    }
}
