//! Why a run is queued, in words.

use serde::Serialize;

use super::line::MOST_COUNTED;
use super::look::Why;
use crate::runs::Engine;
use crate::time::rfc3339;

/// What a queued run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// A slot: as many runs of its flow and key are under way as may be.
    Concurrency,
    /// Time: as many have started lately as may.
    Rate,
    /// Quiet: another trigger with the same key would replace it.
    Debounce,
    /// A place: the host executes as many runs as it can at a time.
    Place,
    /// Its turn, which comes at once, or as soon as the host has a place to execute in.
    Turn,
}

/// Why a run is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queued {
    /// What it waits for.
    #[serde(rename = "for")]
    pub waits_for: WaitsFor,
    /// The key that the limit counts by; absent when it counts all runs of the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many runs that wait for the same go before it; beyond 1000 they are not counted.
    pub before: usize,
    /// When it starts, as far as that can be said; milliseconds since the Unix epoch, written as RFC 3339.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub starts_at: Option<u64>,
    /// All of that in a sentence.
    pub reason: String,
    /// The same in Chinese.
    pub reason_zh: String,
}

impl Engine {
    /// Why a run is queued; `None` when it is not.
    pub(crate) fn why_queued(&self, id: &str, flow: &str) -> Option<Queued> {
        let why = self.gate.lock().why(id, self.clock.now_ms())?;
        let full = || self.queue.room() == 0;
        Some(told(flow, why, full))
    }
}

impl Engine {
    /// Why a run that may execute does not yet; `None` when it does.
    pub(crate) fn why_not_executed(&self, id: &str, flow: &str) -> Option<Queued> {
        let before = self.queue.before(id, flow)?;
        let (line, line_zh) = in_line(before);
        let places = self.limits.max_active_runs;
        Some(Queued {
            waits_for: WaitsFor::Place,
            key: None,
            before: before.min(MOST_COUNTED),
            starts_at: None,
            reason: format!(
                "the host executes {places} runs at a time, and all places are taken; of {flow}, {line}; flows take turns"
            ),
            reason_zh: format!("主机最多同时执行 {places} 个运行,位置已满;{flow} 中{line_zh};各流程轮流执行"),
        })
    }
}

fn told(flow: &str, why: Why, full: impl FnOnce() -> bool) -> Queued {
    let queued = |waits_for, key: &str, before: usize, starts_at, (reason, reason_zh)| Queued {
        waits_for,
        key: (!key.is_empty()).then(|| key.to_owned()),
        before: before.min(MOST_COUNTED),
        starts_at,
        reason,
        reason_zh,
    };
    match why {
        Why::Slot { key, taken, max, first, before } => {
            let (with, with_zh) = with_key(&key);
            let (line, line_zh) = in_line(before);
            let first = first.as_deref().unwrap_or("-");
            let english =
                format!("{taken} of {max} runs of {flow}{with} are under way (first: {first}); {line}");
            let chinese = format!(
                "{flow}{with_zh} 最多同时运行 {max} 个,现有 {taken} 个在运行(最早:{first});{line_zh}"
            );
            queued(WaitsFor::Concurrency, &key, before, None, (english, chinese))
        }
        Why::Rate { key, max, per, at, before } => {
            let (with, with_zh) = with_key(&key);
            let (line, line_zh) = in_line(before);
            let (per, per_zh) = span(per);
            let moment = rfc3339(at);
            let english = format!("rate {max} per {per}{with}: starts at about {moment}; {line}");
            let chinese =
                format!("速率限制:每 {per_zh} 最多启动 {max} 个{with_zh};预计 {moment} 启动;{line_zh}");
            queued(WaitsFor::Rate, &key, before, Some(at), (english, chinese))
        }
        Why::Quiet { until, key } => {
            let (with, with_zh) = with_key(&key);
            let moment = rfc3339(until);
            let english = format!(
                "waits for quiet: starts at {moment}, unless another trigger{with} replaces it before"
            );
            let chinese = format!("等待静默:将于 {moment} 启动,除非此前有新的触发{with_zh}取代它");
            queued(WaitsFor::Debounce, &key, 0, Some(until), (english, chinese))
        }
        Why::Turn { before } => {
            let (line, line_zh) = in_line(before);
            let (english, chinese) = if full() {
                (
                    format!("its limits let it start; the host has no place to execute it in yet; {line}"),
                    format!("限制已允许启动;主机暂无空闲的执行位置;{line_zh}"),
                )
            } else {
                (format!("it is about to start; {line}"), format!("即将启动;{line_zh}"))
            };
            queued(WaitsFor::Turn, "", before, None, (english, chinese))
        }
    }
}

fn with_key(key: &str) -> (String, String) {
    if key.is_empty() {
        return (String::new(), String::new());
    }
    let shown: String = key.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (format!(" with key \"{shown}\""), format!("(键“{shown}”)"))
}

fn in_line(before: usize) -> (String, String) {
    match before {
        0 => ("it is the next".to_owned(), "下一个就是它".to_owned()),
        1 => ("1 run is before this one".to_owned(), "前面还有 1 个".to_owned()),
        n if n > MOST_COUNTED => (
            format!("more than {MOST_COUNTED} runs are before this one"),
            format!("前面还有超过 {MOST_COUNTED} 个"),
        ),
        n => (format!("{n} runs are before this one"), format!("前面还有 {n} 个")),
    }
}

/// A length of time in its largest whole unit.
fn span(ms: u64) -> (String, String) {
    const UNITS: [(u64, &str, &str); 4] = [
        (86_400_000, "day", "天"),
        (3_600_000, "hour", "小时"),
        (60_000, "minute", "分钟"),
        (1_000, "second", "秒"),
    ];
    let whole = UNITS.iter().find(|(unit, ..)| ms >= *unit && ms.is_multiple_of(*unit));
    let (count, unit, chinese) = whole.map_or((ms, "ms", "毫秒"), |(unit, en, zh)| (ms / unit, *en, *zh));
    match count {
        1 => (unit.to_owned(), format!("1 {chinese}")),
        n if unit == "ms" => (format!("{n} ms"), format!("{n} {chinese}")),
        n => (format!("{n} {unit}s"), format!("{n} {chinese}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_a_sentence_in_both_languages() {
        let slot = Why::Slot { key: "acme".into(), taken: 3, max: 3, first: Some("0197".into()), before: 12 };
        let queued = told("support/ticket-intake", slot, || false);
        assert_eq!(
            queued.reason,
            "3 of 3 runs of support/ticket-intake with key \"acme\" are under way (first: 0197); 12 runs are before this one"
        );
        assert!(
            queued.reason_zh.contains("“acme”") && queued.reason_zh.contains("12"),
            "{}",
            queued.reason_zh
        );
        let rate = Why::Rate { key: "".into(), max: 100, per: 60_000, at: 1_700_000_000_000, before: 0 };
        let queued = told("a/b", rate, || false);
        assert_eq!(
            queued.reason,
            "rate 100 per minute: starts at about 2023-11-14T22:13:20.000Z; it is the next"
        );
        assert_eq!((queued.key, queued.starts_at), (None, Some(1_700_000_000_000)));
        let quiet = told("a/b", Why::Quiet { until: 0, key: "7".into() }, || false);
        assert!(quiet.reason.contains("unless another trigger with key \"7\""), "{}", quiet.reason);
        let turn = told("a/b", Why::Turn { before: 1_001 }, || true);
        assert!(
            turn.reason.contains("no place") && turn.reason.contains("more than 1000"),
            "{}",
            turn.reason
        );
        assert_eq!((turn.before, span(90_000).0.as_str()), (1_000, "90 seconds"));
    }
}
