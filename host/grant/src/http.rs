//! Which HTTP requests a plugin may send.

use serde::{Deserialize, Serialize};

use crate::{Capability, Denial, HostPattern, PathPattern};

/// One destination a plugin may send HTTP requests to. A request is allowed when one rule allows all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpRule {
    /// `https` (the default) or `http`.
    #[serde(default = "https")]
    pub scheme: String,
    /// The host.
    pub host: HostPattern,
    /// The port; the scheme's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The methods (RFC 9110, section 9), upper case.
    pub methods: Vec<String>,
    /// The paths; one must match.
    pub paths: Vec<PathPattern>,
    /// Whether the host may stand at a private, loopback or link-local address. Only for hosts named in full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_network: bool,
    /// Secrets that the host puts into requests under this rule. The plugin never sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inject: Vec<Inject>,
}

fn https() -> String {
    "https".into()
}

/// A secret that the host puts into a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Inject {
    /// The secret's name.
    pub secret: String,
    /// Where it goes.
    #[serde(flatten)]
    pub place: InjectPlace,
}

/// Where an injected secret goes. Whatever the plugin put there is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InjectPlace {
    /// `Authorization: Bearer …` (RFC 6750), with `bearer = true`.
    Bearer(bool),
    /// The whole value of this header.
    Header(String),
}

/// The parts of a request that a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct HttpTarget<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host, without port.
    pub host: &'a str,
    /// The port, the scheme's own when none was written.
    pub port: u16,
    /// The method.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
}

impl HttpRule {
    /// The port the rule is for: its own, or the scheme's.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.scheme == "http" { 80 } else { 443 })
    }

    /// Whether the rule reaches the same scheme, host and port, whatever the method and path.
    fn same_origin(&self, target: &HttpTarget<'_>) -> bool {
        self.scheme == target.scheme && self.effective_port() == target.port && self.host.matches(target.host)
    }

    fn allows(&self, target: &HttpTarget<'_>) -> bool {
        self.same_origin(target)
            && self.methods.iter().any(|m| m == target.method)
            && self.paths.iter().any(|p| p.matches(target.path))
    }
}

/// The first rule that allows the request.
///
/// # Errors
/// A denial that names the smallest rule that would have allowed it.
pub fn check_http<'r>(rules: &'r [HttpRule], target: &HttpTarget<'_>) -> Result<&'r HttpRule, Denial> {
    if let Some(rule) = rules.iter().find(|rule| rule.allows(target)) {
        return Ok(rule);
    }
    let HttpTarget { scheme, host, port, method, path } = *target;
    let why = if !rules.iter().any(|rule| rule.same_origin(target)) {
        "this destination is not granted"
    } else if !rules.iter().any(|r| r.same_origin(target) && r.methods.iter().any(|m| m == method)) {
        "this method is not granted there"
    } else {
        "this path is not granted there"
    };
    Err(Denial {
        capability: Capability::Http,
        message: format!("{method} {scheme}://{host}:{port}{path}: {why}"),
        mend: format!(
            "[[http]]\nscheme = {scheme:?}\nhost = {host:?}\nport = {port}\nmethods = [{method:?}]\npaths = [{path:?}]"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grants;

    const GRANT: &str = r#"
        [[http]]
        host = "api.example.com"
        methods = ["GET", "POST"]
        paths = ["/contacts", "/contacts/*"]
        inject = [{ secret = "crm-key", bearer = true }]

        [[http]]
        scheme = "http"
        host = "127.0.0.1"
        port = 8069
        methods = ["GET"]
        paths = ["/erp/**"]
        private-network = true
        inject = [{ secret = "erp-key", header = "x-api-key" }]
    "#;

    fn check(scheme: &str, host: &str, port: u16, method: &str, path: &str) -> Result<usize, String> {
        let grants = Grants::from_toml(GRANT).unwrap();
        check_http(&grants.http, &HttpTarget { scheme, host, port, method, path })
            .map(|rule| grants.http.iter().position(|r| r == rule).unwrap())
            .map_err(|d| d.message)
    }

    #[test]
    fn each_part_narrows() {
        assert_eq!(check("https", "api.example.com", 443, "GET", "/contacts"), Ok(0));
        assert_eq!(check("http", "127.0.0.1", 8069, "GET", "/erp/rest/x"), Ok(1));
        assert!(
            check("http", "api.example.com", 80, "GET", "/contacts").unwrap_err().contains("destination")
        );
        assert!(
            check("https", "api.example.com", 8443, "GET", "/contacts").unwrap_err().contains("destination")
        );
        assert!(
            check("https", "api.example.com", 443, "DELETE", "/contacts").unwrap_err().contains("method")
        );
        assert!(check("https", "api.example.com", 443, "get", "/contacts").unwrap_err().contains("method"));
        assert!(check("https", "api.example.com", 443, "GET", "/invoices").unwrap_err().contains("path"));
        assert!(check("https", "api.example.com", 443, "GET", "/contacts/../invoices").is_err());
    }

    #[test]
    fn the_mend_of_a_denial_allows_it() {
        let target = HttpTarget { scheme: "https", host: "x.test", port: 443, method: "PUT", path: "/a/b" };
        let denial = check_http(&[], &target).unwrap_err();
        let grants = Grants::from_toml(&denial.mend).unwrap();
        assert!(check_http(&grants.http, &target).is_ok());
    }

    #[test]
    fn grants_survive_toml() {
        let grants = Grants::from_toml(GRANT).unwrap();
        assert_eq!(Grants::from_toml(&grants.to_toml().unwrap()).unwrap(), grants);
        assert!(Grants::from_toml("htpp = []").is_err());
    }
}
