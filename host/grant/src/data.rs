//! Whose data a plugin, or a destination, must not be given.
//!
//! Data carries labels of where it comes from. A grant names the data that it keeps away: of the whole plugin in `[data]`,
//! of one destination in its `[[http]]` rule, of mail in `[mail]`. What an administrator keeps away stays away when a grant
//! is widened by what a plugin asks for: a plugin cannot ask for other plugins' data.
//!
//! Checked are the argument of the call and what it read of stored data (a namespace or a plugin's artifacts count as one
//! place, whose labels only grow; nobody can take one off again). A plugin's own data is not checked against its own rules.
//! Not stopped: what can be learned from which way a flow went; data that came back from outside after an allowed
//! destination had it, which counts as that of the plugin that fetched it; a flow's answer to its caller.

use factotum_provenance::{Carried, Found, Source, is_name};
use serde::{Deserialize, Serialize};

use crate::text::quoted;

/// The most sources that one list names.
pub(crate) const MAX_SOURCES: usize = 64;

/// Whose data the plugin must not be given at all, and of what class its own is.
///
/// ```toml
/// [data]
/// not-from = ["crm", "class:personal"]   # a call with such data in its argument is refused
/// sensitivity = ["personal"]             # what this plugin gives out is personal
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DataGrant {
    /// Whose data it must not be given. By default nobody's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_from: Vec<Source>,
    /// The classes of the data that it gives out, for others' `class:` to name. Says nothing about what the plugin may do,
    /// so it makes a grant neither wider nor narrower.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sensitivity: Vec<String>,
}

impl DataGrant {
    pub(crate) fn is_empty(&self) -> bool {
        self.not_from.is_empty() && self.sensitivity.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.not_from.len() > MAX_SOURCES || self.sensitivity.len() > 8 {
            return Err("data: at most 64 entries in not-from and 8 classes in sensitivity");
        }
        if !self.sensitivity.iter().all(|class| is_name(class)) {
            return Err("data: a class is a word of lower-case letters, digits and hyphens, as in personal");
        }
        Ok(())
    }
}

/// A call that must not be made, because of the data in its argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataDenial {
    /// What was refused, in words. Holds no payload.
    pub message: String,
    /// What would have allowed it.
    pub mend: String,
}

/// Whether the plugin may be given what a call carries.
///
/// # Errors
/// A denial that says which part of the argument comes from where.
pub fn check_data(grant: &DataGrant, data: &Carried) -> Result<(), DataDenial> {
    match data.find(&grant.not_from) {
        None => Ok(()),
        Some(found) => Err(DataDenial {
            message: format!("{found}, and the plugin's grant forbids {}", naming(&found.source)),
            mend: mend(Some(&found), "[data]", std::slice::from_ref(&found.source)),
        }),
    }
}

/// Why data may not go somewhere.
pub(crate) enum Fall {
    /// It was found in the call.
    Found(Found),
    /// Whoever asked does not know where the call's data comes from.
    Unknown,
}

/// Why the data of a call (absent: not known) may not go where a list keeps some away; `None` when it may.
pub(crate) fn fall(not_from: &[Source], data: Option<&Carried>) -> Option<Fall> {
    match data {
        _ if not_from.is_empty() => None,
        None => Some(Fall::Unknown),
        Some(data) => data.find(not_from).map(Fall::Found),
    }
}

impl Fall {
    /// As in "the argument `message.phone` holds data from crm (personal), and the grant's rule for x forbids data from crm".
    pub(crate) fn message(&self, what: &str) -> String {
        match self {
            Self::Found(found) => format!("{found}, and {what} forbids {}", naming(&found.source)),
            Self::Unknown => {
                format!("{what} keeps some data away, and it is not known where this call's data comes from")
            }
        }
    }

    pub(crate) fn mend(&self, place: &str, not_from: &[Source]) -> String {
        match self {
            Self::Found(found) => mend(Some(found), place, std::slice::from_ref(&found.source)),
            Self::Unknown => mend(None, place, not_from),
        }
    }
}

fn naming(source: &Source) -> String {
    match source {
        Source::Origin(name) => format!("data from {name}"),
        Source::Class(class) => format!("{class} data"),
    }
}

/// A restriction cannot be mended by adding; what is to be taken away is said in a comment, after what was found: this is
/// what the audit log keeps of a denial.
fn mend(found: Option<&Found>, place: &str, sources: &[Source]) -> String {
    let found = found.map(|found| format!("{found}: ")).unwrap_or_default();
    let names: Vec<String> = sources.iter().map(|source| quoted(&source.to_string())).collect();
    format!(
        "# {found}take {} out of not-from in {place}, or let a reviewed task declassify it (metadata.declassify)",
        names.join(", ")
    )
}

/// What `wide` keeps away and `narrow` does not.
pub(crate) fn lacking<'w>(wide: &'w [Source], narrow: &'w [Source]) -> impl Iterator<Item = &'w Source> {
    wide.iter().filter(|source| !narrow.contains(source))
}

/// All that either keeps away.
pub(crate) fn add(list: &mut Vec<Source>, more: &[Source]) {
    for source in more {
        if !list.contains(source) {
            list.push(source.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Grants, HttpBody, HttpRequest, HttpTarget, check_http, check_mail, check_mail_with, check_request,
        check_request_with,
    };
    use factotum_provenance::{Label, Labels, Provenance};
    use std::sync::Arc;

    const GRANT: &str = r#"
        [data]
        not-from = ["hr"]
        sensitivity = ["chat"]
        [[http]]
        host = "chat.example.com"
        methods = ["POST"]
        paths = ["/**"]
        not-from = ["crm", "class:personal"]
        [[http]]
        host = "chat.example.com"
        methods = ["POST"]
        paths = ["/internal"]
        [mail]
        recipients = ["*@example.com"]
        not-from = ["class:personal"]
    "#;

    fn carried(label: Label) -> Carried {
        let phone = Provenance::object([(Arc::from("phone"), Provenance::from(Labels::one(label)))]);
        Provenance::object([(Arc::from("message"), phone)]).into()
    }

    fn request(path: &str) -> HttpRequest<'_> {
        let target =
            HttpTarget { scheme: "https", host: "chat.example.com", port: 443, method: "POST", path };
        HttpRequest { target, query: None, body: HttpBody::default() }
    }

    #[test]
    fn a_denial_says_which_part_comes_from_where_and_what_forbids_it() {
        let grants = Grants::from_toml(GRANT).unwrap();
        let crm = carried(Label::new("crm", Some("personal")));
        let denial = check_request_with(&grants.http, &request("/post"), &crm).unwrap_err();
        assert_eq!(
            denial.message,
            "POST https://chat.example.com:443/post: the argument `message.phone` holds data from crm (personal), and the grant's rule for chat.example.com forbids data from crm"
        );
        assert!(denial.mend.contains("take \"crm\" out of not-from"), "{}", denial.mend);
        let erp = carried(Label::new("erp", Some("personal")));
        let denial = check_request_with(&grants.http, &request("/post"), &erp).unwrap_err();
        assert!(denial.message.ends_with("forbids personal data"), "{}", denial.message);
        let denial = check_mail_with(grants.mail.as_ref(), None, ["a@example.com"], &erp).unwrap_err();
        assert!(
            denial.message.contains("`message.phone` holds data from erp (personal)"),
            "{}",
            denial.message
        );
        let denial = check_data(&grants.data, &carried(Label::new("hr", None))).unwrap_err();
        assert_eq!(
            denial.message,
            "the argument `message.phone` holds data from hr, and the plugin's grant forbids data from hr"
        );
    }

    #[test]
    fn other_data_and_other_rules_pass() {
        let grants = Grants::from_toml(GRANT).unwrap();
        let crm = carried(Label::new("crm", Some("personal")));
        let other = carried(Label::new("classifier", None));
        assert!(check_request_with(&grants.http, &request("/post"), &other).is_ok());
        assert_eq!(check_request_with(&grants.http, &request("/internal"), &crm).unwrap().index, 1);
        assert_eq!(check_request_with(&grants.http, &request("/internal"), &other).unwrap().index, 0);
        assert!(check_mail_with(grants.mail.as_ref(), None, ["a@example.com"], &other).is_ok());
        assert!(check_mail_with(grants.mail.as_ref(), None, ["a@other.test"], &other).is_err());
        assert!(check_data(&grants.data, &crm).is_ok());
    }

    #[test]
    fn who_does_not_know_where_data_comes_from_is_refused() {
        let grants = Grants::from_toml(GRANT).unwrap();
        let denial = check_request(&grants.http, &request("/post")).unwrap_err();
        assert!(denial.message.contains("not known where"), "{}", denial.message);
        assert!(check_request(&grants.http, &request("/internal")).is_ok());
        assert!(check_http(&grants.http, &request("/post").target).is_err());
        assert!(check_mail(grants.mail.as_ref(), None, ["a@example.com"]).is_err());
        let anything = carried(Label::anything());
        assert!(check_request_with(&grants.http, &request("/post"), &anything).is_err());
    }

    #[test]
    fn stored_data_counts_as_the_argument_does() {
        let grants = Grants::from_toml(GRANT).unwrap();
        let stored = Carried { stored: Labels::one(Label::new("crm", None)), ..Carried::default() };
        let denial = check_request_with(&grants.http, &request("/post"), &stored).unwrap_err();
        assert!(
            denial.message.contains("the stored data that it read holds data from crm"),
            "{}",
            denial.message
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "[data]\nnot-from = [\"CRM\"]",
            "[data]\nnot-from = \"crm\"",
            "[data]\nnotfrom = []",
            "[data]\nsensitivity = [\"class:personal\"]",
            "[mail]\nnot-from = [\"\"]",
        ] {
            assert!(Grants::from_toml(bad).is_err(), "{bad}");
        }
        let grants = Grants::from_toml(GRANT).unwrap();
        assert_eq!(Grants::from_toml(&grants.to_toml().unwrap()).unwrap(), grants);
    }

    #[test]
    fn widening_never_gives_data_that_was_kept_away() {
        let grants = Grants::from_toml(GRANT).unwrap();
        let mut asked = grants.clone();
        asked.data = DataGrant::default();
        asked.http.truncate(1);
        asked.http[0].not_from.clear();
        asked.mail.as_mut().unwrap().not_from.clear();
        assert_eq!(crate::widen(&grants, &asked), grants);
        let said: Vec<String> = crate::contains(&grants, &asked)
            .unwrap_err()
            .iter()
            .map(|difference| difference.words(crate::Language::English).to_owned())
            .collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("may also send mail with “personal” data"), "{said:?}");
        assert!(said[1].contains("with data from “crm”, “personal” data"), "{said:?}");
        assert!(said[2].contains("may also be given data from “hr”"), "{said:?}");
        assert_eq!(
            crate::contains(&asked, &Grants { http: vec![grants.http[0].clone()], ..grants.clone() }),
            Ok(())
        );
    }
}
