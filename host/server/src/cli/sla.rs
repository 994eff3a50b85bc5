//! The clocks of a run in words: what is left, and for how long it is too late.

use serde_json::Value;

use super::output;

/// All clocks of a run in one: the one that matters most.
pub fn line(sla: &Value) -> String {
    let state = output::text(sla, "/state");
    let clocks = || sla.get("clocks").and_then(Value::as_array).into_iter().flatten();
    let number = |clock: &Value, name: &str| clock.get(name).and_then(Value::as_u64);
    let first = match state.as_str() {
        "breached" => clocks().find(|clock| number(clock, "over_ms").is_some()),
        _ => clocks()
            .filter(|clock| number(clock, "left_ms").is_some())
            .min_by_key(|clock| number(clock, "left_ms")),
    };
    match (state.as_str(), first) {
        ("met" | "stopped", _) | (_, None) => state,
        ("warned", Some(first)) => format!("warned: {} {}", output::text(first, "/clock"), clock(first)),
        (_, Some(first)) => format!("{} {}", output::text(first, "/clock"), clock(first)),
    }
}

/// One clock.
pub fn clock(clock: &Value) -> String {
    let number = |name: &str| clock.get(name).and_then(Value::as_u64);
    let business = if clock.get("business").and_then(Value::as_bool).unwrap_or_default() {
        " of business time"
    } else {
        ""
    };
    if let Some(over) = number("over_ms") {
        return match clock.get("met_at") {
            Some(_) => format!("breached, met {} too late", words(over)),
            None => format!("breached {} ago", words(over)),
        };
    }
    match number("left_ms") {
        Some(left) if clock.get("due").is_none() => format!("paused, {}{business} left", words(left)),
        Some(left) => format!("{}{business} left", words(left)),
        None if clock.get("met_at").is_some() => "met".into(),
        None => "stopped".into(),
    }
}

/// A length of time, in its two largest units.
fn words(ms: u64) -> String {
    let minutes = ms / 60_000;
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", ms / 1_000),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_tells_what_matters_most() {
        let sla = |state: &str, clocks: Value| line(&json!({ "state": state, "clocks": clocks }));
        let left =
            |clock: &str, ms: u64| json!({ "clock": clock, "due": "x", "left_ms": ms, "business": false });
        assert_eq!(
            sla("running", json!([left("respond", 7_800_000), left("resolve", 180_000_000)])),
            "respond 2 h 10 min left"
        );
        assert_eq!(sla("warned", json!([left("resolve", 59_000)])), "warned: resolve 59 s left");
        let over = json!({ "clock": "resolve", "due": "x", "over_ms": 840_000, "business": true });
        assert_eq!(sla("breached", json!([left("respond", 1), over])), "resolve breached 14 min ago");
        let paused = json!({ "clock": "resolve", "left_ms": 180_000_000_u64, "business": true });
        assert_eq!(sla("paused", json!([paused])), "resolve paused, 2 d 2 h of business time left");
        assert_eq!(sla("met", json!([{ "clock": "resolve", "met_at": "x" }])), "met");
        let late = json!({ "clock": "resolve", "due": "x", "over_ms": 60_000, "met_at": "y" });
        assert_eq!(clock(&late), "breached, met 1 min too late");
    }
}
