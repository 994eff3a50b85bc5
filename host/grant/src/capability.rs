//! Which imports belong to which capability. The import list of a component is its permission request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something a plugin may be allowed to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// `factotum:host/run-context`.
    RunContext,
    /// `wasi:config/store`.
    Config,
    /// `wasi:keyvalue/*`.
    KeyValue,
    /// `factotum:host/artifacts`.
    Artifacts,
    /// `factotum:host/mail-out`.
    Mail,
    /// `wasi:http/outgoing-handler`.
    Http,
}

impl Capability {
    /// Every capability, in the order people should read them.
    pub const ALL: [Self; 6] =
        [Self::RunContext, Self::Config, Self::KeyValue, Self::Artifacts, Self::Mail, Self::Http];

    /// The name used in grants, manifests and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RunContext => "run-context",
            Self::Config => "config",
            Self::KeyValue => "key-value",
            Self::Artifacts => "artifacts",
            Self::Mail => "mail",
            Self::Http => "http",
        }
    }

    /// What it is, in a few words for people.
    #[must_use]
    pub fn title(self, language: crate::Language) -> &'static str {
        let (english, chinese) = match self {
            Self::RunContext => ("to know which task it works for", "了解自己服务的任务"),
            Self::Config => ("to read its settings", "读取设置"),
            Self::KeyValue => ("to keep data", "保存数据"),
            Self::Artifacts => ("to store files", "保存文件"),
            Self::Mail => ("to send mail", "发送邮件"),
            Self::Http => ("to send requests over the network", "通过网络发送请求"),
        };
        match language {
            crate::Language::English => english,
            crate::Language::Chinese => chinese,
        }
    }

    /// The smallest grant that allows it, as TOML.
    #[must_use]
    pub fn smallest_grant(self) -> &'static str {
        match self {
            Self::RunContext => "run-context = true",
            Self::Config => "config = true",
            Self::KeyValue => "[key-value]",
            Self::Artifacts => "[artifacts]",
            Self::Mail => "[mail]\nrecipients = [\"*@example.com\"]",
            Self::Http => "[[http]]\nhost = \"api.example.com\"\nmethods = [\"GET\"]\npaths = [\"/\"]",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an import name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// Part of every sandbox, and harmless there: clocks, random numbers, standard streams that go to the log,
    /// an environment without variables, a file system without files.
    Base,
    /// Types only; gives nothing by itself.
    Types,
    /// Needs a grant.
    Capability(Capability),
    /// Nothing this host offers.
    Unknown,
}

/// Says what the import `name`, such as `wasi:http/outgoing-handler@0.2.6`, asks for. An interface in a version that this
/// host does not offer is [`Import::Unknown`], like one that it does not know; [`describe_unknown`] tells which.
#[must_use]
pub fn classify_import(name: &str) -> Import {
    let (bare, version) = name.split_once('@').unwrap_or((name, ""));
    if offered(bare, version) { classify_interface(bare) } else { Import::Unknown }
}

/// Names an unknown import for people: with the versions that are offered, when only the version is unknown.
#[must_use]
pub fn describe_unknown(name: &str) -> String {
    let (bare, version) = name.split_once('@').unwrap_or((name, ""));
    if classify_interface(bare) == Import::Unknown {
        return name.to_owned();
    }
    let have = versions(bare).join(" and ");
    if version.is_empty() {
        format!("{name} (without a version; this host offers {have})")
    } else {
        format!("{name} (this host offers {have}; build the plugin against one of these, or renew the host)")
    }
}

/// The versions offered of the package that an interface belongs to. `wit/README.md` says how long each is kept.
fn versions(bare: &str) -> &'static [&'static str] {
    match bare.split_once('/').map_or(bare, |(package, _)| package) {
        "factotum:host" => &["0.1.0", "0.2.0"],
        "factotum:types" => &["0.1.0"],
        "wasi:config" => &["0.2.0-rc.1"],
        "wasi:keyvalue" => &["0.2.0-draft"],
        "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:cli" | "wasi:filesystem" | "wasi:http" => {
            &["0.2.12"]
        }
        _ => &[],
    }
}

/// Whether a version is compatible with one that is offered (Semantic Versioning 2.0.0, sections 4, 8 and 9; for 0.y.z, as
/// WASI does, y counts as the major number). A prerelease is compatible with nothing but itself. Whether a later minor
/// version asks for a function that is not there, the linker sees.
fn offered(bare: &str, version: &str) -> bool {
    let Ok(wanted) = semver::Version::parse(version) else { return false };
    versions(bare).iter().filter_map(|have| semver::Version::parse(have).ok()).any(|have| {
        if !wanted.pre.is_empty() || !have.pre.is_empty() {
            return wanted == have;
        }
        match (wanted.major, wanted.minor) {
            (0, 0) => wanted == have,
            (0, minor) => have.major == 0 && have.minor == minor,
            (major, _) => have.major == major,
        }
    })
}

fn classify_interface(bare: &str) -> Import {
    match bare {
        "factotum:types/faults" | "wasi:http/types" => Import::Types,
        "factotum:host/run-context" => Import::Capability(Capability::RunContext),
        "factotum:host/mail-out" => Import::Capability(Capability::Mail),
        "factotum:host/artifacts" => Import::Capability(Capability::Artifacts),
        "wasi:config/store" => Import::Capability(Capability::Config),
        "wasi:keyvalue/store" | "wasi:keyvalue/atomics" | "wasi:keyvalue/batch" => {
            Import::Capability(Capability::KeyValue)
        }
        "wasi:http/outgoing-handler" => Import::Capability(Capability::Http),
        "wasi:io/error"
        | "wasi:io/poll"
        | "wasi:io/streams"
        | "wasi:clocks/monotonic-clock"
        | "wasi:clocks/wall-clock"
        | "wasi:random/random"
        | "wasi:random/insecure"
        | "wasi:random/insecure-seed"
        | "wasi:cli/environment"
        | "wasi:cli/exit"
        | "wasi:cli/stdin"
        | "wasi:cli/stdout"
        | "wasi:cli/stderr"
        | "wasi:cli/terminal-input"
        | "wasi:cli/terminal-output"
        | "wasi:cli/terminal-stdin"
        | "wasi:cli/terminal-stdout"
        | "wasi:cli/terminal-stderr"
        | "wasi:filesystem/types"
        | "wasi:filesystem/preopens" => Import::Base,
        _ => Import::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_strangers_are_unknown() {
        for name in ["wasi:sockets/tcp@0.2.0", "wasi:http/incoming-handler@0.2.0", "evil:host/exec", ""] {
            assert_eq!(classify_import(name), Import::Unknown, "{name}");
        }
    }

    #[test]
    fn compatible_versions_are_taken_and_others_are_named() {
        for name in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:http/outgoing-handler@0.2.99",
            "factotum:host/mail-out@0.1.0",
            "factotum:host/mail-out@0.1.7",
            "factotum:host/mail-out@0.2.0",
            "wasi:config/store@0.2.0-rc.1",
            "wasi:keyvalue/store@0.2.0-draft",
        ] {
            assert!(matches!(classify_import(name), Import::Capability(_)), "{name}");
        }
        for name in [
            "wasi:http/outgoing-handler@0.3.0",
            "wasi:http/outgoing-handler@0.2.0-rc-2023-11-10",
            "wasi:http/outgoing-handler@1.2.6",
            "factotum:host/mail-out@0.3.0",
            "factotum:host/mail-out@0.0.1",
            "factotum:host/mail-out@1.0.0",
            "factotum:host/mail-out@0.2.0-beta",
            "factotum:host/mail-out@0.2",
            "factotum:host/mail-out@",
            "factotum:host/mail-out@0.2.0@0.2.0",
            "factotum:host/mail-out",
            "wasi:config/store@0.2.0",
            "wasi:keyvalue/store@0.2.0-draft2",
        ] {
            assert_eq!(classify_import(name), Import::Unknown, "{name}");
        }
        assert!(
            describe_unknown("factotum:host/mail-out@0.3.0").contains("this host offers 0.1.0 and 0.2.0")
        );
        assert!(describe_unknown("factotum:host/mail-out").contains("without a version"));
        assert_eq!(describe_unknown("evil:host/exec@1.0.0"), "evil:host/exec@1.0.0");
        assert_eq!(describe_unknown("factotum:host/exec@0.2.0"), "factotum:host/exec@0.2.0");
    }

    #[test]
    fn every_smallest_grant_grants_just_that() {
        for capability in Capability::ALL {
            let grants = crate::Grants::from_toml(capability.smallest_grant()).unwrap();
            for other in Capability::ALL {
                assert_eq!(grants.allows(other), other == capability, "{capability} grants {other}");
            }
        }
    }
}
