//! Puts secrets into requests, and takes their echoes out of answers.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine, engine::general_purpose};
use factotum_grant::{HttpRule, SecretPlace, SecretUse};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

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

/// Puts the rule's secrets into the request, over whatever stood there, and returns them in every form they went in.
pub(crate) fn inject(
    rule: &HttpRule,
    secrets: &dyn Secrets,
    url: &mut Url,
    headers: &mut HeaderMap,
) -> Result<Vec<SecretString>, EgressError> {
    let mut used = Vec::new();
    for SecretUse { secret: name, place } in rule.secrets() {
        let unusable = |problem| EgressError::SecretUnusable { name: name.to_owned(), problem };
        // A password in the clear, over a network nobody vouched for, is a password given away.
        if rule.scheme == "http" && !rule.may_be_private() {
            return Err(unusable(
                "it would travel unencrypted; use https, or private-network = true inside your own",
            ));
        }
        let secret = secrets.get(name).ok_or_else(|| EgressError::SecretMissing(name.to_owned()))?;
        let value = secret.expose_secret();
        if value.is_empty() {
            return Err(unusable("it is empty"));
        }
        let (header, text) = match place {
            SecretPlace::Bearer => (header::AUTHORIZATION, SecretString::from(format!("Bearer {value}"))),
            SecretPlace::Basic(user) => {
                let pair = Zeroizing::new(format!("{user}:{value}"));
                let pair = Zeroizing::new(general_purpose::STANDARD.encode(pair.as_bytes()));
                (header::AUTHORIZATION, SecretString::from(format!("Basic {}", *pair)))
            }
            SecretPlace::Header(header) => {
                let header = HeaderName::from_bytes(header.as_bytes())
                    .ok()
                    .filter(|n| !is_refused_header(n) && *n != header::HOST && *n != header::CONTENT_LENGTH)
                    .ok_or_else(|| unusable("the grant names a header that cannot carry a secret"))?;
                (header, secret.clone())
            }
            SecretPlace::Query(key) => {
                append_query(url, key, value);
                used.push(secret);
                continue;
            }
        };
        let mut field = HeaderValue::from_str(text.expose_secret()).map_err(|_| {
            unusable("it holds a character that no header may hold; is there a line break at its end?")
        })?;
        field.set_sensitive(true);
        headers.insert(header, field);
        used.push(secret);
        // The password in another form, which no search for the password itself would find.
        if matches!(place, SecretPlace::Basic(_)) {
            used.push(text);
        }
    }
    Ok(used)
}

/// Appends `key=value` to the query, each percent-encoded so that every server decodes the same (no `+` for a space).
fn append_query(url: &mut Url, key: &str, value: &str) {
    let pair = Zeroizing::new(format!("{}={}", *percent_encoded(key), *percent_encoded(value)));
    let query = match url.query() {
        Some(query) if !query.is_empty() => Zeroizing::new(format!("{query}&{}", *pair)),
        _ => pair,
    };
    url.set_query(Some(&query));
}

fn percent_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20"),
    )
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
                    percent_encoded(text).to_string(),
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

    fn put(
        rule: &HttpRule,
        secrets: &dyn Secrets,
        headers: &mut HeaderMap,
    ) -> Result<Vec<SecretString>, EgressError> {
        inject(rule, secrets, &mut Url::parse("https://a.test/").unwrap(), headers)
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
            put(&rule(r#"{ secret = "key", bearer = true }"#), &One("s3cr3t-key"), &mut headers).unwrap();
        let values: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
        assert_eq!(values, ["Bearer s3cr3t-key"]);
        assert!(values[0].is_sensitive());
        assert!(!format!("{headers:?} {used:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_password_and_a_key_of_the_query_are_put_in_whole() {
        let mut headers = HeaderMap::new();
        let secret = One("pä ss&/+=1");
        put(&rule(r#"{ secret = "key", basic = "robot" }"#), &secret, &mut headers).unwrap();
        // RFC 7617, section 2.1: UTF-8 before base64.
        let expected = format!("Basic {}", general_purpose::STANDARD.encode("robot:pä ss&/+=1"));
        assert_eq!(headers[header::AUTHORIZATION].to_str().unwrap(), expected);
        assert!(headers[header::AUTHORIZATION].is_sensitive());
        for (before, after) in [
            ("https://a.test/x", "https://a.test/x?api+key=p%C3%A4%20ss%26%2F%2B%3D1"),
            ("https://a.test/x?", "https://a.test/x?api+key=p%C3%A4%20ss%26%2F%2B%3D1"),
            ("https://a.test/x?a=%2B", "https://a.test/x?a=%2B&api+key=p%C3%A4%20ss%26%2F%2B%3D1"),
        ] {
            let mut url = Url::parse(before).unwrap();
            let rule = rule(r#"{ secret = "key", query = "api key" }"#);
            inject(&rule, &secret, &mut url, &mut HeaderMap::new()).unwrap();
            assert_eq!(url.as_str(), after.replace("api+key", "api%20key"));
        }
    }

    #[test]
    fn what_cannot_be_injected() {
        let attempt = |inject_text: &str, value: &'static str| {
            let error = put(&rule(inject_text), &One(value), &mut HeaderMap::new()).unwrap_err();
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
        let error = put(&clear, &One("hunter2"), &mut HeaderMap::new()).unwrap_err();
        assert!(error.to_string().contains("unencrypted"), "{error}");
        clear.private_network = true;
        assert!(put(&clear, &One("hunter2"), &mut HeaderMap::new()).is_ok());
    }

    #[test]
    fn echoes_are_found_in_every_common_form() {
        let scrubber = Scrubber::new(&["pa\"ss/wo rd+1".into(), "Basic dXNlcjpwdw==".into()]);
        for echo in [
            "you sent pa\"ss/wo rd+1!",
            r#"{"auth":"pa\"ss\/wo rd+1"}"#,
            r#"{"auth":"pa\"ss/wo rd+1"}"#,
            "q=pa%22ss%2Fwo+rd%2B1",
            "q=pa%22ss%2Fwo%20rd%2B1",
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
