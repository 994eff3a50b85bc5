//! Widening: a grant after an administrator agreed to what it lacked.

use crate::{
    AddressPattern, Grants, KeyValueScope, SharedNamespace,
    contain::{missing_rules, rate_fits},
};

/// `grants` with as much of `more` as it lacks: the result contains both, but for the data that `grants` keeps away, which
/// stays kept away. What an administrator agrees to when an upgrade
/// asks for more; to agree to single differences, widen by their [`crate::Difference::mend`].
#[must_use]
pub fn widen(grants: &Grants, more: &Grants) -> Grants {
    let mut wide = grants.clone();
    wide.run_context |= more.run_context;
    wide.config |= more.config;
    match (&mut wide.key_value, &more.key_value) {
        (Some(quota), Some(more_quota)) => {
            quota.quota_bytes = quota.quota_bytes.max(more_quota.quota_bytes);
            quota.quota_keys = quota.quota_keys.max(more_quota.quota_keys);
            widen_scope(&mut wide.key_value_scope, &more.key_value_scope);
        }
        (None, Some(more_quota)) => {
            wide.key_value = Some(more_quota.clone());
            wide.key_value_scope = more.key_value_scope.clone();
        }
        (_, None) => {}
    }
    match (&mut wide.artifacts, &more.artifacts) {
        (Some(artifacts), Some(more)) => {
            artifacts.max_bytes = artifacts.max_bytes.max(more.max_bytes);
            if !rate_fits(artifacts.per_hour, more.per_hour) {
                artifacts.per_hour = more.per_hour;
            }
        }
        (None, more) => wide.artifacts.clone_from(more),
        (_, None) => {}
    }
    match (&mut wide.mail, &more.mail) {
        (Some(mail), Some(more)) => {
            add_patterns(&mut mail.senders, &more.senders);
            add_patterns(&mut mail.recipients, &more.recipients);
            if !rate_fits(mail.per_hour, more.per_hour) {
                mail.per_hour = more.per_hour;
            }
            // What is kept away stays: `not_from` is the administrator's word, not a bound that a plugin asks for.
            mail.max_bytes = mail.max_bytes.zip(more.max_bytes).map(|(one, two)| one.max(two));
        }
        (None, more) => wide.mail.clone_from(more),
        (_, None) => {}
    }
    wide.http.extend(missing_rules(&grants.http, &more.http));
    for class in &more.data.sensitivity {
        if !wide.data.sensitivity.contains(class) {
            wide.data.sensitivity.push(class.clone());
        }
    }
    let limits = &mut wide.limits;
    limits.memory_bytes = limits.memory_bytes.max(more.limits.memory_bytes);
    limits.time_ms = limits.time_ms.max(more.limits.time_ms);
    limits.concurrency = limits.concurrency.max(more.limits.concurrency);
    wide
}

fn widen_scope(scope: &mut KeyValueScope, more: &KeyValueScope) {
    scope.access = scope.access.max(more.access);
    for SharedNamespace { namespace, access } in &more.shared {
        match scope.shared.iter_mut().find(|shared| shared.namespace == *namespace) {
            Some(shared) => shared.access = shared.access.max(*access),
            None => scope.shared.push(SharedNamespace { namespace: namespace.clone(), access: *access }),
        }
    }
}

fn add_patterns(patterns: &mut Vec<AddressPattern>, more: &[AddressPattern]) {
    for pattern in more {
        if !patterns.iter().any(|known| known.contains(pattern)) {
            patterns.push(pattern.clone());
        }
    }
}
