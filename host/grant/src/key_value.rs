//! Keys and values: the plugin's own namespace, and those of others that were opened to it.

use serde::{Deserialize, Serialize};

use crate::{Capability, Denial, text::quoted};

/// How much a plugin's own namespace may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KeyValueGrant {
    /// The most bytes (keys and values) the plugin's own namespace may hold. By default 1 GiB.
    pub quota_bytes: u64,
    /// The most keys the plugin's own namespace may hold. By default 5,000,000.
    pub quota_keys: u64,
}

impl Default for KeyValueGrant {
    fn default() -> Self {
        Self { quota_bytes: 1 << 30, quota_keys: 5_000_000 }
    }
}

/// What may be done with keys and values. The greater contains the lesser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read and list.
    Read,
    /// Also write, count up and delete.
    #[default]
    ReadWrite,
}

impl Access {
    /// The name used in grants.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read-write",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a plugin may do in which namespaces. Means nothing without [`crate::Grants::key_value`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValueScope {
    /// What it may do in its own namespace. By default, all.
    pub access: Access,
    /// Other plugins' namespaces that are opened to it. By default none.
    pub shared: Vec<SharedNamespace>,
}

/// Another plugin's namespace. What is written there counts against the quota of the plugin it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedNamespace {
    /// The name of the plugin it belongs to.
    pub namespace: String,
    /// What may be done there; must be said.
    pub access: Access,
}

impl SharedNamespace {
    /// Whether a text can name a namespace: plugins' names have 1 to 63 bytes of a to z, 0 to 9 and hyphens, a letter first.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

/// The most shared namespaces of one plugin.
const MAX_SHARED: usize = 64;

/// `[key-value]` as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct KeyValueWire {
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_keys: Option<u64>,
    #[serde(skip_serializing_if = "Access::is_default")]
    access: Access,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shared: Vec<SharedNamespace>,
}

impl KeyValueWire {
    pub(crate) fn new(grant: &KeyValueGrant, scope: &KeyValueScope) -> Self {
        let writes = scope.access == Access::ReadWrite;
        Self {
            quota_bytes: writes.then_some(grant.quota_bytes),
            quota_keys: writes.then_some(grant.quota_keys),
            access: scope.access,
            shared: scope.shared.clone(),
        }
    }

    pub(crate) fn read(self) -> Result<(KeyValueGrant, KeyValueScope), &'static str> {
        if self.shared.len() > MAX_SHARED {
            return Err("key-value: at most 64 shared namespaces");
        }
        if !self.shared.iter().all(|shared| SharedNamespace::is_name(&shared.namespace)) {
            return Err("key-value: a shared namespace is the name of an installed plugin");
        }
        let grant = match self.access {
            Access::ReadWrite => {
                let default = KeyValueGrant::default();
                KeyValueGrant {
                    quota_bytes: self.quota_bytes.unwrap_or(default.quota_bytes),
                    quota_keys: self.quota_keys.unwrap_or(default.quota_keys),
                }
            }
            // Nothing can be stored by who may only read, so that a host that knows quotas alone keeps to it as well.
            Access::Read if self.quota_bytes.is_none() && self.quota_keys.is_none() => {
                KeyValueGrant { quota_bytes: 0, quota_keys: 0 }
            }
            Access::Read => return Err("key-value: a grant to read alone has no quota; leave it out"),
        };
        Ok((grant, KeyValueScope { access: self.access, shared: self.shared }))
    }
}

/// Whether `access` to a namespace is allowed: `None` is the plugin's own. The quota is asked for by who writes.
///
/// # Errors
/// A denial that names the smallest grant that would have allowed it.
pub fn check_key_value(
    grants: &crate::Grants,
    namespace: Option<&str>,
    access: Access,
) -> Result<(), Denial> {
    let denial =
        |message: String, mend: String| Err(Denial { capability: Capability::KeyValue, message, mend });
    let verb = if access == Access::Read { "read" } else { "write" };
    let allowed = grants.key_value.is_some();
    match namespace {
        None if allowed && access <= grants.key_value_scope.access => Ok(()),
        None => denial(
            format!("may not {verb} its own keys"),
            format!("[key-value]\naccess = \"{}\"", access.name()),
        ),
        Some(name)
            if allowed
                && grants
                    .key_value_scope
                    .shared
                    .iter()
                    .any(|shared| shared.namespace == name && access <= shared.access) =>
        {
            Ok(())
        }
        Some(name) => denial(
            format!("may not {verb} the keys of {name:?}"),
            format!(
                "[key-value]\naccess = \"read\"\nshared = [{{ namespace = {}, access = \"{}\" }}]",
                quoted(name),
                access.name()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grants;

    #[test]
    fn own_and_shared_namespaces() {
        let grants = Grants::from_toml(
            "[key-value]\naccess = \"read\"\nshared = [{ namespace = \"crm\", access = \"read\" }, { namespace = \"report\", access = \"read-write\" }]",
        )
        .unwrap();
        for (namespace, access, yes) in [
            (None, Access::Read, true),
            (None, Access::ReadWrite, false),
            (Some("crm"), Access::Read, true),
            (Some("crm"), Access::ReadWrite, false),
            (Some("report"), Access::ReadWrite, true),
            (Some("mail"), Access::Read, false),
            (Some("CRM"), Access::Read, false),
        ] {
            let result = check_key_value(&grants, namespace, access);
            assert_eq!(result.is_ok(), yes, "{namespace:?} {access:?}");
            if let Err(denial) = result
                && namespace != Some("CRM")
            {
                let mended = Grants::from_toml(&denial.mend).unwrap();
                assert!(check_key_value(&mended, namespace, access).is_ok(), "{}", denial.mend);
            }
        }
        assert!(check_key_value(&Grants::default(), None, Access::Read).is_err());
        assert_eq!(grants.key_value.as_ref().unwrap().quota_bytes, 0);
        assert_eq!(Grants::from_toml(&grants.to_toml().unwrap()).unwrap(), grants);
    }

    #[test]
    fn contradictions_are_refused() {
        for bad in [
            "[key-value]\naccess = \"read\"\nquota-bytes = 5",
            "[key-value]\naccess = \"write\"",
            "[key-value]\nshared = [{ namespace = \"../x\", access = \"read\" }]",
            "[key-value]\nshared = [{ namespace = \"crm\" }]",
            "[key-value]\nquota = 5",
        ] {
            assert!(Grants::from_toml(bad).is_err(), "{bad}");
        }
    }
}
