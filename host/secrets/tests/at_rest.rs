//! Secrets at rest: set, read, listed, removed; nothing of them on disk, in the audit log or in debug output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::{Desk, START, admin, key_file, read, value};
use factotum_audit::AuditLog;
use factotum_egress::Secrets;
use factotum_secrets::{
    ExposeSecret, Layered, MAX_SECRETS, MAX_VALUE_BYTES, MasterKeySource, MasterKeys, NewMaster, SecretError,
    SecretStore,
};
use factotum_store::{Options, Store, Table};
use proptest::prelude::*;

#[test]
fn set_read_list_remove() {
    let desk = Desk::new();
    let secrets = desk.open();
    assert_eq!(read(&secrets, "crm"), None);
    let info = secrets.set(&admin(), "crm", &value("first")).unwrap();
    assert_eq!((info.version, info.created, info.by.as_str()), (1, START, "token:admin"));
    desk.pass(60);
    secrets.set(&admin(), "crm", &value("second")).unwrap();
    secrets.set(&admin(), "a.b-c_D", &value("订单 -----BEGIN\nKEY\n")).unwrap();
    assert_eq!(read(&secrets, "crm").as_deref(), Some("second"));
    assert_eq!(read(&secrets, "a.b-c_D").as_deref(), Some("订单 -----BEGIN\nKEY\n"));
    let list = secrets.list();
    assert_eq!(list.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["a.b-c_D", "crm"]);
    assert_eq!((list[1].version, list[1].created, list[1].set), (2, START, START + 60_000));
    assert!(list[1].accepted.is_empty(), "what is set anew ends what was there");
    secrets.remove(&admin(), "crm").unwrap();
    assert_eq!(read(&secrets, "crm"), None);
    assert!(matches!(secrets.remove(&admin(), "crm"), Err(SecretError::NotFound { .. })));
    assert_eq!(secrets.list().len(), 1);
    // The face that egress sees.
    let face: Arc<dyn Secrets> = Arc::new(secrets.clone());
    assert_eq!(face.get("a.b-c_D").unwrap().expose_secret(), "订单 -----BEGIN\nKEY\n");
    assert!(face.get("crm").is_none() && face.get("../keyring").is_none() && face.get("").is_none());
    assert_eq!(secrets.verify().unwrap(), []);
}

#[test]
fn each_act_is_audited_in_the_batch_of_its_effect() {
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "crm", &value("plain-value")).unwrap();
    secrets.rotate(&admin(), "crm", &value("other-value"), std::time::Duration::from_secs(90)).unwrap();
    desk.pass(100);
    assert_eq!(secrets.prune().unwrap(), 1);
    secrets.remove(&admin(), "crm").unwrap();
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    let entries = desk.entries();
    let told: Vec<_> =
        entries.iter().map(|e| format!("{} {} {}", e.actor, e.action, e.detail["revision"])).collect();
    assert_eq!(
        told,
        [
            "token:admin secret.set 1",
            "token:admin secret.rotate 2",
            "system secret.expire 3",
            "token:admin secret.remove 4",
            "token:admin secret.master-key.rotate 5"
        ]
    );
    assert_eq!((entries[1].target.as_str(), entries[1].detail["overlap-seconds"].as_str()), ("crm", "90"));
    assert!(!format!("{entries:?}").contains("-value"));
    assert_eq!(secrets.status().revision, 5);
    // Refused acts leave neither effect nor entry.
    assert!(secrets.set(&admin(), "bad name", &value("x")).is_err());
    assert!(secrets.remove(&admin(), "none").is_err());
    assert_eq!(desk.entries().len(), 5);
}

#[test]
fn names_sizes_and_numbers_are_bounded() {
    let desk = Desk::new();
    let secrets = desk.open();
    for name in ["", "a b", "a/b", &"n".repeat(65), "\u{1b}[2J"] {
        let error = secrets.set(&admin(), name, &value("x")).unwrap_err();
        assert!(matches!(error, SecretError::Name { .. }) && error.to_string().len() < 250, "{error}");
    }
    let large = "v".repeat(MAX_VALUE_BYTES);
    secrets.set(&admin(), "large", &value(&large)).unwrap();
    assert_eq!(read(&secrets, "large"), Some(large.clone()));
    for bad in ["", &format!("{large}v")] {
        let error = secrets.set(&admin(), "large", &value(bad)).unwrap_err();
        assert!(matches!(error, SecretError::Value { .. }) && !error.to_string().contains("vvv"), "{error}");
    }
    for number in 1..MAX_SECRETS {
        secrets.set(&admin(), &format!("s{number}"), &value("x")).unwrap();
    }
    assert_eq!(secrets.set(&admin(), "more", &value("x")).unwrap_err(), SecretError::TooMany);
    secrets.set(&admin(), "s1", &value("y")).unwrap();
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    let secrets = desk.open();
    assert_eq!((secrets.list().len(), read(&secrets, "s1").as_deref()), (MAX_SECRETS, Some("y")));
    assert_eq!(secrets.verify().unwrap(), []);
}

/// Every file below a folder, whole.
fn files(dir: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn nothing_of_a_value_or_a_data_key_is_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let keys = MasterKeys::new(key_file(&dir.path().join("key"), 1));
    let data = dir.path().join("data");
    let open = || {
        let (audit, linker) = AuditLog::open(&data.join("audit")).unwrap();
        let store = Store::open(
            &data.join("store"),
            Options { linker: Some(Box::new(linker)), ..Options::default() },
        )
        .unwrap();
        (SecretStore::open(store.clone(), audit, &keys).unwrap(), store)
    };
    let (secrets, store) = open();
    let plain: Vec<String> = (0..20).map(|n| format!("PLAINTEXT-{n}-{}", "zq".repeat(n * 20))).collect();
    for (number, text) in plain.iter().enumerate() {
        secrets.set(&admin(), &format!("secret-{number}"), &value(text)).unwrap();
    }
    secrets
        .rotate(&admin(), "secret-1", &value("PLAINTEXT-rotated"), std::time::Duration::from_secs(60))
        .unwrap();
    secrets.remove(&admin(), "secret-2").unwrap();
    // The search finds what is there in the clear, or it would prove nothing.
    let mut probe = factotum_store::Batch::new();
    probe.put(Table::Meta, *b"probe", *b"PROBE-in-the-clear");
    store.commit_blocking(probe).unwrap();
    store.close();
    drop((secrets, store));
    let mut found = Vec::new();
    files(&data, &mut found);
    assert!(found.iter().any(|(_, bytes)| contains(bytes, b"PROBE-in-the-clear")));
    assert!(found.iter().any(|(_, bytes)| contains(bytes, b"secret-7")), "names are no secret");
    let master = fs::read(dir.path().join("key")).unwrap();
    let raw: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(7) ^ 1).collect();
    for (path, bytes) in &found {
        assert!(!contains(bytes, b"PLAINTEXT"), "{path}");
        assert!(!contains(bytes, b"zqzqzqzq"), "{path}");
        assert!(!contains(bytes, &master) && !contains(bytes, &raw), "{path}");
    }
    let (secrets, _store) = open();
    assert_eq!(read(&secrets, "secret-7").as_deref(), Some(plain[7].as_str()));
    assert_eq!(read(&secrets, "secret-1").as_deref(), Some("PLAINTEXT-rotated"));
    assert_eq!(read(&secrets, "secret-2"), None);
}

#[test]
fn debug_output_and_errors_show_nothing() {
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "crm", &value("hunter2-hunter2")).unwrap();
    let key = fs::read_to_string(desk.key()).unwrap();
    let mut shown = format!(
        "{secrets:?} {:#?} {:?} {:?} {:?} {:?}",
        secrets.list(),
        secrets.status(),
        secrets.read("crm").unwrap(),
        secrets.accepted("crm").unwrap(),
        Layered(vec![Arc::new(secrets.clone())])
    );
    desk.tamper("s/crm", Some(b"hunter2".to_vec()));
    let error = secrets.read("crm").unwrap_err();
    shown += &format!("{error} {error:?} {:?}", desk.keys());
    assert!(!shown.contains("hunter2") && !shown.contains(key.trim()), "{shown}");
}

#[test]
fn what_is_logged_shows_nothing() {
    let log = factotum_test_log::log();
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "crm", &value("hunter2-hunter2")).unwrap();
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    desk.tamper("s/crm", Some(b"x".to_vec()));
    assert!(secrets.get("crm").is_none());
    let text = log.lines();
    assert!(text.contains("cannot be read") && text.contains("crm"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_the_operator_keeps_goes_first() {
    struct One;
    impl Secrets for One {
        fn get(&self, name: &str) -> Option<factotum_secrets::SecretString> {
            (name == "crm").then(|| value("from a file"))
        }
    }
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "crm", &value("stored")).unwrap();
    secrets.set(&admin(), "erp", &value("stored")).unwrap();
    let both = Layered(vec![Arc::new(One), Arc::new(secrets)]);
    assert_eq!(both.get("crm").unwrap().expose_secret(), "from a file");
    assert_eq!(both.get("erp").unwrap().expose_secret(), "stored");
    assert!(both.get("none").is_none());
}

#[test]
fn readers_never_see_half_of_a_change() {
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "crm", &value("0")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0_u32;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let now: u32 = read(&secrets, "crm").expect("it is always there").parse().unwrap();
                    assert!(now >= last, "a value came back");
                    last = now;
                }
            });
        }
        for number in 1..300_u32 {
            secrets.set(&admin(), "crm", &value(&number.to_string())).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_key_may_come_from_a_command() {
    let desk = Desk::new();
    let file = desk.dir.path().join("key");
    let path = file.display().to_string();
    key_file(&file, 3);
    let command = MasterKeySource::Command(vec!["/bin/cat".into(), path]);
    let keys = MasterKeys::new(command);
    desk.open_with(&keys).unwrap().set(&admin(), "crm", &value("x")).unwrap();
    assert_eq!(read(&desk.open_with(&keys).unwrap(), "crm").as_deref(), Some("x"));
    // The same key from a file is the same key.
    assert_eq!(
        read(&desk.open_with(&MasterKeys::new(MasterKeySource::File(file))).unwrap(), "crm").as_deref(),
        Some("x")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any sequence of acts and restarts leaves what a plain map would hold.
    #[test]
    fn it_is_a_map_that_survives_restarts(
        acts in proptest::collection::vec((0..6_u8, "[a-d]", "\\PC{1,40}"), 1..30),
    ) {
        let desk = Desk::new();
        let mut secrets = desk.open();
        let mut model = std::collections::BTreeMap::<String, String>::new();
        for (act, name, text) in acts {
            match act {
                0 | 1 => {
                    secrets.set(&admin(), &name, &value(&text)).unwrap();
                    model.insert(name, text);
                }
                2 => {
                    let done = secrets.rotate(&admin(), &name, &value(&text), std::time::Duration::ZERO);
                    prop_assert_eq!(done.is_ok(), model.contains_key(&name));
                    if done.is_ok() {
                        model.insert(name, text);
                    }
                }
                3 => prop_assert_eq!(secrets.remove(&admin(), &name).is_ok(), model.remove(&name).is_some()),
                4 => {
                    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
                }
                _ => secrets = desk.open(),
            }
            for name in ["a", "b", "c", "d"] {
                prop_assert_eq!(read(&secrets, name), model.get(name).cloned());
            }
            prop_assert_eq!(secrets.list().len(), model.len());
            prop_assert_eq!(secrets.verify().unwrap(), []);
        }
    }
}
