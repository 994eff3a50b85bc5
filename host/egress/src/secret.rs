//! Puts secrets into requests, and takes their echoes out of answers.

use std::time::SystemTime;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine, engine::general_purpose};
use bytes::Bytes;
use factotum_grant::{Capability, Denial, HttpRule, OauthClient, SecretPlace, SecretUse};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    Egress, EgressError, Limits,
    body::{self, BodyProblem},
    login::Presented,
    request::may_carry_secret,
    sign::sign,
};

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

/// A request that was checked and is about to go.
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What was put into a request.
#[derive(Default)]
pub(crate) struct Used<'r> {
    /// Everything that an answer may not echo, in every form that it went in.
    pub(crate) secrets: Vec<SecretString>,
    /// The access token, with whose it is.
    pub(crate) token: Option<(&'r str, &'r OauthClient, SecretString)>,
}

impl Egress {
    /// Puts the rule's secrets into the request, over whatever stood there; a signature last, over the body as it goes.
    pub(crate) async fn inject<'r>(
        &self,
        rule: &'r HttpRule,
        request: &mut Outgoing,
        limits: &Limits,
    ) -> Result<Used<'r>, EgressError> {
        let mut used = Used::default();
        for SecretUse { secret: name, place } in rule.secrets() {
            if let SecretPlace::Oauth(client) = place {
                check_way(rule, name)?;
                let token = self.token(name, client, limits).await?;
                put_header(request, name, header::AUTHORIZATION, &bearer(&token))?;
                used.secrets.push(token.clone());
                used.token = Some((name, client, token));
            } else {
                used.secrets.extend(put(rule, name, place, &*self.secrets, request)?);
            }
        }
        for SecretUse { secret: name, place } in rule.secrets() {
            if let SecretPlace::Hmac(signing) = place {
                let secret = value(&*self.secrets, name)?;
                let key = secret.expose_secret().as_bytes();
                sign(signing, key, &request.body, SystemTime::now(), &mut request.headers)
                    .map_err(|problem| unusable(name, problem))?;
                // It does not travel, but whoever checks the signature has it too.
                used.secrets.push(secret);
            }
        }
        Ok(used)
    }
}

fn unusable(name: &str, problem: &'static str) -> EgressError {
    EgressError::SecretUnusable { name: name.to_owned(), problem }
}

/// A password in the clear, over a network nobody vouched for, is a password given away.
fn check_way(rule: &HttpRule, name: &str) -> Result<(), EgressError> {
    if rule.scheme == "http" && !rule.may_be_private() {
        return Err(unusable(
            name,
            "it would travel unencrypted; use https, or private-network = true inside your own",
        ));
    }
    Ok(())
}

/// Puts in how a caller shows who it is, over whatever it wrote there itself.
pub(crate) fn present(
    rule: &HttpRule,
    presented: &Presented<'_>,
    request: &mut Outgoing,
) -> Result<(), EgressError> {
    let name = presented.names.first().copied().unwrap_or("authentication");
    if !presented.names.is_empty() || presented.authorization.is_some() {
        check_way(rule, name)?;
    }
    match &presented.authorization {
        Some(value) => put_header(request, name, header::AUTHORIZATION, value),
        None => Ok(()),
    }
}

fn value(secrets: &dyn Secrets, name: &str) -> Result<SecretString, EgressError> {
    let secret = secrets.get(name).ok_or_else(|| EgressError::SecretMissing(name.to_owned()))?;
    if secret.expose_secret().is_empty() { Err(unusable(name, "it is empty")) } else { Ok(secret) }
}

fn bearer(token: &SecretString) -> SecretString {
    format!("Bearer {}", token.expose_secret()).into()
}

/// Puts one secret in that travels as it is. What comes back may not be echoed.
fn put(
    rule: &HttpRule,
    name: &str,
    place: SecretPlace<'_>,
    secrets: &dyn Secrets,
    request: &mut Outgoing,
) -> Result<Vec<SecretString>, EgressError> {
    // Signs, and does not travel.
    if let SecretPlace::Hmac(_) = place {
        return Ok(Vec::new());
    }
    check_way(rule, name)?;
    let secret = value(secrets, name)?;
    let text = secret.expose_secret();
    let mut forms = Vec::new();
    match place {
        SecretPlace::Bearer => put_header(request, name, header::AUTHORIZATION, &bearer(&secret))?,
        SecretPlace::Basic(user) => {
            let pair = Zeroizing::new(format!("{user}:{text}"));
            let pair = Zeroizing::new(general_purpose::STANDARD.encode(pair.as_bytes()));
            let basic = SecretString::from(format!("Basic {}", *pair));
            put_header(request, name, header::AUTHORIZATION, &basic)?;
            // The password in another form, which no search for the password itself would find.
            forms.push(basic);
        }
        SecretPlace::Header(header) => {
            let header = HeaderName::from_bytes(header.as_bytes()).ok().filter(may_carry_secret);
            let header = header
                .ok_or_else(|| unusable(name, "the grant names a header that cannot carry a secret"))?;
            put_header(request, name, header, &secret)?;
        }
        SecretPlace::Query(key) => append_query(&mut request.url, key, text),
        SecretPlace::Body(field) => {
            let members = field.members().ok_or_else(|| unusable(name, "the grant names no single field"))?;
            let body = body::insert(&request.body, &members, text).map_err(|problem| {
                let message = match problem {
                    BodyProblem::Written => format!("the body's field {field} is written by the host"),
                    BodyProblem::NoObject => {
                        format!("the body has no place for the field {field}, which the host writes")
                    }
                };
                let mend = "# send a JSON object, and leave this field out of it".to_owned();
                EgressError::Denied(Denial { capability: Capability::Http, message, mend })
            })?;
            request.body = body.into();
        }
        SecretPlace::Hmac(_) | SecretPlace::Oauth(_) => {}
    }
    forms.push(secret);
    Ok(forms)
}

fn put_header(
    request: &mut Outgoing,
    name: &str,
    header: HeaderName,
    text: &SecretString,
) -> Result<(), EgressError> {
    let mut field = HeaderValue::from_str(text.expose_secret()).map_err(|_| {
        unusable(name, "it holds a character that no header may hold; is there a line break at its end?")
    })?;
    field.set_sensitive(true);
    request.headers.insert(header, field);
    Ok(())
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

pub(crate) fn percent_encoded(text: &str) -> Zeroizing<String> {
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

    fn outgoing(url: &str) -> Outgoing {
        Outgoing { url: Url::parse(url).unwrap(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    fn put(
        rule: &HttpRule,
        secrets: &dyn Secrets,
        headers: &mut HeaderMap,
    ) -> Result<Vec<SecretString>, EgressError> {
        let mut request = outgoing("https://a.test/");
        request.headers = std::mem::take(headers);
        let used =
            rule.secrets().map(|used| super::put(rule, used.secret, used.place, secrets, &mut request));
        let used: Result<Vec<_>, _> = used.collect();
        *headers = request.headers;
        Ok(used?.into_iter().flatten().collect())
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
            let mut request = outgoing(before);
            let rule = rule(r#"{ secret = "key", query = "api key" }"#);
            let used = rule.secrets().next().unwrap();
            super::put(&rule, used.secret, used.place, &secret, &mut request).unwrap();
            assert_eq!(request.url.as_str(), after.replace("api+key", "api%20key"));
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
