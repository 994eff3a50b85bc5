//! How the senders of webhooks sign (HMAC-SHA256, RFC 2104): GitHub, Stripe, Slack, and whoever signs the body in a header.
//!
//! The rules of the three are those of their public documentation: GitHub, "Validating webhook deliveries"; Stripe, "Verify
//! webhook signatures manually"; Slack, "Verifying requests from Slack".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use factotum_flow::{DEFAULT_TOLERANCE, WebhookAuth};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The most signatures of one header that are looked at: senders sign with an old and a new secret while they rotate.
const MAX_SIGNATURES: usize = 8;

/// What is signed, and where it stands.
pub enum Scheme<'a> {
    /// The body, in a header of the flow's choice.
    Header {
        header: &'a str,
        prefix: &'a str,
        /// The header with the time, which is signed with the body, and how far off it may be.
        timestamp: Option<(&'a str, Duration)>,
    },
    /// `X-Hub-Signature-256: sha256=…` of the body.
    Github,
    /// `Stripe-Signature: t=…,v1=…` of time, dot, body.
    Stripe { tolerance: Duration },
    /// `X-Slack-Signature: v0=…` of `v0`, `X-Slack-Request-Timestamp` and body, with colons between.
    Slack,
}

/// A message that is not shown to come from whom it should.
#[derive(Debug, PartialEq, Eq)]
pub struct Unverified {
    /// Whether it carried a signature at all.
    pub shown: bool,
    /// What the webhook wants.
    pub wants: String,
}

/// What a message brings along to be checked.
struct Signed {
    /// Stands in front of the body where it is signed.
    before: String,
    signatures: Vec<Vec<u8>>,
}

impl<'a> Scheme<'a> {
    /// The scheme with the name of its secret; `None` for what is not signed.
    pub fn of(auth: &'a WebhookAuth) -> Option<(&'a str, Self)> {
        match auth {
            WebhookAuth::None | WebhookAuth::Bearer { .. } | WebhookAuth::Mtls { .. } => None,
            WebhookAuth::Hmac { secret, header, prefix, timestamp, tolerance } => {
                let timestamp = timestamp.as_deref().map(|header| (header, *tolerance));
                let prefix = prefix.as_deref().unwrap_or_default();
                Some((secret, Self::Header { header, prefix, timestamp }))
            }
            WebhookAuth::Github { secret } => Some((secret, Self::Github)),
            WebhookAuth::Stripe { secret, tolerance } => {
                Some((secret, Self::Stripe { tolerance: *tolerance }))
            }
            WebhookAuth::Slack { secret } => Some((secret, Self::Slack)),
        }
    }

    /// Whether the message was signed with one of these secrets, and not too long ago where a time is signed.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        secrets: &[SecretString],
        now: SystemTime,
    ) -> Result<(), Unverified> {
        let refused = || Unverified { shown: headers.contains_key(self.header()), wants: self.wants() };
        let signed = self.read(headers, now).ok_or_else(refused)?;
        let matches = |secret: &SecretString, signature: &[u8]| {
            Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).is_ok_and(|mac| {
                mac.chain_update(signed.before.as_bytes()).chain_update(body).verify_slice(signature).is_ok()
            })
        };
        let any = secrets.iter().any(|secret| signed.signatures.iter().any(|one| matches(secret, one)));
        if any { Ok(()) } else { Err(refused()) }
    }

    /// What tells this delivery from others, when the flow does not say: a message that was recorded and sent again is a
    /// duplicate then. Stripe and Slack sign the time, so that the signature itself does; GitHub numbers its deliveries.
    pub fn delivery(&self, headers: &HeaderMap) -> Option<String> {
        let name = match self {
            Self::Header { timestamp: None, .. } => return None,
            Self::Github => "x-github-delivery",
            signed => signed.header(),
        };
        let text = text(headers, name)?;
        // Of a length that any store takes; what is longer is no sender's.
        (!text.is_empty() && text.len() <= 512).then(|| format!("{name} {text}"))
    }

    fn header(&self) -> &str {
        match self {
            Self::Header { header, .. } => header,
            Self::Github => "x-hub-signature-256",
            Self::Stripe { .. } => "stripe-signature",
            Self::Slack => "x-slack-signature",
        }
    }

    fn wants(&self) -> String {
        match self {
            Self::Header { header, timestamp: None, .. } => {
                format!("this webhook wants the HMAC-SHA-256 of the body, in hexadecimal, in the header {header}")
            }
            Self::Header { header, timestamp: Some((time, _)), .. } => format!(
                "this webhook wants the HMAC-SHA-256 of the time in {time}, a dot and the body, in hexadecimal, in the header {header}, and a time that is not long ago"
            ),
            Self::Github => "this webhook wants GitHub's signature in X-Hub-Signature-256".into(),
            Self::Stripe { .. } => "this webhook wants Stripe's signature in Stripe-Signature, made not long ago".into(),
            Self::Slack => {
                "this webhook wants Slack's signature in X-Slack-Signature and its time in X-Slack-Request-Timestamp, not older than 5 minutes".into()
            }
        }
    }

    fn read(&self, headers: &HeaderMap, now: SystemTime) -> Option<Signed> {
        let one = |prefix: &str| {
            let hex = text(headers, self.header())?.strip_prefix(prefix)?;
            Some(vec![hex::decode(hex).ok()?])
        };
        match self {
            Self::Header { prefix, timestamp: None, .. } => {
                Some(Signed { before: String::new(), signatures: one(prefix)? })
            }
            Self::Header { prefix, timestamp: Some((header, tolerance)), .. } => {
                let time = recent(text(headers, header)?, *tolerance, now)?;
                Some(Signed { before: format!("{time}."), signatures: one(prefix)? })
            }
            Self::Github => Some(Signed { before: String::new(), signatures: one("sha256=")? }),
            Self::Slack => {
                let time = recent(text(headers, "x-slack-request-timestamp")?, DEFAULT_TOLERANCE, now)?;
                Some(Signed { before: format!("v0:{time}:"), signatures: one("v0=")? })
            }
            Self::Stripe { tolerance } => {
                let mut time = None;
                let mut signatures = Vec::new();
                for part in text(headers, self.header())?.split(',') {
                    match part.trim().split_once('=')? {
                        // Of two times, which one was signed would be the sender's to choose.
                        ("t", _) if time.is_some() => return None,
                        ("t", value) => time = Some(value),
                        ("v1", value) if signatures.len() < MAX_SIGNATURES => {
                            signatures.push(hex::decode(value).ok()?);
                        }
                        // Other versions are for other checkers: not looked at, so that none can be downgraded to.
                        _ => {}
                    }
                }
                let time = recent(time?, *tolerance, now)?;
                Some(Signed { before: format!("{time}."), signatures })
            }
        }
    }
}

/// The field, when it stands there once.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut fields = headers.get_all(name).iter();
    let first = fields.next()?;
    if fields.next().is_some() { None } else { first.to_str().ok() }
}

/// A time in seconds since 1970 that is about now, as it was written.
fn recent(text: &str, tolerance: Duration, now: SystemTime) -> Option<&str> {
    if text.is_empty() || text.len() > 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: u64 = text.parse().ok()?;
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (now.abs_diff(seconds) <= tolerance.as_secs()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn check(
        scheme: &Scheme<'_>,
        fields: &[(&'static str, &str)],
        body: &str,
        secrets: &[&str],
        now: u64,
    ) -> bool {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        scheme.verify(&headers(fields), body.as_bytes(), &secrets, at(now)).is_ok()
    }

    #[test]
    fn github_signs_as_its_documentation_shows() {
        // docs.github.com, "Testing the webhook payload validation".
        let secret = "It's a Secret to Everybody";
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let ask = |signature: &str, body: &str, secrets: &[&str]| {
            check(&Scheme::Github, &[("x-hub-signature-256", signature)], body, secrets, 0)
        };
        assert!(ask(good, "Hello, World!", &[secret]));
        assert!(ask(good, "Hello, World!", &["the next", secret]), "while it is rotated");
        assert!(!ask(good, "Hello, World?", &[secret]) && !ask(good, "Hello, World!", &["other"]));
        assert!(!ask(&good.replace("sha256=", "sha1="), "Hello, World!", &[secret]));
        assert!(!ask(&good[..good.len() - 2], "Hello, World!", &[secret]));
        let twice = [("x-hub-signature-256", good), ("x-hub-signature-256", good)];
        assert!(!check(&Scheme::Github, &twice, "Hello, World!", &[secret], 0));
    }

    #[test]
    fn slack_signs_as_its_documentation_shows_for_five_minutes() {
        // docs.slack.dev, "Verifying requests from Slack".
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let secret = "8f742231b10e8888abcd99yyyzzz85a5";
        let time = 1_531_420_618;
        let fields = [
            ("x-slack-request-timestamp", "1531420618"),
            ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        ];
        for (now, good) in [(time, true), (time + 300, true), (time + 301, false), (time - 301, false)] {
            assert_eq!(check(&Scheme::Slack, &fields, body, &[secret], now), good, "{now}");
        }
        assert!(!check(&Scheme::Slack, &fields[1..], body, &[secret], time), "the time is part of it");
        let later = [("x-slack-request-timestamp", "1531420619"), fields[1]];
        assert!(!check(&Scheme::Slack, &later, body, &[secret], time), "another time was not signed");
    }

    #[test]
    fn stripe_signs_time_and_body_with_one_or_two_secrets() {
        let scheme = Scheme::Stripe { tolerance: Duration::from_secs(300) };
        // Made with another implementation of HMAC: whsec_test_secret over "1492774577.{\"id\":\"evt_1\"}".
        let good = STRIPE;
        let (time, body) = (1_492_774_577, "{\"id\":\"evt_1\"}");
        let ask = |field: String, now: u64| {
            check(&scheme, &[("stripe-signature", &field)], body, &["whsec_test_secret"], now)
        };
        assert!(ask(
            format!("t={time},v1={good},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"),
            time
        ));
        assert!(ask(format!("t={time},v1={},v1={good}", "0".repeat(64)), time), "one of several");
        assert!(!ask(format!("t={time},v0={good}"), time), "no older scheme is enough");
        assert!(!ask(format!("t={},v1={good}", time + 1), time), "another time was not signed");
        assert!(!ask(format!("t={time},t={time},v1={good}"), time));
        assert!(
            !ask(format!("v1={good}"), time)
                && !ask(format!("t={time}"), time)
                && !ask("nonsense".into(), time)
        );
        assert!(
            ask(format!("t={time},v1={good}"), time + 300) && !ask(format!("t={time},v1={good}"), time + 301)
        );
        assert!(!ask(format!("t={time},v1={good}"), time - 301), "nor from a far future");
    }

    #[test]
    fn a_delivery_that_is_sent_again_is_known_by_what_it_was_signed_with() {
        let stripe = Scheme::Stripe { tolerance: DEFAULT_TOLERANCE };
        let one = stripe.delivery(&headers(&[("stripe-signature", "t=1,v1=aa")]));
        assert_eq!(one, stripe.delivery(&headers(&[("stripe-signature", "t=1,v1=aa")])));
        assert_ne!(one, stripe.delivery(&headers(&[("stripe-signature", "t=2,v1=aa")])));
        let github = Scheme::Github.delivery(&headers(&[("x-github-delivery", "72d3162e-cc78")]));
        assert_eq!(github.as_deref(), Some("x-github-delivery 72d3162e-cc78"));
        let plain = Scheme::Header { header: "x-signature", prefix: "", timestamp: None };
        assert_eq!(plain.delivery(&headers(&[("x-signature", "aa")])), None, "two messages may be the same");
    }

    #[test]
    fn a_header_of_the_flow_s_choice_may_sign_the_time_too() {
        // RFC 4231, section 4.3 (test case 2).
        let plain = Scheme::Header { header: "x-signature", prefix: "v=", timestamp: None };
        let good = "v=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(check(&plain, &[("x-signature", good)], "what do ya want for nothing?", &["Jefe"], 0));
        let timed = Scheme::Header {
            header: "x-signature",
            prefix: "v=",
            timestamp: Some(("x-time", Duration::from_secs(60))),
        };
        assert!(!check(&timed, &[("x-signature", good)], "what do ya want for nothing?", &["Jefe"], 0));
        let field = format!("v={STRIPE}");
        let fields = [("x-time", "1492774577"), ("x-signature", field.as_str())];
        let ask = |now| check(&timed, &fields, "{\"id\":\"evt_1\"}", &["whsec_test_secret"], now);
        assert!(ask(1_492_774_577) && ask(1_492_774_637) && !ask(1_492_774_638));
    }

    const STRIPE: &str = "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";
}
