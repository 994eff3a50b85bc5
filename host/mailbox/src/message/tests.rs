//! Messages as mail programs and attackers write them.

use super::*;

const BOUNDS: Bounds = Bounds { max_bytes: 1 << 20 };

fn letter(raw: &str) -> Letter {
    read(raw.as_bytes(), BOUNDS).unwrap()
}

fn place() -> Place {
    Place {
        mailbox: "support".into(),
        folder: "INBOX".into(),
        uid: 7,
        uid_validity: 3,
        received_at: Some("2026-11-21T09:12:00+00:00".into()),
    }
}

const ENGLISH: &str = "Return-Path: <jane@example.com>\r\n\
Received: from mail.example.com by mx.shop.test; Sat, 21 Nov 2026 09:12:00 +0000\r\n\
From: \"Doe, Jane\" <jane@example.com>\r\n\
Reply-To: Jane <jane.private@example.org>\r\n\
To: Support <support@shop.test>, sales@shop.test\r\n\
Cc: \"Bob\" <bob@example.com>\r\n\
Subject: Re: Where is my =?utf-8?q?parcel=3F?=\r\n\
Date: Sat, 21 Nov 2026 10:11:12 +0100\r\n\
Message-ID: <CAJ1@mail.example.com>\r\n\
In-Reply-To: <c1@shop.test>\r\n\
References: <c0@shop.test> <c1@shop.test>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/alternative; boundary=\"b1\"\r\n\r\n\
--b1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
My order ORD-55231 has not arrived =E2=80=93 please look into it. It is a very=\r\n long line.\r\n\
--b1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>My order <b>ORD-55231</b> has not arrived</p>\r\n--b1--\r\n";

#[test]
fn an_english_message() {
    let found = letter(ENGLISH);
    let person = |name: Option<&str>, address: &str| Person {
        name: name.map(str::to_owned),
        address: Some(address.to_owned()),
    };
    assert_eq!(found.from, [person(Some("Doe, Jane"), "jane@example.com")]);
    assert_eq!(found.reply_to, [person(Some("Jane"), "jane.private@example.org")]);
    assert_eq!(found.to, [person(Some("Support"), "support@shop.test"), person(None, "sales@shop.test")]);
    assert_eq!(found.cc, [person(Some("Bob"), "bob@example.com")]);
    assert_eq!(found.subject, "Re: Where is my parcel?");
    assert_eq!(found.date.as_deref(), Some("2026-11-21T10:11:12+01:00"));
    assert_eq!(found.message_id.as_deref(), Some("<CAJ1@mail.example.com>"));
    assert_eq!(found.in_reply_to.as_deref(), Some("<c1@shop.test>"));
    assert_eq!(found.references, ["<c0@shop.test>", "<c1@shop.test>"]);
    assert_eq!(
        found.text,
        "My order ORD-55231 has not arrived – please look into it. It is a very long line."
    );
    assert!(found.html.as_deref().unwrap().contains("<b>ORD-55231</b>"));
    assert_eq!((found.automatic.as_deref(), found.list.as_deref(), found.cut), (None, None, false));
    assert!(found.attachments.is_empty() && found.headers.len() == 13, "{:?}", found.headers);
    assert_eq!(found.headers[1].0, "Received");

    let input = found.input(&place(), &[], "raw-1", 1 << 20);
    assert_eq!(input["from"]["address"], "jane@example.com");
    assert_eq!(
        (&input["uid"], &input["mailbox"], &input["raw"]),
        (&7.into(), &"support".into(), &"raw-1".into())
    );
}

const CHINESE: &str = "Received: from out30-107.freemail.mail.example.cn by mx.shop.test; Sat, 21 Nov 2026 09:12:01 +0800\r\n\
From: =?gb18030?B?zfXQocP3?= <wang@example.cn>\r\n\
To: =?GBK?B?v823/tbQ0MQ=?= <support@shop.test>\r\n\
Subject: =?gb18030?B?udjT2raptaWx4LrF0rvB?=\r\n\
 =?gb18030?B?47b+vsXI/bDLy8TG37XEzcu/?=\r\n\
 =?gb18030?B?7snqx+vS1Lywt6LGsc7KzOI=?=\r\n\
Date: Sat, 21 Nov 2026 09:12:00 +0800\r\n\
Message-ID: <tencent_0A1B@example.cn>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"----=_NextPart_1\"\r\n\
\r\n\
This is a multi-part message in MIME format.\r\n\
------=_NextPart_1\r\n\
Content-Type: multipart/alternative; boundary=\"----=_NextPart_2\"\r\n\
\r\n\
------=_NextPart_2\r\n\
Content-Type: text/plain; charset=\"gb18030\"\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
xPq6w6OsCs7StcS2qbWlIDEwMjkzODQ3ILu5w7vT0MrVtb2jrMfrsO/O0rLp0rvPws7vwfehowrN9dChw/c=\r\n\
------=_NextPart_2\r\n\
Content-Type: text/html; charset=\"gb18030\"\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
PGRpdj7E+rrDo6w8YnI+ztK1xLaptaUgPGI+MTAyOTM4NDc8L2I+ILu5w7vT0MrVtb2jrMfrsO/O0rLp0rvPws7vwfehozwvZGl2Pg==\r\n\
------=_NextPart_2--\r\n\
\r\n\
------=_NextPart_1\r\n\
Content-Type: application/pdf; name=\"=?gb18030?B?t6LGsSAyMDI2xOoxMdTCLnBkZg==?=\"\r\n\
Content-Disposition: attachment; filename=\"=?gb18030?B?t6LGsSAyMDI2xOoxMdTCLnBkZg==?=\"\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
JVBERi0xLjQ=\r\n\
------=_NextPart_1\r\n\
Content-Type: image/png\r\n\
Content-Disposition: attachment; filename*=UTF-8''%E6%88%AA%E5%9B%BE%20%281%29.png\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
iVBORw0KGgo=\r\n\
------=_NextPart_1--\r\n";

#[test]
fn a_chinese_message() {
    let found = letter(CHINESE);
    assert_eq!(found.from[0].name.as_deref(), Some("王小明"));
    assert_eq!(found.to[0].name.as_deref(), Some("客服中心"));
    assert_eq!(
        found.subject, "关于订单编号一零二九三八四七的退款申请以及发票问题",
        "its words are cut inside of characters"
    );
    assert!(found.text.starts_with("您好，") && found.text.ends_with("王小明"), "{}", found.text);
    assert!(found.html.as_deref().unwrap().contains("请帮我查一下物流"));
    let files: Vec<_> =
        found.attachments.iter().map(|f| (f.name.as_str(), f.media_type.as_str(), f.content.len())).collect();
    assert_eq!(files, [("发票 2026年11月.pdf", "application/pdf", 8), ("截图 (1).png", "image/png", 8)]);
    let ids = ["a".repeat(32), "b".repeat(32)];
    let input = found.input(&place(), &ids, "raw", 1 << 20);
    assert_eq!(input["attachments"][1]["artifact"], ids[1].as_str());
    assert_eq!(input["attachments"][1]["type"], "image/png");
}

#[test]
fn old_programs_say_nothing_of_their_character_set() {
    let (subject, body) =
        (b"\xb6\xa9\xb5\xa5\xce\xca\xcc\xe2", b"\xc4\xfa\xba\xc3\xa3\xac\xce\xd2\xb5\xc4\xb6\xa9\xb5\xa5");
    let raw = [b"From: a@b.example\r\nSubject: ".as_slice(), subject, b"\r\n\r\n", body].concat();
    let found = read(&raw, BOUNDS).unwrap();
    assert_eq!((found.subject.as_str(), found.text.as_str()), ("订单问题", "您好，我的订单"));
    let hz = letter("From: a@b.example\r\nContent-Type: text/plain; charset=hz-gb-2312\r\n\r\n~{6)5%~} 1");
    assert_eq!(hz.text, "订单 1");
    let japanese = letter(
        "From: a@b.example\r\nSubject: =?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=\r\nContent-Type: text/plain; charset=ISO-2022-JP\r\n\r\n\u{1b}$B%F%9%H\u{1b}(B",
    );
    assert_eq!((japanese.subject.as_str(), japanese.text.as_str()), ("テスト", "テスト"));
}

#[test]
fn file_names_come_in_every_way_of_writing_and_lose_their_paths() {
    let part = |fields: &str| {
        let raw = format!(
            "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{fields}\r\n\r\nx\r\n--b--"
        );
        let mut found = letter(&raw);
        assert_eq!(found.attachments.len(), 1, "{fields}");
        found.attachments.remove(0).name
    };
    for (fields, name) in [
        (
            "Content-Disposition: attachment; filename*0*=UTF-8''%E5%8F%91; filename*1*=%E7%A5%A8.pdf",
            "发票.pdf",
        ),
        ("Content-Disposition: attachment; filename*=GB18030'zh'%B7%A2%C6%B1.pdf", "发票.pdf"),
        ("Content-Type: application/pdf; name=\"=?utf-8?B?5Y+R56Wo?=.pdf\"", "发票.pdf"),
        ("Content-Disposition: attachment; filename=\"../../etc/passwd\"", "passwd"),
        ("Content-Disposition: attachment; filename=\"C:\\\\temp\\\\a.doc\"", "a.doc"),
        ("Content-Disposition: attachment; filename=\".bashrc\"", "bashrc"),
        ("Content-Disposition: attachment; filename=\"invoice\u{202e}fdp.exe\"", "invoice fdp.exe"),
        ("Content-Disposition: attachment; filename=\"..\"", "attachment-1.txt"),
        ("Content-Type: application/pdf", "attachment-1.pdf"),
        ("Content-Type: message/rfc822", "attachment-1.eml"),
    ] {
        assert_eq!(part(fields), name, "{fields}");
    }
}

#[test]
fn a_message_in_a_message_is_a_file() {
    let raw = "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\nSubject: inner\r\n\r\ninner text\r\n--b--\r\n";
    let found = letter(raw);
    assert_eq!(found.text, "see below");
    assert_eq!(found.attachments[0].media_type, "message/rfc822");
    assert!(String::from_utf8_lossy(&found.attachments[0].content).ends_with("inner text"));
}

#[test]
fn html_alone_becomes_text_too() {
    let found = letter(
        "From: a@b.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><head><style>p{}</style></head><p>Hello &amp; 你好</p><script>evil()</script></html>",
    );
    assert!(found.text.contains("Hello & 你好") && !found.text.contains("evil"), "{:?}", found.text);
    assert!(found.html.is_some());
    let both = letter(
        "From: a@b.example\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>one</b>\r\n--b--",
    );
    assert_eq!(both.text.trim(), "one");
}

#[test]
fn machines_are_told_from_people() {
    let why =
        |fields: &str| letter(&format!("From: a@b.example\r\n{fields}\r\nSubject: x\r\n\r\nx")).automatic;
    for fields in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (vacation)",
        "auto-submitted: AUTO-REPLIED; owner=x",
        "Precedence: bulk",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "Return-Path: <>",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
    ] {
        assert!(why(fields).is_some(), "{fields}");
    }
    for fields in
        ["Auto-Submitted: no", "Precedence: list", "Return-Path: <a@b.example>", "X-Autoreply: no", "X-A: b"]
    {
        assert_eq!(why(fields), None, "{fields}");
    }
    assert!(letter("From: MAILER-DAEMON@b.example\r\n\r\nx").automatic.is_some());
    assert_eq!(
        letter("From: a@b.example\r\nList-Id: Shoppers <shop.lists.example>\r\n\r\nx").list.as_deref(),
        Some("Shoppers <shop.lists.example>")
    );
}

#[test]
fn a_copy_of_a_message_is_known_and_another_message_is_not() {
    let of = |raw: &str| letter(raw).identity;
    let other_way = ENGLISH.replace("mx.shop.test;", "mx2.shop.test;");
    assert_eq!(of(ENGLISH), of(&other_way), "what servers on the way wrote does not count");
    assert_eq!(of(ENGLISH), of(&format!("{ENGLISH}\r\n")), "nor the last line break");
    for (from, to) in [
        ("CAJ1", "CAJ2"),
        ("ORD-55231 has", "ORD-55232 has"),
        ("<jane@example.com>\r\nReply", "<eve@example.com>\r\nReply"),
        ("10:11:12", "10:11:13"),
    ] {
        let changed = ENGLISH.replacen(from, to, 1);
        assert_ne!(changed, ENGLISH);
        assert_ne!(of(ENGLISH), of(&changed), "{from}");
    }
    let nameless = ENGLISH.replace("Message-ID: <CAJ1@mail.example.com>\r\n", "");
    assert_ne!(
        of(&nameless),
        of(&other_way.replace("Message-ID: <CAJ1@mail.example.com>\r\n", "")),
        "without a Message-ID all counts"
    );
}

#[test]
fn what_no_letter_is() {
    assert!(read(&[b'x'; 2000], Bounds { max_bytes: 1000 }).unwrap_err().0.contains("max-message-bytes"));
    assert!(read(b"", BOUNDS).unwrap_err().0.contains("no header fields"));
    assert!(read(b"\r\n\r\nbody", BOUNDS).is_err());
    let long = format!("Subject: {}\r\n\r\nx", "a".repeat(MAX_HEADER_BYTES));
    assert!(read(long.as_bytes(), BOUNDS).unwrap_err().0.contains("longer than"));
}

#[test]
fn hostile_structures_end_in_time_and_in_bounds() {
    let nested = (0..5_000).fold(String::from("From: a@b.example\r\n"), |all, n| {
        all + &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")
    });
    let found = letter(&nested);
    assert!(found.attachments.len() <= 1, "what lies too deep stays in one piece");

    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(30_000);
    assert_eq!(letter(&format!("From: a@b.example\r\n{messages}")).attachments.len(), 1);

    let parts = "--b\r\nContent-Type: application/x\r\n\r\n1\r\n".repeat(20_000);
    let found =
        letter(&format!("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{parts}"));
    assert!(found.cut && found.attachments.len() == MAX_ATTACHMENTS);

    let persons = "a@b.example, ".repeat(8_000);
    assert_eq!(letter(&format!("To: {persons}\r\n\r\nx")).to.len(), MAX_PERSONS);

    let pieces: String = (0..9_000).map(|n| format!(" a{n}*1=x;")).collect();
    let found = letter(&format!("From: a@b.example\r\nContent-Type: text/plain;{pieces}\r\n\r\nx"));
    assert_eq!(found.text, "x");

    let text = "\u{1}\0long ".repeat(100_000);
    let found = letter(&format!("From: a@b.example\r\n\r\n{text}"));
    assert!(found.cut && !found.text.contains('\0'));
    for most in [200_000, 20_000, 3_000, 1_000] {
        let input = found.input(&place(), &[], "raw", most);
        assert!(input.to_string().len() <= most && input["cut"] == true, "{most}");
    }
}

#[test]
fn fields_cannot_smuggle_lines() {
    let found = letter(
        "From: =?utf-8?q?Eve=0D=0ABcc:_x?= <eve@example.com>\r\nSubject: =?utf-8?q?a=0D=0Ab=E2=80=AEc?=\r\nTo: a\0b@c.example\r\n\r\nx",
    );
    assert_eq!((found.subject.as_str(), found.from[0].name.as_deref()), ("a b c", Some("Eve Bcc: x")));
    let all = format!("{:?}", found.headers);
    assert!(!all.contains("\\r") && !all.contains("\\n"), "{all}");
}
