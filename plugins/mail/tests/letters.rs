//! Every shipped template in both languages, and what hostile data cannot do. Run natively, through the SDK's stand-ins.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use factotum_sdk::{Fault, FaultKind, testing};
use plugin_mail::{
    Plugin,
    bindings::exports::factotum::mail::mail::{Delivery, Guest, Letter, Rendered, Sent},
};

fn render(template: &str, language: &str, data: &str) -> Result<Rendered, Fault> {
    Plugin::render(Letter { template: template.into(), language: Some(language.into()), data: data.into() })
}

fn send(delivery: Delivery) -> Result<Sent, Fault> {
    let letter =
        Letter { template: "acknowledge-case".into(), language: Some("zh-CN".into()), data: CASE.into() };
    Plugin::send(letter, delivery)
}

fn delivery() -> Delivery {
    Delivery {
        to: "jane@example.com".into(),
        to_name: Some("Jane".into()),
        sender: None,
        sender_name: None,
        reply_to: None,
        in_reply_to: Some("<q@customer.example>".into()),
    }
}

const CASE: &str = r#"{"case_id": "C-100", "name": "Jane", "category": "return_exchange", "priority": "high",
    "order_numbers": ["ORD-1", "ORD-2"], "text": "The lamp is broken.\nPlease help."}"#;

#[test]
fn an_acknowledgement_in_english() {
    testing::reset();
    testing::set_config("brand", "Lamps & More");
    testing::set_config("signature", "Your desk\nLamps & More");
    let letter = render("acknowledge-case", "en-GB", CASE).unwrap();
    assert_eq!(
        (letter.subject.as_str(), letter.language.as_str()),
        ("We have received your request (C-100)", "en")
    );
    assert_eq!(
        letter.text,
        "Hello Jane,

thank you for writing to us. We have received your request and a colleague will look into it.

Your case number: C-100
Subject: Return or exchange
Priority: High
Orders: ORD-1, ORD-2

This is what you wrote:

The lamp is broken.
Please help.

Please keep the case number in the subject when you answer, so that we find your request at once.

-- 
Your desk
Lamps & More
"
    );
    for part in [
        "<!DOCTYPE html>\n<html lang=\"en\">",
        "<p>Hello Jane,</p>",
        "Lamps &amp; More",
        "<dd>Return or exchange</dd>",
        "The lamp is broken.\nPlease help.</blockquote>",
    ] {
        assert!(letter.html.contains(part), "{part} in {}", letter.html);
    }
    assert!(!letter.html.contains("<table") && !letter.html.contains("<script"));
}

#[test]
fn an_acknowledgement_in_chinese() {
    testing::reset();
    let data = r#"{"case_id": "C-100", "name": "王小明", "category": "refund", "priority": "urgent"}"#;
    let letter = render("acknowledge-case", "zh-Hant-TW", data).unwrap();
    assert_eq!(letter.subject, "我们已收到您的请求（C-100）");
    assert_eq!(
        letter.text,
        "王小明，您好！

感谢您的来信。我们已收到您的请求，同事会尽快处理。

工单编号：C-100
类别：退款
优先级：紧急

回复时请在主题中保留工单编号，以便我们快速找到您的请求。

-- 
客户服务
"
    );
    assert!(
        letter.html.contains("<html lang=\"zh\">") && letter.html.contains("<dd>退款</dd>"),
        "{}",
        letter.html
    );
}

#[test]
fn every_template_renders_with_all_and_with_the_least_data() {
    testing::reset();
    let least =
        r#"{"case_id": "C-1", "category": "other", "priority": "low", "answer": "Yes.", "title": "Week 7"}"#;
    let all = r#"{"case_id": "C-1", "category": "other", "priority": "low", "answer": "Yes.", "title": "Week 7",
        "name": "Jane", "from": "jane@example.com", "channel": "chat", "sentiment": "negative", "reason": "She is angry.",
        "order_numbers": ["A", "B"], "text": "Hello", "link": "https://desk.example/c/1?a=1&b=2", "agent": "Tom",
        "period": "February", "highlights": ["12 cases", "4.5 stars"]}"#;
    let infos = Plugin::templates().unwrap();
    let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["acknowledge-case", "case-answered", "report-ready", "staff-notification"]);
    for info in infos {
        assert_eq!(info.languages, ["en", "zh"]);
        for language in ["en", "zh"] {
            for data in [least, all] {
                let letter = render(&info.name, language, data).unwrap();
                assert!(!letter.subject.contains('\n') && !letter.subject.is_empty());
                for text in [&letter.subject, &letter.text, &letter.html] {
                    assert!(
                        !text.contains("{{") && !text.contains("{%") && !text.contains("undefined"),
                        "{text}"
                    );
                    assert!(!text.contains("\n\n\n"), "{}: {language}: {text}", info.name);
                }
            }
            let letter = render(&info.name, language, all).unwrap();
            let link = info.name == "acknowledge-case"
                || letter.html.contains("https:&#x2f;&#x2f;desk.example&#x2f;c&#x2f;1?a=1&amp;b=2");
            assert!(link, "{}", letter.html);
        }
    }
}

#[test]
fn what_the_data_lacks_is_named() {
    testing::reset();
    let fault = render("acknowledge-case", "en", r#"{"case_id": "C-1", "priority": "low"}"#).unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Business, "invalid-input"));
    assert!(format!("{} {}", fault.message, fault.hint.unwrap()).contains("category"), "{}", fault.message);
    for bad in [
        "",
        "[]",
        "\"x\"",
        "{",
        "{\"case_id\": }",
        &"[".repeat(10_000),
        &format!("{{\"case_id\": \"{}\"}}", "x".repeat(300_000)),
    ] {
        assert_eq!(render("acknowledge-case", "en", bad).unwrap_err().code, "invalid-input");
    }
    // A null is as if it were not there.
    let fault = render("report-ready", "en", r#"{"title": null}"#).unwrap_err();
    assert!(format!("{} {}", fault.message, fault.hint.unwrap()).contains("title"));
    for name in ["no-such", "", "../x", "acknowledge-case.en"] {
        let fault = render(name, "en", CASE).unwrap_err();
        assert_eq!(fault.code, "not-found");
        assert!(fault.hint.unwrap().contains("acknowledge-case"));
    }
}

#[test]
fn languages_are_negotiated() {
    testing::reset();
    for (wanted, got) in [
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh_TW", "zh"),
        ("ZH-Hant", "zh"),
        ("yue", "zh"),
        ("en-GB", "en"),
        ("de", "en"),
        ("und", "en"),
        ("", "en"),
        ("zhx", "en"),
    ] {
        assert_eq!(render("report-ready", wanted, r#"{"title": "t"}"#).unwrap().language, got, "{wanted}");
    }
    let letter = Letter { template: "report-ready".into(), language: None, data: r#"{"title": "t"}"#.into() };
    assert_eq!(Plugin::render(letter).unwrap().language, "en");
}

#[test]
fn what_a_customer_wrote_stays_data() {
    testing::reset();
    let evil = "<script>alert(1)</script>\"'>{{ 7*7 }}{% for i in range(9) %}x{% endfor %}\\r\\nBcc: x@y.z";
    let data = format!(
        r#"{{"case_id": {0}, "name": {0}, "category": {0}, "priority": {0}, "text": {0}, "order_numbers": [{0}], "answer": {0}, "title": {0}, "reason": {0}, "from": {0}, "agent": {0}, "period": {0}, "highlights": [{0}], "channel": {0}, "sentiment": {0}}}"#,
        "\"".to_owned() + &evil.replace('"', "\\\"") + "\""
    );
    for template in ["acknowledge-case", "case-answered", "report-ready", "staff-notification"] {
        for language in ["en", "zh"] {
            let letter = render(template, language, &data).unwrap();
            assert!(
                !letter.html.contains("<script") && !letter.html.contains("alert(1)</script"),
                "{}",
                letter.html
            );
            assert!(letter.text.contains("{{ 7*7 }}") && letter.text.contains("{% for"), "{}", letter.text);
            assert!(!letter.subject.contains(['\r', '\n']), "{:?}", letter.subject);
            assert!(letter.subject.chars().count() <= 250);
        }
    }
    for link in [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a.example/\" onclick=\"x",
        "//a.example",
        "https://a.example/ b",
    ] {
        let data = format!(r#"{{"title": "t", "link": {link:?}}}"#);
        let fault = render("report-ready", "en", &data).unwrap_err();
        assert_eq!(fault.code, "invalid-input", "{link}");
        assert!(!fault.message.contains("alert"), "{}", fault.message);
    }
}

#[test]
fn administrators_replace_and_add_templates() {
    testing::reset();
    testing::set_config("template.acknowledge-case.en.subject", "Got it: {{ case_id }}");
    testing::set_config("template.acknowledge-case.en.text", "Dear {{ name }},\nwe <care>.");
    testing::set_config("templates", "thank-you");
    testing::set_config("template.thank-you.zh.subject", "谢谢 {{ name }}");
    testing::set_config("template.thank-you.zh.text", "谢谢您,{{ name }}!");
    let letter = render("acknowledge-case", "en", CASE).unwrap();
    assert_eq!(letter.subject, "Got it: C-100");
    assert!(letter.text.starts_with("Dear Jane,\nwe <care>."));
    assert!(letter.html.contains("Dear Jane,\nwe &lt;care&gt;.</p>"), "{}", letter.html);
    assert!(
        render("acknowledge-case", "zh", CASE).unwrap().subject.contains("我们"),
        "the other language stays"
    );
    // A template that has no English is sent in the language it has.
    let thanks = render("thank-you", "en", r#"{"name": "<b>"}"#).unwrap();
    assert_eq!((thanks.language.as_str(), thanks.subject.as_str()), ("zh", "谢谢 <b>"));
    assert!(thanks.html.contains("谢谢您,&lt;b&gt;!"), "{}", thanks.html);
    let last = Plugin::templates().unwrap().pop().unwrap();
    assert_eq!((last.name.as_str(), last.languages), ("thank-you", vec!["zh".to_owned()]));
}

#[test]
fn a_bad_template_is_a_fault_of_the_configuration() {
    for (part, source) in [
        ("text", "{{ case_id"),
        ("text", "{% nonsense %}"),
        ("text", "{{ case_id|no_such_filter }}"),
        ("html", "{{ name|safe }}"),
        ("html", "{% autoescape false %}{{ name }}{% endautoescape %}"),
        ("text", &"x".repeat(70_000)),
    ] {
        testing::reset();
        testing::set_config(&format!("template.acknowledge-case.en.{part}"), source);
        let fault = render("acknowledge-case", "en", CASE).unwrap_err();
        assert_eq!(fault.code, "invalid-configuration", "{source}: {}", fault.message);
    }
    testing::reset();
    testing::set_config(
        "template.acknowledge-case.en.text",
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
    );
    assert_eq!(render("acknowledge-case", "en", CASE).unwrap_err().kind, FaultKind::Business);
    testing::reset();
    testing::set_config("templates", "half");
    testing::set_config("template.half.en.subject", "only a subject");
    assert_eq!(render("half", "en", "{}").unwrap_err().code, "invalid-configuration");
}

#[test]
fn a_letter_is_sent_once() {
    testing::reset();
    let first = send(delivery()).unwrap();
    assert_eq!(
        (first.subject.as_str(), first.language.as_str(), first.repeated),
        ("我们已收到您的请求（C-100）", "zh", false)
    );
    let again = send(delivery()).unwrap();
    assert!(again.repeated && again.message_id == first.message_id);
    let (_, mail) = testing::with(|world| world.mails.remove(0));
    assert_eq!((mail.to[0].address.as_str(), mail.to[0].name.as_deref()), ("jane@example.com", Some("Jane")));
    assert!(mail.sender.is_none() && mail.html.unwrap().contains("C-100"));
    assert_eq!(mail.in_reply_to.as_deref(), Some("<q@customer.example>"));
    testing::with(|world| world.mail_fault = Some(Fault::unavailable("greylisted")));
    testing::set_idempotency_key("another");
    assert_eq!(send(delivery()).unwrap_err().kind, FaultKind::Technical);
}

#[test]
fn the_sender_is_the_deliverys_then_the_configured_one() {
    let sent_as = |delivery: Delivery| {
        send(delivery).unwrap();
        let sender = testing::with(|world| world.mails.pop().unwrap().1.sender);
        sender.map(|s| (s.name.unwrap_or_default(), s.address))
    };
    testing::reset();
    assert_eq!(
        send(Delivery { sender_name: Some("Tom".into()), ..delivery() }).unwrap_err().code,
        "invalid-input"
    );
    testing::set_config("sender", "Lamp Desk <desk@lamps.example>");
    let pair = |name: &str, address: &str| Some((name.to_owned(), address.to_owned()));
    assert_eq!(sent_as(delivery()), pair("Lamp Desk", "desk@lamps.example"));
    assert_eq!(
        sent_as(Delivery { sender_name: Some("Tom".into()), ..delivery() }),
        pair("Tom", "desk@lamps.example")
    );
    assert_eq!(
        sent_as(Delivery { sender: Some("tom@lamps.example".into()), ..delivery() }),
        pair("", "tom@lamps.example")
    );
    testing::set_config("sender", "desk@lamps.example");
    assert_eq!(sent_as(delivery()), pair("", "desk@lamps.example"));
}
