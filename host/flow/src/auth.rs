//! Authentication policies: basic, bearer, digest, oauth2 and oidc, inline or out of `use.authentications`.
//!
//! ```yaml
//! authentication: { use: shop }
//! authentication: { basic: { username: desk, password: '${ $secrets.shop.password }' } }
//! authentication: { bearer: { use: shop-token } }
//! ```
//!
//! A secret is named as a whole, `${ $secrets.name }` or `${ $secrets.name.member }`, in a part of a credential and nowhere
//! else; only the host reads it, when it sends. `use: name` in a scheme takes `username` and `password`, or `token`, out of
//! the secret.

use crate::FlowError;
use crate::decode::{At, Decoder, Object, did_you_mean, shorten};
use crate::endpoint::{self, Uri};
use crate::expr::{self, Data, Expr, Template, Vars, is_expression};
use crate::reuse::Context;
use crate::run::{Authentication, Credential, Halt, Run, Scope};
use crate::task::flat;
use factotum_provenance::Labels;
use serde_json::Value;

/// How a request shows who it is from, before the run's data are in it.
#[derive(Debug)]
pub(crate) enum Policy {
    Basic(Source, Source),
    Bearer(Source),
    Digest(Source, Source),
    OAuth2(Box<OAuth2>),
}

/// OAuth 2.0 or OpenID Connect.
#[derive(Debug)]
pub(crate) struct OAuth2 {
    authority: Uri,
    token_path: String,
    discover: bool,
    grant: String,
    client_basic: bool,
    client: Option<(Source, Source)>,
    user: Option<(Source, Source)>,
    scopes: Vec<String>,
    audiences: Vec<String>,
}

/// Where a part of a credential is.
#[derive(Debug)]
pub(crate) enum Source {
    Secret { name: String, member: Option<String> },
    Value(Template),
}

/// Decodes a policy, or the reference to one.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<Policy> {
    let object = d.map(at)?;
    let Some(name) = object.get("use") else { return inline(d, &object, cx, vars) };
    d.only(&object, &["use"]);
    let text = d.text(&name)?;
    match cx.authentications.get(text) {
        Some(definition) => {
            let definition = d.map(definition.clone())?;
            inline(d, &definition, cx, vars)
        }
        None => {
            let hint = did_you_mean(text, cx.authentications.keys().map(String::as_str))
                .unwrap_or_else(|| "define it in use.authentications".into());
            d.error_hint(&name, format!("there is no authentication \"{}\"", shorten(text, 60)), hint);
            None
        }
    }
}

/// Checks a definition in `use.authentications`.
pub(crate) fn check(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, vars: &Vars) {
    if let Some(object) = d.map(at) {
        inline(d, &object, cx, vars);
    }
}

fn inline(d: &mut Decoder<'_>, object: &Object<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<Policy> {
    let schemes = ["basic", "bearer", "digest", "oauth2", "oidc"];
    d.only(object, &schemes);
    let [entry] = object.entries() else {
        d.error_hint(
            &object.at,
            "an authentication is one of basic, bearer, digest, oauth2 and oidc",
            "keep one",
        );
        return None;
    };
    let at = d.required(object, &entry.key)?;
    match entry.key.as_str() {
        "basic" => pair(d, at, cx, vars).map(|(user, password)| Policy::Basic(user, password)),
        "digest" => pair(d, at, cx, vars).map(|(user, password)| Policy::Digest(user, password)),
        "bearer" => {
            let object = d.object(at, &["token", "use"])?;
            if let Some(name) = used(d, &object, cx) {
                return Some(Policy::Bearer(Source::Secret { name: name?, member: Some("token".into()) }));
            }
            let token = d.required(&object, "token")?;
            source(d, &token, cx, vars).map(Policy::Bearer)
        }
        "oauth2" | "oidc" => oauth2(d, at, cx, vars, entry.key == "oidc"),
        _ => None,
    }
}

/// `use: name` of a scheme; the name must be listed.
fn used(d: &mut Decoder<'_>, object: &Object<'_>, cx: &mut Context<'_>) -> Option<Option<String>> {
    let at = object.get("use")?;
    d.only(object, &["use"]);
    let Some(name) = d.text(&at) else { return Some(None) };
    Some(secret(d, &at, name, cx).then(|| name.to_owned()))
}

fn secret(d: &mut Decoder<'_>, at: &At<'_>, name: &str, cx: &mut Context<'_>) -> bool {
    if cx.secrets.contains(name) {
        cx.secrets_used.insert(name.to_owned());
        return true;
    }
    let hint = did_you_mean(name, cx.secrets.iter().map(String::as_str))
        .unwrap_or_else(|| format!("list it: `use: {{ secrets: [ {} ] }}`", shorten(name, 60)));
    d.error_hint(at, format!("the secret \"{}\" is not listed in use.secrets", shorten(name, 60)), hint);
    false
}

fn pair(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<(Source, Source)> {
    let object = d.object(at, &["username", "password", "use"])?;
    if let Some(name) = used(d, &object, cx) {
        let name = name?;
        let part = |member: &str| Source::Secret { name: name.clone(), member: Some(member.into()) };
        return Some((part("username"), part("password")));
    }
    let user = d.required(&object, "username").and_then(|at| source(d, &at, cx, vars));
    let password = d.required(&object, "password").and_then(|at| source(d, &at, cx, vars));
    Some((user?, password?))
}

/// `$secrets.name` or `$secrets.name.member`, and nothing around it.
fn reference(text: &str) -> Option<(&str, Option<&str>)> {
    let inner = text.trim().strip_prefix("${")?.strip_suffix('}')?.trim();
    let path = inner.strip_prefix("$secrets.").or_else(|| inner.strip_prefix("$secret."))?;
    let (name, member) = match path.split_once('.') {
        Some((name, member)) => (name, Some(member)),
        None => (path, None),
    };
    let word = |s: &str| {
        (1..=128).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    (word(name) && member.is_none_or(word)).then_some((name, member))
}

fn source(d: &mut Decoder<'_>, at: &At<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<Source> {
    let text = d.text(at)?;
    if let Some((name, member)) = reference(text) {
        let (name, member) = (name.to_owned(), member.map(str::to_owned));
        return secret(d, at, &name, cx).then_some(Source::Secret { name, member });
    }
    if is_expression(text) && (text.contains("$secrets") || text.contains("$secret.")) {
        d.error_hint(
            at,
            "a secret is named as a whole, not computed with",
            "write ${ $secrets.name } or ${ $secrets.name.member }",
        );
        return None;
    }
    expr::template(d, at, vars).map(Source::Value)
}

const OAUTH2: [&str; 13] = [
    "authority",
    "endpoints",
    "grant",
    "client",
    "request",
    "issuers",
    "scopes",
    "audiences",
    "username",
    "password",
    "subject",
    "actor",
    "use",
];

fn oauth2(
    d: &mut Decoder<'_>,
    at: At<'_>,
    cx: &mut Context<'_>,
    vars: &Vars,
    discover: bool,
) -> Option<Policy> {
    let object = d.object(at, &OAUTH2)?;
    for (key, why, hint) in [
        (
            "use",
            "a whole policy out of a secret would hide at deploy who is asked",
            "name the secret in client.secret",
        ),
        ("issuers", "tokens are opaque to a client", "leave it out; the target checks its tokens"),
        ("subject", "tokens are not exchanged", "use the grant client_credentials"),
        ("actor", "tokens are not exchanged", "use the grant client_credentials"),
    ] {
        if let Some(at) = object.get(key) {
            d.error_hint(&at, format!("`{key}` is refused, because {why}"), hint);
            return None;
        }
    }
    let authority = d.required(&object, "authority").and_then(|at| endpoint::uri(d, &at, vars));
    let token_path = object.get("endpoints").map(|at| {
        let endpoints = d.object(at, &["token", "revocation", "introspection"])?;
        endpoints.get("token").map_or(Some(None), |at| d.text(&at).map(|t| Some(t.to_owned())))
    });
    let grant = d.required(&object, "grant").and_then(|at| {
        let grant = d.text(&at)?;
        let (why, hint) = match grant {
            "client_credentials" | "password" => return Some(grant.to_owned()),
            "refresh_token" => ("no key of the policy holds the token", "use client_credentials"),
            "authorization_code" => ("nobody sits before a browser in a flow", "use client_credentials"),
            "urn:ietf:params:oauth:grant-type:token-exchange" => {
                ("tokens are not exchanged", "use client_credentials")
            }
            _ => ("it is not one of the DSL", "use client_credentials or password"),
        };
        d.error_hint(&at, format!("the grant \"{}\" is refused, because {why}", shorten(grant, 60)), hint);
        None
    });
    if let Some(encoding) =
        object.get("request").and_then(|at| d.object(at, &["encoding"])).and_then(|o| o.get("encoding"))
        && d.text(&encoding)? != "application/x-www-form-urlencoded"
    {
        d.error_hint(
            &encoding,
            "a token is asked for with a form (RFC 6749, section 4), nothing else",
            "write application/x-www-form-urlencoded, or leave it out",
        );
        return None;
    }
    let client = object.get("client").map(|at| client(d, at, cx, vars));
    let user = match (object.get("username"), object.get("password")) {
        (None, None) => Some(None),
        (Some(user), Some(password)) => {
            let (user, password) = (source(d, &user, cx, vars), source(d, &password, cx, vars));
            Some(Some((user?, password?)))
        }
        _ => {
            d.error(&object.at, "`username` and `password` go together");
            None
        }
    };
    let scopes = object.get("scopes").map(|at| texts(d, &at));
    let audiences = object.get("audiences").map(|at| texts(d, &at));
    let (client, client_basic) = flat(client)?.unwrap_or_default();
    let (user, grant) = (user?, grant?);
    if grant == "password" && user.is_none() {
        d.error(&object.at, "the grant password needs `username` and `password`");
        return None;
    }
    if grant == "client_credentials" && client.is_none() {
        d.error(&object.at, "the grant client_credentials needs `client` with `id` and `secret`");
        return None;
    }
    Some(Policy::OAuth2(Box::new(OAuth2 {
        authority: authority?,
        token_path: flat(token_path)?.flatten().unwrap_or_else(|| "/oauth2/token".into()),
        discover,
        grant,
        client_basic,
        client,
        user,
        scopes: flat(scopes)?.unwrap_or_default(),
        audiences: flat(audiences)?.unwrap_or_default(),
    })))
}

type Client = (Option<(Source, Source)>, bool);

fn client(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<Client> {
    let object = d.object(at, &["id", "secret", "assertion", "authentication"])?;
    let method = object.get("authentication").map_or(Some("client_secret_post"), |at| {
        let method = d.text(&at)?;
        if matches!(method, "client_secret_post" | "client_secret_basic" | "none") {
            return Some(method);
        }
        let message = format!(
            "the client authentication \"{}\" is refused, because no keys are held here",
            shorten(method, 40)
        );
        d.error_hint(&at, message, "use client_secret_basic or client_secret_post");
        None
    })?;
    if let Some(at) = object.get("assertion") {
        d.error_hint(&at, "`assertion` is refused, because no keys are held here", "use client.secret");
        return None;
    }
    let id = d.required(&object, "id").and_then(|at| source(d, &at, cx, vars));
    let secret = match (object.get("secret"), method) {
        (Some(at), _) => source(d, &at, cx, vars),
        (None, "none") => Some(Source::Value(Template::Constant(Data::from(Value::from(""))))),
        (None, _) => {
            d.error_hint(&object.at, "\"secret\" is missing", "or write `authentication: none`");
            None
        }
    };
    Some((Some((id?, secret?)), method == "client_secret_basic"))
}

fn texts(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Vec<String>> {
    let items = d.list(at)?;
    let texts: Vec<Option<String>> = items
        .iter()
        .enumerate()
        .map(|(i, item)| d.text(&at.child(&i.to_string(), item)).map(str::to_owned))
        .collect();
    texts.into_iter().collect()
}

impl Source {
    fn fill(
        &self,
        run: &Run<'_>,
        input: &Data,
        scope: &Scope<'_>,
        from: &mut Labels,
    ) -> Result<Credential, Halt> {
        match self {
            Source::Secret { name, member } => {
                Ok(Credential::Secret { name: name.clone(), member: member.clone() })
            }
            Source::Value(template) => {
                let value = run.fill(template, input, scope)?;
                *from = from.union(&value.labels());
                let value = value.into_value().map_err(Halt::Fault)?;
                match endpoint::scalar(&value, "a credential") {
                    Ok(text) => Ok(Credential::Literal(text)),
                    // The message must not quote the value.
                    Err(_) => Err(Halt::Fault(
                        FlowError::expression("a credential must be a text").and_labels(from),
                    )),
                }
            }
        }
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        matches!(self, Source::Value(template) if template.any(test))
    }
}

impl Policy {
    /// The policy with the run's data in it, and where those come from.
    pub fn fill(
        &self,
        run: &Run<'_>,
        input: &Data,
        scope: &Scope<'_>,
    ) -> Result<(Authentication, Labels), Halt> {
        let mut from = Labels::default();
        let mut part = |source: &Source| source.fill(run, input, scope, &mut from);
        let filled = match self {
            Policy::Basic(username, password) => {
                Authentication::Basic { username: part(username)?, password: part(password)? }
            }
            Policy::Digest(username, password) => {
                Authentication::Digest { username: part(username)?, password: part(password)? }
            }
            Policy::Bearer(token) => Authentication::Bearer { token: part(token)? },
            Policy::OAuth2(policy) => {
                let mut two = |pair: &Option<(Source, Source)>| -> Result<_, Halt> {
                    pair.as_ref().map(|(a, b)| Ok((part(a)?, part(b)?))).transpose()
                };
                let (client, user) = (two(&policy.client)?, two(&policy.user)?);
                let (authority, labels) = policy.authority.fill(run, input, scope)?;
                from = from.union(&labels);
                Authentication::OAuth2 {
                    authority,
                    token_path: policy.token_path.clone(),
                    discover: policy.discover,
                    grant: policy.grant.clone(),
                    client_basic: policy.client_basic,
                    client,
                    user,
                    scopes: policy.scopes.clone(),
                    audiences: policy.audiences.clone(),
                }
            }
        };
        Ok((filled, from))
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        match self {
            Policy::Basic(a, b) | Policy::Digest(a, b) => a.any_expr(test) || b.any_expr(test),
            Policy::Bearer(token) => token.any_expr(test),
            Policy::OAuth2(policy) => {
                let pairs = [&policy.client, &policy.user];
                policy.authority.any_expr(test)
                    || pairs.into_iter().flatten().any(|(a, b)| a.any_expr(test) || b.any_expr(test))
            }
        }
    }
}
