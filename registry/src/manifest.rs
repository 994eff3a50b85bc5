//! The manifest: what a plugin is, and what it asks for and why, in its author's words.
//!
//! The author writes `plugin.toml`; the SDK's `manifest!` puts it into the component as the custom section
//! `factotum:manifest`. A component without one (built for another host) can still be installed: it then asks for just
//! what it imports, without reasons.
//!
//! ```toml
//! name = "crm"                       # lower-case letters, digits, hyphens
//! version = "0.1.0"                  # semantic version
//! kind = "connector"                 # connector: talks to an outside system; action: only computes
//! description.en = "Keeps contacts and cases in the host's own store."
//! description.zh = "在主机自带的存储中保存联系人和工单。"
//! license = "MIT OR Apache-2.0"      # SPDX, optional
//!
//! [[asks]]                           # one for each capability the component imports, no more and no fewer
//! capability = "key-value"           # run-context, config, key-value, artifacts, mail, http
//! reason.en = "Keeps the contacts and cases."
//! reason.zh = "保存联系人和工单。"
//!
//! [[config]]                         # one for each configuration key it reads
//! key = "base-url"                   # a part in capitals stands for any word: template.NAME.subject
//! required = true
//! description.en = "Where the CRM is."
//! description.zh = "CRM 的地址。"
//!
//! [grants]                           # optional: a starting point for the administrator, in the grant language;
//! key-value = {}                     # for no capability that it does not ask for
//! ```

use factotum_grant::{Capability, Grants};
use serde::{Deserialize, Serialize};

/// The custom section that holds the manifest.
pub const SECTION: &str = "factotum:manifest";
/// The most bytes a manifest may have.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most configuration keys a manifest may list.
const MAX_CONFIG_KEYS: usize = 256;

/// What a plugin is and asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The plugin's name: lower-case letters, digits and hyphens, at most 63.
    pub name: String,
    /// Its version.
    pub version: semver::Version,
    /// What kind of plugin it is.
    #[serde(default)]
    pub kind: Kind,
    /// What it does, for people.
    #[serde(default)]
    pub description: Words,
    /// Its licence, SPDX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The capabilities it asks for.
    #[serde(default)]
    pub asks: Vec<Ask>,
    /// The configuration it reads.
    #[serde(default)]
    pub config: Vec<ConfigKey>,
    /// A starting point for the administrator's grant.
    #[serde(default)]
    pub grants: Grants,
}

/// What kind of plugin it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Talks to an outside system.
    Connector,
    /// Only computes.
    #[default]
    Action,
}

/// A text in the languages that people read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    /// English.
    pub en: String,
    /// Chinese.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zh: String,
}

/// A capability, asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Which.
    pub capability: Capability,
    /// Why.
    pub reason: Words,
}

/// A configuration key that the plugin reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigKey {
    /// The key.
    pub key: String,
    /// Whether the plugin cannot work without it.
    #[serde(default)]
    pub required: bool,
    /// What it means, for people.
    #[serde(default)]
    pub description: Words,
}

impl ConfigKey {
    /// Whether it is the key that is meant. A part in capitals, such as NAME in `template.NAME.subject`, is any word.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        let any = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase());
        let mut given = key.split('.');
        self.key
            .split('.')
            .all(|part| given.next().is_some_and(|word| part == word || (any(part) && !word.is_empty())))
            && given.next().is_none()
    }
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The section is no text, too large, or not the TOML expected.
    #[error("the manifest in the component cannot be read: {0}")]
    Unreadable(String),
    /// A name that cannot be one.
    #[error(
        "{0:?} is no plugin name; use lower-case letters, digits and hyphens, starting with a letter, at most 63"
    )]
    Name(String),
    /// Manifest and import list do not say the same.
    #[error("manifest and imports disagree: {0}; a manifest asks for just what the component imports")]
    Imports(String),
    /// The manifest does not say the same in all of its parts.
    #[error("the manifest contradicts itself: {0}")]
    Contradiction(String),
}

impl Manifest {
    /// Reads a manifest from the bytes of its custom section.
    ///
    /// # Errors
    /// When it is too large, no UTF-8, not the TOML expected, or has an impossible name.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::Unreadable(format!("{} bytes; at most {MAX_BYTES}", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| ManifestError::Unreadable(e.to_string()))?;
        let manifest: Self = toml::from_str(text).map_err(|e| ManifestError::Unreadable(e.to_string()))?;
        check_name(&manifest.name)?;
        manifest.check_itself()?;
        Ok(manifest)
    }

    /// Whether asks, reasons, configuration keys and suggested grants fit together: what an administrator is told has to
    /// be all there is.
    fn check_itself(&self) -> Result<(), ManifestError> {
        let mut wrong = Vec::new();
        let asked = |capability| self.asks.iter().filter(|ask| ask.capability == capability).count();
        for capability in Capability::ALL {
            match asked(capability) {
                0 if self.grants.allows(capability) => {
                    wrong.push(format!("it suggests grants for {capability} and does not ask for it"));
                }
                0 | 1 => {}
                count => wrong.push(format!("it asks for {capability} {count} times")),
            }
        }
        for ask in &self.asks {
            if ask.reason.en.trim().is_empty() {
                wrong.push(format!("it asks for {} and gives no reason (reason.en)", ask.capability));
            }
        }
        if self.config.len() > MAX_CONFIG_KEYS {
            wrong.push(format!(
                "it lists {} configuration keys; at most {MAX_CONFIG_KEYS}",
                self.config.len()
            ));
        }
        if !self.config.is_empty() && asked(Capability::Config) == 0 {
            wrong.push("it lists configuration keys and does not ask for config".into());
        }
        if wrong.is_empty() { Ok(()) } else { Err(ManifestError::Contradiction(wrong.join("; "))) }
    }

    /// Whether the manifest asks for just the capabilities that the component imports.
    ///
    /// # Errors
    /// The difference, in words.
    pub fn check_imports(&self, imported: &[Capability]) -> Result<(), ManifestError> {
        let mut wrong = Vec::new();
        for capability in imported {
            if !self.asks.iter().any(|ask| ask.capability == *capability) {
                wrong.push(format!("it imports {capability} and does not ask for it"));
            }
        }
        for ask in &self.asks {
            if !imported.contains(&ask.capability) {
                wrong.push(format!("it asks for {} and does not import it", ask.capability));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(ManifestError::Imports(wrong.join("; "))) }
    }
}

/// Whether `name` can be a plugin's.
///
/// # Errors
/// [`ManifestError::Name`].
pub fn check_name(name: &str) -> Result<(), ManifestError> {
    let good = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good { Ok(()) } else { Err(ManifestError::Name(name.chars().take(80).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRM: &str = r#"
        name = "crm"
        version = "0.1.0"
        kind = "connector"
        description.en = "Keeps contacts."
        description.zh = "保存联系人。"
        [[asks]]
        capability = "key-value"
        reason.en = "Keeps the contacts."
        [grants]
        key-value = {}
    "#;

    #[test]
    fn a_manifest_is_read() {
        let manifest = Manifest::parse(CRM.as_bytes()).unwrap();
        assert_eq!(manifest.kind, Kind::Connector);
        assert!(manifest.grants.allows(Capability::KeyValue));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let error = Manifest::parse(CRM.replace("[grants]", "[grant]").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("grant"), "{error}");
    }

    #[test]
    fn a_manifest_that_lies_is_refused() {
        let manifest = Manifest::parse(CRM.as_bytes()).unwrap();
        assert!(manifest.check_imports(&[Capability::KeyValue]).is_ok());
        let error = manifest.check_imports(&[Capability::Http]).unwrap_err().to_string();
        assert!(error.contains("imports http") && error.contains("asks for key-value"), "{error}");
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let refused = |text: &str| Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        let suggests_more = refused(&format!("{CRM}\nmail = {{}}\nconfig = true"));
        for part in ["suggests grants for config", "suggests grants for mail"] {
            assert!(suggests_more.contains(part), "{suggests_more}");
        }
        let ask = "[[asks]]\ncapability = \"key-value\"\nreason.en = \"Again.\"\n[grants]";
        let twice = refused(&CRM.replace("[grants]", ask));
        assert!(twice.contains("asks for key-value 2 times"), "{twice}");
        let silent = refused(&CRM.replace("Keeps the contacts.\"\n", " \"\nreason.zh = \"保存\"\n"));
        assert!(silent.contains("no reason"), "{silent}");
        let reads = refused(&CRM.replace("[grants]", "[[config]]\nkey = \"x\"\n[grants]"));
        assert!(reads.contains("does not ask for config"), "{reads}");
    }

    #[test]
    fn a_part_in_capitals_is_any_word() {
        let key =
            ConfigKey { key: "template.NAME.subject".into(), required: false, description: Words::default() };
        assert!(key.covers("template.hello.subject"));
        assert!(!key.covers("template..subject") && !key.covers("template.hello.text"));
        assert!(!key.covers("template.hello.subject.x") && !key.covers("template.hello"));
    }

    #[test]
    fn names() {
        for bad in ["", "CRM", "-crm", "crm-", "7crm", "crm/x", "a b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name("crm-tryton").is_ok());
    }
}
