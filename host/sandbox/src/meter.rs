//! Counting what is bounded over time or at one time: over all calls and versions of a plugin, in memory.
//!
//! A window has a fixed number of slots, so that counting takes no memory that a guest could grow, and allocates nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use factotum_egress::{EgressError, Hold};
use factotum_grant::{Capability, Denial, HttpRule, KeyValueGrant};

use crate::plugin::Identity;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The slots of a window: the one that fills, and as many before it as make the whole length.
const SLOTS: usize = 61;

/// How many events there were in the last while. Never lets more through than the limit in any stretch of its length; an
/// event may count up to a sixtieth longer.
pub(crate) struct Window {
    slot_ms: u64,
    origin: Instant,
    slots: Mutex<Slots>,
}

struct Slots {
    counts: [u32; SLOTS],
    sum: u64,
    /// The number, since the origin, of the slot that fills.
    at: u64,
}

impl Window {
    fn new(length: Duration) -> Self {
        let slot_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX) / (SLOTS as u64 - 1);
        let slots = Mutex::new(Slots { counts: [0; SLOTS], sum: 0, at: 0 });
        Self { slot_ms: slot_ms.max(1), origin: Instant::now(), slots }
    }

    /// Counts one event; the error is how long until there is room for it.
    pub(crate) fn take(&self, limit: u32) -> Result<(), Duration> {
        self.take_at(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX), limit)
    }

    fn take_at(&self, now_ms: u64, limit: u32) -> Result<(), Duration> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.advance(now_ms / self.slot_ms);
        if slots.sum >= u64::from(limit) {
            let free_at = slots.oldest().saturating_add(SLOTS as u64).saturating_mul(self.slot_ms);
            return Err(Duration::from_millis(free_at.saturating_sub(now_ms).max(1)));
        }
        let at = slots.at;
        if let Some(count) = slots.slot(at) {
            *count = count.saturating_add(1);
            slots.sum += 1;
        }
        Ok(())
    }

    /// Takes back the last event counted: it turned out to be none.
    pub(crate) fn give_back(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let at = slots.at;
        for at in (0..SLOTS as u64).filter_map(|back| at.checked_sub(back)) {
            if let Some(count) = slots.slot(at).filter(|count| **count > 0) {
                *count -= 1;
                slots.sum = slots.sum.saturating_sub(1);
                return;
            }
        }
    }
}

impl Slots {
    fn slot(&mut self, at: u64) -> Option<&mut u32> {
        self.counts.get_mut(usize::try_from(at % SLOTS as u64).unwrap_or_default())
    }

    /// Moves on to the slot `at`, and forgets those that lie a whole length behind it.
    fn advance(&mut self, at: u64) {
        let passed = at.saturating_sub(self.at).min(SLOTS as u64);
        for step in 0..passed {
            let gone = self.slot(at - step).map_or(0, std::mem::take);
            self.sum = self.sum.saturating_sub(u64::from(gone));
        }
        self.at = self.at.max(at);
    }

    /// The oldest slot that holds an event.
    fn oldest(&mut self) -> u64 {
        let at = self.at;
        let mut from_the_oldest = (0..SLOTS as u64).rev().filter_map(|back| at.checked_sub(back));
        from_the_oldest.find(|at| self.slot(*at).is_some_and(|count| *count > 0)).unwrap_or(at)
    }
}

/// Rate and concurrency of one HTTP rule.
pub(crate) struct RuleMeter {
    minute: Window,
    running: AtomicU32,
}

/// One request under way; counted back when dropped.
struct Running(Arc<RuleMeter>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl RuleMeter {
    fn new() -> Self {
        Self { minute: Window::new(MINUTE), running: AtomicU32::new(0) }
    }

    /// Counts a request under its rule. Allocates only under a rule that bounds concurrency.
    pub(crate) fn begin(self: &Arc<Self>, rule: &HttpRule) -> Result<Hold, EgressError> {
        let hold: Hold = match rule.concurrency {
            None => None,
            Some(most) => {
                let more = |running: u32| (running < most).then_some(running + 1);
                self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).map_err(|_| {
                    let message =
                        format!("{most} requests to {} are under way; granted are no more", rule.host);
                    let mend = format!(
                        "# in the http rule for {}\nconcurrency = {}",
                        rule.host,
                        most.saturating_add(1)
                    );
                    too_many(message, mend, None)
                })?;
                Some(Box::new(Running(Arc::clone(self))))
            }
        };
        if let Some(most) = rule.per_minute {
            self.minute.take(most).map_err(|after| {
                let message = format!("{most} requests to {} in a minute; granted are no more", rule.host);
                let mend =
                    format!("# in the http rule for {}\nper-minute = {}", rule.host, most.saturating_add(1));
                too_many(message, mend, Some(after))
            })?;
        }
        Ok(hold)
    }
}

fn too_many(message: String, mend: String, retry_after: Option<Duration>) -> EgressError {
    EgressError::TooMany { denial: Denial { capability: Capability::Http, message, mend }, retry_after }
}

/// What is counted for one plugin name, whichever versions of it are linked.
pub(crate) struct Ledger {
    pub(crate) mails: Window,
    pub(crate) artifacts: Window,
    rules: Mutex<Vec<(HttpRule, Weak<RuleMeter>)>>,
    plugins: Mutex<Vec<Weak<Identity>>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            mails: Window::new(HOUR),
            artifacts: Window::new(HOUR),
            rules: Mutex::default(),
            plugins: Mutex::default(),
        }
    }

    /// The meters of the rules, in their order. A rule that was there before, in this or another version of the plugin,
    /// keeps its count.
    pub(crate) fn meters(&self, rules: &[HttpRule]) -> Vec<Arc<RuleMeter>> {
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, meter)| meter.strong_count() > 0);
        let mut meter_of = |rule: &HttpRule| {
            if let Some(meter) = known.iter().find(|(r, _)| r == rule).and_then(|(_, meter)| meter.upgrade())
            {
                return meter;
            }
            let meter = Arc::new(RuleMeter::new());
            // What bounds nothing needs no common count.
            if rule.per_minute.is_some() || rule.concurrency.is_some() {
                known.push((rule.clone(), Arc::downgrade(&meter)));
            }
            meter
        };
        rules.iter().map(&mut meter_of).collect()
    }

    pub(crate) fn add(&self, plugin: &Arc<Identity>) {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.retain(|plugin| plugin.strong_count() > 0);
        plugins.push(Arc::downgrade(plugin));
    }

    /// The quota of the plugin's own namespace: the largest that a linked version of it has now.
    fn quota(&self) -> KeyValueGrant {
        let plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let quotas = plugins.iter().filter_map(Weak::upgrade);
        let none = KeyValueGrant { quota_bytes: 0, quota_keys: 0 };
        quotas.filter_map(|plugin| plugin.rights.live().grants.key_value.clone()).fold(none, |most, quota| {
            KeyValueGrant {
                quota_bytes: most.quota_bytes.max(quota.quota_bytes),
                quota_keys: most.quota_keys.max(quota.quota_keys),
            }
        })
    }
}

/// The ledgers of all plugins of a sandbox.
#[derive(Default)]
pub(crate) struct Ledgers(Mutex<HashMap<String, Arc<Ledger>>>);

impl Ledgers {
    /// The ledger of a plugin name. Those of names that nothing is linked under are forgotten here.
    pub(crate) fn of(&self, plugin: &str) -> Arc<Ledger> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, ledger| Arc::strong_count(ledger) > 1);
        Arc::clone(all.entry(plugin.to_owned()).or_insert_with(|| Arc::new(Ledger::new())))
    }

    /// The quota of another plugin's namespace; nothing can be stored in that of a plugin that is not there.
    pub(crate) fn quota_of(&self, plugin: &str) -> KeyValueGrant {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(plugin).cloned();
        ledger.map_or(KeyValueGrant { quota_bytes: 0, quota_keys: 0 }, |ledger| ledger.quota())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stretch_of_its_length_holds_more_than_the_limit() {
        let window = Window::new(MINUTE);
        let mut let_through: Vec<u64> = Vec::new();
        // Uneven steps, with pauses longer than the window.
        let mut now = 0;
        for step in 0..20_000_u64 {
            now += [0, 1, 7, 333, 1_001, 65_000][usize::try_from(step * 7 % 11 % 6).unwrap()]
                * (step % 5 + 1)
                / 5;
            if window.take_at(now, 10).is_ok() {
                let_through.push(now);
            }
        }
        assert!(let_through.len() > 1_000);
        for eleven in let_through.windows(11) {
            assert!(eleven[10] - eleven[0] >= 60_000, "{eleven:?}");
        }
    }

    #[test]
    fn the_wait_it_names_is_long_enough_and_not_much_longer() {
        let window = Window::new(MINUTE);
        for now in [500, 1_500, 30_000] {
            window.take_at(now, 3).unwrap();
        }
        let after = window.take_at(40_000, 3).unwrap_err();
        assert!(window.take_at(39_999 + u64::try_from(after.as_millis()).unwrap(), 3).is_err());
        assert!(window.take_at(40_000 + u64::try_from(after.as_millis()).unwrap(), 3).is_ok());
        assert!(after <= Duration::from_millis(500 + 60_000 + 1_000 - 40_000), "{after:?}");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let window = Window::new(HOUR);
        window.take_at(0, 1).unwrap();
        assert!(window.take_at(60_000, 1).is_err());
        window.give_back();
        window.take_at(120_000, 1).unwrap();
        window.give_back();
        window.give_back();
        assert_eq!(window.slots.lock().unwrap().sum, 0);
    }
}
