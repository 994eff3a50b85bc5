//! The name of a plugin's function in a flow: `plugin/function[:version][@catalog]`.

use std::fmt;
use std::str::FromStr;

/// A plugin's function, as `call` names it: `crm/upsert-contact`, `crm/upsert-contact:^1.2@default`.
///
/// The function may name its interface when a plugin exports two alike: `acme/contacts.upsert`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionRef {
    /// The plugin, or the interface that some plugin exports.
    pub plugin: String,
    /// The function, with its interface in front when that is needed.
    pub function: String,
    /// Which versions will do; without it, any.
    pub version: Option<semver::VersionReq>,
    /// Where the plugin is found; without it, the default catalog.
    pub catalog: Option<String>,
}

/// A name of WIT: lower-case words with hyphens between them.
fn is_label(text: &str) -> bool {
    text.len() <= 64
        && text.split('-').all(|word| {
            let mut letters = word.chars();
            letters.next().is_some_and(|c| c.is_ascii_lowercase())
                && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

impl FromStr for FunctionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = |what: &str| Err(format!("\"{text}\" is not a function: {what}"));
        let (rest, catalog) = match text.split_once('@') {
            Some((rest, catalog)) if is_label(catalog) => (rest, Some(catalog.to_owned())),
            Some(_) => return fail("the catalog after `@` must be lower-case words with hyphens"),
            None => (text, None),
        };
        let (name, version) = match rest.split_once(':') {
            Some((name, version)) => match semver::VersionReq::parse(version) {
                Ok(req) if !version.trim().is_empty() => (name, Some(req)),
                Ok(_) => return fail("the version after `:` is missing"),
                Err(e) => return fail(&format!("the version after `:` must be like ^1.2 ({e})")),
            },
            None => (rest, None),
        };
        let Some((plugin, function)) = name.split_once('/') else {
            return fail("write it as plugin/function");
        };
        if !is_label(plugin) || function.is_empty() || function.split('.').count() > 2 {
            return fail("write it as plugin/function, in lower-case words with hyphens");
        }
        if !function.split('.').all(is_label) {
            return fail("write it as plugin/function, in lower-case words with hyphens");
        }
        Ok(FunctionRef { plugin: plugin.to_owned(), function: function.to_owned(), version, catalog })
    }
}

impl fmt::Display for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plugin, self.function)?;
        if let Some(version) = &self.version {
            write!(f, ":{version}")?;
        }
        match &self.catalog {
            Some(catalog) => write!(f, "@{catalog}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for text in ["crm/upsert-contact", "crm/upsert-contact:^1.2@default", "acme/contacts.upsert:>=1, <2"]
        {
            assert_eq!(text.parse::<FunctionRef>().unwrap().to_string(), text);
        }
        let f: FunctionRef = "a-b/c:1.2.3".parse().unwrap();
        assert_eq!((f.plugin.as_str(), f.function.as_str(), f.catalog), ("a-b", "c", None));
        assert!(f.version.unwrap().matches(&semver::Version::new(1, 9, 0)));
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "crm",
            "/x",
            "crm/",
            "CRM/x",
            "crm/x:",
            "crm/x:abc",
            "crm/x@",
            "crm/x@A",
            "a/b/c",
            "crm/x y",
            "-a/b",
            "a--b/c",
            "a/b.c.d",
            "1a/b",
            "../x",
            "crm/x:1@default@y",
        ] {
            assert!(text.parse::<FunctionRef>().is_err(), "{text}");
        }
    }
}
