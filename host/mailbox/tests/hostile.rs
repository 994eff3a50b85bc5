//! The IMAP client against servers that mean no good: each is a script of what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::time::{Duration, Instant};

use factotum_mailbox::{MailboxConfig, MailboxFault, Session, TlsMode, Woken};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What the server says to a command; `{tag}` is the command's. Nothing more is said when it is empty.
type Answer = (&'static str, String);

/// Starts a server that greets, answers each command as it is told (the first fit), and then is silent.
async fn server(greeting: &str, answers: Vec<Answer>) -> MailboxConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeting = greeting.to_owned();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let _ = stream.get_mut().write_all(greeting.as_bytes()).await;
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            let tag = line.split(' ').next().unwrap_or_default().to_owned();
            if let Some((_, answer)) =
                answers.iter().find(|(command, _)| line.to_ascii_uppercase().contains(command))
                && stream.get_mut().write_all(answer.replace("{tag}", &tag).as_bytes()).await.is_err()
            {
                return;
            }
            line.clear();
        }
        let _ = stream.read(&mut [0; 1]).await;
    });
    let mut config: MailboxConfig = toml::from_str(&format!(
        "host = \"127.0.0.1\"\nport = {port}\nusername = \"u\"\npassword-secret = \"p\"\ntimeout-ms = 700\nmax-message-bytes = 100000"
    ))
    .unwrap();
    config.tls = TlsMode::None;
    config
}

fn plain() -> Vec<Answer> {
    vec![
        ("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR IDLE\r\n{tag} OK done\r\n".into()),
        ("AUTHENTICATE", "{tag} OK in\r\n".into()),
        ("SELECT", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n{tag} OK done\r\n".into()),
    ]
}

async fn open(answers: Vec<Answer>) -> Session {
    let mut all = plain();
    all.extend(answers);
    let mut session = Session::open(&server("* OK hi\r\n", all).await, &"secret-pw".into()).await.unwrap();
    session.select("INBOX").await.unwrap();
    session
}

#[tokio::test]
async fn a_server_that_answers_for_ever_is_left() {
    let endless = "* 1 FETCH (UID 1 FLAGS ())\r\n".repeat(400_000);
    let fault = open(vec![("UID SEARCH", endless)]).await.list(1).await.unwrap_err();
    assert!(matches!(fault, MailboxFault::Protocol(_)), "{fault}");
    let line = format!("* SEARCH {}", "1 ".repeat(4_000_000));
    let fault = open(vec![("UID SEARCH", line)]).await.list(1).await.unwrap_err();
    assert!(matches!(fault, MailboxFault::Protocol(_)), "{fault}");
}

#[tokio::test]
async fn a_literal_larger_than_anything_is_not_waited_for() {
    let huge = format!("* 1 FETCH (UID 1 BODY[] {{4294967295}}\r\n{}", "x".repeat(2_000_000));
    let begun = Instant::now();
    let fault = open(vec![("UID FETCH", huge)]).await.bring(1).await.unwrap_err();
    assert!(matches!(fault, MailboxFault::Protocol(_)), "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_silent_server_is_left_in_time() {
    for answers in [
        vec![],
        vec![("UID SEARCH", "* SEARCH 1".to_owned())],
        vec![("UID SEARCH", "* SEARCH 1\r\n".to_owned())],
    ] {
        let begun = Instant::now();
        let fault = open(answers).await.list(1).await.unwrap_err();
        assert!(matches!(fault, MailboxFault::Timeout(_)), "{fault}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    let config = server("", vec![]).await;
    assert!(matches!(Session::open(&config, &"p".into()).await.unwrap_err(), MailboxFault::Timeout(_)));
}

#[tokio::test]
async fn nonsense_between_answers_is_passed_over_and_deep_nonsense_too() {
    let deep = format!("* 1 FETCH (BODYSTRUCTURE {})\r\n", "(".repeat(200_000));
    let odd = format!(
        "* WHATEVER \u{1f600} ]]\r\n* 9 FETCH (X-NEW {{3}}\r\nabc Y)\r\n{deep}* SEARCH 3 1 2\r\n{{tag}} OK done\r\n"
    );
    assert_eq!(open(vec![("UID SEARCH", odd)]).await.list(1).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn news_that_come_while_the_wait_begins_are_not_slept_over() {
    let early = vec![("IDLE", "* 2 EXISTS\r\n+ idling\r\n".to_owned()), ("DONE", "f5 OK done\r\n".into())];
    let begun = Instant::now();
    let woken = open(early).await.wait(Duration::from_secs(30)).await.unwrap();
    assert!(woken == Woken::Look && begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn the_bytes_of_another_message_are_not_taken_for_the_one_that_was_asked_for() {
    let other = "* 1 FETCH (UID 5 BODY[] {3}\r\nabc)\r\n{tag} OK done\r\n".to_owned();
    assert_eq!(open(vec![("UID FETCH", other)]).await.bring(1).await.unwrap(), None);
    // Zero bytes are against the rules; a message with them is a message.
    let zero = "* 1 FETCH (UID 1 BODY[] {5}\r\na\0b\0c)\r\n{tag} OK done\r\n".to_owned();
    assert_eq!(
        open(vec![("UID FETCH", zero)]).await.bring(1).await.unwrap().as_deref(),
        Some(&b"a\0b\0c"[..])
    );
}

#[tokio::test]
async fn a_password_goes_nowhere_in_the_clear_that_it_must_not() {
    for (greeting, capability, starttls) in [
        ("* OK hi\r\n", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK x\r\n", ""),
        ("* OK hi\r\n", "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK x\r\n", "{tag} NO not today\r\n"),
        ("* PREAUTH hi\r\n", "* CAPABILITY IMAP4rev1\r\n{tag} OK x\r\n", ""),
        // Commands that were put in behind the answer are dropped, and no TLS follows.
        (
            "* OK hi\r\n",
            "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK x\r\n",
            "{tag} OK go\r\n* PREAUTH in\r\n",
        ),
    ] {
        let answers = vec![
            ("CAPABILITY", capability.to_owned()),
            ("STARTTLS", starttls.to_owned()),
            ("AUTHENTICATE", "{tag} OK\r\n".into()),
        ];
        let mut config = server(greeting, answers).await;
        config.tls = TlsMode::Starttls;
        assert!(Session::open(&config, &"secret-pw".into()).await.is_err(), "{capability} {starttls}");
    }
    let config = server(
        "* OK hi\r\n",
        vec![("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK x\r\n".into())],
    )
    .await;
    let fault = Session::open(&config, &"secret-pw".into()).await.unwrap_err();
    assert!(matches!(fault, MailboxFault::Denied(_)), "{fault}");
}

#[tokio::test]
async fn a_server_s_words_stay_short_and_on_one_line() {
    let words = format!("{{tag}} NO {}\u{1b}[31m{}\r\n", "a".repeat(100), "b".repeat(5_000));
    let fault = open(vec![("UID SEARCH", words)]).await.list(1).await.unwrap_err();
    let text = fault.to_string();
    assert!(text.chars().count() < 400 && !text.contains(|c: char| c.is_control()), "{text}");
    let chinese =
        open(vec![("UID SEARCH", "{tag} NO 文件夹不存在 x\r\n".to_owned())]).await.list(1).await.unwrap_err();
    assert!(matches!(&chinese, MailboxFault::Refused { words, .. } if words.ends_with(" x")), "{chinese}");
    let bye = open(vec![("UID SEARCH", "* BYE going down\r\n".to_owned())]).await.list(1).await.unwrap_err();
    assert!(bye.to_string().contains("going down"), "{bye}");
    let no_number = vec![("SELECT", "* 1 EXISTS\r\n{tag} OK done\r\n".to_owned())];
    let config = server("* OK hi\r\n", [no_number, plain()].concat()).await;
    let mut session = Session::open(&config, &"p".into()).await.unwrap();
    assert!(session.select("INBOX").await.unwrap_err().to_string().contains("UIDVALIDITY"));
}
