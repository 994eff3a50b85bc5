//! What a mail looks like, and what cannot become one.

use super::*;

fn to(address: &str) -> Mailbox {
    Mailbox { name: None, address: address.into() }
}

fn mail() -> MailMessage {
    MailMessage {
        to: vec![to("jane@example.com")],
        subject: "Hello".into(),
        text: "Hi Jane".into(),
        ..MailMessage::default()
    }
}

fn text(mail: &MailMessage) -> Result<String, MailFault> {
    let desk = Mailbox { name: Some("Desk".into()), address: "desk@shop.example".into() };
    compose(mail, &desk, "key-1").map(|c| String::from_utf8(c.bytes).unwrap())
}

#[test]
fn a_plain_mail() {
    let text = text(&mail()).unwrap();
    for part in [
        "From: Desk <desk@shop.example>\r\n",
        "To: jane@example.com\r\n",
        "Subject: Hello\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "MIME-Version: 1.0\r\n",
        "Date: ",
        "Hi Jane",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("In-Reply-To"));
}

#[test]
fn the_message_id_depends_on_the_key_alone() {
    let id = message_id("run-1/task-2", "shop.example");
    assert_eq!(id, message_id("run-1/task-2", "shop.example"));
    assert_ne!(id, message_id("run-1/task-3", "shop.example"));
    assert!(id.len() < 70 && id.starts_with('<') && id.ends_with("@shop.example>"), "{id}");
    assert!(
        text(&mail()).unwrap().contains(&format!("Message-ID: {}\r\n", message_id("key-1", "shop.example")))
    );
}

#[test]
fn what_was_sent_from_here_is_known_by_its_message_id() {
    let id = message_id("run-1/task-2", "shop.example");
    assert!(
        is_own_message_id(&id, "Desk <desk@Shop.example>") && is_own_message_id(&id, "desk@shop.example")
    );
    assert!(!is_own_message_id(&id, "desk@other.example"));
    for other in ["<a@shop.example>", "", "<@shop.example>", "shop.example"] {
        assert!(!is_own_message_id(other, "desk@shop.example"), "{other}");
    }
}

#[test]
fn an_answer_is_threaded_and_says_that_a_machine_wrote_it() {
    for given in ["<abc.1@mail.example>", "abc.1@mail.example", " <abc.1@mail.example> "] {
        let text = text(&MailMessage { in_reply_to: Some(given.into()), ..mail() }).unwrap();
        for header in [
            "In-Reply-To: <abc.1@mail.example>\r\n",
            "References: <abc.1@mail.example>\r\n",
            "Auto-Submitted: auto-replied\r\n",
        ] {
            assert!(text.contains(header), "{header} in {text}");
        }
    }
    for odd in ["", "no-at-sign", "<a@b>\r\nBcc: x@y.z", "<a b@c>", "@", "<a@b><c@d>"] {
        let text = text(&MailMessage { in_reply_to: Some(odd.into()), ..mail() }).unwrap();
        assert!(!text.contains("In-Reply-To") && !text.contains("Bcc"), "{odd:?}: {text}");
    }
}

#[test]
fn both_languages_survive_the_journey() {
    let text = text(&MailMessage {
        subject: "您的工单 C-100 已收到 – thank you".into(),
        to: vec![Mailbox { name: Some("王小明".into()), address: "wang@例子.测试".into() }],
        text: "您好,王小明".into(),
        html: Some("<p lang=\"zh\">您好</p>".into()),
        ..mail()
    })
    .unwrap();
    assert!(text.is_ascii(), "no server needs 8BITMIME or SMTPUTF8 for it: {text}");
    assert!(text.contains("wang@xn--fsqu00a.xn--0zwm56d"), "{text}");
    assert!(text.contains("multipart/alternative") && text.contains("=?utf-8?b?"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 998));
}

#[test]
fn headers_cannot_be_injected() {
    for trick in ["a\r\nBcc: evil@x.test", "a\nb", "a\rb", "a\0b", "a\u{2028}b", "a\u{202e}b"] {
        let person = Mailbox { name: Some(trick.into()), address: "jane@example.com".into() };
        let file = Attachment { name: trick.into(), media_type: "text/plain".into(), content: vec![] };
        for mail in [
            MailMessage { subject: trick.into(), ..mail() },
            MailMessage { to: vec![person.clone()], ..mail() },
            MailMessage { sender: Some(person.clone()), ..mail() },
            MailMessage { reply_to: Some(person.clone()), ..mail() },
            MailMessage { to: vec![to(&format!("jane@example.com{trick}"))], ..mail() },
            MailMessage { attachments: vec![file], ..mail() },
        ] {
            assert_eq!(text(&mail).unwrap_err().code, "invalid-input", "{mail:?}");
        }
    }
    let file =
        |media_type: &str| Attachment { name: "a".into(), media_type: media_type.into(), content: vec![] };
    let tricked = MailMessage { attachments: vec![file("text/plain\r\nX-Evil: 1")], ..mail() };
    assert!(text(&tricked).is_err() || !text(&tricked).unwrap().contains("\r\nX-Evil"));
    // Quotes and angle brackets in a name stay part of the name.
    let name = Mailbox { name: Some("Jane \"x\" <evil@x.test>".into()), address: "jane@example.com".into() };
    let desk = to("desk@shop.example");
    let composed = compose(&MailMessage { to: vec![name], ..mail() }, &desk, "k").unwrap();
    let recipients: Vec<_> = composed.message.envelope().to().iter().map(ToString::to_string).collect();
    assert_eq!(recipients, ["jane@example.com"]);
}

#[test]
fn addresses_are_addresses() {
    for bad in [
        "",
        "jane",
        "@example.com",
        "jane@",
        "jane@@example.com",
        "a b@example.com",
        "jane@exa mple.com",
        "<jane@example.com>",
        "jane@example.com, x@y.z",
        &format!("{}@example.com", "x".repeat(65)),
    ] {
        let fault = text(&MailMessage { to: vec![to(bad)], ..mail() }).unwrap_err();
        assert_eq!((fault.kind, fault.code), (crate::FaultKind::Business, "invalid-input"), "{bad}");
    }
    assert!(text(&MailMessage { to: vec![], ..mail() }).is_err());
}

#[test]
fn everything_is_bounded() {
    let file = |bytes: usize| Attachment {
        name: "a.bin".into(),
        media_type: "application/octet-stream".into(),
        content: vec![0; bytes],
    };
    for mail in [
        MailMessage { to: vec![to("a@b.example"); 51], ..mail() },
        MailMessage { attachments: vec![file(1); 21], ..mail() },
        MailMessage { attachments: vec![file(26 << 20)], ..mail() },
        // 20 MiB fit as they are, and do not once they are base64.
        MailMessage { attachments: vec![file(20 << 20)], ..mail() },
        MailMessage { subject: "x".repeat(301), ..mail() },
        MailMessage { text: "x".repeat(3 << 20), ..mail() },
    ] {
        assert_eq!(text(&mail).unwrap_err().code, "invalid-input");
    }
}

#[test]
fn attachments_travel_with_their_names() {
    let file = Attachment {
        name: "报告 1.pdf".into(),
        media_type: "application/pdf".into(),
        content: b"%PDF".to_vec(),
    };
    let text =
        text(&MailMessage { attachments: vec![file], html: Some("<p>x</p>".into()), ..mail() }).unwrap();
    assert!(text.contains("multipart/mixed") && text.contains("multipart/alternative"), "{text}");
    assert!(text.contains("JVBERg==") && text.contains("Content-Disposition: attachment"), "{text}");
    let path = Attachment { name: "../x".into(), media_type: "text/plain".into(), content: vec![] };
    assert!(compose(&MailMessage { attachments: vec![path], ..mail() }, &to("a@b.example"), "k").is_err());
}
