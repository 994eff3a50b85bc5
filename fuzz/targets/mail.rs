//! Messages of strangers: read or refused, and what comes out is bounded, one line where it must be, and the same again.
//!
//! An input is a message as it travels. The files that read messages stand here by themselves: the rest of their room brings
//! TLS.
#![no_main]

#[path = "../../host/mailbox/src/message/mod.rs"]
mod message;

use std::collections::HashSet;

use cap::Cap;
use libfuzzer_sys::fuzz_target;

use message::{Bounds, Letter, MAX_ATTACHMENTS, Place, read};

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// The largest message.
const MOST: usize = 64 << 10;
/// What reading it may take at one time.
const MOST_BYTES: usize = 32 << 20;

fuzz_target!(|data: &[u8]| {
    MEMORY.set_limit(MEMORY.allocated() + MOST_BYTES).expect("room");
    let letter = read(data, Bounds { max_bytes: MOST });
    match &letter {
        Ok(letter) => look_at(data, letter),
        Err(unreadable) => {
            let reason = unreadable.to_string();
            assert!(!reason.contains("broke off"), "reading it broke off");
            assert!(!reason.is_empty() && reason.len() < 300);
        }
    }
    assert_eq!(letter, read(data, Bounds { max_bytes: MOST }), "the same again");
    MEMORY.set_limit(usize::MAX).expect("no bound");
});

fn look_at(data: &[u8], letter: &Letter) {
    let one_line = |text: &str| !text.contains(char::is_control) && text.trim() == text;
    assert!(one_line(&letter.subject) && letter.subject.chars().count() <= 500);
    for person in letter.from.iter().chain(&letter.to).chain(&letter.cc).chain(&letter.reply_to) {
        assert!(person.name.as_deref().is_none_or(one_line), "{person:?}");
        assert!(person.address.as_deref().is_none_or(|a| one_line(a) && a.contains('@')), "{person:?}");
    }
    for id in letter.message_id.iter().chain(&letter.in_reply_to).chain(&letter.references) {
        assert!(id.starts_with('<') && id.ends_with('>') && id.len() <= 252 && id.is_ascii(), "{id:?}");
    }
    for (name, value) in &letter.headers {
        assert!(one_line(name) && one_line(value) && !name.is_empty(), "{name:?} {value:?}");
    }
    assert!(letter.attachments.len() <= MAX_ATTACHMENTS);
    let held: usize = letter.attachments.iter().map(|file| file.content.len()).sum();
    assert!(held <= data.len(), "{held} bytes of files in {} bytes", data.len());
    for file in &letter.attachments {
        let name = file.name.as_str();
        assert!(
            one_line(name) && !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.'),
            "{name:?}"
        );
        assert!(file.media_type.contains('/') && file.media_type.is_ascii() && file.media_type.len() <= 129);
    }
    let place =
        Place { mailbox: "m".into(), folder: "INBOX".into(), uid: 1, uid_validity: 1, received_at: None };
    let files: Vec<String> = (0..letter.attachments.len()).map(|n| format!("{n:032}")).collect();
    assert_eq!(files.iter().collect::<HashSet<_>>().len(), files.len());
    let whole = letter.input(&place, &files, "raw", usize::MAX);
    assert_eq!(whole["attachments"].as_array().map(Vec::len), Some(files.len()));
    for most in [1_000_000, 20_000, 8_000] {
        let input = letter.input(&place, &files, "raw", most).to_string();
        assert!(input.len() <= most, "{} bytes of {most}", input.len());
    }
}
