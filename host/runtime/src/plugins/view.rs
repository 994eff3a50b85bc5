//! Plugins as people and programs see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use factotum_grant::{Grants, Language, cannot, sentences};
use factotum_registry::Manifest;
use serde::Serialize;
use serde_json::Value;

use super::{Installed, Plugins};

/// An installed plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginInfo {
    /// The name that flows call it by.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub digest: String,
    /// Its manifest; absent for a component that carries none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it may do.
    pub grants: Grants,
    /// The same in sentences: what this plugin can do to you.
    pub may: Sentences,
    /// The configuration keys that are set. Values may be confidential and are not shown.
    pub config_keys: Vec<String>,
    /// What it exports.
    pub functions: Vec<FunctionInfo>,
    /// Why it cannot be called, when it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// When it was installed, or its grants were last changed.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub installed_at: u64,
    /// Who installed it.
    pub installed_by: String,
}

/// What grants allow and what they do not, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sentences {
    /// In English.
    pub en: Vec<String>,
    /// In Chinese.
    pub zh: Vec<String>,
}

impl Sentences {
    /// The sentences of these grants; the last says what they do not allow.
    #[must_use]
    pub fn of(grants: &Grants) -> Self {
        let say =
            |language| sentences(grants, language).into_iter().chain(cannot(grants, language)).collect();
        Self { en: say(Language::English), zh: say(Language::Chinese) }
    }
}

/// A function of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionInfo {
    /// The interface it is of, such as `factotum:crm/crm@0.1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its name, as flows call it.
    pub name: String,
    /// The JSON Schema of its input.
    pub input_schema: Value,
    /// The JSON Schema of its output.
    pub output_schema: Value,
    /// Why it cannot be called from a flow, when it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_callable: Option<String>,
}

impl PluginInfo {
    pub(super) fn of(installed: &Installed) -> Self {
        let record = &installed.record;
        let grants = record.grants().unwrap_or_default();
        let functions = installed.plugin.as_ref().map(|plugin| plugin.functions()).unwrap_or_default();
        Self {
            name: record.name.clone(),
            version: record.version.to_string(),
            digest: record.digest.clone(),
            manifest: record.manifest.clone(),
            imports: record.imports.clone(),
            may: Sentences::of(&grants),
            grants,
            config_keys: record.config.keys().cloned().collect(),
            functions: functions
                .iter()
                .map(|function| FunctionInfo {
                    interface: function.interface().map(str::to_owned),
                    name: function.name().to_owned(),
                    input_schema: function.input_schema().clone(),
                    output_schema: function.output_schema().clone(),
                    not_callable: function.not_callable().map(str::to_owned),
                })
                .collect(),
            unavailable: installed.plugin.as_ref().err().cloned(),
            installed_at: record.installed_at,
            installed_by: record.installed_by.clone(),
        }
    }
}

impl Plugins {
    /// Every installed version of every plugin, by name and version.
    pub fn list(&self) -> Vec<PluginInfo> {
        let catalog = self.catalog();
        catalog.values().flat_map(BTreeMap::values).map(|installed| PluginInfo::of(installed)).collect()
    }

    /// The newest version of a plugin.
    pub fn show(self: &Arc<Self>, name: &str) -> Option<PluginInfo> {
        self.newest(name).map(|installed| PluginInfo::of(&installed))
    }
}
