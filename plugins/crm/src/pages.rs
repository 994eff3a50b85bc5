//! `list-cases`: pages of all cases, or of one contact's, in the order they were opened.
//!
//! A page ends when it is full, when it holds [`MAX_PAGE_BYTES`], or when [`MAX_LOOKED_AT`] cases were looked at: a rare
//! category must not make one call run through a million cases. It then has a `next`, even when it holds few cases.

use factotum_crm_contract::{Case, CasePage, CheckedCaseQuery, Instant, parse_time};
use factotum_sdk::{Fault, kv::Bucket};

use crate::{cases::Head, keys, slots};

/// Heads read at once.
const BATCH: u64 = 200;
/// Cases looked at for one page.
const MAX_LOOKED_AT: u64 = 10_000;
/// Bytes of text on one page, more only when a single case has more.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Calls that run at once can store their cases in another order than they read the clock; so much earlier is looked.
const CLOCK_SLACK_MS: i64 = 60_000;
/// So many empty slots in a row are stepped over when looking for a time.
const MAX_GAP: u64 = 64;

/// The positions a query runs over: all cases by number, or the slots of one contact's list.
struct Source<'a> {
    bucket: &'a Bucket,
    list: Option<String>,
    count: u64,
}

impl<'a> Source<'a> {
    fn new(bucket: &'a Bucket, contact_id: Option<&str>) -> Result<Self, Fault> {
        let list = contact_id.map(keys::contact_cases);
        let count = slots::count(bucket, list.as_deref().unwrap_or(keys::CASES))?;
        Ok(Self { bucket, list, count })
    }

    /// Position, number and head of the cases at `from..=to`.
    fn heads(&self, from: u64, to: u64) -> Result<Vec<(u64, u64, Head)>, Fault> {
        let places: Vec<(u64, u64)> = match &self.list {
            None => (from..=to).map(|n| (n, n)).collect(),
            Some(list) => slots::read(self.bucket, list, from, to)?
                .into_iter()
                .map(|(slot, number)| Ok((slot, slots::json(list, number.as_bytes())?)))
                .collect::<Result<_, Fault>>()?,
        };
        let keys: Vec<String> = places.iter().map(|(_, number)| keys::case(*number)).collect();
        let values = self.bucket.get_many(&keys)?;
        places
            .into_iter()
            .zip(keys.iter().zip(values))
            .filter_map(|((position, number), (key, value))| Some((position, number, key, value?)))
            .map(|(position, number, key, value)| Ok((position, number, slots::json(key, &value)?)))
            .collect()
    }

    /// A position before which every case is older than `since`, found with about twenty reads in a million cases.
    fn start(&self, since: Instant) -> Result<u64, Fault> {
        let since = Instant::from_millis(since.millis().saturating_sub(CLOCK_SLACK_MS)).rfc3339();
        let (mut low, mut high) = (1, self.count.saturating_add(1));
        while low < high {
            let middle = low.midpoint(high);
            match self.first_from(middle)? {
                Some(head) if head.created < since => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(low)
    }

    fn first_from(&self, position: u64) -> Result<Option<Head>, Fault> {
        let mut gap = 0;
        while gap < MAX_GAP && position.saturating_add(gap) <= self.count {
            let at = position.saturating_add(gap);
            if let Some((_, _, head)) = self.heads(at, at)?.pop() {
                return Ok(Some(head));
            }
            gap = gap.saturating_add(1);
        }
        Ok(None)
    }
}

/// A page of cases.
pub fn list(bucket: &Bucket, query: &CheckedCaseQuery) -> Result<CasePage, Fault> {
    let source = Source::new(bucket, query.contact_id.as_deref())?;
    let mut from = query.after.map_or(1, |after| after.saturating_add(1));
    if let (None, Some(since)) = (query.after, query.since) {
        from = source.start(since)?;
    }
    let last = source.count.min(from.saturating_add(MAX_LOOKED_AT - 1));
    let (mut chosen, mut bytes, mut end) = (Vec::new(), 0_usize, last.max(query.after.unwrap_or(0)));
    'looking: while from <= last {
        let to = last.min(from.saturating_add(BATCH - 1));
        for (position, number, head) in source.heads(from, to)? {
            if !wanted(&head, query)? {
                continue;
            }
            bytes = bytes.saturating_add(head.text_bytes);
            if chosen.len() >= query.limit || (bytes > MAX_PAGE_BYTES && !chosen.is_empty()) {
                end = position.saturating_sub(1);
                break 'looking;
            }
            chosen.push((number, head));
        }
        from = to.saturating_add(1);
    }
    let next = (end < source.count).then(|| end.to_string());
    Ok(CasePage { cases: with_texts(bucket, chosen)?, next })
}

fn wanted(head: &Head, query: &CheckedCaseQuery) -> Result<bool, Fault> {
    let category = query.category.is_none() || head.category == query.category;
    let since = match query.since {
        Some(since) => parse_time("created", &head.created)? >= since,
        None => true,
    };
    Ok(category && since)
}

fn with_texts(bucket: &Bucket, chosen: Vec<(u64, Head)>) -> Result<Vec<Case>, Fault> {
    let keys: Vec<String> = chosen.iter().map(|(number, _)| keys::case_text(*number)).collect();
    let texts = bucket.get_many(&keys)?;
    chosen
        .into_iter()
        .zip(keys.iter().zip(texts))
        .map(|((number, head), (key, text))| {
            Ok(head.into_case(number, slots::string(key, text.unwrap_or_default())?))
        })
        .collect()
}
