//! What a new version of a plugin asks for beyond the old one: pure, over the two versions' records.
//!
//! A manifest's suggested grants name the author's example hosts; the administrator's grant names real ones. Where there is
//! no doubt which stands for which, the suggestion is read with the real host, so that what is shown and agreed to is what
//! will work.

use std::collections::BTreeSet;

use factotum_grant::{Capability, Grants, HostPattern, HttpRule, Import, Language, Narrowing};
use factotum_grant::{classify_import, contains, narrow, widen};
use serde::{Deserialize, Serialize};

use super::Record;

/// One thing that a new version asks for and the old one neither asked for nor was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreAsked {
    /// In English: "may also …".
    pub en: String,
    /// In Chinese.
    pub zh: String,
    /// The grant that allows just this, as TOML; absent when the manifest leaves it to the administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
}

impl Record {
    /// The capabilities that its component imports.
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let imports = |capability: &Capability| {
            self.imports.iter().any(|name| classify_import(name) == Import::Capability(*capability))
        };
        Capability::ALL.into_iter().filter(imports).collect()
    }

    /// What it may use: what was granted, of what it imports. A grant for what it does not import was of no use to it,
    /// and must not become one to the next version.
    pub(super) fn usable(&self) -> Grants {
        let grants = self.grants().unwrap_or_default();
        narrow(&grants, &Narrowing::to_capabilities(self.capabilities()))
    }

    fn suggested(&self) -> Grants {
        self.manifest.as_ref().map(|manifest| manifest.grants.clone()).unwrap_or_default()
    }
}

/// What `new` asks for beyond what `old` asked for or was granted. Empty: the new version may take over the old grant.
pub(super) fn beyond(old: &Record, new: &Record) -> Vec<MoreAsked> {
    let usable = old.usable();
    let home = Home::of(&[&old.suggested(), &new.suggested()], &usable);
    let known = widen(&home.move_in(old.suggested()), &usable);
    let differences = contains(&known, &home.move_in(new.suggested())).err().unwrap_or_default();
    let said: BTreeSet<Capability> =
        differences.iter().filter_map(|difference| difference.capability).collect();
    let asked_before = old.capabilities();
    let unsaid = new.capabilities().into_iter().filter(|capability| {
        !asked_before.contains(capability) && !usable.allows(*capability) && !said.contains(capability)
    });
    let mut more: Vec<MoreAsked> = differences
        .iter()
        .map(|difference| MoreAsked {
            en: difference.words(Language::English).to_owned(),
            zh: difference.words(Language::Chinese).to_owned(),
            toml: Some(difference.mend.clone()),
        })
        .collect();
    more.extend(unsaid.map(|capability| MoreAsked {
        en: format!("asks {}; how far is for you to say", capability.title(Language::English)),
        zh: format!("请求{}；范围由您决定", capability.title(Language::Chinese)),
        toml: None,
    }));
    more
}

/// `grants` with all that is asked beyond it.
pub(super) fn agreed(grants: &Grants, more: &[MoreAsked]) -> Grants {
    more.iter()
        .filter_map(|asked| Grants::from_toml(asked.toml.as_ref()?).ok())
        .fold(grants.clone(), |grants, asked| widen(&grants, &asked))
}

/// The one place that stands for a manifest's one example place.
struct Home<'g> {
    example: Option<(String, HostPattern, u16)>,
    real: Option<&'g HttpRule>,
}

impl<'g> Home<'g> {
    /// Only when all suggestions name one place, the grant names one, and they differ.
    fn of(suggested: &[&Grants], granted: &'g Grants) -> Self {
        let place = |rule: &HttpRule| (rule.scheme.clone(), rule.host.clone(), rule.effective_port());
        let only = |rules: &[&HttpRule]| {
            let first = place(rules.first()?);
            rules.iter().all(|rule| place(rule) == first).then_some(first)
        };
        let example = only(&suggested.iter().flat_map(|grants| &grants.http).collect::<Vec<_>>());
        let granted: Vec<&HttpRule> = granted.http.iter().collect();
        let real = only(&granted).and_then(|_| granted.first().copied());
        match (example, real) {
            (Some(example), Some(real)) if example != place(real) => {
                Self { example: Some(example), real: Some(real) }
            }
            _ => Self { example: None, real: None },
        }
    }

    fn move_in(&self, mut grants: Grants) -> Grants {
        let (Some(_), Some(real)) = (&self.example, self.real) else { return grants };
        for rule in &mut grants.http {
            rule.scheme.clone_from(&real.scheme);
            rule.host = real.host.clone();
            rule.port = real.port;
            rule.private_network = real.private_network;
            rule.inject.clone_from(&real.inject);
            rule.credentials.clone_from(&real.credentials);
        }
        grants
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn record(version: &str, capabilities: &[(&str, &str)], suggested: &str, granted: &str) -> Record {
        let asks: String = capabilities
            .iter()
            .map(|(name, _)| format!("[[asks]]\ncapability = \"{name}\"\nreason.en = \"It needs it.\"\n"))
            .collect();
        let nested = suggested.replace("[[http]]", "[[grants.http]]");
        let manifest = format!("name = \"erp\"\nversion = \"{version}\"\n{asks}{nested}");
        let manifest = factotum_registry::Manifest::parse(manifest.as_bytes()).unwrap();
        Record {
            name: "erp".into(),
            version: version.parse().unwrap(),
            digest: "d".into(),
            grants: granted.into(),
            config: BTreeMap::new(),
            manifest: Some(manifest),
            imports: capabilities.iter().map(|(_, import)| (*import).to_owned()).collect(),
            installed_at: 0,
            installed_by: String::new(),
        }
    }

    const HTTP: (&str, &str) = ("http", "wasi:http/outgoing-handler@0.2.6");
    const MAIL: (&str, &str) = ("mail", "factotum:host/mail-out@0.1.0");

    fn rule(host: &str, method: &str, path: &str) -> String {
        format!("[[http]]\nhost = \"{host}\"\nmethods = [\"{method}\"]\npaths = [\"{path}\"]\n")
    }

    #[test]
    fn a_version_that_asks_for_the_same_takes_over_a_narrower_grant() {
        let suggested =
            rule("erp.example.com", "GET", "/orders") + &rule("erp.example.com", "POST", "/notes");
        let granted = rule("erp.shop.test", "GET", "/orders");
        let old = record("1.2.0", &[HTTP], &suggested, &granted);
        assert_eq!(beyond(&old, &record("1.3.0", &[HTTP], &suggested, "")), []);
    }

    #[test]
    fn one_more_path_is_told_with_the_real_host_and_agreeing_grants_just_that() {
        let old_ask = rule("erp.example.com", "GET", "/orders");
        let granted =
            rule("erp.shop.test", "GET", "/orders") + "inject = [{ secret = \"key\", bearer = true }]\n";
        let old = record("1.2.0", &[HTTP], &old_ask, &granted);
        let new = record("1.3.0", &[HTTP], &(old_ask + &rule("erp.example.com", "POST", "/invoices")), "");
        let more = beyond(&old, &new);
        assert_eq!(more.len(), 1, "{more:?}");
        assert_eq!(more[0].en, "may also send requests: add or send (POST) at erp.shop.test: /invoices");
        let agreed = agreed(&old.usable(), &more);
        let wanted =
            rule("erp.shop.test", "POST", "/invoices") + "inject = [{ secret = \"key\", bearer = true }]\n";
        assert!(contains(&agreed, &Grants::from_toml(&(granted + &wanted)).unwrap()).is_ok());
        assert!(contains(&Grants::from_toml(&wanted).unwrap(), &agreed).is_err());
        assert_eq!(agreed.http.iter().map(|rule| rule.paths.len()).sum::<usize>(), 2);
    }

    #[test]
    fn a_new_import_is_told_even_when_the_manifest_suggests_nothing_for_it() {
        let old = record("1.2.0", &[HTTP], "", &rule("a.test", "GET", "/"));
        let more = beyond(&old, &record("1.3.0", &[HTTP, MAIL], "", ""));
        assert_eq!(more.len(), 1);
        assert!(more[0].en.contains("to send mail") && more[0].toml.is_none(), "{more:?}");
    }

    #[test]
    fn a_grant_lying_about_for_what_was_never_imported_is_no_agreement() {
        let granted = rule("a.test", "GET", "/") + "[mail]\nrecipients = [\"*\"]\n";
        let old = record("1.2.0", &[HTTP], "", &granted);
        let more = beyond(&old, &record("1.3.0", &[HTTP, MAIL], "[grants.mail]\nrecipients = [\"*\"]\n", ""));
        assert!(more.iter().any(|asked| asked.en.contains("send mail to anybody")), "{more:?}");
        assert!(!old.usable().allows(Capability::Mail));
    }

    #[test]
    fn what_was_taken_back_does_not_return_with_a_new_version() {
        let suggested = rule("a.test", "GET", "/orders");
        let old = record("1.2.0", &[HTTP], &suggested, "");
        let more = beyond(&old, &record("1.3.0", &[HTTP], &suggested, ""));
        assert_eq!(more, [], "it asks for nothing new, and gets nothing");
        assert_eq!(agreed(&old.usable(), &more), Grants::default());
    }
}
