//! What somebody with the store's files can do to secrets without the master key: nothing that goes unnoticed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod common;

use common::{Desk, admin, key_file, read, value};
use factotum_secrets::{Finding, MasterKeySource, MasterKeys, SecretError, SecretStore};
use factotum_store::Table;

fn damaged(secrets: &SecretStore, name: &str) {
    let error = secrets.read(name).unwrap_err();
    assert!(matches!(error, SecretError::Damaged { .. }) && error.to_string().contains(name), "{error}");
    assert!(secrets.accepted(name).is_err());
}

fn two() -> (Desk, SecretStore) {
    let desk = Desk::new();
    let secrets = desk.open();
    secrets.set(&admin(), "crm", &value("crm-value")).unwrap();
    secrets.set(&admin(), "erp", &value("erp-value")).unwrap();
    (desk, secrets)
}

#[test]
fn every_changed_bit_of_a_row_is_noticed() {
    let (desk, secrets) = two();
    let row = desk.row("s/crm");
    for place in (0..row.len()).step_by(7).chain([0, 1, row.len() - 1]) {
        let mut changed = row.clone();
        changed[place] ^= 0x10;
        desk.tamper("s/crm", Some(changed));
        damaged(&secrets, "crm");
    }
    desk.tamper("s/crm", Some(row));
    assert_eq!(read(&secrets, "crm").as_deref(), Some("crm-value"));
}

#[test]
fn every_cut_of_a_row_is_noticed() {
    let (desk, secrets) = two();
    let row = desk.row("s/crm");
    for length in 0..row.len() {
        desk.tamper("s/crm", Some(row[..length].to_vec()));
        damaged(&secrets, "crm");
    }
    desk.tamper("s/crm", Some([&row[..], &[0]].concat()));
    damaged(&secrets, "crm");
    assert_eq!(read(&secrets, "erp").as_deref(), Some("erp-value"), "the others are not touched by it");
}

#[test]
fn swapped_rows_are_noticed() {
    let (desk, secrets) = two();
    let (crm, erp) = (desk.row("s/crm"), desk.row("s/erp"));
    desk.tamper("s/crm", Some(erp));
    desk.tamper("s/erp", Some(crm));
    for secrets in [secrets, desk.open()] {
        damaged(&secrets, "crm");
        damaged(&secrets, "erp");
        let findings = secrets.verify().unwrap();
        assert_eq!(findings, [Finding::Damaged("crm".into()), Finding::Damaged("erp".into())]);
    }
}

#[test]
fn a_row_of_an_earlier_day_is_noticed() {
    let (desk, secrets) = two();
    let old = desk.row("s/crm");
    secrets.set(&admin(), "crm", &value("new-value")).unwrap();
    desk.tamper("s/crm", Some(old.clone()));
    damaged(&secrets, "crm");
    damaged(&desk.open(), "crm");
    // Removed, set anew, and the first row put back.
    secrets.remove(&admin(), "crm").unwrap();
    secrets.set(&admin(), "crm", &value("third")).unwrap();
    desk.tamper("s/crm", Some(old));
    damaged(&secrets, "crm");
    // To set it again mends it.
    secrets.set(&admin(), "crm", &value("mended")).unwrap();
    assert_eq!(read(&secrets, "crm").as_deref(), Some("mended"));
    assert_eq!(secrets.verify().unwrap(), []);
}

#[test]
fn a_removed_secret_that_is_put_back_stays_removed() {
    let (desk, secrets) = two();
    let row = desk.row("s/crm");
    secrets.remove(&admin(), "crm").unwrap();
    desk.tamper("s/crm", Some(row));
    desk.tamper("s/planted", Some(vec![1; 300]));
    for secrets in [&secrets, &desk.open()] {
        assert_eq!((read(secrets, "crm"), read(secrets, "planted")), (None, None));
        assert_eq!(secrets.list().len(), 1);
        assert_eq!(
            secrets.verify().unwrap(),
            [Finding::Stray("s/crm".into()), Finding::Stray("s/planted".into())]
        );
    }
    // It does not stand in the way of a new one either.
    secrets.set(&admin(), "crm", &value("new")).unwrap();
    assert_eq!(read(&secrets, "crm").as_deref(), Some("new"));
}

#[test]
fn a_missing_row_is_noticed() {
    let (desk, secrets) = two();
    desk.tamper("s/crm", None);
    damaged(&secrets, "crm");
    assert_eq!(secrets.verify().unwrap(), [Finding::Missing("crm".into())]);
    secrets.remove(&admin(), "crm").unwrap();
    assert_eq!(secrets.verify().unwrap(), []);
}

#[test]
fn a_changed_or_missing_keyring_does_not_open_and_is_not_overwritten() {
    let (desk, secrets) = two();
    drop(secrets);
    let ring = desk.row("keyring");
    let refused = |change: Option<Vec<u8>>| {
        desk.tamper("keyring", change.clone());
        let before = desk.rows();
        let error = desk.open_with(&desk.keys()).unwrap_err();
        assert!(!matches!(error, SecretError::Store(_)), "{error}");
        assert_eq!(desk.rows(), before, "nothing was written");
        error
    };
    for place in 0..ring.len() {
        let mut changed = ring.clone();
        changed[place] ^= 1;
        refused(Some(changed));
    }
    for length in 0..ring.len() {
        refused(Some(ring[..length].to_vec()));
    }
    assert!(refused(None).to_string().contains("restore"));
    desk.tamper("keyring", Some(ring));
    assert_eq!(read(&desk.open(), "erp").as_deref(), Some("erp-value"));
}

#[test]
fn a_keyring_changed_beneath_an_open_store_stops_every_change() {
    let (desk, secrets) = two();
    let mut ring = desk.row("keyring");
    ring[40] ^= 1;
    desk.tamper("keyring", Some(ring.clone()));
    let error = secrets.set(&admin(), "new", &value("x")).unwrap_err();
    assert!(matches!(&error, SecretError::Store(error) if error.is_conflict()), "{error}");
    assert_eq!(desk.row("keyring"), ring);
    assert_eq!(read(&secrets, "new"), None);
    assert!(desk.store.get(Table::Secrets, b"s/new").unwrap().is_none());
}

#[test]
fn another_master_key_is_named_and_changes_nothing() {
    let desk = Desk::new();
    let first = key_file(&desk.dir.path().join("first"), 1);
    let secrets = desk.open_with(&MasterKeys::new(first.clone())).unwrap();
    secrets.set(&admin(), "crm", &value("x")).unwrap();
    let wanted = secrets.status().master_key;
    drop(secrets);
    let before = desk.rows();
    let second = key_file(&desk.dir.path().join("second"), 2);
    let third = key_file(&desk.dir.path().join("third"), 3);
    let absent = MasterKeySource::Env("FACTOTUM_NO_SUCH_VARIABLE".into());
    let error = desk.open_with(&MasterKeys { current: second, previous: vec![third, absent] }).unwrap_err();
    assert!(matches!(&error, SecretError::WrongMasterKey { wanted: w, .. } if *w == wanted));
    let text = error.to_string();
    for part in [
        &wanted.to_string(),
        "second",
        "third",
        "FACTOTUM_NO_SUCH_VARIABLE",
        "previous key",
        "nothing was changed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(desk.rows(), before);
    assert_eq!(desk.entries().len(), 1);
    assert_eq!(read(&desk.open_with(&MasterKeys::new(first)).unwrap(), "crm").as_deref(), Some("x"));
}

#[test]
fn a_lost_key_file_is_not_replaced_by_a_new_one() {
    let (desk, secrets) = two();
    drop(secrets);
    std::fs::remove_file(desk.key()).unwrap();
    let error = desk.open_with(&desk.keys()).unwrap_err();
    assert!(
        matches!(error, SecretError::MasterKey { .. }) && error.to_string().contains("restore"),
        "{error}"
    );
    assert!(!desk.key().exists());
}
