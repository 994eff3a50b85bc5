//! The mailer against real servers: Exim (STARTTLS, implicit TLS, login, delivery that is read back) and aiosmtpd (every
//! kind of failure). Start them with `tests/servers/smtp.sh start` and load their addresses with
//! `eval "$(tests/servers/smtp.sh env)"`; without them these tests say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "test code")]

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use factotum_mailer::{
    Attachment, FaultKind, MailConfig, MailMessage, Mailbox, Mailer, SecretString, SmtpConfig, TlsMode,
    message_id,
};

/// The servers' addresses, or `None` and a word about it.
fn env(test: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|v| !v.is_empty());
    if value.is_none() {
        eprintln!("skipped: {test}: {name} is not set; run tests/servers/smtp.sh start");
    }
    value
}

/// `scheme://user:password@host:port` into a configuration and its password.
fn config(url: &str) -> (SmtpConfig, Option<SecretString>) {
    let url = url::Url::parse(url).unwrap();
    let tls = match (url.scheme(), url.username().is_empty()) {
        ("smtps", _) => TlsMode::Implicit,
        (_, false) => TlsMode::Starttls,
        _ => TlsMode::None,
    };
    let password = url.password().map(SecretString::from);
    let smtp = SmtpConfig {
        host: url.host_str().unwrap().into(),
        port: url.port(),
        tls,
        username: password.is_some().then(|| url.username().into()),
        password_secret: password.is_some().then(|| "smtp-password".into()),
        ca_file: std::env::var_os("SMTP_CA_FILE").map(PathBuf::from),
        timeout_ms: 10_000,
        max_connections: 4,
    };
    (smtp, password)
}

fn mailer(smtp: SmtpConfig, password: Option<SecretString>) -> Mailer {
    let config = MailConfig { sender: "Desk <desk@desk.test>".into(), outbox: None, smtp: Some(smtp) };
    Mailer::new(&config, password).unwrap()
}

fn at(url: &str) -> Mailer {
    let (smtp, password) = config(url);
    mailer(smtp, password)
}

fn mail(to: &str) -> MailMessage {
    MailMessage {
        to: vec![Mailbox { name: Some("王小明 \"Wang\"".into()), address: to.into() }],
        subject: "您的工单 C-100 – received".into(),
        text: "您好\n.\nA line that is a dot alone ends no mail.\n".into(),
        html: Some("<p lang=\"zh\">您好</p>".into()),
        in_reply_to: Some("<question.1@customer.test>".into()),
        attachments: vec![Attachment {
            name: "报告.pdf".into(),
            media_type: "application/pdf".into(),
            content: (0..=255).cycle().take(100_000).collect(),
        }],
        ..MailMessage::default()
    }
}

/// A key that no other run used.
fn key(name: &str) -> String {
    format!("{name}-{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos())
}

/// All mails in a box that carry this `Message-ID`, once at least one does.
fn delivered(local: &str, id: &str) -> Vec<String> {
    let folder = PathBuf::from(std::env::var_os("SMTP_REAL_BOXES").unwrap()).join(local).join("new");
    let begun = Instant::now();
    loop {
        let found: Vec<String> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
            .filter(|text| text.contains(id))
            .collect();
        if !found.is_empty() || begun.elapsed() > Duration::from_secs(20) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test]
async fn exim_delivers_over_starttls_and_implicit_tls() {
    for name in ["SMTP_REAL_URL", "SMTP_REAL_TLS_URL"] {
        let Some(url) = env("exim_delivers", name) else { return };
        let key = key(name);
        let receipt = at(&url).send(&mail("wang@shop.test"), &key).await.unwrap();
        assert_eq!((receipt.message_id.clone(), receipt.repeated), (message_id(&key, "desk.test"), false));
        let found = delivered("wang", &receipt.message_id);
        let text = found.first().unwrap_or_else(|| panic!("{name}: nothing was delivered"));
        let tls = text.lines().any(|line| line.contains("with esmtpsa") || line.contains("TLS1"));
        assert!(tls, "encrypted and logged in: {text}");
        for part in [
            "Return-path: <desk@desk.test>",
            "From: Desk <desk@desk.test>",
            "In-Reply-To: <question.1@customer.test>",
            "References: <question.1@customer.test>",
            "Auto-Submitted: auto-replied",
            "multipart/mixed",
            "multipart/alternative",
            "application/pdf",
        ] {
            assert!(text.contains(part), "{part} in {}", text.get(..2000).unwrap_or(text));
        }
    }
}

#[tokio::test]
async fn exim_passes_mail_on_for_who_logged_in_and_for_nobody_else() {
    let Some(url) = env("exim_relays", "SMTP_REAL_URL") else { return };
    let receipt = at(&url).send(&mail("someone@elsewhere.test"), &key("relay")).await.unwrap();
    assert_eq!(delivered("outside", &receipt.message_id).len(), 1);

    let (mut smtp, _) = config(&url);
    (smtp.username, smtp.password_secret) = (None, None);
    let fault =
        mailer(smtp, None).send(&mail("someone@elsewhere.test"), &key("open relay")).await.unwrap_err();
    assert_eq!((fault.kind, fault.code), (FaultKind::Business, "recipient-refused"), "{fault}");
    assert!(fault.message.contains("relay not permitted"), "{fault}");
}

#[tokio::test]
async fn exims_refusals_end_in_the_right_fault() {
    let Some(url) = env("exims_refusals", "SMTP_REAL_URL") else { return };
    let mailer = at(&url);
    for (to, kind, code, words) in [
        ("nobody@shop.test", FaultKind::Business, "recipient-refused", "unknown user"),
        ("reject-me@shop.test", FaultKind::Business, "recipient-refused", "policy"),
        ("greylist-me@shop.test", FaultKind::Technical, "unavailable", "try again later"),
    ] {
        let fault = mailer.send(&mail(to), &key(to)).await.unwrap_err();
        assert_eq!((fault.kind, fault.code), (kind, code), "{to}: {fault}");
        assert!(fault.message.contains(words), "{to}: {fault}");
    }
    // One bad recipient: nobody gets it.
    let mut two = mail("jane@shop.test");
    two.cc = vec![Mailbox { name: None, address: "nobody@shop.test".into() }];
    let key = key("two");
    assert!(mailer.send(&two, &key).await.is_err());
    assert!(
        mailer.send(&mail("jane@shop.test"), &self::key("after")).await.is_ok(),
        "a refusal spoils no later mail"
    );
    let id = message_id(&key, "desk.test");
    let folder = PathBuf::from(std::env::var_os("SMTP_REAL_BOXES").unwrap()).join("jane/new");
    let mut mails = std::fs::read_dir(folder).into_iter().flatten();
    assert!(!mails.any(|m| std::fs::read_to_string(m.unwrap().path()).unwrap().contains(&id)));
}

#[tokio::test]
async fn a_wrong_password_loses_no_mail() {
    for name in ["SMTP_REAL_URL", "SMTP_FAULTS_URL"] {
        let Some(url) = env("a_wrong_password", name) else { return };
        let (smtp, _) = config(&url);
        let fault =
            mailer(smtp, Some("hunter2-wrong".into())).send(&mail("jane@shop.test"), "k").await.unwrap_err();
        assert_eq!((fault.kind, fault.code), (FaultKind::Technical, "unavailable"), "{name}: {fault}");
        assert!(fault.message.contains("logging in") && fault.message.contains("535"), "{name}: {fault}");
        assert!(
            fault.hint.as_deref().unwrap().contains("password-secret") && !fault.message.contains("hunter2")
        );
    }
}

#[tokio::test]
async fn certificates_are_verified() {
    for name in ["SMTP_REAL_URL", "SMTP_REAL_TLS_URL"] {
        let Some(url) = env("certificates", name) else { return };
        let (smtp, password) = config(&url);
        let unknown = SmtpConfig { ca_file: None, ..smtp };
        let fault = mailer(unknown, password).send(&mail("jane@shop.test"), "k").await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Technical, "{fault}");
        assert!(fault.message.contains("certificate"), "{fault}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_sent_nothing() {
    let Some(url) = env("no_tls", "SMTP_PLAIN_URL") else { return };
    let (smtp, _) = config(&url);
    let (starttls, password) = (SmtpConfig { tls: TlsMode::Starttls, ..smtp.clone() }, None);
    let fault = mailer(starttls, password).send(&mail("jane@shop.test"), "k").await.unwrap_err();
    assert!(fault.kind == FaultKind::Technical && fault.message.contains("STARTTLS"), "{fault}");
    assert!(
        mailer(smtp, None).send(&mail("jane@shop.test"), "k").await.is_ok(),
        "as configured, on this machine"
    );
}

#[tokio::test]
async fn every_reply_code_ends_in_the_right_fault() {
    let Some(url) = env("reply_codes", "SMTP_FAULTS_URL") else { return };
    let mailer = at(&url);
    for (local, kind, code) in [
        ("code421", FaultKind::Technical, "unavailable"),
        ("code450", FaultKind::Technical, "unavailable"),
        ("code451", FaultKind::Technical, "unavailable"),
        ("code452", FaultKind::Technical, "unavailable"),
        ("code530", FaultKind::Technical, "unavailable"),
        ("code550", FaultKind::Business, "recipient-refused"),
        ("code553", FaultKind::Business, "recipient-refused"),
        ("code554", FaultKind::Business, "denied"),
        ("data451", FaultKind::Technical, "unavailable"),
        ("data552", FaultKind::Business, "denied"),
        ("data554", FaultKind::Business, "denied"),
        ("drop", FaultKind::Technical, "unavailable"),
        ("drop-data", FaultKind::Technical, "unavailable"),
    ] {
        let fault = mailer.send(&mail(&format!("{local}@shop.test")), &key(local)).await.unwrap_err();
        assert_eq!((fault.kind, fault.code), (kind, code), "{local}: {fault}");
        assert!(mailer.send(&mail("fine@shop.test"), &key("fine")).await.is_ok(), "after {local}");
    }
}

#[tokio::test]
async fn a_slow_server_is_left_in_time_and_its_connection_not_used_again() {
    let Some(url) = env("slow_server", "SMTP_FAULTS_URL") else { return };
    let (mut smtp, password) = config(&url);
    (smtp.timeout_ms, smtp.max_connections) = (1500, 1);
    let mailer = mailer(smtp, password);
    let begun = Instant::now();
    let fault = mailer.send(&mail("slow@shop.test"), &key("slow")).await.unwrap_err();
    assert_eq!((fault.kind, fault.code), (FaultKind::Technical, "timeout"), "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(30), "the server takes 60");
    assert!(mailer.send(&mail("fine@shop.test"), &key("fine")).await.is_ok());
}

#[tokio::test]
async fn nobody_listens() {
    // Bound and not listening, so that nobody else takes the port meanwhile.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = held.local_addr().unwrap().port();
    let fault = at(&format!("smtp://127.0.0.1:{port}")).send(&mail("jane@shop.test"), "k").await.unwrap_err();
    assert_eq!((fault.kind, fault.code), (FaultKind::Technical, "unavailable"), "{fault}");
}

#[tokio::test]
async fn many_at_once_share_few_connections() {
    let Some(url) = env("many_at_once", "SMTP_REAL_URL") else { return };
    let mailer = std::sync::Arc::new(at(&url));
    let ids: Vec<_> = (0..20)
        .map(|i| {
            let mailer = std::sync::Arc::clone(&mailer);
            tokio::spawn(async move { mailer.send(&mail("cc@shop.test"), &key(&format!("many-{i}"))).await })
        })
        .collect();
    for id in ids {
        let receipt = id.await.unwrap().unwrap();
        assert_eq!(delivered("cc", &receipt.message_id).len(), 1);
    }
}

#[tokio::test]
async fn the_outbox_keeps_each_mail_once() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("outbox");
    let config = MailConfig { sender: "desk@desk.test".into(), outbox: Some(outbox.clone()), smtp: None };
    let mailer = std::sync::Arc::new(Mailer::new(&config, None).unwrap());
    let first = mailer.send(&mail("jane@shop.test"), "key-1").await.unwrap();
    let path = outbox.join(format!("{}.eml", first.message_id.trim_matches(['<', '>'])));
    let before = std::fs::read(&path).unwrap();
    let mut changed = mail("jane@shop.test");
    changed.text = "something else".into();
    let again = mailer.send(&changed, "key-1").await.unwrap();
    assert_eq!((first.repeated, again.repeated, &first.message_id), (false, true, &again.message_id));
    assert_eq!(std::fs::read(&path).unwrap(), before, "the mail that was sent first stays");
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let mailer = std::sync::Arc::clone(&mailer);
            tokio::spawn(async move { mailer.send(&mail("jane@shop.test"), "key-2").await.unwrap().repeated })
        })
        .collect();
    let mut new = 0;
    for attempt in racing {
        new += usize::from(!attempt.await.unwrap());
    }
    assert_eq!(new, 1);
    assert_eq!(std::fs::read_dir(&outbox).unwrap().count(), 2, "and no temporary file is left");
}

#[test]
fn one_way_out_is_configured() {
    let smtp = config("smtp://127.0.0.1:25").0;
    let with = |sender: &str, outbox: Option<&str>, smtp: Option<SmtpConfig>| {
        let outbox = outbox.map(|name| std::env::temp_dir().join(name));
        Mailer::new(&MailConfig { sender: sender.into(), outbox, smtp }, None)
    };
    assert!(with("desk@desk.test", None, None).is_err());
    assert!(with("desk@desk.test", Some("factotum-outbox-unused"), Some(smtp.clone())).is_err());
    assert!(with("no address", None, Some(smtp.clone())).is_err());
    assert!(
        with(
            "desk@desk.test",
            None,
            Some(SmtpConfig { ca_file: Some("/nonexistent".into()), tls: TlsMode::Starttls, ..smtp })
        )
        .is_err()
    );
}
