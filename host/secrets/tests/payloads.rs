//! Payloads at rest under the keyring: made at the first start, kept through new master keys, refused without them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::{fs, path::Path};

use factotum_audit::{Actor, AuditLog, Filter};
use factotum_secrets::{MasterKeySource, MasterKeys, NewMaster, SecretError, SecretStore};
use factotum_store::{Batch, Options, Store, StoreError, Table};

fn open_store(dir: &Path) -> (Store, AuditLog) {
    let (audit, linker) = AuditLog::open(&dir.join("audit")).unwrap();
    let options = Options { linker: Some(Box::new(linker)), ..Options::default() };
    (Store::open(&dir.join("store"), options).unwrap(), audit)
}

fn keys(dir: &Path) -> MasterKeys {
    MasterKeys::new(MasterKeySource::OwnFile(dir.join("keys").join("secrets.key")))
}

fn open(dir: &Path) -> (SecretStore, Store, AuditLog) {
    let (store, audit) = open_store(dir);
    let secrets = SecretStore::open(store.clone(), audit.clone(), &keys(dir)).unwrap();
    secrets.seal_payloads().unwrap();
    (secrets, store, audit)
}

fn append(store: &Store, run: &str, text: &str) {
    let mut batch = Batch::new();
    batch.append(run, 0, text.as_bytes());
    store.commit_blocking(batch).unwrap();
}

fn read(store: &Store, run: &str) -> String {
    String::from_utf8(store.journal(run, 0, 1).unwrap()[0].1.clone()).unwrap()
}

fn in_files(dir: &Path, text: &str) -> bool {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
                return true;
            }
        }
    }
    false
}

#[test]
fn payloads_are_sealed_from_the_first_start_and_through_every_change_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (secrets, store, audit) = open(dir.path());
    append(&store, "one", "marker one");
    secrets.rotate_master(&Actor::System, &NewMaster::Fresh).unwrap();
    append(&store, "two", "marker two");
    assert_eq!(secrets.rotate_payload_key(&Actor::System).unwrap(), 2);
    append(&store, "three", "marker three");
    let all = |store: &Store| ["one", "two", "three"].map(|run| read(store, run));
    assert_eq!(all(&store), ["marker one", "marker two", "marker three"]);
    assert_eq!(store.stored(Table::Journal, &journal_key("three")).unwrap().unwrap()[..5], [1, 0, 0, 0, 2]);
    let filter = Filter::default();
    let acts: Vec<String> = audit
        .list(&store, &filter, None, 100)
        .unwrap()
        .records
        .into_iter()
        .map(|record| record.entry.action)
        .collect();
    assert!(acts.contains(&"secret.payload-key.make".to_owned()), "{acts:?}");
    assert!(acts.contains(&"secret.payload-key.rotate".to_owned()), "{acts:?}");
    store.close();
    drop((secrets, store, audit));
    assert!(!in_files(dir.path(), "marker"));
    let (_secrets, store, _) = open(dir.path());
    assert_eq!(all(&store), ["marker one", "marker two", "marker three"]);
}

fn journal_key(run: &str) -> Vec<u8> {
    [&(run.len() as u16).to_be_bytes(), run.as_bytes(), &0_u64.to_be_bytes()].concat()
}

#[test]
fn a_swapped_payload_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let (_secrets, store, _) = open(dir.path());
    append(&store, "a", "to a");
    append(&store, "b", "to b");
    let other = store.stored(Table::Journal, &journal_key("b")).unwrap();
    store.tamper(Table::Journal, &journal_key("a"), other).unwrap();
    let error = store.get(Table::Journal, &journal_key("a")).unwrap_err().to_string();
    assert!(error.contains("changed or moved") && error.contains("Journal"), "{error}");
    assert_eq!(read(&store, "b"), "to b");
}

#[test]
fn without_its_master_key_or_keyring_nothing_opens_and_nothing_is_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let (secrets, store, audit) = open(dir.path());
    append(&store, "a", "marker");
    store.close();
    drop((secrets, store, audit));
    let key = dir.path().join("keys").join("secrets.key");
    let right = fs::read(&key).unwrap();

    // Another key.
    let (store, audit) = open_store(dir.path());
    fs::write(&key, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n").unwrap();
    let error = SecretStore::open(store.clone(), audit.clone(), &keys(dir.path())).unwrap_err();
    assert!(matches!(error, SecretError::WrongMasterKey { .. }), "{error}");
    // None at all: not made anew, since something is sealed.
    fs::remove_file(&key).unwrap();
    let error = SecretStore::open(store.clone(), audit.clone(), &keys(dir.path())).unwrap_err();
    assert!(matches!(error, SecretError::MasterKey { .. }), "{error}");
    assert!(!key.exists());
    assert_eq!(store.journal("a", 0, 1).unwrap_err(), StoreError::Sealed);
    // The keyring gone: no new key is made under which the old payloads would be lost.
    let ring = store.get(Table::Secrets, b"keyring").unwrap();
    store.tamper(Table::Secrets, b"keyring", None).unwrap();
    fs::write(&key, &right).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let secrets = SecretStore::open(store.clone(), audit.clone(), &keys(dir.path())).unwrap();
    let error = secrets.seal_payloads().unwrap_err();
    assert!(matches!(&error, SecretError::Damaged { .. }) && error.to_string().contains("backup"), "{error}");
    drop(secrets);
    store.tamper(Table::Secrets, b"keyring", ring).unwrap();
    let secrets = SecretStore::open(store.clone(), audit, &keys(dir.path())).unwrap();
    secrets.seal_payloads().unwrap();
    assert_eq!(read(&store, "a"), "marker");
}

#[test]
fn a_folder_of_an_earlier_version_is_sealed_at_its_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, audit) = open_store(dir.path());
    append(&store, "a", "kept in clear");
    store.close();
    drop((store, audit));
    let (store, audit) = open_store(dir.path());
    let secrets = SecretStore::open(store.clone(), audit, &keys(dir.path())).unwrap();
    assert_eq!(secrets.seal_payloads().unwrap(), 1);
    assert_eq!(read(&store, "a"), "kept in clear");
    let stored = store.stored(Table::Journal, &journal_key("a")).unwrap().unwrap();
    assert!(!stored.windows(5).any(|part| part == b"clear"));
}

/// The batches of a run of three light steps, as many keys and about as many bytes.
fn a_run(store: &Store, number: u32) {
    let id = format!("{number:032}");
    let payload = format!("{{\"message\":\"{}\"}}", "words of a customer ".repeat(40));
    for step in 0..5_u64 {
        let mut batch = Batch::new();
        batch.append(id.as_str(), step, payload.as_bytes());
        if step == 0 || step == 4 {
            batch.put(Table::Runs, id.as_str(), &payload.as_bytes()[..220]);
            batch.put(Table::RunsByState, format!("{step}{id}"), "");
        }
        store.commit_blocking(batch).unwrap();
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p factotum-secrets --test payloads what_sealing -- --ignored --nocapture"]
fn what_sealing_costs() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (clear, _audit) = open_store(dirs[0].path());
    let (_secrets, sealed, _) = open(dirs[1].path());
    let (mut rounds, mut number) = (Vec::new(), 0);
    for round in 0..20 {
        let mut took = [0.0; 2];
        // In turns, so that what else the machine does meets both.
        for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let begun = std::time::Instant::now();
            for _ in 0..100 {
                number += 1;
                a_run(if which == 0 { &clear } else { &sealed }, number);
            }
            took[which] = begun.elapsed().as_secs_f64();
        }
        rounds.push(took[1] / took[0]);
    }
    rounds.sort_by(f64::total_cmp);
    println!("sealed / clear: median {:.3} of {} rounds of 100 runs", rounds[10], rounds.len());
}
