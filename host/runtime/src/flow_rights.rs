//! What flows may send by themselves: granted to `namespace/name`, kept in the store, changed and taken back while runs go
//! on. Nothing is granted to begin with.
//!
//! As with plugins, what is taken away is gone from memory before it is written down, and what is given is written down
//! before it holds. Grants are those of the flow's name: they stay when it is deployed again or taken off.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use factotum_audit::{Actor, AuditLog};
use factotum_egress::look_at;
use factotum_flow::{Flow, HttpSite, Problem, Severity};
use factotum_grant::{Grants, HttpRule, contains};
use factotum_provenance::Carried;
use factotum_sandbox::{HttpRights, Narrowed};
use factotum_store::{Batch, ScanRange, Store, StoreError, Table};
use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, HostError};
use crate::plugins::{GrantChange, Sentences, with_change};

/// The prefix of the keys of flows' grants.
const GRANTS: &str = "grants\0";

/// What a flow may send by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowGrants {
    /// The flow, `namespace/name`.
    pub flow: String,
    /// What it may do.
    pub grants: Grants,
    /// The same in sentences.
    pub may: Sentences,
}

/// A change of what a flow may send by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedFlowGrants {
    /// The flow with its new grants.
    pub flow: FlowGrants,
    /// What it gained and lost.
    pub change: GrantChange,
}

/// As the store keeps it.
#[derive(Serialize, Deserialize)]
struct Record {
    /// As TOML, the way an administrator wrote and reads them.
    grants: String,
}

/// The rights of all flows.
pub(crate) struct FlowRights {
    store: Store,
    audit: AuditLog,
    known: RwLock<HashMap<String, Arc<HttpRights>>>,
    /// Held while grants are changed.
    changing: tokio::sync::Mutex<()>,
}

impl FlowRights {
    pub fn new(store: Store, audit: AuditLog) -> Self {
        Self { store, audit, known: RwLock::default(), changing: tokio::sync::Mutex::default() }
    }

    /// Loads what was granted before. What cannot be read any more allows nothing, and is reported.
    pub fn open(&self) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let page = self.store.scan(Table::Flows, &ScanRange::prefix(GRANTS).after(cursor).limit(100))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            cursor = Some(last.clone());
            for (key, stored) in page {
                let flow = String::from_utf8_lossy(key.get(GRANTS.len()..).unwrap_or_default()).into_owned();
                let read = serde_json::from_slice::<Record>(&stored).map_err(|e| e.to_string());
                let grants =
                    read.and_then(|record| Grants::from_toml(&record.grants).map_err(|e| e.to_string()));
                let rights = grants
                    .and_then(|grants| HttpRights::new(&holder(&flow), grants).map_err(|e| e.to_string()));
                match rights {
                    Ok(rights) => self.remember(&flow, rights),
                    Err(error) => {
                        tracing::error!(flow, error, "a flow's grants cannot be read; it may send nothing");
                    }
                }
            }
        }
    }

    /// The rights of a flow, to be asked at each request.
    pub fn of(&self, flow: &str) -> Arc<HttpRights> {
        if let Some(found) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(flow) {
            return Arc::clone(found);
        }
        // Nothing is granted. Kept, so that what is granted later holds for whoever asked before.
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let nothing = || Arc::new(HttpRights::nothing(&holder(flow)));
        Arc::clone(known.entry(flow.to_owned()).or_insert_with(nothing))
    }

    /// What a flow may send.
    pub fn show(&self, flow: &str) -> FlowGrants {
        let grants = self.of(flow).grants();
        FlowGrants { flow: flow.to_owned(), may: Sentences::of(&grants), grants: Grants::clone(&grants) }
    }

    /// Replaces what a flow may send. With `expected`, only when that is what it may send now.
    pub async fn set(
        &self,
        actor: &Actor,
        flow: &str,
        grants: Grants,
        expected: Option<&Grants>,
    ) -> Result<ChangedFlowGrants, HostError> {
        check_name(flow)?;
        check_kind(&grants)?;
        let _changing = self.changing.lock().await;
        let rights = self.of(flow);
        let old = Grants::clone(&rights.grants());
        if expected.is_some_and(|expected| *expected != old) {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("the grants of {flow} were changed by somebody else in the meantime"),
            )
            .hint("look at them again, and repeat the change"));
        }
        let refused = |error: factotum_grant::TooManyRules| {
            HostError::new(ErrorCode::InvalidRequest, format!("{flow}: {error}"))
        };
        let only_takes = contains(&old, &grants).is_ok();
        if only_takes {
            rights.set(grants.clone()).map_err(refused)?;
        } else {
            rights.check(&grants).map_err(refused)?;
        }
        let mut batch = Batch::new();
        let key = [GRANTS, flow].concat();
        if grants == Grants::default() {
            batch.delete(Table::Flows, key);
        } else {
            let written = grants.to_toml().map_err(|e| {
                HostError::new(ErrorCode::InvalidRequest, format!("the grants cannot be written down: {e}"))
            })?;
            let record = serde_json::to_vec(&Record { grants: written }).map_err(HostError::internal)?;
            batch.put(Table::Flows, key, record);
        }
        let change = GrantChange::between(&old, &grants);
        let action = if only_takes { "flow.revoke" } else { "flow.grant" };
        let toml = |grants: &Grants| grants.to_toml().unwrap_or_default().into_bytes();
        let entry = self
            .audit
            .entry(actor, action, flow)
            .payload("before", &toml(&old))
            .payload("after", &toml(&grants));
        with_change(entry, &change).add_to(&mut batch);
        if let Err(error) = self.store.commit(batch).await {
            let mut error = HostError::store(error);
            if only_takes {
                error.message = format!(
                    "{flow} may send this no longer until the host restarts, but it could not be written down: {}",
                    error.message
                );
            }
            return Err(error);
        }
        if !only_takes {
            rights.set(grants).map_err(refused)?;
        }
        tracing::info!(flow, "a flow's grants changed");
        Ok(ChangedFlowGrants { flow: self.show(flow), change })
    }

    /// The requests of a flow that nothing grants it, as far as its document says where they go.
    pub fn lacking(&self, flow: &Flow, file: &str) -> Vec<Problem> {
        let rights = self.of(&flow.id());
        let right = rights.now(None, Carried::default());
        let mut found = Vec::new();
        for site in flow.https() {
            let Some(endpoint) = &site.endpoint else { continue };
            // An OpenAPI document is read with GET; where it leads is not known yet.
            let method = site.method.as_deref().unwrap_or("GET");
            let request = http::Request::builder().method(method).uri(filled(endpoint)).body(Bytes::new());
            let Ok(request) = request else { continue };
            let secrets: Vec<&str> = site.secrets.iter().map(String::as_str).collect();
            let looked = look_at(&request, |seen| match right.policy().check_as(seen, &secrets) {
                Ok(_) => None,
                Err(_) => Some(HttpRule::observed(seen).ok()),
            });
            let Ok(Some(rule)) = looked else {
                found.extend(narrowed_away(&rights, site, &request, &secrets, (method, endpoint), file));
                continue;
            };
            let least = rule.map(|rule| least(&rule, &secrets));
            found.push(Problem {
                severity: Severity::Warning,
                file: file.to_owned(),
                line: site.line,
                column: site.column,
                path: site.path.clone(),
                message: format!("the flow is not granted {method} {endpoint}; the request will be refused"),
                hint: Some(least.map_or_else(
                    || "an administrator grants it: factotum flow grant".into(),
                    |toml| {
                        format!(
                            "an administrator grants it: factotum flow grant {} FILE, with\n{toml}",
                            flow.id()
                        )
                    },
                )),
            });
        }
        found
    }

    fn remember(&self, flow: &str, rights: HttpRights) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(flow.to_owned(), Arc::new(rights));
    }
}

/// A request that the flow is granted, and its task's own narrowing does not leave.
fn narrowed_away(
    rights: &HttpRights,
    site: &HttpSite,
    request: &http::Request<Bytes>,
    secrets: &[&str],
    (method, endpoint): (&str, &str),
    file: &str,
) -> Option<Problem> {
    let narrowed = Narrowed::new(site.grants.clone()?);
    let right = rights.now(Some(&narrowed), Carried::default());
    let denied = look_at(request, |seen| right.policy().check_as(seen, secrets).is_err()).ok()?;
    denied.then(|| Problem {
        severity: Severity::Warning,
        file: file.to_owned(),
        line: site.line,
        column: site.column,
        path: format!("{}/metadata/grants", site.path),
        message: format!(
            "the task's own narrowing does not leave {method} {endpoint}; the request will be refused"
        ),
        hint: Some(
            "a narrowing must match what the task sends; what it does not name stays as granted".into(),
        ),
    })
}

/// Who a flow is where grants and tokens are concerned. No plugin is called so.
pub(crate) fn holder(flow: &str) -> String {
    format!("flow:{flow}")
}

/// The origin, method and path of a rule as TOML, with the secrets: what an administrator narrows further.
fn least(rule: &HttpRule, secrets: &[&str]) -> String {
    let list = |items: &[String]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ");
    let mut text = format!("[[http]]\nscheme = {:?}\nhost = \"{}\"\n", rule.scheme, rule.host);
    if let Some(port) = rule.port {
        text.push_str(&format!("port = {port}\n"));
    }
    let paths: Vec<String> = rule.paths.iter().map(ToString::to_string).collect();
    text.push_str(&format!("methods = [{}]\npaths = [{}]\n", list(&rule.methods), list(&paths)));
    if !secrets.is_empty() {
        let secrets: Vec<String> = secrets.iter().map(|name| (*name).to_owned()).collect();
        text.push_str(&format!("secrets = [{}]\n", list(&secrets)));
    }
    text
}

/// An endpoint with a number for each member of the input.
fn filled(endpoint: &str) -> String {
    let mut text = String::with_capacity(endpoint.len());
    let mut rest = endpoint;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push('0');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    text + rest
}

fn check_name(flow: &str) -> Result<(), HostError> {
    let part = |text: &str| {
        (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if flow.split_once('/').is_some_and(|(namespace, name)| part(namespace) && part(name)) {
        return Ok(());
    }
    Err(HostError::new(
        ErrorCode::InvalidRequest,
        "a flow is named namespace/name, as in support/ticket-intake",
    ))
}

/// A flow has requests of its own, and nothing else: what it does beside them, its plugins do under theirs.
fn check_kind(grants: &Grants) -> Result<(), HostError> {
    // Every field by name: whoever adds a capability decides here.
    let Grants {
        run_context,
        config,
        key_value,
        key_value_scope: _,
        artifacts,
        mail,
        http: _,
        data: _,
        limits,
    } = grants;
    let other = *run_context || *config || key_value.is_some() || artifacts.is_some() || mail.is_some();
    let default = factotum_grant::Limits::default();
    if other || limits.memory_bytes != default.memory_bytes || limits.concurrency != default.concurrency {
        return Err(HostError::new(
            ErrorCode::InvalidRequest,
            "a flow is granted [[http]] rules, [data], and the time of a request (limits.time-ms); nothing else is its own",
        )
        .hint("grant other capabilities to the plugins that the flow calls; concurrency stands in an [[http]] rule"));
    }
    Ok(())
}
