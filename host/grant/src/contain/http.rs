//! Whether one list of HTTP rules contains another.

use std::collections::BTreeMap;

use super::{Difference, rate, rate::Part};
use crate::{
    Capability, FieldPointer, HttpRule, Language, PathPattern, SecretUse,
    data::lacking,
    http::rules_toml,
    sentence::{self, Words, bytes, number},
    text::shown,
};

/// What a list of rules lacks of another.
struct Missing {
    /// The part of the narrower's rule that is lacking.
    rule: HttpRule,
    why: Why,
}

enum Why {
    /// No rule of the wider takes the target; said is whether one takes the host.
    Target,
    /// The wider's rule at this place takes the target, but not all of the rest.
    Rest(usize),
    /// Only the rates do not fit.
    Rates,
}

/// Tells what `wider` lacks of `narrower`.
pub(super) fn compare(wider: &[HttpRule], narrower: &[HttpRule], found: &mut Vec<Difference>) {
    for Missing { rule, why } in missing(wider, narrower) {
        let words = match &why {
            Why::Target => sentence::request_words(&rule)
                .map(|en, zh| (format!("may also send requests: {en}"), format!("还可以发送请求：{zh}"))),
            Why::Rates => rates_words(&rule),
            Why::Rest(near) => match wider.get(*near) {
                Some(near) => rest_words(near, &rule),
                None => continue,
            },
        };
        let loosens =
            matches!(why, Why::Rest(near) if wider.get(near).is_some_and(|near| !data_fits(near, &rule)));
        let mut mend = rules_toml(std::slice::from_ref(&rule));
        if loosens {
            mend.push_str("\n# without some of the wider grant's not-from");
        }
        found.push(Difference::new(Some(Capability::Http), mend, words));
    }
}

/// Rules that, added to `wider`, make it contain `narrower`, but for the data that `wider` keeps away from its destinations.
pub(crate) fn missing_rules(wider: &[HttpRule], narrower: &[HttpRule]) -> Vec<HttpRule> {
    let mut open = wider.to_vec();
    open.iter_mut().for_each(|rule| rule.not_from.clear());
    missing(&open, narrower).into_iter().map(|missing| missing.rule).collect()
}

fn missing(wider: &[HttpRule], narrower: &[HttpRule]) -> Vec<Missing> {
    let mut found = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    for (index, rule) in narrower.iter().enumerate() {
        let origins: Vec<(usize, &HttpRule)> =
            wider.iter().enumerate().filter(|(_, wide)| origin_fits(wide, rule)).collect();
        let rest: Vec<bool> = origins.iter().map(|(_, wide)| rest_fits(wide, rule)).collect();
        // By the rule that nearly took them: methods and the paths lacking for each.
        let mut lacking: BTreeMap<Option<usize>, BTreeMap<&str, Vec<&PathPattern>>> = BTreeMap::new();
        let first_part = parts.len();
        for path in &rule.paths {
            let takers: Vec<(usize, &HttpRule, bool)> = origins
                .iter()
                .zip(&rest)
                .filter(|((_, wide), _)| wide.paths.iter().any(|wide| wide.contains(path)))
                .map(|((at, wide), rest)| (*at, *wide, *rest))
                .collect();
            for method in &rule.methods {
                let with_method = || takers.iter().filter(|(_, wide, _)| wide.methods.contains(method));
                let whole: Vec<usize> =
                    with_method().filter(|(_, _, rest)| *rest).map(|(at, ..)| *at).collect();
                if whole.is_empty() {
                    let near = with_method().map(|(at, ..)| *at).next();
                    lacking.entry(near).or_default().entry(method).or_default().push(path);
                } else if !parts.iter().skip(first_part).any(|part| part.takers == whole) {
                    parts.push(Part { rule: index, takers: whole });
                }
            }
        }
        for (near, methods) in lacking {
            let mut groups: Vec<(Vec<String>, Vec<&PathPattern>)> = Vec::new();
            for (method, paths) in methods {
                match groups.iter_mut().find(|(_, known)| *known == paths) {
                    Some((methods, _)) => methods.push(method.to_owned()),
                    None => groups.push((vec![method.to_owned()], paths)),
                }
            }
            for (methods, paths) in groups {
                let paths = paths.into_iter().cloned().collect();
                let rule = HttpRule { methods, paths, ..rule.clone() };
                found.push(Missing { rule, why: near.map_or(Why::Target, Why::Rest) });
            }
        }
    }
    let unplaced = rate::unplaced(wider, narrower, &parts);
    found.extend(
        unplaced
            .into_iter()
            .filter_map(|at| narrower.get(at))
            .map(|rule| Missing { rule: rule.clone(), why: Why::Rates }),
    );
    found
}

fn origin_fits(wide: &HttpRule, narrow: &HttpRule) -> bool {
    wide.scheme == narrow.scheme
        && wide.effective_port() == narrow.effective_port()
        && wide.host.contains(&narrow.host)
}

/// Whether all but origin, method, path and rates fits.
fn rest_fits(wide: &HttpRule, narrow: &HttpRule) -> bool {
    query_fits(wide, narrow)
        && body_fits(wide, narrow)
        && narrow.request_budget() <= wide.request_budget()
        && narrow.max_response_bytes <= wide.max_response_bytes
        && (wide.may_be_private() || !narrow.may_be_private())
        && secrets_fit(wide, narrow)
        && usable(wide, narrow).next().is_none()
        && data_fits(wide, narrow)
}

/// Whether what the one keeps away the other does, too.
fn data_fits(wide: &HttpRule, narrow: &HttpRule) -> bool {
    lacking(&wide.not_from, &narrow.not_from).next().is_none()
}

fn query_fits(wide: &HttpRule, narrow: &HttpRule) -> bool {
    match (&wide.query, &narrow.query) {
        (_, Some(keys)) => keys.iter().all(|key| wide.allows_key(key) || !narrow.allows_key(key)),
        // Which keys of secrets are refused is compared with the secrets.
        (wide, None) => wide.is_none(),
    }
}

fn body_fits(wide: &HttpRule, narrow: &HttpRule) -> bool {
    match (&wide.body_fields, &narrow.body_fields) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => lacking_fields(wide, narrow).next().is_none(),
    }
}

fn lacking_fields<'n>(
    wide: &'n [FieldPointer],
    narrow: &'n [FieldPointer],
) -> impl Iterator<Item = &'n FieldPointer> {
    narrow
        .iter()
        .filter(move |narrow| !wide.iter().take(crate::http::MAX_LIST).any(|wide| wide.contains(narrow)))
}

/// The same secrets in the same places. Not fewer: where the host puts no secret, the plugin may put one of its own, and
/// send what it knows to a stranger's account at the same host.
fn secrets_fit(wide: &HttpRule, narrow: &HttpRule) -> bool {
    secrets(wide) == secrets(narrow)
}

/// The secrets that the one lets a flow sign in with and the other does not.
fn usable<'n>(wide: &'n HttpRule, narrow: &'n HttpRule) -> impl Iterator<Item = &'n String> {
    narrow.usable.iter().filter(|name| !wide.usable.contains(name))
}

fn secrets(rule: &HttpRule) -> std::collections::BTreeSet<SecretUse<'_>> {
    rule.secrets().collect()
}

fn rates_words(rule: &HttpRule) -> Words {
    let (en, zh) = sentence::origin(rule).into_both();
    let bound = |count: Option<u32>| count.map(|count| number(count.into()));
    let per_minute = bound(rule.per_minute);
    let at_once = bound(rule.concurrency);
    let rate_en = per_minute
        .as_ref()
        .map_or("any number of requests".into(), |n| format!("{n} more requests a minute"));
    let rate_zh =
        per_minute.as_ref().map_or("不限数量的请求".into(), |n| format!("每分钟再多 {n} 次请求"));
    let once_en = at_once.as_ref().map_or(String::new(), |n| format!(", {n} more at one time"));
    let once_zh = at_once.as_ref().map_or(String::new(), |n| format!("，同时再多 {n} 个"));
    Words::new(
        format!("may send {rate_en}{once_en} to {en}, beyond what the other rules leave"),
        format!("可以向 {zh} 发送{rate_zh}{once_zh}，超出其他规则的余量"),
    )
}

/// What the rule allows beyond `near`, which takes the same target.
fn rest_words(near: &HttpRule, rule: &HttpRule) -> Words {
    let (mut en, mut zh) = (Vec::new(), Vec::new());
    let mut say = |words: (String, String)| {
        en.push(words.0);
        zh.push(words.1);
    };
    let list = |names: Vec<String>| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if !query_fits(near, rule) {
        say(match &rule.query {
            None => ("with any query keys".into(), "带任意查询参数".into()),
            Some(keys) => {
                let more = list(keys.iter().filter(|key| !near.allows_key(key)).cloned().collect());
                (format!("with the query keys {more}"), format!("带查询参数 {more}"))
            }
        });
    }
    if !body_fits(near, rule) {
        say(match (&near.body_fields, &rule.body_fields) {
            (Some(wide), Some(narrow)) => {
                let more = list(lacking_fields(wide, narrow).map(ToString::to_string).collect());
                (format!("writing the fields {more}"), format!("写入字段 {more}"))
            }
            _ => ("writing anything in the body".into(), "请求正文内容不限".into()),
        });
    }
    if rule.request_budget() > near.request_budget() {
        let (size_en, size_zh) = bytes(rule.request_budget());
        say((format!("sending up to {size_en} each"), format!("每次最多发送 {size_zh}")));
    }
    if rule.max_response_bytes > near.max_response_bytes {
        let (size_en, size_zh) = bytes(rule.max_response_bytes);
        say((format!("receiving up to {size_en} each"), format!("每次最多接收 {size_zh}")));
    }
    if rule.may_be_private() && !near.may_be_private() {
        say(("inside of your own network".into(), "位于您的内部网络".into()));
    }
    if !data_fits(near, rule) {
        let (data_en, data_zh) = sentence::sources(lacking(&near.not_from, &rule.not_from)).into_both();
        say((format!("with {data_en}"), format!("带{data_zh}")));
    }
    if usable(near, rule).next().is_some() {
        let more = list(usable(near, rule).cloned().collect());
        say((format!("signing in with the secrets {more}"), format!("使用密钥 {more} 登录")));
    }
    if !secrets_fit(near, rule) {
        let words = sentence::secrets(rule);
        say(match &words {
            Some(words) => (words.get(Language::English).to_owned(), words.get(Language::Chinese).to_owned()),
            None => (
                "without the secret that the grant puts in, so that it may sign in as somebody else".into(),
                "不带授权中的密钥，因此可能以其他身份登录".into(),
            ),
        });
    }
    sentence::request_words(rule).map(|request_en, request_zh| {
        (
            format!("may also send requests: {request_en}, {}", en.join(", ")),
            format!("还可以发送请求：{request_zh}，{}", zh.join("，")),
        )
    })
}
