//! Which keys a request's query writes, however they are spelled.

use super::HttpRule;

/// Query keys with which frameworks let a request change its method, which would go round the rule's own.
const OVERRIDES: [&str; 5] =
    ["_method", "_http_method", "_httpmethod", "x-http-method", "x-http-method-override"];

/// The keys that change the method at some servers.
pub(super) fn override_keys() -> impl Iterator<Item = &'static str> {
    OVERRIDES.into_iter()
}

/// Whether a query key changes the method at some servers.
pub(super) fn is_override(key: &str) -> bool {
    OVERRIDES.into_iter().any(|o| loosely_equal(key.bytes(), o))
}

/// The bytes of a key as a server decodes it (WHATWG URL, section 5.1). A broken escape yields 0xFF, which is in no text.
#[derive(Clone)]
struct Decoded<'q>(std::slice::Iter<'q, u8>);

impl Iterator for Decoded<'_> {
    type Item = u8;
    fn next(&mut self) -> Option<u8> {
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        match *self.0.next()? {
            b'+' => Some(b' '),
            b'%' => {
                let value = digit(self.0.next()).zip(digit(self.0.next())).map(|(high, low)| high * 16 + low);
                Some(value.and_then(|value| u8::try_from(value).ok()).unwrap_or(0xff))
            }
            byte => Some(byte),
        }
    }
}

/// Whether some server could take `key` for `name`: without regard to case, to spaces in front, to what follows a NUL or
/// an opening bracket, and with dots and spaces as underscores (as PHP does).
pub(super) fn loosely_equal(key: impl Iterator<Item = u8>, name: &str) -> bool {
    loose(key).eq(loose(name.bytes()))
}

fn loose(key: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    key.skip_while(|byte| *byte == b' ')
        .take_while(|byte| *byte != 0)
        .enumerate()
        .take_while(|(at, byte)| *at == 0 || *byte != b'[')
        .map(|(_, byte)| match byte {
            b'.' | b' ' | b'[' => b'_',
            byte => byte.to_ascii_lowercase(),
        })
}

impl HttpRule {
    /// Whether the rule allows a key, given as its decoded bytes.
    fn allows_bytes(&self, key: &(impl Iterator<Item = u8> + Clone)) -> bool {
        if self.secret_keys().any(|secret| loosely_equal(key.clone(), secret)) {
            return false;
        }
        match &self.query {
            Some(keys) => keys.iter().any(|allowed| key.clone().eq(allowed.bytes())),
            None => !OVERRIDES.into_iter().any(|o| loosely_equal(key.clone(), o)),
        }
    }

    /// Whether the rule allows the query key `key`, as it is named in a grant.
    pub(crate) fn allows_key(&self, key: &str) -> bool {
        self.allows_bytes(&key.bytes())
    }

    /// The first key of `query` (as sent, without `?`) that the rule does not allow. Allocates nothing.
    pub(super) fn refused_key<'q>(&self, query: &'q str) -> Option<&'q str> {
        keys(query).find(|key| !self.allows_bytes(&Decoded(key.as_bytes().iter())))
    }
}

/// The keys of a query, as sent. A semicolon parts pairs too, as it does for some servers: a key is asked for too often
/// rather than too seldom.
pub(super) fn keys(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or(pair, |(key, _)| key))
}

/// A key as a grant would name it; `None` when none can.
pub(super) fn name_of(key: &str) -> Option<String> {
    let bytes: Vec<u8> = Decoded(key.as_bytes().iter()).collect();
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use crate::Grants;

    fn refused<'q>(rule: &str, query: &'q str) -> Option<&'q str> {
        let text = format!("[[http]]\nhost = \"a.test\"\nmethods = [\"GET\"]\npaths = [\"/\"]\n{rule}");
        let grants = Grants::from_toml(&text).unwrap();
        grants.http[0].refused_key(query)
    }

    #[test]
    fn only_named_keys_pass() {
        let rule = "query = [\"page\", \"filter[status]\", \"a b\"]";
        for good in [
            "",
            "page=1",
            "page=1&page=2",
            "&&page",
            "filter%5Bstatus%5D=x",
            "filter[status]=x",
            "a+b=",
            "p%61ge=1",
        ] {
            assert_eq!(refused(rule, good), None, "{good}");
        }
        for (bad, key) in [
            ("q=1", "q"),
            ("page=1&admin=1", "admin"),
            ("page=1;admin=1", "admin"),
            ("Page=1", "Page"),
            ("p%2561ge=1", "p%2561ge"),
            ("page%00=1", "page%00"),
            ("page%=1", "page%"),
            ("page%zz", "page%zz"),
            ("=1", ""),
            (" page=1", " page"),
        ] {
            assert_eq!(refused(rule, bad), Some(key), "{bad}");
        }
        assert_eq!(refused("query = []", "x"), Some("x"));
        assert_eq!(refused("query = []", ""), None);
    }

    #[test]
    fn a_key_that_changes_the_method_must_be_named() {
        for trick in [
            "_method=DELETE",
            "_METHOD=DELETE",
            "a=1&%5fmethod=DELETE",
            "a=1;_method=DELETE",
            "+_method=DELETE",
            ".method=DELETE",
            "_method%00x=DELETE",
            "X-HTTP-Method-Override=PUT",
            "_method[]=DELETE",
            "[method=DELETE",
        ] {
            assert!(refused("", trick).is_some(), "{trick}");
        }
        assert_eq!(refused("", "method=x&q=_method"), None);
        assert_eq!(refused("query = [\"_method\"]", "_method=DELETE"), None);
    }

    #[test]
    fn the_key_of_a_secret_is_the_hosts() {
        let rule = "inject = [{ secret = \"k\", query = \"api_key\" }]";
        for trick in ["api_key=mine", "API_KEY=mine", "api.key=mine", "api%5fkey=mine", "+api_key"] {
            assert!(refused(rule, trick).is_some(), "{trick}");
        }
        assert_eq!(refused(rule, "q=1"), None);
        assert!(refused(&format!("{rule}\nquery = [\"api_key\"]"), "api_key=mine").is_some());
    }
}
