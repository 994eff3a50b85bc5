//! The check of a chain, entry by entry, in memory that does not grow with the log.

use serde::Serialize;

use crate::{Finding, Head, record::Link};

/// Most findings that a report lists; the rest are counted.
const MAX_FINDINGS: usize = 200;
/// Most holes that are kept open for entries that may come later, out of order.
const MAX_HOLES: usize = 200;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many entries were checked.
    pub entries: u64,
    /// The number of the first entry that was checked; above 1 for an export of a part.
    pub first: u64,
    /// The signed end of the log; keep it elsewhere as an anchor.
    pub head: Option<Head>,
    /// Whether the head's signature was checked (an outside auditor has no key).
    pub signature_checked: bool,
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
    /// How many findings are not listed.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty() && self.more == 0
    }
}

/// Checks links as they come.
#[derive(Debug)]
pub(crate) struct Checker {
    entries: u64,
    first: Option<u64>,
    /// The number that comes next, one above the highest so far.
    next: u64,
    /// The hash that the next entry must name; `None` when the entry before cannot be trusted to say it.
    prev: Option<[u8; 32]>,
    /// The highest entry so far, with its hash when that can be trusted.
    last: Option<(u64, Option<[u8; 32]>)>,
    holes: Vec<(u64, u64)>,
    findings: Vec<Finding>,
    more: u64,
    /// Signed statements to compare with, about entries that have not come yet.
    marks: Vec<Head>,
}

impl Checker {
    /// A check from number `first` on; `None` takes the first entry that comes (an export of a part).
    pub(crate) fn new(first: Option<u64>, marks: Vec<Head>) -> Checker {
        Checker {
            entries: 0,
            first,
            next: first.unwrap_or(0),
            prev: (first == Some(1)).then_some([0; 32]),
            last: None,
            holes: Vec::new(),
            findings: Vec::new(),
            more: 0,
            marks,
        }
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// The number of the highest entry so far.
    pub(crate) fn end(&self) -> u64 {
        self.last.map_or(0, |(sequence, _)| sequence)
    }

    /// Takes the entry at a place; `None` when what is stored there cannot be read.
    pub(crate) fn see(&mut self, place: u64, link: Option<Link>) {
        self.entries += 1;
        if self.first.is_none() {
            self.first = Some(place);
            self.next = place;
            // The first line of a part is taken at its word; only the whole log starts from zeros.
            self.prev = if place == 1 { Some([0; 32]) } else { link.as_ref().map(|link| link.prev) };
        }
        if place < self.next {
            self.fill(place);
            return;
        }
        let follows = place == self.next;
        if !follows {
            self.hole(self.next, place - 1);
        }
        self.next = place.saturating_add(1);
        let expected = self.prev.take();
        self.last = Some((place, None));
        let Some(link) = link else {
            self.find(Finding::Changed { sequence: place });
            return;
        };
        if !link.holds() {
            self.find(Finding::Changed { sequence: place });
            // Its stored hash may be what was changed, so it says nothing about the next one.
            return;
        }
        if link.sequence != place {
            self.find(Finding::Reordered { found_at: place, belongs_at: link.sequence });
            return;
        }
        self.prev = Some(link.hash);
        self.last = Some((place, self.prev));
        if follows && expected.is_some_and(|expected| expected != link.prev) {
            self.find(Finding::BrokenLink { sequence: place });
        }
        let wrong = self.marks.iter().any(|mark| mark.sequence == place && mark.hash != link.hash);
        self.marks.retain(|mark| mark.sequence > place);
        if wrong {
            self.find(Finding::Rewritten { sequence: place });
        }
    }

    /// Remembers entries that did not come; some may yet, out of order.
    fn hole(&mut self, from: u64, to: u64) {
        if self.holes.len() < MAX_HOLES {
            self.holes.push((from, to));
        } else {
            self.find(Finding::Removed { from, to });
        }
    }

    /// An entry that comes late: it was not removed, but its order was changed.
    fn fill(&mut self, place: u64) {
        self.find(Finding::Reordered { found_at: self.next.saturating_sub(1), belongs_at: place });
        let Some(at) = self.holes.iter().position(|(from, to)| (*from..=*to).contains(&place)) else {
            return;
        };
        let (from, to) = self.holes.swap_remove(at);
        if from < place {
            self.holes.push((from, place - 1));
        }
        if place < to {
            self.holes.push((place + 1, to));
        }
    }

    /// Ends the check. `head` is the log's signed end, which the entries must reach and match; `limit` is how far they
    /// may go (beyond `head` when the log has grown during the check).
    pub(crate) fn finish(
        mut self,
        head: Option<Head>,
        limit: Option<u64>,
        signature_checked: bool,
    ) -> Report {
        let end = self.end();
        let mut holes = std::mem::take(&mut self.holes);
        holes.sort_unstable();
        for (from, to) in holes {
            self.find(Finding::Removed { from, to });
        }
        let known = self.marks.iter().map(|mark| mark.sequence).chain(head.map(|head| head.sequence)).max();
        if let Some(to) = known.filter(|known| *known > end) {
            self.find(Finding::Truncated { from: end.saturating_add(1), to });
        }
        if let (Some(head), Some((sequence, Some(hash)))) = (head, self.last)
            && sequence == head.sequence
            && hash != head.hash
            && !self.findings.contains(&Finding::Rewritten { sequence })
        {
            self.find(Finding::Rewritten { sequence });
        }
        if let Some(limit) = limit.filter(|limit| end > *limit) {
            self.find(Finding::Appended { from: limit.saturating_add(1), to: end });
        }
        self.findings.sort_by_key(place_of);
        Report {
            entries: self.entries,
            first: self.first.unwrap_or(1),
            head,
            signature_checked,
            findings: self.findings,
            more: self.more,
        }
    }
}

/// Where in the log a finding is, for the report's order; statements about the whole log come last.
fn place_of(finding: &Finding) -> u64 {
    match finding {
        Finding::Changed { sequence }
        | Finding::BrokenLink { sequence }
        | Finding::Rewritten { sequence }
        | Finding::AnchorForged { sequence } => *sequence,
        Finding::Removed { from, .. } | Finding::Truncated { from, .. } | Finding::Appended { from, .. } => {
            *from
        }
        Finding::Reordered { found_at, .. } => *found_at,
        _ => u64::MAX,
    }
}
