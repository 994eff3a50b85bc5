//! The gate with a simulated clock: never more than may be, every run in its turn, whatever comes in what order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::admission::{Closed, Entry, Gate, Quiet, Ticket};
use super::flow::{QuietRule, Rules};
use super::look::Why;
use super::window::RateRule;

const NOW: u64 = 1_700_000_000_000;

fn ticket(flow: &str, slot: &str, rate: &str, at: u64) -> Ticket {
    Ticket {
        flow: flow.into(),
        at,
        slot: Some(slot.into()),
        rate: rate.into(),
        debounce: None,
        awaited: false,
        priority: 0,
    }
}

fn concurrency(max: u64) -> Rules {
    Rules { concurrency: Some(max), queue: 1_000_000, ..Rules::default() }
}

fn quiet_for(after: u64) -> QuietRule {
    QuietRule { after, max_wait: 10 * after }
}

/// Accepts a run, as the engine does when its batch is on disk.
fn accept(gate: &mut Gate, id: &str, ticket: &Ticket, now: u64) -> Entry {
    let entry = gate.enter(id, ticket, true, now).unwrap();
    gate.arrived(id);
    if let Entry::Quiet { replaces: Some(old), .. } = &entry {
        gate.gone(old);
    }
    entry
}

fn started(gate: &mut Gate, now: u64) -> Vec<String> {
    std::iter::from_fn(|| gate.next(now)).map(|id| id.to_string()).collect()
}

/// Numbers that look random and are the same each time (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn a_slot_that_is_given_up_goes_to_the_next_in_line_and_the_line_is_bounded() {
    let mut gate = Gate::new(100);
    gate.set_rules("f", Some(Rules { queue: 2, ..concurrency(1) }));
    let of = |at| ticket("f", "acme", "", at);
    assert_eq!(accept(&mut gate, "a", &of(NOW), NOW), Entry::Starts);
    assert_eq!(accept(&mut gate, "b", &of(NOW + 1), NOW + 1), Entry::Waits);
    assert_eq!(accept(&mut gate, "c", &of(NOW + 2), NOW + 2), Entry::Waits);
    assert_eq!(gate.enter("d", &of(NOW), true, NOW), Err(Closed::FlowFull { queued: 2, come_at: None }));
    assert_eq!(accept(&mut gate, "z", &ticket("f", "zeta", "", NOW), NOW), Entry::Starts, "another key");
    assert!(started(&mut gate, NOW).is_empty());
    assert_eq!(
        gate.why("c", NOW),
        Some(Why::Slot { key: "acme".into(), taken: 1, max: 1, first: Some("a".into()), before: 1 })
    );
    gate.gone("a");
    assert_eq!(started(&mut gate, NOW), ["b"]);
    gate.back("b", NOW);
    assert_eq!(started(&mut gate, NOW), ["b"], "one that could not start keeps its place");
    gate.gone("c");
    gate.gone("b");
    assert!(started(&mut gate, NOW).is_empty());
    assert_eq!(accept(&mut gate, "e", &of(NOW), NOW), Entry::Starts, "nobody is left in the way");
    assert_eq!(gate.held(), 0);
    assert_eq!(gate.enter("x", &of(NOW), false, NOW), Ok(Entry::Waits));
    gate.not_started("x", NOW);
    assert_eq!((gate.held(), gate.members().len()), (0, 2));
}

#[test]
fn the_bound_of_the_flow_is_not_for_those_who_cannot_come_back_and_that_of_the_host_is_for_all() {
    let mut gate = Gate::new(3);
    gate.set_rules("f", Some(Rules { queue: 1, ..concurrency(1) }));
    let of = ticket("f", "", "", NOW);
    for id in ["a", "b"] {
        accept(&mut gate, id, &of, NOW);
    }
    assert!(matches!(gate.enter("c", &of, true, NOW), Err(Closed::FlowFull { .. })));
    for id in ["d", "e"] {
        assert_eq!(gate.enter(id, &of, false, NOW), Ok(Entry::Waits));
        gate.arrived(id);
    }
    assert_eq!(gate.enter("g", &of, false, NOW), Err(Closed::HostFull { come_at: None }));
}

#[test]
fn a_trigger_replaces_the_one_before_it_and_the_last_starts_when_it_stays_quiet() {
    let mut gate = Gate::new(100);
    gate.set_rules("f", Some(Rules { debounce: Some(quiet_for(10_000)), queue: 5, ..Rules::default() }));
    let of = |key: &str, at| Ticket { debounce: Some(key.into()), ..ticket("f", "", "", at) };
    assert!(matches!(accept(&mut gate, "a", &of("7", NOW), NOW), Entry::Quiet { replaces: None, .. }));
    assert_eq!(
        gate.enter("b", &of("7", NOW), true, NOW + 9_000),
        Ok(Entry::Quiet { quiet: Quiet { since: NOW, until: NOW + 19_000 }, replaces: Some("a".into()) })
    );
    assert_eq!(gate.enter("c", &of("7", NOW), true, NOW + 9_000), Err(Closed::Ask), "one at a time");
    // The second was not written: the first stays as it was.
    gate.not_started("b", NOW);
    gate.stays("a");
    assert_eq!(gate.next_alarm(), Some(NOW + 10_000));
    accept(&mut gate, "d", &of("7", NOW + 9_500), NOW + 9_500);
    accept(&mut gate, "other", &of("8", NOW + 9_500), NOW + 9_500);
    assert!(started(&mut gate, NOW + 19_499).is_empty());
    assert_eq!(gate.why("d", NOW).unwrap(), Why::Quiet { until: NOW + 19_500, key: "7".into() });
    assert_eq!(started(&mut gate, NOW + 19_500), ["d", "other"]);
    assert_eq!((gate.held(), gate.next_alarm()), (0, None));
    // The clock is set back by an hour: nobody waits for it to catch up.
    accept(&mut gate, "late", &of("7", NOW + 20_000), NOW + 20_000);
    assert!(started(&mut gate, NOW - 3_600_000).is_empty());
    assert_eq!(started(&mut gate, NOW - 3_590_000), ["late"]);
}

#[test]
fn an_endless_stream_of_triggers_holds_a_run_up_no_longer_than_the_flow_says() {
    let mut gate = Gate::new(100);
    let rules =
        Rules { debounce: Some(QuietRule { after: 10_000, max_wait: 60_000 }), queue: 5, ..Rules::default() };
    gate.set_rules("f", Some(rules));
    let of = |at| Ticket { debounce: Some("7".into()), ..ticket("f", "", "", at) };
    let mut starts = Vec::new();
    // One each second, for ten minutes.
    for second in 0..600 {
        let now = NOW + second * 1_000;
        starts.extend(started(&mut gate, now).into_iter().map(|id| (second, id)));
        accept(&mut gate, &format!("t{second}"), &of(now), now);
    }
    // The first of each minute begins a new wait, and the last that came before its end starts.
    let expected: Vec<(u64, String)> = (1..10).map(|n| (n * 60, format!("t{}", n * 60 - 1))).collect();
    assert_eq!(starts, expected);
    assert_eq!(started(&mut gate, NOW + 599_999), [""; 0]);
    assert_eq!(started(&mut gate, NOW + 600_000), ["t599"], "that minute is over, too");
    // After a restart it goes on where it was; a clock that is set back makes it wait no longer than it would have.
    let mut gate = Gate::new(100);
    gate.set_rules("f", Some(rules));
    gate.wait("old", &of(NOW), Some(Quiet { since: NOW - 55_000, until: NOW + 5_000 }));
    assert_eq!(
        accept(&mut gate, "new", &of(NOW + 1_000), NOW + 1_000),
        Entry::Quiet {
            quiet: Quiet { since: NOW - 55_000, until: NOW + 5_000 },
            replaces: Some("old".into())
        }
    );
    for now in [NOW + 1_000, NOW - 3_600_000] {
        assert!(started(&mut gate, now).is_empty());
    }
    assert_eq!(gate.next_alarm(), Some(NOW - 3_590_000));
}

#[test]
fn whoever_is_refused_is_told_when_the_line_will_be_half_as_long() {
    let mut gate = Gate::new(1_000);
    gate.set_rules("f", Some(Rules { queue: 10, ..concurrency(1) }));
    let of = |at| ticket("f", "", "", at);
    let mut now = NOW;
    for n in 0..11 {
        accept(&mut gate, &format!("r{n:02}"), &of(now), now);
    }
    assert_eq!(gate.enter("x", &of(now), true, now), Err(Closed::FlowFull { queued: 10, come_at: None }));
    // Each takes half a minute, and another one comes for each that goes.
    for n in 0..20 {
        now += 30_000;
        gate.gone(&format!("r{n:02}"));
        assert_eq!(started(&mut gate, now).len(), 1);
        accept(&mut gate, &format!("r{:02}", n + 11), &of(now), now);
    }
    let refused = gate.enter("x", &of(now), true, now);
    assert_eq!(refused, Err(Closed::FlowFull { queued: 10, come_at: Some(now + 150_000) }));
    // A rate says it by itself: two a minute, ten wait, so five go in three minutes.
    let mut gate = Gate::new(12);
    let rate = Some(RateRule { max: 2, per: 60_000 });
    gate.set_rules("f", Some(Rules { rate, queue: 10, ..Rules::default() }));
    for n in 0..12 {
        accept(&mut gate, &format!("r{n:02}"), &of(NOW), NOW);
    }
    let refused = gate.enter("x", &of(NOW + 1), true, NOW + 1);
    assert_eq!(refused, Err(Closed::FlowFull { queued: 10, come_at: Some(NOW + 180_000) }));
}

#[test]
fn thousands_of_one_key_or_of_one_flow_hold_up_no_other() {
    let mut gate = Gate::new(1_000_000);
    let rate = Some(RateRule { max: 10, per: 1_000 });
    gate.set_rules("f", Some(Rules { rate, ..concurrency(100) }));
    gate.set_rules("g", Some(Rules { rate, ..concurrency(100) }));
    for n in 0..5_000 {
        accept(&mut gate, &format!("many {n}"), &ticket("f", "many", "", NOW), NOW);
    }
    accept(&mut gate, "one", &ticket("f", "one", "", NOW + 1), NOW + 1);
    accept(&mut gate, "other flow", &ticket("g", "", "", NOW + 1), NOW + 1);
    let mut now = NOW + 1;
    let mut order = Vec::new();
    while order.len() < 30 {
        order.extend(started(&mut gate, now));
        for id in order.iter().rev().take(20) {
            gate.gone(id);
        }
        now = gate.next_alarm().unwrap_or(now + 1);
    }
    assert!(order.iter().take(3).any(|id| id == "one"), "{order:?}");
}

#[test]
fn a_lower_priority_waits_and_is_not_starved() {
    let mut gate = Gate::new(1_000_000);
    gate.set_rules("f", Some(concurrency(1)));
    accept(&mut gate, "first", &ticket("f", "", "", NOW), NOW);
    accept(&mut gate, "plain", &ticket("f", "", "", NOW), NOW);
    let mut now = NOW;
    let mut running = "first".to_owned();
    // One urgent run comes each minute, and each takes a minute: the plain one would never start.
    for n in 0..600 {
        now += 60_000;
        let urgent = Ticket { priority: 9, ..ticket("f", "", "", now) };
        accept(&mut gate, &format!("urgent {n}"), &urgent, now);
        gate.gone(&running);
        let next = started(&mut gate, now);
        assert_eq!(next.len(), 1);
        running.clone_from(&next[0]);
        if running == "plain" {
            assert!((535..=545).contains(&n), "after nine hours: {n}");
            return;
        }
    }
    panic!("the plain run starved");
}

#[test]
fn a_changed_limit_lets_those_start_that_it_lets() {
    let mut gate = Gate::new(100);
    gate.set_rules("f", Some(concurrency(1)));
    for id in ["a", "b", "c", "d"] {
        accept(&mut gate, id, &ticket("f", "", "", NOW), NOW);
    }
    gate.set_rules("f", Some(concurrency(3)));
    assert_eq!(started(&mut gate, NOW), ["b", "c"]);
    gate.set_rules("f", None);
    assert_eq!(started(&mut gate, NOW), ["d"]);
    let load = gate.load("f").unwrap();
    assert_eq!((load.under_way, load.queued, load.next), (4, 0, None));
}

/// What a run of the property test went through.
#[derive(Default)]
struct Book {
    accepted: BTreeMap<String, (Ticket, u64)>,
    replaced: BTreeSet<String>,
    going: BTreeMap<String, String>,
    starts: HashMap<String, Vec<u64>>,
    begun: BTreeSet<String>,
}

impl Book {
    fn start(&mut self, id: &str, now: u64, rate: RateRule, max: u64) {
        let (ticket, _) = &self.accepted[id];
        assert!(!self.replaced.contains(id), "{id} was replaced and started");
        assert!(self.begun.insert(id.to_owned()), "{id} started twice");
        let slot = ticket.slot.clone().unwrap();
        let under_way = self.going.values().filter(|other| **other == slot).count() as u64;
        assert!(under_way < max, "{under_way} runs of {slot:?} were under way");
        self.going.insert(id.to_owned(), slot);
        let starts = self.starts.entry(ticket.rate.clone()).or_default();
        starts.push(now);
        let lately = starts.iter().filter(|at| **at + rate.per > now).count() as u64;
        assert!(lately <= rate.max, "{lately} starts of {:?} in {} ms", ticket.rate, rate.per);
    }
}

#[test]
fn whatever_happens_no_limit_is_passed_and_every_accepted_run_starts_once() {
    for seed in 1..=60_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut gate = Gate::new(100_000);
        let rate = RateRule { max: 1 + chance.below(4), per: 500 + chance.below(2_000) };
        let max = 1 + chance.below(3);
        let debounce = chance.below(2) == 0;
        let rules = Rules {
            concurrency: Some(max),
            rate: Some(rate),
            debounce: debounce.then_some(quiet_for(300)),
            queue: 100_000,
        };
        gate.set_rules("f", Some(rules));
        let mut book = Book::default();
        let mut now = NOW;
        for step in 0..600 {
            now += chance.below(120);
            match chance.below(10) {
                0..=4 => {
                    let id = format!("{step:04}");
                    let keyed = debounce && chance.below(2) == 0;
                    let ticket = Ticket {
                        priority: u8::try_from(chance.below(10)).unwrap(),
                        debounce: keyed.then(|| format!("d{}", chance.below(2))),
                        ..ticket("f", &format!("c{}", chance.below(3)), &format!("r{}", chance.below(2)), now)
                    };
                    let entry = gate.enter(&id, &ticket, true, now).unwrap();
                    if chance.below(8) == 0 {
                        // The store failed.
                        gate.not_started(&id, now);
                        if let Entry::Quiet { replaces: Some(old), .. } = entry {
                            gate.stays(&old);
                        }
                        continue;
                    }
                    gate.arrived(&id);
                    book.accepted.insert(id.clone(), (ticket, now));
                    match entry {
                        Entry::Starts => book.start(&id, now, rate, max),
                        Entry::Quiet { replaces: Some(old), .. } => {
                            gate.gone(&old);
                            book.replaced.insert(old.to_string());
                        }
                        _ => {}
                    }
                }
                5..=6 => {
                    let nth = usize::try_from(chance.below(book.going.len().max(1) as u64)).unwrap();
                    if let Some(id) = book.going.keys().nth(nth).cloned() {
                        book.going.remove(&id);
                        gate.gone(&id);
                    }
                }
                7 => {
                    // A person cancels one that waits.
                    let waits: Vec<String> =
                        gate.members().into_iter().filter(|(_, waits)| *waits).map(|(id, _)| id).collect();
                    if let Some(id) = waits.get(usize::try_from(chance.below(20)).unwrap()) {
                        gate.gone(id);
                        book.replaced.insert(id.clone());
                    }
                }
                _ => {
                    while let Some(id) = gate.next(now) {
                        if chance.below(10) == 0 {
                            gate.back(&id, now);
                            break;
                        }
                        book.start(&id, now, rate, max);
                    }
                }
            }
        }
        // From here on all goes well: whoever waits gets his turn.
        for _ in 0..20_000 {
            while let Some(id) = gate.next(now) {
                book.start(&id, now, rate, max);
            }
            for (id, _) in std::mem::take(&mut book.going) {
                gate.gone(&id);
            }
            if gate.members().is_empty() {
                break;
            }
            // Only as far as the alarm says: nobody polls.
            let mut look = gate.next_alarm().unwrap_or(now);
            if let Some(id) = gate.next(now) {
                book.start(&id, now, rate, max);
                look = now;
            }
            now = now.max(look);
        }
        let left: Vec<&String> = book
            .accepted
            .keys()
            .filter(|id| !book.begun.contains(*id) && !book.replaced.contains(*id))
            .collect();
        assert!(left.is_empty(), "seed {seed}: {left:?} never started");
        assert_eq!((gate.held(), gate.members().len()), (0, 0), "seed {seed}: nothing is left behind");
    }
}

#[test]
fn a_hundred_thousand_wait_and_a_decision_stays_cheap() {
    const RUNS: usize = 100_000;
    let mut gate = Gate::new(RUNS);
    gate.set_rules("f", Some(concurrency(1)));
    let began = std::time::Instant::now();
    accept(&mut gate, "first", &ticket("f", "", "", NOW), NOW);
    for n in 0..RUNS {
        // Half of them in one line, half in a line each.
        let key = if n % 2 == 0 { String::new() } else { format!("customer {n}") };
        let at = NOW + n as u64;
        accept(&mut gate, &format!("{n:032}"), &ticket("f", &key, &key, at), at);
    }
    assert_eq!(gate.held(), RUNS / 2);
    let mut going = vec!["first".to_owned()];
    let mut all = 0;
    while let Some(id) = going.pop() {
        gate.gone(&id);
        let next = started(&mut gate, NOW + RUNS as u64);
        all += next.len();
        going.extend(next);
    }
    let took = began.elapsed();
    assert_eq!((all, gate.held()), (RUNS / 2, 0), "the others started at once");
    println!("{RUNS} runs came and started in {took:?}");
    assert!(took.as_secs() < 60, "{took:?}");
}

/// The resident memory of this process, in KiB.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4
}

#[test]
#[ignore = "a measurement: cargo test --release -p factotum-runtime --lib what_a_hundred_thousand -- --ignored --nocapture"]
fn what_a_hundred_thousand_that_wait_cost_in_memory() {
    let mut gate = Gate::new(200_000);
    gate.set_rules("f", Some(concurrency(1)));
    accept(&mut gate, "first", &ticket("f", "acme", "", NOW), NOW);
    let before = resident();
    for n in 0..100_000 {
        accept(&mut gate, &format!("{n:032}"), &ticket("f", "acme", "", NOW + n), NOW + n);
    }
    println!("{} bytes for each run that waits", (resident() - before) * 1_024 / gate.held());
}
