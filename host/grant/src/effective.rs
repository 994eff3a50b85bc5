//! The effective right of a plugin at one place of a flow: what its manifest asks for AND what the administrator granted AND
//! what the flow left of it. Worked out once, when a flow is deployed, and then only asked.

use factotum_provenance::Carried;

use crate::{
    Access, Capability, DataDenial, Denial, Grants, HttpNarrowing, HttpRequest, HttpRule, Narrowing, Permit,
    check_artifact, check_capability, check_data, check_key_value, check_mail, check_mail_size,
    check_mail_with, check_request, check_request_as, check_request_with,
    narrow::{narrow, narrow_rules},
};

/// What a plugin may do at one place of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    left: Grants,
    /// For each HTTP rule of `left`, the place of the rule it comes from among the granted ones.
    sources: Vec<usize>,
    /// The layers, to say which of them refused.
    granted: Grants,
    asked: Grants,
}

/// A narrowing so long that working it out would take a noticeable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the grant and its narrowing are too long to be worked out ({0} combinations; at most {MAX_WORK}); write fewer or wider http rules"
)]
pub struct TooManyRules(usize);

/// The most pairs of list entries that are compared.
const MAX_WORK: usize = 1_000_000;

impl Effective {
    /// What is left of `granted` by what the plugin's manifest asked for and by the flow's narrowing for this call. Neither
    /// can add anything to the grant.
    ///
    /// # Errors
    /// When the lists are too long: the product of their lengths is bounded.
    pub fn new(asked: &Narrowing, granted: &Grants, flow: &Narrowing) -> Result<Self, TooManyRules> {
        bound(&granted.http, asked)?;
        let by_manifest = narrow(granted, asked);
        let asked_from = sources(granted, asked);
        bound(&by_manifest.http, flow)?;
        let left = narrow(&by_manifest, flow);
        let sources = sources(&by_manifest, flow)
            .into_iter()
            .filter_map(|index| asked_from.get(index).copied())
            .collect();
        Ok(Self { left, sources, granted: granted.clone(), asked: by_manifest })
    }

    /// Nothing of what was granted: for who cannot work out what is left.
    #[must_use]
    pub fn nothing_of(granted: &Grants) -> Self {
        let left = Grants { limits: granted.limits.clone(), ..Grants::default() };
        Self { left, sources: Vec::new(), granted: granted.clone(), asked: granted.clone() }
    }

    /// The effective right as grants: to show it, or to compare it.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.left
    }

    /// Whether the capability is allowed at all.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.left.allows(capability)
    }

    /// Whether an HTTP request may be sent. [`Permit::index`] is the place of the granted rule, by which the host counts
    /// rate and concurrency over all flows. Allocates nothing when it may; see [`check_request`].
    ///
    /// # Errors
    /// A denial that says which layer refused, with the smallest rule that would have allowed it.
    pub fn check_http(&self, request: &HttpRequest<'_>) -> Result<Permit<'_>, Denial> {
        match check_request(&self.left.http, request) {
            Ok(permit) => {
                let index = self.sources.get(permit.index).copied().unwrap_or(permit.index);
                Ok(Permit { index, ..permit })
            }
            Err(denial) => Err(self.layer(denial, |grants| check_request(&grants.http, request).map(|_| ()))),
        }
    }

    /// Whether an HTTP request with the data of a call may be sent; as [`Self::check_http`].
    ///
    /// # Errors
    /// A denial that says which layer refused, and why: also which data is kept away from there.
    pub fn check_http_with(&self, request: &HttpRequest<'_>, data: &Carried) -> Result<Permit<'_>, Denial> {
        match check_request_with(&self.left.http, request, data) {
            Ok(permit) => {
                let index = self.sources.get(permit.index).copied().unwrap_or(permit.index);
                Ok(Permit { index, ..permit })
            }
            Err(denial) => {
                let check = |grants: &Grants| check_request_with(&grants.http, request, data).map(|_| ());
                Err(self.layer(denial, check))
            }
        }
    }

    /// Whether an HTTP request that the host signs in with these secrets may be sent; as [`Self::check_http_with`].
    ///
    /// # Errors
    /// A denial that says which layer refused, and why: also which secret may not be used there.
    pub fn check_http_as(
        &self,
        request: &HttpRequest<'_>,
        data: &Carried,
        secrets: &[&str],
    ) -> Result<Permit<'_>, Denial> {
        match check_request_as(&self.left.http, request, data, secrets) {
            Ok(permit) => {
                let index = self.sources.get(permit.index).copied().unwrap_or(permit.index);
                Ok(Permit { index, ..permit })
            }
            Err(denial) => {
                let check =
                    |grants: &Grants| check_request_as(&grants.http, request, data, secrets).map(|_| ());
                Err(self.layer(denial, check))
            }
        }
    }

    /// Whether a mail with the data of a call may be sent; as [`Self::check_mail`].
    ///
    /// # Errors
    /// A denial that says which layer refused, and why.
    pub fn check_mail_with<'a>(
        &self,
        sender: Option<&str>,
        recipients: impl IntoIterator<Item = &'a str> + Clone,
        data: &Carried,
    ) -> Result<(), Denial> {
        let check = |grants: &Grants| check_mail_with(grants.mail.as_ref(), sender, recipients.clone(), data);
        check(&self.left).map_err(|denial| self.layer(denial, check))
    }

    /// Whether the plugin may be given what a call carries.
    ///
    /// # Errors
    /// A denial that says which part of the argument comes from where.
    pub fn check_data(&self, data: &Carried) -> Result<(), DataDenial> {
        check_data(&self.left.data, data)
    }

    /// Whether a mail from `sender` (absent: the host's default) to all of `recipients` may be sent.
    ///
    /// # Errors
    /// A denial that says which layer refused.
    pub fn check_mail<'a>(
        &self,
        sender: Option<&str>,
        recipients: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<(), Denial> {
        let check = |grants: &Grants| check_mail(grants.mail.as_ref(), sender, recipients.clone());
        check(&self.left).map_err(|denial| self.layer(denial, check))
    }

    /// Whether a mail of so many bytes may be sent.
    ///
    /// # Errors
    /// A denial that says which layer refused.
    pub fn check_mail_size(&self, bytes: u64) -> Result<(), Denial> {
        let check = |grants: &Grants| check_mail_size(grants.mail.as_ref(), bytes);
        check(&self.left).map_err(|denial| self.layer(denial, check))
    }

    /// Whether an artifact of so many bytes may be stored.
    ///
    /// # Errors
    /// A denial that says which layer refused.
    pub fn check_artifact(&self, bytes: u64) -> Result<(), Denial> {
        let check = |grants: &Grants| check_artifact(grants.artifacts.as_ref(), bytes);
        check(&self.left).map_err(|denial| self.layer(denial, check))
    }

    /// Whether a capability is allowed at all.
    ///
    /// # Errors
    /// A denial that says which layer refused.
    pub fn check_capability(&self, capability: Capability) -> Result<(), Denial> {
        let check = |grants: &Grants| check_capability(grants, capability);
        check(&self.left).map_err(|denial| self.layer(denial, check))
    }

    /// Whether `access` to a namespace (absent: the plugin's own) is allowed.
    ///
    /// # Errors
    /// A denial that says which layer refused.
    pub fn check_key_value(&self, namespace: Option<&str>, access: Access) -> Result<(), Denial> {
        let check = |grants: &Grants| check_key_value(grants, namespace, access);
        check(&self.left).map_err(|denial| self.layer(denial, check))
    }

    /// Finds the first layer that refuses, so that nobody widens a grant that is wide enough.
    fn layer(&self, denial: Denial, check: impl Fn(&Grants) -> Result<(), Denial>) -> Denial {
        if let Err(denial) = check(&self.granted) {
            return denial;
        }
        let (who, place) = match check(&self.asked) {
            Err(_) => ("the plugin's manifest does not ask for it", "the plugin's manifest"),
            Ok(()) => ("the flow narrowed this call", "the task's metadata.grants"),
        };
        Denial {
            capability: denial.capability,
            message: format!("{} ({who})", denial.message),
            mend: format!("# granted already; in {place}:\n{}", denial.mend),
        }
    }
}

fn sources(grants: &Grants, by: &Narrowing) -> Vec<usize> {
    let stays = by.only.as_ref().is_none_or(|only| only.contains(&Capability::Http));
    narrow_rules(&grants.http, by.http.as_deref()).filter(|_| stays).map(|(index, _)| index).collect()
}

fn bound(rules: &[HttpRule], by: &Narrowing) -> Result<(), TooManyRules> {
    let Some(by) = &by.http else { return Ok(()) };
    let long = |list: Option<usize>| list.unwrap_or_default().saturating_add(1);
    let by_size = |by: &HttpNarrowing| {
        long(by.methods.as_ref().map(Vec::len))
            .max(long(by.paths.as_ref().map(Vec::len)))
            .max(long(by.query.as_ref().map(Vec::len)))
            .max(long(by.body_fields.as_ref().map(Vec::len)))
    };
    let rule_size = |rule: &HttpRule| {
        long(Some(rule.methods.len()))
            .max(long(Some(rule.paths.len())))
            .max(long(rule.query.as_ref().map(Vec::len)))
            .max(long(rule.body_fields.as_ref().map(Vec::len)))
    };
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.fold(0_usize, usize::saturating_add);
    let work = sum(&mut rules.iter().map(rule_size)).saturating_mul(sum(&mut by.iter().map(by_size)));
    if work > MAX_WORK { Err(TooManyRules(work)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HttpBody, HttpTarget};

    const GRANT: &str = r#"
        config = true
        [key-value]
        [mail]
        recipients = ["*@example.com"]
        [[http]]
        host = "files.example.com"
        methods = ["GET"]
        paths = ["/**"]
        [[http]]
        host = "api.example.com"
        methods = ["GET", "POST"]
        paths = ["/contacts/**"]
        inject = [{ secret = "key", bearer = true }]
        per-minute = 60
    "#;

    fn request<'a>(host: &'a str, method: &'a str, path: &'a str) -> HttpRequest<'a> {
        let target = HttpTarget { scheme: "https", host, port: 443, method, path };
        HttpRequest { target, query: None, body: HttpBody::default() }
    }

    fn effective(asked: &str, flow: &str) -> Effective {
        Effective::new(
            &toml::from_str(asked).unwrap(),
            &Grants::from_toml(GRANT).unwrap(),
            &toml::from_str(flow).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn all_three_must_allow() {
        let right = effective(
            "[[http]]\nhost = \"api.example.com\"\nmethods = [\"GET\", \"PUT\", \"POST\"]",
            "[[http]]\npaths = [\"/contacts/*\", \"/invoices\"]",
        );
        let permit = right.check_http(&request("api.example.com", "GET", "/contacts/7")).unwrap();
        assert_eq!((permit.index, permit.rule.per_minute), (1, Some(60)));
        assert_eq!(permit.rule.secrets().next().unwrap().secret, "key");

        let not_granted = right.check_http(&request("api.example.com", "PUT", "/contacts/7")).unwrap_err();
        assert!(!not_granted.message.contains('(') && !not_granted.mend.contains('#'), "{not_granted:?}");
        let not_asked = right.check_http(&request("files.example.com", "GET", "/contacts/7")).unwrap_err();
        assert!(not_asked.message.contains("manifest"), "{not_asked}");
        let not_left = right.check_http(&request("api.example.com", "GET", "/contacts/7/notes")).unwrap_err();
        assert!(
            not_left.message.contains("flow") && not_left.mend.contains("metadata.grants"),
            "{not_left:?}"
        );
    }

    #[test]
    fn capabilities_that_are_not_asked_for_or_left_are_gone() {
        let right = effective(
            "only = [\"mail\", \"http\", \"key-value\"]",
            "only = [\"mail\", \"key-value\", \"run-context\"]",
        );
        for capability in Capability::ALL {
            let left = matches!(capability, Capability::Mail | Capability::KeyValue);
            assert_eq!(right.allows(capability), left, "{capability}");
        }
    }

    #[test]
    fn mail_and_keys_are_narrowed() {
        let right = effective(
            "",
            "[mail]\nrecipients = [\"desk@example.com\", \"*@other.test\"]\n[key-value]\naccess = \"read\"",
        );
        assert!(right.check_mail(None, ["desk@example.com"]).is_ok());
        assert!(right.check_mail(None, ["jane@example.com"]).unwrap_err().message.contains("flow"));
        assert!(!right.check_mail(None, ["a@other.test"]).unwrap_err().message.contains("flow"));
        assert!(right.check_key_value(None, Access::Read).is_ok());
        assert!(right.check_key_value(None, Access::ReadWrite).unwrap_err().message.contains("flow"));
    }

    #[test]
    fn nothing_is_added() {
        for text in [
            "[[http]]\nprivate-network = true",
            "[[http]]\ninject = []",
            "[[http]]\nper-minute = 5",
            "run-context = true",
        ] {
            assert!(toml::from_str::<Narrowing>(text).is_err(), "{text}");
        }
        let wide = effective("", "[limits]\nmemory-bytes = 999999999999\n[artifacts]\nmax-bytes = 9");
        assert_eq!(wide.grants(), &Grants::from_toml(GRANT).unwrap());
    }

    #[test]
    fn endless_lists_are_refused() {
        let path = |at: usize| format!("/p{at}").parse().unwrap();
        let by = HttpNarrowing { paths: Some((0..600_000).map(path).collect()), ..HttpNarrowing::default() };
        let flow = Narrowing { http: Some(vec![by]), ..Narrowing::default() };
        assert!(Effective::new(&Narrowing::default(), &Grants::from_toml(GRANT).unwrap(), &flow).is_err());
    }
}
