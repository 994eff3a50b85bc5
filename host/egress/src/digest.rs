//! Digest access authentication (RFC 7616), the client's side: reads a server's challenges and answers the strongest.
//!
//! SHA-256 and MD5 with `qop=auth`. `auth-int` is not answered: servers that want nothing else are rare, and libraries do
//! not agree on what it hashes. Challenges without `qop` (RFC 2069) are refused, as RFC 7616 has it.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use md5::Md5;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The most challenges that are looked at, over all fields.
const MAX_CHALLENGES: usize = 16;
/// The most bytes of one field.
const MAX_FIELD: usize = 8 * 1024;

/// A server's challenge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    sha256: bool,
    /// The session variant (`-sess`).
    session: bool,
    /// Whether the user's name is hashed (section 3.4.4).
    userhash: bool,
}

impl Challenge {
    /// The strongest Digest challenge in an answer's header that can be answered.
    pub(crate) fn strongest(headers: &HeaderMap) -> Option<Self> {
        let fields = headers.get_all(WWW_AUTHENTICATE).iter();
        let texts = fields.filter_map(|field| field.to_str().ok()).filter(|text| text.len() <= MAX_FIELD);
        let challenges = texts.flat_map(challenges).take(MAX_CHALLENGES);
        challenges.filter_map(Self::read).max_by_key(|challenge| challenge.sha256)
    }

    fn read((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Self> {
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let get = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        let algorithm = get("algorithm").unwrap_or("MD5").to_ascii_uppercase();
        let (name, session) =
            algorithm.strip_suffix("-SESS").map_or((algorithm.as_str(), false), |name| (name, true));
        let sha256 = match name {
            "SHA-256" => true,
            "MD5" => false,
            _ => return None,
        };
        if !get("qop")?.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) {
            return None;
        }
        Some(Self {
            realm: get("realm")?.to_owned(),
            nonce: get("nonce")?.to_owned(),
            opaque: get("opaque").map(str::to_owned),
            sha256,
            session,
            userhash: get("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }

    /// The value of `Authorization`; `None` when a part cannot stand in it. `uri` is the request's target, `cnonce` drawn
    /// anew for each answer.
    pub(crate) fn answer(
        &self,
        user: &str,
        password: &SecretString,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> Option<SecretString> {
        let nonce = &self.nonce;
        let secret =
            Zeroizing::new(format!("{user}:{realm}:{}", password.expose_secret(), realm = self.realm));
        let mut a1 = Zeroizing::new(self.hash(&secret));
        if self.session {
            a1 = Zeroizing::new(self.hash(&format!("{}:{nonce}:{cnonce}", *a1)));
        }
        let a2 = self.hash(&format!("{method}:{uri}"));
        let response = self.hash(&format!("{}:{nonce}:00000001:{cnonce}:auth:{a2}", *a1));
        let name = if self.userhash { self.hash(&format!("{user}:{}", self.realm)) } else { user.to_owned() };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}{}, qop=auth, nc=00000001, cnonce=\"{cnonce}\"",
            quoted(&name)?,
            quoted(&self.realm)?,
            quoted(nonce)?,
            quoted(uri)?,
            if self.sha256 { "SHA-256" } else { "MD5" },
            if self.session { "-sess" } else { "" },
        );
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)?));
        }
        if self.userhash {
            value.push_str(", userhash=true");
        }
        Some(value.into())
    }

    fn hash(&self, text: &str) -> String {
        if self.sha256 { hex::encode(Sha256::digest(text)) } else { hex::encode(Md5::digest(text)) }
    }
}

/// A quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    plain.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The challenges of one field (RFC 9110, section 11.6.1): a scheme each, with its parameters. Reads as far as the text is
/// one.
fn challenges(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let after = after.trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=') else {
            if found.len() >= MAX_CHALLENGES {
                return found;
            }
            found.push((word.to_owned(), Vec::new()));
            rest = after;
            continue;
        };
        let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else { return found };
        let Some((_, parameters)) = found.last_mut() else { return found };
        parameters.push((word.to_owned(), value));
        rest = after;
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, inside.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two challenges of RFC 7616, section 3.9.1, in one field.
    const BOTH: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", \
        Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    fn headers(fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (WWW_AUTHENTICATE, field.parse().unwrap())).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_answered_as_it_does() {
        let password = SecretString::from("Circle of Life");
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let strongest = Challenge::strongest(&headers(&["Basic realm=\"x\"", BOTH])).unwrap();
        assert!(strongest.sha256);
        for (sha256, response) in [
            (true, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            (false, "8ca523f5e9506fed4657c9700eebdbec"),
        ] {
            let challenge = challenges(BOTH).into_iter().filter_map(Challenge::read);
            let challenge = challenge.into_iter().find(|challenge| challenge.sha256 == sha256).unwrap();
            let answer = challenge.answer("Mufasa", &password, "GET", "/dir/index.html", cnonce).unwrap();
            let text = answer.expose_secret();
            assert!(text.contains(&format!("response=\"{response}\"")), "{text}");
            assert!(
                text.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"")
                    && !text.contains("Circle")
            );
        }
    }

    #[test]
    fn a_hashed_user_is_not_sent() {
        // RFC 7616, section 3.9.2, with SHA-256.
        let field = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-256, nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", userhash=true";
        let challenge = Challenge::strongest(&headers(&[field])).unwrap();
        let answer = challenge.answer("Jane", &"x".into(), "GET", "/", "c").unwrap();
        let text = answer.expose_secret();
        assert!(!text.contains("Jane") && text.contains("userhash=true"), "{text}");
        assert!(text.contains(&hex::encode(Sha256::digest("Jane:api@example.org"))), "{text}");
    }

    #[test]
    fn what_cannot_be_answered_is_not() {
        for field in [
            "Basic realm=\"x\"",
            "Digest realm=\"x\", nonce=\"n\"",
            "Digest realm=\"x\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"x\", nonce=\"n\", qop=\"auth\", algorithm=SHA-512-256",
            "Digest realm=\"x, nonce=\"n\", qop=\"auth",
            "Digest",
            "=, =\"",
            "",
        ] {
            assert_eq!(Challenge::strongest(&headers(&[field])), None, "{field}");
        }
        let challenge =
            Challenge::strongest(&headers(&["Digest realm=\"a\\\"b\", nonce=\"n\", qop=auth"])).unwrap();
        assert_eq!(challenge.realm, "a\"b");
        let answer = challenge.answer("J\"ane", &"x".into(), "GET", "/", "c").unwrap();
        assert!(answer.expose_secret().contains("username=\"J\\\"ane\", realm=\"a\\\"b\""));
        assert!(challenge.answer("line\nbreak", &"x".into(), "GET", "/", "c").is_none());
    }
}
