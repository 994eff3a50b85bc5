//! The IMAP client against a real server, Dovecot. Start it with `tests/servers/imap.sh start` and load its address with
//! `eval "$(tests/servers/imap.sh env)"`; without it these tests say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "test code")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use factotum_mailbox::{Handled, MailboxConfig, MailboxFault, SecretString, Session, TlsMode, Woken};

/// The server's ports in the clear and with TLS, or `None` and a word about it.
fn ports(test: &str) -> Option<(u16, u16)> {
    let port = |name: &str| {
        let url = std::env::var(name).ok().filter(|v| !v.is_empty())?;
        url.rsplit(':').next()?.parse().ok()
    };
    let found = port("IMAP_REAL_URL").zip(port("IMAP_REAL_TLS_URL"));
    if found.is_none() {
        eprintln!("skipped: {test}: IMAP_REAL_URL is not set; run tests/servers/imap.sh start");
    }
    found
}

fn config(user: &str, tls: TlsMode, ports: (u16, u16)) -> MailboxConfig {
    let port = if tls == TlsMode::Implicit { ports.1 } else { ports.0 };
    let mut config: MailboxConfig = toml::from_str(&format!(
        "host = \"localhost\"\nport = {port}\nusername = \"{user}@shop.test\"\npassword-secret = \"p\"\ntimeout-ms = 5000\npoll-seconds = 5"
    ))
    .unwrap();
    config.tls = tls;
    config.ca_file = std::env::var_os("IMAP_CA_FILE").map(PathBuf::from);
    config.check("test").unwrap();
    config
}

fn password() -> SecretString {
    "test-pw".into()
}

/// Puts a message into a user's folder, as another client would.
fn append(user: &str, ports: (u16, u16), folder: &str, message: &str) {
    let stream = TcpStream::connect(("localhost", ports.0)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut say = |line: &str, wanted: &str| {
        writer.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.starts_with(wanted) {
            answer.clear();
            assert!(reader.read_line(&mut answer).unwrap() > 0, "{line}: no {wanted}");
        }
        answer
    };
    say("", "* OK");
    say(&format!("a LOGIN {user}@shop.test test-pw\r\n"), "a OK");
    say(&format!("b APPEND {folder} {{{}}}\r\n", message.len()), "+");
    assert!(say(&format!("{message}\r\n"), "b ").starts_with("b OK"));
}

fn mail(subject: &str) -> String {
    format!(
        "From: Jane <jane@example.com>\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.com>\r\n\r\nhello\r\n"
    )
}

#[tokio::test]
async fn messages_are_listed_brought_and_marked_over_every_kind_of_connection() {
    let Some(ports) = ports("messages_are_listed") else { return };
    for (user, tls) in [("test1", TlsMode::Implicit), ("test2", TlsMode::Starttls), ("test3", TlsMode::None)]
    {
        append(user, ports, "INBOX", &mail("one"));
        append(user, ports, "INBOX", &mail("two"));
        let mut session = Session::open(&config(user, tls, ports), &password()).await.unwrap();
        let opened = session.select("INBOX").await.unwrap();
        assert!(opened.uid_validity > 0 && opened.messages >= 2, "{opened:?}");
        let all = session.list(1).await.unwrap();
        let last = *all.last().unwrap();
        assert_eq!(opened.uid_next, last + 1);
        assert!(session.list(last + 1).await.unwrap().is_empty(), "the last one does not count as new");
        let found = session.look(&all).await.unwrap();
        assert_eq!(found.len(), all.len());
        let newest = found.last().unwrap();
        assert!(newest.bytes > 80 && newest.received.is_some() && !newest.seen, "{newest:?}");
        let raw = session.bring(last).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(raw).unwrap(), mail("two"), "byte for byte");
        assert!(!session.look(&[last]).await.unwrap()[0].seen, "bringing it marks nothing");
        assert_eq!(session.bring(last + 100).await.unwrap(), None);

        session.handle(&[last], &Handled::Seen).await.unwrap();
        assert!(session.look(&[last]).await.unwrap()[0].seen);
        session.handle(&[last], &Handled::Keyword("$done".into())).await.unwrap();
        session.handle(&[last, last + 100], &Handled::MoveTo("已处理/五".into())).await.unwrap();
        assert!(!session.list(1).await.unwrap().contains(&last), "moved");
        assert!(session.select("已处理/五").await.unwrap().messages >= 1, "to a folder that was made for it");
    }
}

#[tokio::test]
async fn a_new_message_wakes_at_once_and_silence_does_not() {
    let Some(ports) = ports("a_new_message_wakes") else { return };
    let mut session = Session::open(&config("test4", TlsMode::Implicit, ports), &password()).await.unwrap();
    let next = session.select("INBOX").await.unwrap().uid_next;
    assert!(session.idles(), "Dovecot knows IDLE");
    assert_eq!(session.wait(Duration::from_millis(300)).await.unwrap(), Woken::Time);
    let begun = Instant::now();
    let putting = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(300));
        append("test4", ports, "INBOX", &mail("news"));
        Instant::now()
    });
    assert_eq!(session.wait(Duration::from_secs(60)).await.unwrap(), Woken::Look);
    let woken = Instant::now();
    let put = putting.await.unwrap();
    assert!(woken.duration_since(begun) < Duration::from_secs(30), "it was the message that woke");
    eprintln!(
        "woken {} ms after the server took the message",
        woken.saturating_duration_since(put).as_millis()
    );
    assert_eq!(session.list(next).await.unwrap(), [next], "and the session goes on");
    // What came while something else was done is not waited for.
    append("test4", ports, "INBOX", &mail("more"));
    let first = session.list(1).await.unwrap();
    append("test4", ports, "INBOX", &mail("still more"));
    session.look(&first).await.unwrap();
    assert_eq!(session.wait(Duration::from_secs(60)).await.unwrap(), Woken::Look);
}

#[tokio::test]
async fn without_idle_the_host_asks() {
    let Some(ports) = ports("without_idle") else { return };
    let mut config = config("test5", TlsMode::None, ports);
    config.idle = false;
    let mut session = Session::open(&config, &password()).await.unwrap();
    let next = session.select("INBOX").await.unwrap().uid_next;
    assert!(!session.idles());
    append("test5", ports, "INBOX", &mail("polled"));
    assert_eq!(session.wait(Duration::from_millis(200)).await.unwrap(), Woken::Time);
    assert_eq!(session.wait(Duration::from_secs(60)).await.unwrap(), Woken::Look);
    assert_eq!(session.list(next).await.unwrap(), [next]);
}

#[tokio::test]
async fn who_is_not_let_in_and_whom_we_do_not_trust() {
    let Some(ports) = ports("who_is_not_let_in") else { return };
    let config = config("test6", TlsMode::Implicit, ports);
    let denied = Session::open(&config, &"wrong-hunter2".into()).await.unwrap_err();
    assert!(matches!(denied, MailboxFault::Denied(_)), "{denied}");
    assert!(
        !denied.to_string().contains("hunter2") && denied.to_string().contains("password-secret"),
        "{denied}"
    );

    let unknown = MailboxConfig { ca_file: None, ..config.clone() };
    for tls in [TlsMode::Implicit, TlsMode::Starttls] {
        let port = if tls == TlsMode::Implicit { ports.1 } else { ports.0 };
        let unknown = MailboxConfig { tls, port: Some(port), ..unknown.clone() };
        let fault = Session::open(&unknown, &password()).await.unwrap_err();
        assert!(matches!(fault, MailboxFault::Tls(_)), "{fault}");
    }
    let missing = Session::open(&config, &password()).await.unwrap().select("No Such").await.unwrap_err();
    assert!(matches!(missing, MailboxFault::Refused { .. }), "{missing}");
}

#[tokio::test]
async fn a_message_larger_than_allowed_is_not_brought() {
    let Some(ports) = ports("larger_than_allowed") else { return };
    let mut config = config("test7", TlsMode::None, ports);
    config.max_message_bytes = 100_000;
    append("test7", ports, "INBOX", &format!("{}{}", mail("large"), "x".repeat(900_000)));
    let mut session = Session::open(&config, &password()).await.unwrap();
    session.select("INBOX").await.unwrap();
    let all = session.list(1).await.unwrap();
    assert!(session.look(&all).await.unwrap()[0].bytes > 900_000, "it is seen how large it is");
    let fault = session.bring(all[0]).await.unwrap_err();
    assert!(matches!(fault, MailboxFault::Protocol(_)), "who brings it all the same gets nothing: {fault}");
}
