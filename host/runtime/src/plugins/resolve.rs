//! What a flow's call means: by the plugin's name, or by the interface that some plugin exports.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factotum_egress::{EgressError, Login, Policy};
use factotum_flow::FunctionRef;
use factotum_grant::Narrowing;
use factotum_provenance::{Source, TRIGGER};
use factotum_sandbox::{CallContext, CallReport, FindError, InputProblem, Narrowed, Plugin};
use serde_json::Value;

use super::{Catalog, Installed, Plugins, Record};
use crate::actions::{Actions, NotLoaded, Pin, Unresolved};
use crate::flows::is_expression;

#[async_trait]
impl Actions for Plugins {
    fn resolve(&self, function: &FunctionRef) -> Result<Pin, Unresolved> {
        resolve(&self.catalog(), function)
    }

    fn check_input(&self, pin: &Pin, with: &Value) -> Vec<InputProblem> {
        let Ok(plugin) = self.pinned(pin) else { return Vec::new() };
        plugin.find(&pin.function).map_or_else(|_| Vec::new(), |f| f.check_input(with, &is_expression))
    }

    fn check_narrowing(&self, pin: &Pin, by: &Narrowing) -> Option<String> {
        self.pinned(pin).ok()?.narrowed(by).err().map(|error| error.to_string())
    }

    fn gives_out(&self, source: &Source) -> bool {
        let catalog = self.catalog();
        let is_of = |class: &String, record: &Record| {
            record.grants().is_ok_and(|grants| grants.data.sensitivity.contains(class))
        };
        match source {
            Source::Origin(name) => {
                name == TRIGGER || name.starts_with("http:") || catalog.contains_key(name)
            }
            Source::Class(class) => {
                catalog.values().flat_map(BTreeMap::values).any(|installed| is_of(class, &installed.record))
            }
        }
    }

    fn may_act(&self, pin: &Pin) -> bool {
        self.pinned(pin).map_or(true, |plugin| plugin.may_act())
    }

    async fn http(
        &self,
        _flow: &str,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: Option<&Login>,
        limits: &factotum_egress::Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        match login {
            None => self.backends.egress.send(policy, request, limits).await,
            Some(login) => self.backends.egress.send_as(policy, request, login, limits).await,
        }
    }

    async fn script(&self, input: &Value, context: &CallContext) -> Result<CallReport, String> {
        self.scripts.run(&self.sandbox, &self.backends, input, context).await
    }

    async fn call(
        &self,
        pin: &Pin,
        input: &Value,
        context: &CallContext,
        narrowed: Option<&Arc<Narrowed>>,
    ) -> Result<CallReport, NotLoaded> {
        let plugin = self.pinned(pin)?;
        Ok(plugin.call_narrowed(&pin.function, input, context, narrowed).await)
    }
}

impl Plugins {
    fn pinned(&self, pin: &Pin) -> Result<Plugin, NotLoaded> {
        let catalog = self.catalog();
        let found = catalog.get(&pin.plugin).and_then(|versions| versions.get(&pin.version));
        let Some(found) = found.filter(|installed| installed.record.digest == pin.digest) else {
            return Err(NotLoaded(format!(
                "the plugin {} {} (sha256 {}), which this flow was deployed with, is not installed",
                pin.plugin, pin.version, pin.digest
            )));
        };
        found.plugin.clone().map_err(|reason| {
            NotLoaded(format!("the plugin {} {} cannot be called: {reason}", pin.plugin, pin.version))
        })
    }
}

fn resolve(catalog: &Catalog, function: &FunctionRef) -> Result<Pin, Unresolved> {
    if let Some(versions) = catalog.get(&function.plugin) {
        let version = factotum_registry::resolve(versions.keys(), function.version.as_ref());
        let Some(installed) = version.and_then(|version| versions.get(version)) else {
            let known: Vec<String> = versions.keys().map(ToString::to_string).collect();
            return Err(Unresolved {
                message: format!("no installed version of {} is {}", function.plugin, requirement(function)),
                hint: Some(format!("installed are {}", known.join(", "))),
            });
        };
        return pin(installed, function, &function.function);
    }
    by_interface(catalog, function)
}

/// A call that names an interface, such as `crm`, goes to the one plugin that exports it.
fn by_interface(catalog: &Catalog, function: &FunctionRef) -> Result<Pin, Unresolved> {
    let full_name = match function.function.contains('.') {
        true => function.function.clone(),
        false => format!("{}.{}", function.plugin, function.function),
    };
    let mut found = Vec::new();
    for versions in catalog.values() {
        let exporting = versions.iter().filter(|(_, installed)| exports(installed, &function.plugin));
        let version =
            factotum_registry::resolve(exporting.map(|(version, _)| version), function.version.as_ref());
        found.extend(version.and_then(|version| versions.get(version)));
    }
    match found.as_slice() {
        [only] => pin(only, function, &full_name),
        [] => {
            let names: Vec<&str> = catalog.keys().map(String::as_str).collect();
            Err(Unresolved {
                message: format!(
                    "there is no plugin {:?}, and none exports an interface of that name",
                    function.plugin
                ),
                hint: Some(if names.is_empty() {
                    "install one with `factotum plugin add`".into()
                } else {
                    format!("installed are {}", names.join(", "))
                }),
            })
        }
        several => {
            let names: Vec<&str> = several.iter().map(|installed| installed.record.name.as_str()).collect();
            Err(Unresolved {
                message: format!(
                    "several plugins export the interface {:?}: {}",
                    function.plugin,
                    names.join(", ")
                ),
                hint: Some(format!(
                    "name one of them, for example {}/{}, or install the one to use under the name {:?}",
                    names.first().copied().unwrap_or_default(),
                    function.function,
                    function.plugin
                )),
            })
        }
    }
}

fn exports(installed: &Installed, interface: &str) -> bool {
    let Ok(plugin) = &installed.plugin else { return false };
    plugin
        .functions()
        .iter()
        .any(|function| function.full_name().split_once('.').is_some_and(|(short, _)| short == interface))
}

fn pin(installed: &Installed, function: &FunctionRef, name: &str) -> Result<Pin, Unresolved> {
    let record = &installed.record;
    let plugin = installed.plugin.as_ref().map_err(|reason| Unresolved {
        message: format!("the plugin {} {} cannot be called: {reason}", record.name, record.version),
        hint: None,
    })?;
    let found = plugin.find(name).map_err(|error| Unresolved {
        message: format!("{} {}: {error}", record.name, record.version),
        hint: match error {
            FindError::Unknown { .. } => Some(format!("see `factotum plugin show {}`", record.name)),
            _ => None,
        },
    })?;
    Ok(Pin {
        call: function.to_string(),
        plugin: record.name.clone(),
        version: record.version.clone(),
        digest: record.digest.clone(),
        function: found.full_name(),
    })
}

fn requirement(function: &FunctionRef) -> String {
    function.version.as_ref().map_or_else(|| "there".to_owned(), ToString::to_string)
}
