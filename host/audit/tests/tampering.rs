//! What an intruder may do to the log, and that each of it is found and named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use factotum_audit::{Actor, AuditLog, Finding, Head, Outcome, Report, verify_export};
use factotum_store::{Batch, Options, ScanRange, Store, Table};
use proptest::prelude::*;

struct Desk {
    _temp: tempfile::TempDir,
    dir: PathBuf,
    store: Store,
    log: AuditLog,
    added: u64,
}

fn open(dir: &Path) -> (Store, AuditLog) {
    let (log, linker) = AuditLog::open_with_clock(dir, Arc::new(|| 1_795_222_800_007)).unwrap();
    let store =
        Store::open(&dir.join("store"), Options { linker: Some(Box::new(linker)), ..Options::default() })
            .unwrap();
    (store, log)
}

impl Desk {
    /// A log with entries 1 to `entries`.
    fn new(entries: u64) -> Desk {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("data");
        let (store, log) = open(&dir);
        let mut desk = Desk { _temp: temp, dir, store, log, added: 0 };
        desk.add(entries);
        desk
    }

    fn add(&mut self, entries: u64) {
        for _ in 0..entries {
            self.added += 1;
            let number = self.added;
            let mut batch = Batch::new();
            let actor = Actor::Flow("support/ticket-intake".to_owned());
            let entry = self.log.entry(&actor, "plugin.call", "crm/upsert-contact").outcome(Outcome::Ok);
            let entry = entry.run("run-1").task("/do/0").payload("input", &number.to_be_bytes());
            entry.detail("note", "Grüße, 您好 \"quoted\" \\ \u{7f}\n\u{1}").add_to(&mut batch);
            self.store.commit_blocking(batch).unwrap();
        }
    }

    fn value(&self, place: u64) -> Vec<u8> {
        self.store.get(Table::Audit, &place.to_be_bytes()).unwrap().unwrap()
    }

    fn set(&self, place: u64, value: Option<Vec<u8>>) {
        self.store.tamper(Table::Audit, &place.to_be_bytes(), value).unwrap();
    }

    fn set_head(&self, value: Option<Vec<u8>>) {
        self.store.tamper(Table::AuditHead, b"head", value).unwrap();
    }

    fn head_bytes(&self) -> Vec<u8> {
        self.store.get(Table::AuditHead, b"head").unwrap().unwrap()
    }

    fn head(&self) -> Head {
        self.log.head(&self.store).unwrap().unwrap()
    }

    fn verify(&self) -> Report {
        self.log.verify(&self.store, &[]).unwrap()
    }

    fn findings(&self) -> Vec<Finding> {
        self.verify().findings
    }

    /// Stops the host and starts it again; returns what it found at the end of the log.
    fn restart(&mut self) -> Vec<Finding> {
        self.store.close();
        (self.store, self.log) = open(&self.dir);
        self.log.found_at_open().to_vec()
    }

    fn export(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.log.export(&self.store, 1, &mut text).unwrap();
        text
    }
}

/// Puts an entry with other content in place `place`, its hash computed anew as an intruder without the key can.
fn rehash(desk: &Desk, place: u64, prev: [u8; 32], content: &[u8]) -> [u8; 32] {
    use std::process::{Command, Stdio};
    // sha256sum instead of the crate's own hash, so that the documented formula is what is tested.
    let mut data = b"factotum-audit/1\n".to_vec();
    data.extend_from_slice(&place.to_be_bytes());
    data.extend_from_slice(&prev);
    data.extend_from_slice(content);
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("coreutils");
    child.stdin.take().unwrap().write_all(&data).unwrap();
    let output = child.wait_with_output().unwrap();
    let hash: [u8; 32] = hex::decode(&output.stdout[..64]).unwrap().try_into().unwrap();
    let value = [&place.to_be_bytes()[..], &prev, &hash, content].concat();
    desk.set(place, Some(value));
    hash
}

fn links(value: &[u8]) -> ([u8; 32], [u8; 32], Vec<u8>) {
    (value[8..40].try_into().unwrap(), value[40..72].try_into().unwrap(), value[72..].to_vec())
}

#[test]
fn an_untouched_log_is_intact_over_restarts() {
    let mut desk = Desk::new(0);
    assert!(desk.verify().is_intact());
    desk.add(1200);
    assert_eq!(desk.restart(), []);
    desk.add(3);
    let report = desk.verify();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.entries, report.head.unwrap().sequence), (1203, 1203));
}

#[test]
fn a_refused_effect_leaves_no_entry() {
    let mut desk = Desk::new(2);
    let mut batch = Batch::new();
    batch.put_new(Table::Runs, "r", "v");
    desk.store.commit_blocking(batch.clone()).unwrap();
    desk.log.entry(&Actor::System, "run.start", "r").add_to(&mut batch);
    assert!(desk.store.commit_blocking(batch).unwrap_err().is_conflict());
    desk.add(1);
    let report = desk.verify();
    assert!(report.is_intact() && report.entries == 3);
}

#[test]
fn any_changed_byte_is_found() {
    let desk = Desk::new(5);
    let value = desk.value(3);
    for at in 0..value.len() {
        let mut changed = value.clone();
        changed[at] ^= 1;
        desk.set(3, Some(changed));
        let findings = desk.findings();
        assert!(findings.contains(&Finding::Changed { sequence: 3 }), "byte {at}: {findings:?}");
        assert_eq!(findings.len(), 1, "byte {at}: {findings:?}");
    }
    for length in [0, 7, 71, 80] {
        desk.set(3, Some(value[..length].to_vec()));
        assert_eq!(desk.findings(), [Finding::Changed { sequence: 3 }], "cut to {length}");
    }
    desk.set(3, Some(value));
    assert!(desk.verify().is_intact());
}

#[test]
fn a_changed_entry_with_a_new_hash_breaks_the_link() {
    let desk = Desk::new(5);
    let (prev, _, content) = links(&desk.value(3));
    let other = String::from_utf8(content).unwrap().replace("upsert", "delete");
    rehash(&desk, 3, prev, other.as_bytes());
    assert_eq!(desk.findings(), [Finding::BrokenLink { sequence: 4 }]);
}

#[test]
fn a_chain_computed_anew_to_its_end_does_not_match_the_head() {
    let desk = Desk::new(5);
    let anchor = desk.head();
    let (mut prev, _, _) = links(&desk.value(3));
    for place in 3..=5 {
        let (_, _, content) = links(&desk.value(place));
        let other = String::from_utf8(content).unwrap().replace("upsert", "delete");
        prev = rehash(&desk, place, prev, other.as_bytes());
    }
    assert_eq!(desk.findings(), [Finding::Rewritten { sequence: 5 }]);
    // A head that the intruder makes up is not signed; the witness and the anchor still know the old end.
    let forged =
        format!("{{\"hash\":\"{}\",\"mac\":\"{}\",\"sequence\":5}}", hex::encode(prev), "0".repeat(64));
    desk.set_head(Some(forged.into_bytes()));
    let findings = desk.log.verify(&desk.store, &[anchor]).unwrap().findings;
    assert_eq!(findings, [Finding::Rewritten { sequence: 5 }, Finding::HeadForged]);
}

#[test]
fn a_removed_entry_is_named() {
    let desk = Desk::new(9);
    desk.set(4, None);
    assert_eq!(desk.findings(), [Finding::Removed { from: 4, to: 4 }]);
    desk.set(5, None);
    desk.set(8, None);
    assert_eq!(desk.findings(), [Finding::Removed { from: 4, to: 5 }, Finding::Removed { from: 8, to: 8 }]);
    desk.set(1, None);
    assert_eq!(desk.findings()[0], Finding::Removed { from: 1, to: 1 });
}

#[test]
fn swapped_entries_are_named() {
    let desk = Desk::new(5);
    let (two, four) = (desk.value(2), desk.value(4));
    desk.set(2, Some(four));
    desk.set(4, Some(two));
    assert_eq!(
        desk.findings(),
        [
            Finding::Reordered { found_at: 2, belongs_at: 4 },
            Finding::Reordered { found_at: 4, belongs_at: 2 }
        ]
    );
}

#[test]
fn a_cut_tail_is_found_and_stays_visible() {
    let mut desk = Desk::new(9);
    for place in 7..=9 {
        desk.set(place, None);
    }
    assert_eq!(desk.findings(), [Finding::Truncated { from: 7, to: 9 }]);
    assert_eq!(desk.restart(), [Finding::Truncated { from: 7, to: 9 }]);
    desk.add(2);
    assert_eq!(
        desk.findings(),
        [Finding::Removed { from: 7, to: 9 }],
        "the hole is not covered by what follows"
    );
    assert_eq!(desk.head().sequence, 11);
    assert_eq!(desk.restart(), [], "the end itself is in order again");
}

#[test]
fn a_cut_tail_with_an_older_head_is_found_by_the_witness_and_by_an_anchor() {
    let mut desk = Desk::new(6);
    let (older, witness) = (desk.head_bytes(), fs::read(desk.dir.join("audit.witness")).unwrap());
    desk.add(3);
    let anchor = desk.head();
    for place in 7..=9 {
        desk.set(place, None);
    }
    desk.set_head(Some(older));
    assert_eq!(desk.findings(), [Finding::Truncated { from: 7, to: 9 }], "the witness knows better");
    assert_eq!(desk.restart(), [Finding::Truncated { from: 7, to: 9 }]);
    // With an older witness as well, all files of the host agree; what was kept elsewhere does not.
    fs::write(desk.dir.join("audit.witness"), witness).unwrap();
    assert!(desk.verify().is_intact());
    let report = desk.log.verify(&desk.store, &[anchor]).unwrap();
    assert_eq!(report.findings, [Finding::Truncated { from: 7, to: 9 }]);
    assert_eq!(desk.restart(), []);
    desk.add(5);
    let report = desk.log.verify(&desk.store, &[anchor]).unwrap();
    assert_eq!(report.findings, [Finding::Rewritten { sequence: 9 }]);
}

#[test]
fn the_whole_log_wiped_is_found() {
    let mut desk = Desk::new(4);
    for place in 1..=4 {
        desk.set(place, None);
    }
    desk.set_head(None);
    assert_eq!(desk.findings(), [Finding::Truncated { from: 1, to: 4 }]);
    assert_eq!(desk.restart(), [Finding::Truncated { from: 1, to: 4 }]);
    desk.add(1);
    assert_eq!(desk.findings(), [Finding::Removed { from: 1, to: 4 }]);
}

#[test]
fn missing_and_forged_statements_are_named() {
    let mut desk = Desk::new(4);
    let head = desk.head_bytes();
    desk.set_head(None);
    assert_eq!(desk.findings(), [Finding::HeadMissing]);
    desk.set_head(Some(b"{}".to_vec()));
    assert_eq!(desk.findings(), [Finding::HeadForged]);
    desk.set_head(Some(head));
    fs::write(desk.dir.join("audit.witness"), "nothing").unwrap();
    assert_eq!(desk.findings(), [Finding::WitnessForged]);
    fs::remove_file(desk.dir.join("audit.witness")).unwrap();
    assert_eq!(desk.findings(), [Finding::WitnessMissing]);
    assert_eq!(desk.restart(), [Finding::WitnessMissing]);
    desk.add(1);
    assert!(desk.verify().is_intact(), "the first entry after it writes the witness again");
    let mut anchor = desk.head();
    anchor.mac[0] ^= 1;
    let findings = desk.log.verify(&desk.store, &[anchor]).unwrap().findings;
    assert_eq!(findings, [Finding::AnchorForged { sequence: 5 }]);
}

#[test]
fn entries_behind_the_signed_end_are_not_adopted() {
    let mut desk = Desk::new(4);
    let (_, last, content) = links(&desk.value(4));
    rehash(&desk, 5, last, &content);
    assert_eq!(desk.findings(), [Finding::Appended { from: 5, to: 5 }]);
    assert_eq!(desk.restart(), [Finding::Appended { from: 5, to: 5 }]);
    desk.add(2);
    assert_eq!(desk.findings(), [Finding::BrokenLink { sequence: 6 }], "what follows does not vouch for it");
}

#[test]
fn another_key_shows_as_a_forged_head_and_the_key_stays_private() {
    let mut desk = Desk::new(3);
    let key = desk.dir.join("audit.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&key), mode(&desk.dir.join("audit.witness"))), (0o600, 0o600));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(desk.restart(), []);
        assert_eq!(mode(&key), 0o600, "opened to others, closed again");
    }
    let digest = desk.log.digest(b"yes");
    assert_eq!(digest, desk.log.digest(b"yes"));
    fs::write(&key, [7; 32]).unwrap();
    assert_eq!(desk.restart(), [Finding::HeadForged, Finding::WitnessForged]);
    assert_ne!(digest, desk.log.digest(b"yes"), "digests of another store say nothing");
    fs::write(&key, [7; 5]).unwrap();
    assert!(AuditLog::open(&desk.dir).unwrap_err().to_string().contains("audit.key"));
}

fn check(text: &[u8], log: Option<&AuditLog>, anchors: &[Head]) -> Vec<Finding> {
    verify_export(&mut &text[..], log, anchors).unwrap().findings
}

#[test]
fn an_export_verifies_by_itself_and_shows_what_was_done_to_it() {
    let desk = Desk::new(8);
    let text = desk.export();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 9);
    for log in [None, Some(&desk.log)] {
        let report = verify_export(&mut &text[..], log, &[desk.head()]).unwrap();
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(
            (report.entries, report.head, report.signature_checked),
            (8, Some(desk.head()), log.is_some())
        );
        let changed = String::from_utf8(text.clone()).unwrap().replacen("upsert", "delete", 1);
        assert_eq!(check(changed.as_bytes(), log, &[]), [Finding::Changed { sequence: 1 }]);
        let removed = [&lines[..3], &lines[4..]].concat().concat();
        assert_eq!(check(&removed, log, &[]), [Finding::Removed { from: 4, to: 4 }]);
        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        assert_eq!(check(&swapped.concat(), log, &[]), [Finding::Reordered { found_at: 4, belongs_at: 3 }]);
        assert_eq!(check(&lines[..8].concat(), log, &[]), [Finding::HeadMissing]);
        assert_eq!(
            check(&[&lines[..6], &lines[8..]].concat().concat(), log, &[]),
            [Finding::Truncated { from: 7, to: 8 }]
        );
        let twice = [&text[..], lines[0]].concat();
        assert!(matches!(check(&twice, log, &[])[..], [Finding::Unreadable { line: 10, .. }]));
        assert!(matches!(check(b"not json\n", log, &[])[..], [_, _]));
    }
    let mut part = Vec::new();
    assert_eq!(desk.log.export(&desk.store, 5, &mut part).unwrap(), 4);
    let report = verify_export(&mut &part[..], Some(&desk.log), &[]).unwrap();
    assert!(report.is_intact() && report.first == 5, "{report:?}");
    let other = Desk::new(8);
    assert_eq!(check(&text, Some(&other.log), &[]), [Finding::HeadForged]);
    let empty = Desk::new(0);
    assert_eq!(empty.export(), b"");
}

/// The script that the documentation gives to auditors agrees with the crate, on whole and on changed exports.
#[test]
fn the_auditors_script_agrees() {
    let desk = Desk::new(6);
    let text = String::from_utf8(desk.export()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verify_export.py");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (name, text, answer) in [
        ("whole", text.clone(), "intact"),
        ("changed", text.replacen("您好", "你好", 1), "entry 1 was changed"),
        ("removed", [&lines[..2], &lines[3..]].concat().concat(), "entry 4 stands where 3 belongs"),
        ("cut", [&lines[..4], &lines[6..]].concat().concat(), "the head is missing or speaks of another end"),
    ] {
        let path = desk.dir.join(name);
        fs::write(&path, &text).unwrap();
        let output = match std::process::Command::new("python3").arg(script).arg(&path).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: the_auditors_script_agrees needs python3");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(answer), "{name}: {said}");
        assert_eq!(output.status.success(), name == "whole");
    }
}

#[test]
fn verifying_while_the_log_grows_finds_nothing() {
    let desk = Desk::new(50);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..300 {
                let mut batch = Batch::new();
                desk.log.entry(&Actor::System, "grow", "x").add_to(&mut batch);
                desk.store.commit_blocking(batch).unwrap();
            }
        });
        while !writer.is_finished() {
            let report = desk.verify();
            assert!(report.is_intact(), "{report:?}");
            let export = desk.export();
            assert_eq!(check(&export, Some(&desk.log), &[]), []);
        }
    });
    assert_eq!(desk.verify().entries, 350);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one does to stored entries and to the head (short of signing), a log that differs does not verify.
    #[test]
    fn no_mix_of_changes_verifies(
        entries in 3..12_u64,
        acts in prop::collection::vec((0..5_u8, 1..14_u64, 1..14_u64, any::<prop::sample::Index>()), 1..5),
    ) {
        let desk = Desk::new(entries);
        let snapshot = || (
            desk.store.scan(Table::Audit, &ScanRange::default()).unwrap(),
            desk.store.get(Table::AuditHead, b"head").unwrap(),
        );
        let before = snapshot();
        for (act, a, b, index) in acts {
            let get = |place: u64| desk.store.get(Table::Audit, &place.to_be_bytes()).unwrap();
            match act {
                0 => desk.set(a, None),
                1 => {
                    let (first, second) = (get(a), get(b));
                    desk.set(a, second);
                    desk.set(b, first);
                }
                2 => desk.set(a, get(b)),
                3 => if let Some(mut value) = get(a) {
                    let at = index.index(value.len());
                    value[at] = value[at].wrapping_add(1);
                    desk.set(a, Some(value));
                },
                _ => desk.set_head(get(a)),
            }
        }
        prop_assert_eq!(desk.verify().is_intact(), snapshot() == before);
    }
}
