//! Puts secrets into requests, and takes their echoes out of answers.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine, engine::general_purpose};
use factotum_grant::{HttpRule, InjectPlace};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::{EgressError, request::is_refused_header};

/// Where secrets are kept.
pub trait Secrets: Send + Sync + 'static {
    /// The secret under `name`; `None` when there is none.
    fn get(&self, name: &str) -> Option<SecretString>;
}

/// A store without secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn get(&self, _: &str) -> Option<SecretString> {
        None
    }
}

/// Shorter secrets are not looked for in answers: they would be found by chance and spoil them.
const SHORTEST_SCRUBBED: usize = 6;
/// What stands in the place of an echoed secret.
const MASK: &[u8] = b"***";

/// Puts the rule's secrets into `headers`, over whatever stood there, and returns them.
pub(crate) fn inject(
    rule: &HttpRule,
    secrets: &dyn Secrets,
    headers: &mut HeaderMap,
) -> Result<Vec<SecretString>, EgressError> {
    let mut used = Vec::new();
    for inject in &rule.inject {
        let unusable = |problem| EgressError::SecretUnusable { name: inject.secret.clone(), problem };
        let name = match &inject.place {
            InjectPlace::Bearer(false) => continue,
            InjectPlace::Bearer(true) => header::AUTHORIZATION,
            InjectPlace::Header(name) => HeaderName::from_bytes(name.as_bytes())
                .ok()
                .filter(|n| !is_refused_header(n) && *n != header::HOST && *n != header::CONTENT_LENGTH)
                .ok_or_else(|| unusable("the grant names a header that cannot carry a secret"))?,
        };
        // A password in the clear, over a network nobody vouched for, is a password given away.
        if rule.scheme == "http" && !rule.private_network {
            return Err(unusable(
                "it would travel unencrypted; use https, or private-network = true inside your own",
            ));
        }
        let secret =
            secrets.get(&inject.secret).ok_or_else(|| EgressError::SecretMissing(inject.secret.clone()))?;
        if secret.expose_secret().is_empty() {
            return Err(unusable("it is empty"));
        }
        let text = match inject.place {
            InjectPlace::Bearer(_) => SecretString::from(format!("Bearer {}", secret.expose_secret())),
            InjectPlace::Header(_) => secret.clone(),
        };
        let mut value = HeaderValue::from_str(text.expose_secret()).map_err(|_| {
            unusable("it holds a character that no header may hold; is there a line break at its end?")
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
        used.push(secret);
    }
    Ok(used)
}

/// Finds echoes of the secrets of one request: as they are, and in the forms that servers commonly echo them in (JSON
/// string, percent-encoding, base64). Defence in depth: a server that was granted a secret and wants to pass it on can
/// always find another form.
pub(crate) struct Scrubber(Option<AhoCorasick>);

impl Scrubber {
    pub(crate) fn new(secrets: &[SecretString]) -> Self {
        let mut needles: Vec<String> = Vec::new();
        for secret in secrets {
            let whole = secret.expose_secret().trim();
            // `Basic dXNlcjpwdw==`, `Token abc`: the part behind the scheme is the secret.
            for text in std::iter::once(whole).chain(whole.split_once(' ').map(|(_, rest)| rest.trim())) {
                needles.extend([
                    text.to_owned(),
                    text.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/"),
                    text.replace('\\', "\\\\").replace('"', "\\\""),
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
                    general_purpose::STANDARD_NO_PAD.encode(text),
                    general_purpose::URL_SAFE_NO_PAD.encode(text),
                ]);
            }
        }
        needles.retain(|needle| needle.len() >= SHORTEST_SCRUBBED);
        if needles.is_empty() {
            return Self(None);
        }
        // Leftmost-longest: the longer form wins where one needle begins another.
        Self(AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles).ok())
    }

    /// Whether anything is looked for.
    pub(crate) fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// `bytes` with every echo masked; `None` when there was none.
    pub(crate) fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let finder = self.0.as_ref()?;
        finder.find(bytes)?;
        Some(finder.replace_all_bytes(bytes, &vec![MASK; finder.patterns_len()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static str);
    impl Secrets for One {
        fn get(&self, name: &str) -> Option<SecretString> {
            (name == "key").then(|| self.0.into())
        }
    }

    fn rule(inject: &str) -> HttpRule {
        let text = format!("[[http]]\nhost = \"a.test\"\nmethods = []\npaths = []\ninject = [{inject}]");
        factotum_grant::Grants::from_toml(&text).unwrap().http.remove(0)
    }

    #[test]
    fn a_secret_takes_the_place_of_what_the_plugin_wrote() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Bearer mine".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer mine too".parse().unwrap());
        let used =
            inject(&rule(r#"{ secret = "key", bearer = true }"#), &One("s3cr3t-key"), &mut headers).unwrap();
        let values: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
        assert_eq!(values, ["Bearer s3cr3t-key"]);
        assert!(values[0].is_sensitive());
        assert!(!format!("{headers:?} {used:?}").contains("s3cr3t"));
    }

    #[test]
    fn what_cannot_be_injected() {
        let attempt = |inject_text: &str, value: &'static str| {
            let error = inject(&rule(inject_text), &One(value), &mut HeaderMap::new()).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            error
        };
        assert_eq!(
            attempt(r#"{ secret = "none", bearer = true }"#, "x"),
            EgressError::SecretMissing("none".into())
        );
        for (inject_text, value) in [
            (r#"{ secret = "key", bearer = true }"#, "hunter2\r\nx-evil: 1"),
            (r#"{ secret = "key", header = "x-key" }"#, ""),
            (r#"{ secret = "key", header = "host" }"#, "hunter2"),
            (r#"{ secret = "key", header = "transfer-encoding" }"#, "hunter2"),
            (r#"{ secret = "key", header = "bad name" }"#, "hunter2"),
        ] {
            assert!(
                matches!(attempt(inject_text, value), EgressError::SecretUnusable { .. }),
                "{inject_text}"
            );
        }
        let mut clear = rule(r#"{ secret = "key", bearer = true }"#);
        clear.scheme = "http".into();
        let error = inject(&clear, &One("hunter2"), &mut HeaderMap::new()).unwrap_err();
        assert!(error.to_string().contains("unencrypted"), "{error}");
        clear.private_network = true;
        assert!(inject(&clear, &One("hunter2"), &mut HeaderMap::new()).is_ok());
    }

    #[test]
    fn echoes_are_found_in_every_common_form() {
        let scrubber = Scrubber::new(&["pa\"ss/wo rd+1".into(), "Basic dXNlcjpwdw==".into()]);
        for echo in [
            "you sent pa\"ss/wo rd+1!",
            r#"{"auth":"pa\"ss\/wo rd+1"}"#,
            r#"{"auth":"pa\"ss/wo rd+1"}"#,
            "q=pa%22ss%2Fwo+rd%2B1",
            "cGEic3Mvd28gcmQrMQ==",
            "user dXNlcjpwdw==",
        ] {
            let clean = String::from_utf8(scrubber.scrub(echo.as_bytes()).expect(echo)).unwrap();
            assert!(clean.contains("***") && !clean.contains("wo") && !clean.contains("dXN"), "{clean}");
        }
        assert!(scrubber.scrub(b"nothing here").is_none());
        assert!(!Scrubber::new(&["abc".into()]).is_active());
    }
}
