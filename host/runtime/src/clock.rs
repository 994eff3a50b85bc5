//! The clock, passed in: retries, timers and time stamps can be tested without waiting.

use async_trait::async_trait;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time as the runtime sees it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Returns once [`now_ms`](Self::now_ms) is at least `due_ms`.
    async fn sleep_until(&self, due_ms: u64);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The longest single sleep: the wall clock may be set while we sleep, so a far due time is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

#[async_trait]
impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep_until(&self, due_ms: u64) {
        loop {
            let now = self.now_ms();
            if now >= due_ms {
                return;
            }
            tokio::time::sleep(Duration::from_millis(due_ms - now).min(LONGEST_SLEEP)).await;
        }
    }
}

/// A clock that a test moves by hand.
#[cfg(test)]
pub(crate) mod manual {
    use super::*;
    use tokio::sync::watch;

    /// Stands still until it is moved.
    pub struct ManualClock(watch::Sender<u64>);

    impl ManualClock {
        pub fn at(now_ms: u64) -> Self {
            Self(watch::Sender::new(now_ms))
        }

        pub fn advance(&self, ms: u64) {
            self.0.send_modify(|now| *now += ms);
        }

        /// Sets it, back too.
        pub fn set(&self, now_ms: u64) {
            self.0.send_replace(now_ms);
        }
    }

    #[async_trait]
    impl Clock for ManualClock {
        fn now_ms(&self) -> u64 {
            *self.0.borrow()
        }

        async fn sleep_until(&self, due_ms: u64) {
            let mut now = self.0.subscribe();
            let _ = now.wait_for(|now| *now >= due_ms).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::manual::ManualClock;
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers_when_it_is_moved_far_enough() {
        let clock = Arc::new(ManualClock::at(1000));
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.sleep_until(1500).await }
        });
        clock.advance(499);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(1);
        sleeper.await.unwrap();
    }
}
