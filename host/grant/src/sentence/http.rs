//! HTTP rules as sentences.

use super::{Words, bytes, list, number};
use crate::{HttpRule, PathPattern, SecretPlace, text::shown};

/// Where a rule leads: `api.example.com`, or with scheme and port when they are not the common ones.
pub(crate) fn origin(rule: &HttpRule) -> Words {
    let host = rule.host.to_string();
    let port = rule.port.map_or(String::new(), |port| format!(":{port}"));
    let (plain_en, plain_zh) =
        if rule.scheme == "http" { (" (not encrypted)", "（未加密）") } else { ("", "") };
    match host.strip_prefix("*.") {
        Some(below) => Words::new(
            format!("any host below {below}{port}{plain_en}"),
            format!("{below}{port} 下的任何主机{plain_zh}"),
        ),
        None => Words::new(format!("{host}{port}{plain_en}"), format!("{host}{port}{plain_zh}")),
    }
}

fn methods(rule: &HttpRule) -> Words {
    let (en, zh): (Vec<String>, Vec<String>) = rule
        .methods
        .iter()
        .map(|method| {
            let (en, zh) = match method.as_str() {
                "GET" | "HEAD" | "OPTIONS" => ("read", "读取"),
                "POST" => ("add or send", "新增或提交"),
                "PUT" | "PATCH" => ("change", "修改"),
                "DELETE" => ("delete", "删除"),
                _ => ("act", "操作"),
            };
            let method = shown(method);
            (format!("{en} ({method})"), format!("{zh} ({method})"))
        })
        .unzip();
    Words::new(list(&en, " and ", "more"), list(&zh, "、", "项"))
}

fn path(pattern: &PathPattern) -> (String, String) {
    let text = pattern.to_string();
    if let Some(root) = text.strip_suffix("/**") {
        return if root.is_empty() {
            ("everything".into(), "全部内容".into())
        } else {
            let (en, zh) = starred(root);
            (format!("everything under {en}"), format!("{zh} 下的全部内容"))
        };
    }
    starred(&text)
}

/// A path with its stars in words.
fn starred(text: &str) -> (String, String) {
    let put = |word: &str| {
        let segments: Vec<&str> =
            text.split('/').map(|segment| if segment == "*" { word } else { segment }).collect();
        shown(&segments.join("/"))
    };
    (put("[any]"), put("[任意]"))
}

/// Methods, origin and paths: `read (GET) at api.example.com: /contacts`.
pub(crate) fn request_words(rule: &HttpRule) -> Words {
    let (methods_en, methods_zh) = methods(rule).into_both();
    let (origin_en, origin_zh) = origin(rule).into_both();
    let (en, zh): (Vec<String>, Vec<String>) = rule.paths.iter().map(path).unzip();
    Words::new(
        format!("{methods_en} at {origin_en}: {}", list(&en, ", ", "more")),
        format!("在 {origin_zh} {methods_zh}：{}", list(&zh, "、", "项")),
    )
}

/// With which secrets the host signs requests in; `None` when with none.
pub(crate) fn secrets(rule: &HttpRule) -> Option<Words> {
    let (en, zh): (Vec<String>, Vec<String>) = rule
        .secrets()
        .map(|used| {
            let secret = shown(used.secret);
            match used.place {
                SecretPlace::Bearer => {
                    (format!("“{secret}” as bearer token"), format!("“{secret}”（作为 Bearer 令牌）"))
                }
                SecretPlace::Basic(user) => {
                    let user = shown(user);
                    (format!("“{secret}” as password of {user}"), format!("“{secret}”（作为 {user} 的密码）"))
                }
                SecretPlace::Header(name) => {
                    let name = shown(name);
                    (
                        format!("“{secret}” in the header {name}"),
                        format!("“{secret}”（放在请求头 {name} 中）"),
                    )
                }
                SecretPlace::Query(key) => {
                    let key = shown(key);
                    (
                        format!("“{secret}” in the query key {key}"),
                        format!("“{secret}”（放在查询参数 {key} 中）"),
                    )
                }
                SecretPlace::Body(field) => {
                    let field = shown(&field.to_string());
                    (
                        format!("“{secret}” in the field {field} of the body"),
                        format!("“{secret}”（放在正文字段 {field} 中）"),
                    )
                }
                SecretPlace::Hmac(signing) => {
                    let header = shown(&signing.header);
                    (
                        format!("“{secret}”, which signs the body (header {header}) and is not sent"),
                        format!("“{secret}”（用于对正文签名，放在请求头 {header} 中，密钥本身不发送）"),
                    )
                }
                SecretPlace::Oauth(client) => {
                    let (server, id) = (shown(&client.token_url), shown(&client.client_id));
                    let (scope_en, scope_zh) = client.scope.as_ref().map_or_else(Default::default, |scope| {
                        let scope = shown(scope);
                        (format!(" for {scope}"), format!("，范围 {scope}"))
                    });
                    let (own_en, own_zh) = if client.private_network {
                        (", which may stand inside of your own network", "，该服务器可以位于您的内部网络")
                    } else {
                        ("", "")
                    };
                    (
                        format!("“{secret}” of the client {id}, exchanged for an access token{scope_en} at {server}{own_en}"),
                        format!("“{secret}”（客户端 {id}，在 {server} 换取访问令牌{scope_zh}{own_zh}）"),
                    )
                }
            }
        })
        .unzip();
    (!en.is_empty()).then(|| {
        Words::new(
            format!("signed in by the host with the secret {}", list(&en, " and ", "more")),
            format!("由主机使用密钥{}登录", list(&zh, "和", "项")),
        )
    })
}

/// The whole rule.
pub(super) fn rule_words(rule: &HttpRule) -> Words {
    let (request_en, request_zh) = request_words(rule).into_both();
    let mut words = Words::new(format!("It can {request_en}."), format!("它可以{request_zh}。"));
    let mut say = |en: String, zh: String| words.push(&format!(" {en}."), &format!("{zh}。"));
    let names =
        |names: Vec<String>| list(&names.iter().map(|name| shown(name)).collect::<Vec<_>>(), ", ", "+");
    match &rule.query {
        None => {}
        Some(keys) if keys.is_empty() => say("No query is sent along".into(), "不带查询参数".into()),
        Some(keys) => {
            let keys = names(keys.clone());
            say(format!("Of query keys, only {keys}"), format!("查询参数仅限 {keys}"));
        }
    }
    match &rule.body_fields {
        _ if rule.request_budget() == 0 => say("It sends no content".into(), "请求不带内容".into()),
        None => {}
        Some(fields) if fields.is_empty() => say("It writes no field".into(), "不写入任何字段".into()),
        Some(fields) => {
            let fields = names(fields.iter().map(ToString::to_string).collect());
            say(format!("It writes only the fields {fields}"), format!("只能写入字段 {fields}"));
        }
    }
    if let Some(secrets) = secrets(rule) {
        let (en, zh) = secrets.into_both();
        say(format!("Requests are {en}, which the plugin never sees"), format!("请求{zh}，插件看不到密钥"));
    }
    if rule.may_be_private() {
        say("This host may stand inside of your own network".into(), "该主机可以位于您的内部网络".into());
    }
    let (sent, received) = (rule.request_budget(), rule.max_response_bytes);
    if sent == 0 && received < HttpRule::MAX_BYTES {
        let (received_en, received_zh) = bytes(received);
        say(format!("Each request receives up to {received_en}"), format!("每个请求最多接收 {received_zh}"));
    } else if sent > 0 && (sent < HttpRule::MAX_BYTES || received < HttpRule::MAX_BYTES) {
        let ((sent_en, sent_zh), (received_en, received_zh)) = (bytes(sent), bytes(received));
        say(
            format!("Each request sends up to {sent_en} and receives up to {received_en}"),
            format!("每个请求最多发送 {sent_zh}、接收 {received_zh}"),
        );
    }
    if let Some(count) = rule.per_minute {
        let count = number(count.into());
        say(format!("At most {count} requests a minute"), format!("每分钟最多 {count} 个请求"));
    }
    if let Some(count) = rule.concurrency {
        let count = number(count.into());
        say(format!("At most {count} requests at one time"), format!("最多同时 {count} 个请求"));
    }
    if !rule.usable.is_empty() {
        let names = rule.usable.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        say(
            format!("A flow may sign in there with the secrets {names}"),
            format!("流程可以使用密钥 {names} 在该处登录"),
        );
    }
    if !rule.not_from.is_empty() {
        let (en, zh) = super::sources(&rule.not_from).into_both();
        say(format!("What must not go there: {en}"), format!("不得发送到那里的：{zh}"));
    }
    words
}
