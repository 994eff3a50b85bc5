//! Authentication policies against a real server on loopback: what is sent, what is asked before, what nobody sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod server;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use factotum_egress::{
    Egress, EgressConfig, EgressError, Hold, Limits, Login, OAuth2, OAuthGrant, Part, Policy, Resolve, Rules,
    SecretString, Secrets, Way, async_trait,
};
use factotum_grant::{Denial, Grants, HttpRequest, HttpRule, Permit, check_request_as};
use factotum_provenance::Carried;
use server::{Answer, Server};

struct Loopback;
#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec!["127.0.0.1".parse().unwrap()])
    }
}

/// Secrets that can be rotated.
#[derive(Default)]
struct Vault(Mutex<Vec<(&'static str, String)>>);

impl Vault {
    fn set(&self, name: &'static str, value: &str) {
        let mut all = self.0.lock().unwrap();
        all.retain(|(known, _)| *known != name);
        all.push((name, value.to_owned()));
    }
}

impl Secrets for Vault {
    fn get(&self, name: &str) -> Option<SecretString> {
        let all = self.0.lock().unwrap();
        all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone().into())
    }
}

/// Rules as a flow has them.
struct Flow(Vec<HttpRule>);
impl Policy for Flow {
    fn check(&self, request: &HttpRequest<'_>) -> Result<Permit<'_>, Denial> {
        self.check_as(request, &[])
    }
    fn check_as(&self, request: &HttpRequest<'_>, secrets: &[&str]) -> Result<Permit<'_>, Denial> {
        check_request_as(&self.0, request, &Carried::default(), secrets)
    }
    fn begin(&self, _: &Permit<'_>) -> Result<Hold, EgressError> {
        Ok(None)
    }
}

fn rules(port: u16, more: &str) -> Flow {
    let text = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"api.internal\"\nport = {port}\nmethods = [\"GET\", \"POST\"]\n\
         paths = [\"/**\"]\nprivate-network = true\n{more}"
    );
    Flow(Grants::from_toml(&text).unwrap().http)
}

fn door() -> (Egress, Arc<Vault>) {
    let vault = Arc::new(Vault::default());
    vault.set("login", r#"{"user":"desk","password":"correct horse"}"#);
    vault.set("token", "t0k3n-0451");
    let egress = Egress::new(EgressConfig::default(), Arc::new(Loopback), Arc::clone(&vault) as _).unwrap();
    (egress, vault)
}

fn secret(name: &str, member: Option<&str>) -> Part {
    Part::Secret { name: name.into(), member: member.map(Into::into) }
}

fn login(way: Way) -> Login {
    Login { holder: "flow:test/f".into(), way }
}

fn get(port: u16, path: &str) -> http::Request<Bytes> {
    http::Request::get(format!("http://api.internal:{port}{path}")).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn basic_and_bearer_are_put_in_and_no_echo_of_them_comes_back() {
    let server = Server::start(Answer::Echo).await;
    let (door, port) = (door().0, server.address.port());
    let allowed = rules(port, "secrets = [\"login\", \"token\"]");
    let basic =
        Way::Basic { username: secret("login", Some("user")), password: secret("login", Some("password")) };
    let bearer = Way::Bearer { token: secret("token", None) };
    for (way, sent, hidden) in [
        // RFC 7617: base64 of "desk:correct horse".
        (basic, "authorization: Basic ZGVzazpjb3JyZWN0IGhvcnNl", "ZGVzazpjb3JyZWN0"),
        (bearer, "authorization: Bearer t0k3n-0451", "t0k3n"),
    ] {
        let login = login(way);
        assert!(!format!("{login:?}").contains("t0k3n"));
        let answer = door.send_as(&allowed, get(port, "/x"), &login, &Limits::default()).await.unwrap();
        let seen = server.requests().pop().unwrap();
        assert!(seen.contains(sent), "{seen}");
        let echoed = format!("{:?} {}", answer.headers(), String::from_utf8_lossy(answer.body()));
        assert!(echoed.contains("***") && !echoed.contains(hidden), "{echoed}");
    }
}

#[tokio::test]
async fn a_secret_goes_only_where_the_grant_names_it() {
    let server = Server::start(Answer::Echo).await;
    let (door, port) = (door().0, server.address.port());
    let way = Way::Bearer { token: secret("token", None) };
    for (more, rules_only) in [("", false), ("secrets = [\"login\"]", false), ("secrets = [\"token\"]", true)]
    {
        let flow = rules(port, more);
        let sent = if rules_only {
            // A plugin's rules never let a caller name secrets.
            door.send_as(&Rules(&flow.0), get(port, "/"), &login(way.clone()), &Limits::default()).await
        } else {
            door.send_as(&flow, get(port, "/"), &login(way.clone()), &Limits::default()).await
        };
        let error = sent.unwrap_err();
        assert!(error.is_denial() && error.to_string().contains("token"), "{more}: {error}");
    }
    assert!(server.requests().is_empty());
    let missing = login(Way::Bearer { token: secret("login", Some("none")) });
    let error = door
        .send_as(&rules(port, "secrets = [\"login\"]"), get(port, "/"), &missing, &Limits::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "invalid-configuration");
    // In the clear over a network that nobody vouched for, no secret travels.
    let text = "[[http]]\nscheme = \"http\"\nhost = \"93.184.216.34\"\nmethods = [\"GET\"]\npaths = [\"/**\"]\nsecrets = [\"token\"]";
    let open = Flow(Grants::from_toml(text).unwrap().http);
    let request = http::Request::get("http://93.184.216.34/").body(Bytes::new()).unwrap();
    let error = door.send_as(&open, request, &login(way), &Limits::default()).await.unwrap_err();
    assert!(error.to_string().contains("unencrypted"), "{error}");
}

/// Answers by a function of the request's text and its number.
async fn scripted(
    answer: impl Fn(&str, usize) -> String + Send + Sync + Clone + 'static,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (kept, number) = (Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, kept, number) = (answer.clone(), Arc::clone(&kept), Arc::clone(&number));
            tokio::spawn(async move {
                let mut data = Vec::new();
                let mut buffer = [0_u8; 8192];
                loop {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    data.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&data).into_owned();
                    let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        let length = head.to_ascii_lowercase();
                        let length = length.split("content-length: ").nth(1);
                        let length: usize = length.and_then(|l| l.lines().next()?.parse().ok()).unwrap_or(0);
                        body.len() >= length
                    });
                    if whole || read == 0 {
                        break;
                    }
                }
                let text = String::from_utf8_lossy(&data).into_owned();
                let answer = answer(&text, number.fetch_add(1, Ordering::SeqCst));
                kept.lock().unwrap().push(text);
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, seen)
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn digest_answers_the_challenge_as_the_rfc_has_it() {
    // The challenge of RFC 7616, section 3.9.1; the strongest of the two is answered.
    let challenge = "www-authenticate: Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"\r\nwww-authenticate: Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"\r\n";
    let (port, seen) = scripted(move |text, _| {
        if text.contains("authorization: Digest") {
            reply("200 OK", "", "in")
        } else {
            reply("401 Unauthorized", challenge, "")
        }
    })
    .await;
    let (door, vault) = door();
    vault.set("login", r#"{"user":"Mufasa","password":"Circle of Life"}"#);
    let way =
        Way::Digest { username: secret("login", Some("user")), password: secret("login", Some("password")) };
    let allowed = rules(port, "secrets = [\"login\"]");
    let answer = door
        .send_as(&allowed, get(port, "/dir/index.html?q=1"), &login(way), &Limits::default())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"in"[..]));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    let field = seen[1].lines().find(|line| line.starts_with("authorization")).unwrap();
    for part in [
        "username=\"Mufasa\"",
        "algorithm=SHA-256",
        "uri=\"/dir/index.html?q=1\"",
        "qop=auth,",
        "nc=00000001",
    ] {
        assert!(field.contains(part), "{part}: {field}");
    }
    assert!(!seen.iter().any(|text| text.contains("Circle of Life")), "the password does not travel");
    let value = |name: &str| {
        let rest = field.split(&format!("{name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    use sha2::{Digest as _, Sha256};
    let hash = |text: String| hex::encode(Sha256::digest(text));
    let ha1 = hash("Mufasa:http-auth@example.org:Circle of Life".into());
    let ha2 = hash("GET:/dir/index.html?q=1".into());
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let expected = hash(format!("{ha1}:{nonce}:00000001:{}:auth:{ha2}", value("cnonce")));
    assert_eq!(value("response"), expected);
}

fn oauth(port: u16, grant: OAuthGrant, discover: bool) -> OAuth2 {
    OAuth2 {
        authority: format!("http://api.internal:{port}/auth"),
        token_path: "/oauth2/token".into(),
        discover,
        grant,
        client: Some((Part::Literal("desk".into()), secret("token", None))),
        client_in_header: false,
        user: (grant != OAuthGrant::ClientCredentials)
            .then(|| (secret("login", Some("user")), secret("login", Some("password")))),
        scopes: vec!["read".into(), "write all".into()],
        audiences: vec!["desk-api".into()],
    }
}

/// A token server and an API in one: tokens are `at-N`, and those before `oldest` are refused.
fn authority(text: &str, number: usize, oldest: usize) -> String {
    if text.starts_with("GET /auth/.well-known/openid-configuration ") {
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let body = format!(r#"{{"issuer":"http://{host}/auth","token_endpoint":"http://{host}/found"}}"#);
        return reply("200 OK", "content-type: application/json\r\n", &body);
    }
    if text.starts_with("POST ") && text.contains("grant_type=") {
        if text.contains("client_secret=wrong") {
            return reply("401 Unauthorized", "", r#"{"error":"invalid_client"}"#);
        }
        let body = format!(
            r#"{{"access_token":"at-{number}-0123456789","token_type":"Bearer","expires_in":3600,"refresh_token":"rt-{number}"}}"#
        );
        return reply("200 OK", "content-type: application/json\r\n", &body);
    }
    let token: Option<usize> =
        text.split("authorization: Bearer at-").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok());
    match token {
        Some(token) if token >= oldest => reply("200 OK", "", &format!("hello at-{token}-0123456789")),
        _ => reply("401 Unauthorized", "", "no"),
    }
}

#[tokio::test]
async fn an_oauth_token_is_fetched_once_kept_and_never_shown() {
    let (port, seen) = scripted(|text, number| authority(text, number, 0)).await;
    let (door, vault) = door();
    let allowed = rules(port, "secrets = [\"login\", \"token\"]");
    let client = || login(Way::OAuth2(oauth(port, OAuthGrant::ClientCredentials, false)));
    for _ in 0..2 {
        let answer =
            door.send_as(&allowed, get(port, "/tickets"), &client(), &Limits::default()).await.unwrap();
        assert_eq!(&answer.body()[..], b"hello ***", "{answer:?}");
    }
    let sent = seen.lock().unwrap().clone();
    assert_eq!(sent.len(), 3, "one token, two requests: {sent:#?}");
    assert!(sent[0].starts_with("POST /auth/oauth2/token "), "{}", sent[0]);
    assert!(
        sent[0].ends_with("grant_type=client_credentials&scope=read%20write%20all&audience=desk-api&client_id=desk&client_secret=t0k3n-0451"),
        "{}",
        sent[0]
    );
    // Tokens are kept for each holder apart: another flow's grant may not reach the token server.
    let other = Login { holder: "flow:test/other".into(), ..client() };
    door.send_as(&allowed, get(port, "/tickets"), &other, &Limits::default()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 5);
    vault.set("token", "wrong");
    let error =
        door.send_as(&allowed, get(port, "/tickets"), &client(), &Limits::default()).await.unwrap_err();
    assert_eq!(error.code(), "unauthenticated", "a rotated secret gets no old token: {error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    // The token server itself must be granted, with the secret.
    let text = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"api.internal\"\nport = {port}\nmethods = [\"GET\"]\npaths = [\"/tickets\"]\nprivate-network = true\nsecrets = [\"token\"]"
    );
    let narrow = Flow(Grants::from_toml(&text).unwrap().http);
    let fresh = Login { holder: "flow:test/narrow".into(), ..client() };
    let before = seen.lock().unwrap().len();
    let error = door.send_as(&narrow, get(port, "/tickets"), &fresh, &Limits::default()).await.unwrap_err();
    assert!(error.is_denial() && error.to_string().contains("/auth/oauth2/token"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_fetched_again_with_the_refresh_token() {
    let oldest = Arc::new(AtomicUsize::new(0));
    let known = Arc::clone(&oldest);
    let (port, seen) =
        scripted(move |text, number| authority(text, number, known.load(Ordering::SeqCst))).await;
    let (door, _vault) = door();
    let allowed = rules(port, "secrets = [\"login\", \"token\"]");
    let login = login(Way::OAuth2(oauth(port, OAuthGrant::Password, true)));
    let answer = door.send_as(&allowed, get(port, "/a"), &login, &Limits::default()).await.unwrap();
    assert_eq!(answer.status(), 200);
    oldest.store(2, Ordering::SeqCst);
    let answer = door.send_as(&allowed, get(port, "/a"), &login, &Limits::default()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let sent = seen.lock().unwrap().clone();
    let lines: Vec<&str> = sent.iter().map(|text| text.lines().next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "GET /auth/.well-known/openid-configuration HTTP/1.1",
            "POST /found HTTP/1.1",
            "GET /a HTTP/1.1",
            "GET /a HTTP/1.1",
            "POST /found HTTP/1.1",
            "GET /a HTTP/1.1",
        ]
    );
    assert!(sent[1].contains("grant_type=password&username=desk&password=correct%20horse"), "{}", sent[1]);
    assert!(sent[4].contains("grant_type=refresh_token&refresh_token=rt-1"), "{}", sent[4]);
}

#[tokio::test]
async fn a_provider_that_speaks_for_another_is_not_believed() {
    let (port, _seen) = scripted(|_, _| {
        let body = r#"{"issuer":"https://evil.test","token_endpoint":"https://evil.test/token"}"#;
        reply("200 OK", "content-type: application/json\r\n", body)
    })
    .await;
    let (door, _vault) = door();
    let login = login(Way::OAuth2(oauth(port, OAuthGrant::ClientCredentials, true)));
    let allowed = rules(port, "secrets = [\"login\", \"token\"]");
    let error = door.send_as(&allowed, get(port, "/a"), &login, &Limits::default()).await.unwrap_err();
    assert!(error.to_string().contains("another issuer"), "{error}");
}
