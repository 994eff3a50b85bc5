//! Rotation of secrets and of the master key, and what an interruption at each of its steps leaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod common;

use std::{fs, path::Path, time::Duration};

use common::{Desk, START, accepted, admin, key_file, read, value};
use factotum_audit::AuditLog;
use factotum_secrets::{
    Accepted, MAX_OVERLAP, MAX_VERSIONS, MasterKeySource, MasterKeys, NewMaster, SecretError, SecretStore,
};
use factotum_store::{Options, Store};

fn hours(number: u64) -> Duration {
    Duration::from_secs(number * 3600)
}

#[test]
fn the_value_before_stays_accepted_for_as_long_as_was_said() {
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "hook", &value("one")).unwrap();
    let info = secrets.rotate(&admin(), "hook", &value("two"), hours(2)).unwrap();
    assert_eq!((info.version, info.accepted), (2, vec![Accepted { version: 1, until: START + 7_200_000 }]));
    assert_eq!(read(&secrets, "hook").as_deref(), Some("two"), "what is sent is the current value");
    desk.pass(3600);
    secrets.rotate(&admin(), "hook", &value("three"), hours(2)).unwrap();
    assert_eq!(accepted(&secrets, "hook"), ["three", "two", "one"]);
    desk.pass(3599);
    assert_eq!(accepted(&desk.open(), "hook"), ["three", "two", "one"], "over a restart too");
    desk.pass(1);
    assert_eq!(accepted(&secrets, "hook"), ["three", "two"], "the first rotation's word holds");
    desk.pass(3600);
    assert_eq!(accepted(&secrets, "hook"), ["three"]);
    assert!(secrets.list()[0].accepted.is_empty());
    let before = desk.row("s/hook");
    assert_eq!((secrets.prune().unwrap(), secrets.prune().unwrap()), (1, 0));
    assert_ne!(desk.row("s/hook"), before);
    assert_eq!(accepted(&desk.open(), "hook"), ["three"]);
    assert_eq!(secrets.list()[0].version, 3);
}

#[test]
fn a_set_ends_every_value_at_once() {
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "hook", &value("leaked")).unwrap();
    secrets.rotate(&admin(), "hook", &value("leaked too"), hours(24)).unwrap();
    secrets.set(&admin(), "hook", &value("new")).unwrap();
    assert_eq!(accepted(&secrets, "hook"), ["new"]);
    secrets.rotate(&admin(), "hook", &value("newer"), Duration::ZERO).unwrap();
    assert_eq!(accepted(&secrets, "hook"), ["newer"]);
    secrets.remove(&admin(), "hook").unwrap();
    assert!(accepted(&secrets, "hook").is_empty());
}

#[test]
fn rotation_is_bounded() {
    let desk = Desk::new();
    let secrets = desk.open();
    assert!(matches!(
        secrets.rotate(&admin(), "hook", &value("x"), hours(1)),
        Err(SecretError::NotFound { .. })
    ));
    secrets.set(&admin(), "hook", &value("0")).unwrap();
    let too_long = MAX_OVERLAP + Duration::from_secs(1);
    assert!(matches!(
        secrets.rotate(&admin(), "hook", &value("x"), too_long),
        Err(SecretError::Overlap { .. })
    ));
    for number in 1..MAX_VERSIONS {
        secrets.rotate(&admin(), "hook", &value(&number.to_string()), hours(1)).unwrap();
    }
    let error = secrets.rotate(&admin(), "hook", &value("x"), hours(1)).unwrap_err();
    assert!(
        matches!(error, SecretError::TooManyVersions { .. }),
        "a promise to accept a value is not broken: {error}"
    );
    assert_eq!(accepted(&secrets, "hook"), ["3", "2", "1", "0"]);
    desk.pass(3600);
    secrets.rotate(&admin(), "hook", &value("4"), hours(1)).unwrap();
    assert_eq!(accepted(&secrets, "hook"), ["4", "3"]);
}

fn filled(desk: &Desk) -> SecretStore {
    let secrets = desk.open();
    for name in ["a", "b", "c"] {
        secrets.set(&admin(), name, &value(&format!("{name}-value"))).unwrap();
    }
    secrets
}

fn intact(secrets: &SecretStore) {
    for name in ["a", "b", "c"] {
        assert_eq!(read(secrets, name), Some(format!("{name}-value")));
    }
    assert_eq!(secrets.verify().unwrap(), []);
}

/// Puts a key's file back, closed to others as it was.
fn restore(path: &Path, key: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, key)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

fn next(desk: &Desk) -> std::path::PathBuf {
    let mut path = desk.key().into_os_string();
    path.push(".next");
    path.into()
}

#[test]
fn a_new_master_key_opens_everything_and_the_old_one_nothing() {
    let desk = Desk::new();
    let secrets = filled(&desk);
    let rows: Vec<_> = ["s/a", "s/b", "s/c"].map(|key| desk.row(key)).into();
    let (old_id, old_key) = (secrets.status().master_key, fs::read(desk.key()).unwrap());
    let new_id = secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    assert_ne!(new_id, old_id);
    assert_eq!(rows, ["s/a", "s/b", "s/c"].map(|key| desk.row(key)), "only the data keys were sealed anew");
    intact(&secrets);
    secrets.set(&admin(), "d", &value("after")).unwrap();
    intact(&desk.open());
    assert_eq!(desk.open().status().master_key, new_id);
    assert!(!next(&desk).exists());
    // With the old key back in place.
    let new_key = fs::read(desk.key()).unwrap();
    restore(&desk.key(), &old_key).unwrap();
    assert!(
        matches!(desk.open_with(&desk.keys()), Err(SecretError::WrongMasterKey { wanted, .. }) if wanted == new_id)
    );
    restore(&desk.key(), &new_key).unwrap();
    intact(&desk.open());
}

#[test]
fn stopped_before_the_new_key_is_whole() {
    for half in ["", "0123"] {
        let desk = Desk::new();
        let id = filled(&desk).status().master_key;
        let mut draft = next(&desk).into_os_string();
        draft.push(".draft");
        fs::write(&draft, half).unwrap();
        let secrets = desk.open();
        intact(&secrets);
        assert_eq!(secrets.status().master_key, id);
        secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
        assert!(!Path::new(&draft).exists());
        intact(&desk.open());
    }
}

#[test]
fn stopped_after_the_new_key_was_written_and_before_anything_is_sealed_under_it() {
    let desk = Desk::new();
    let id = filled(&desk).status().master_key;
    key_file(&next(&desk), 9);
    let before = desk.rows();
    let secrets = desk.open();
    intact(&secrets);
    assert_eq!((secrets.status().master_key, desk.rows()), (id, before));
    assert!(!next(&desk).exists(), "a key that protects nothing is not left lying about");
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    intact(&desk.open());
}

#[test]
fn stopped_after_the_keyring_was_sealed_and_before_the_file_took_its_place() {
    let desk = Desk::new();
    let secrets = filled(&desk);
    let old_key = fs::read(desk.key()).unwrap();
    let id = secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    drop(secrets);
    // The files as they were between the two steps.
    fs::rename(desk.key(), next(&desk)).unwrap();
    restore(&desk.key(), &old_key).unwrap();
    let secrets = desk.open();
    intact(&secrets);
    assert_eq!(secrets.status().master_key, id);
    assert!(!next(&desk).exists());
    drop(secrets);
    intact(&desk.open());
}

#[test]
fn changes_that_a_power_cut_takes_back_find_the_old_key() {
    for changes in 1..4 {
        let desk = Desk::new();
        let secrets = filled(&desk);
        let (id, before) = (secrets.status().master_key, desk.row("keyring"));
        for _ in 0..changes {
            secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
        }
        drop(secrets);
        // A store that did not wait for its disk: what was acknowledged last is gone, the key files are not.
        desk.tamper("keyring", Some(before));
        let secrets = desk.open();
        intact(&secrets);
        assert_eq!(secrets.status().master_key, id);
        drop(secrets);
        intact(&desk.open());
    }
}

#[test]
fn a_change_whose_file_could_not_take_its_place_does_not_lose_the_key_to_the_next_change() {
    let desk = Desk::new();
    let secrets = filled(&desk);
    let old = fs::read(desk.key()).unwrap();
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    // As if the last step had failed.
    fs::rename(desk.key(), next(&desk)).unwrap();
    restore(&desk.key(), &old).unwrap();
    let sealed = desk.row("keyring");
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    intact(&desk.open());
    // And the second change is lost with its row.
    desk.tamper("keyring", Some(sealed));
    intact(&desk.open());
    // Without the present key anywhere, no change is begun.
    restore(&desk.key(), &old).unwrap();
    for entry in fs::read_dir(desk.key().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path != desk.key() {
            fs::remove_file(path).unwrap();
        }
    }
    let error = secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap_err();
    assert!(error.to_string().contains("restore the file"), "{error}");
    assert!(!next(&desk).exists());
}

#[test]
fn old_keys_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let secrets = filled(&desk);
    secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    secrets.prune().unwrap();
    let files: Vec<_> =
        fs::read_dir(desk.key().parent().unwrap()).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 2, "the present key, and for some minutes the one before");
    assert!(files.iter().all(|file| file.metadata().unwrap().permissions().mode() & 0o777 == 0o600));
}

#[test]
fn a_rotation_that_cannot_be_written_leaves_the_old_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/secrets.key");
    let keys = MasterKeys::new(MasterKeySource::OwnFile(path.clone()));
    let open = || {
        let (audit, linker) = AuditLog::open(&dir.path().join("audit")).unwrap();
        let options = Options { linker: Some(Box::new(linker)), ..Options::default() };
        let store = Store::open(&dir.path().join("store"), options).unwrap();
        (SecretStore::open(store.clone(), audit, &keys).unwrap(), store)
    };
    let (secrets, store) = open();
    secrets.set(&admin(), "a", &value("kept")).unwrap();
    let id = secrets.status().master_key;
    store.close();
    assert!(matches!(secrets.rotate_master(&admin(), &NewMaster::Fresh), Err(SecretError::Store(_))));
    assert_eq!(secrets.status().master_key, id);
    drop((secrets, store));
    let (secrets, store) = open();
    assert_eq!((read(&secrets, "a").as_deref(), secrets.status().master_key), (Some("kept"), id));
    // And one that can, over a restart, on a real disk.
    let new = secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    store.close();
    drop((secrets, store));
    let (secrets, _store) = open();
    assert_eq!((read(&secrets, "a").as_deref(), secrets.status().master_key), (Some("kept"), new));
}

#[test]
fn a_new_key_in_the_configuration_takes_over_at_the_next_start() {
    let desk = Desk::new();
    let secrets = filled(&desk);
    let old = desk.keys().current;
    let revision = secrets.status().revision;
    drop(secrets);
    let new = key_file(&desk.dir.path().join("new"), 5);
    let keys = MasterKeys {
        current: new.clone(),
        previous: vec![key_file(&desk.dir.path().join("odd"), 6), old.clone()],
    };
    let secrets = desk.open_with(&keys).unwrap();
    intact(&secrets);
    assert_eq!(secrets.status().revision, revision + 1);
    drop(secrets);
    // Once is enough, and the old key is not looked at any more.
    fs::remove_file(desk.key()).unwrap();
    let secrets = desk.open_with(&keys).unwrap();
    intact(&secrets);
    assert_eq!(secrets.status().revision, revision + 1);
    intact(&desk.open_with(&MasterKeys::new(new)).unwrap());
    let last = desk.entries().pop().unwrap();
    assert_eq!((last.action.as_str(), last.actor.as_str()), ("secret.master-key.rotate", "system"));
}

#[test]
fn a_running_host_changes_to_an_administrators_key() {
    let desk = Desk::new();
    let secrets = filled(&desk);
    let path = desk.dir.path().join("theirs");
    let theirs = key_file(&path, 5);
    let id = secrets.rotate_master(&admin(), &NewMaster::From(theirs.clone())).unwrap();
    intact(&secrets);
    assert_eq!(secrets.status().source, theirs.to_string());
    let again = secrets.rotate_master(&admin(), &NewMaster::From(theirs.clone())).unwrap_err();
    assert_eq!(again, SecretError::SameMasterKey { id });
    let fresh = secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap_err();
    assert!(matches!(fresh, SecretError::NotOurFile { .. }), "{fresh}");
    let absent = NewMaster::From(MasterKeySource::File(Path::new("/no/such/key").into()));
    assert!(matches!(secrets.rotate_master(&admin(), &absent), Err(SecretError::MasterKey { .. })));
    intact(&secrets);
    drop(secrets);
    assert!(matches!(desk.open_with(&desk.keys()), Err(SecretError::WrongMasterKey { .. })));
    intact(&desk.open_with(&MasterKeys::new(theirs)).unwrap());
}
