//! What is left of the secrets after the host was killed at any moment of changing them or their master key.
//!
//! The test starts this same test binary again as the process that is killed; it prints what was acknowledged to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod common;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use common::{admin, read, value};
use factotum_audit::{AuditLog, Filter};
use factotum_secrets::{MasterKeySource, MasterKeys, NewMaster, SecretStore};
use factotum_store::{Options, Store};

const DIR: &str = "FACTOTUM_SECRETS_TEST_DIR";
const NAMES: [&str; 3] = ["a", "b", "c"];

fn open(dir: &Path) -> (SecretStore, Store, AuditLog) {
    let (audit, linker) = AuditLog::open(&dir.join("audit")).unwrap();
    let options = Options { linker: Some(Box::new(linker)), ..Options::default() };
    let store = Store::open(&dir.join("store"), options).unwrap();
    let keys = MasterKeys::new(MasterKeySource::OwnFile(dir.join("keys/secrets.key")));
    (SecretStore::open(store.clone(), audit.clone(), &keys).unwrap(), store, audit)
}

/// The killed process: sets secrets one after the other and changes the master key between them.
#[test]
#[ignore = "started by another test"]
fn child_changes_until_killed() {
    let Some(dir) = env::var_os(DIR) else { return };
    let (secrets, _store, _audit) = open(Path::new(&dir));
    let mut number = secrets.status().revision;
    loop {
        number += 1;
        let name = NAMES[usize::try_from(number).unwrap() % NAMES.len()];
        secrets.set(&admin(), name, &value(&number.to_string())).unwrap();
        // One write per line: the harness's own output must not land in the middle of it.
        let mut out = std::io::stdout().lock();
        out.write_all(format!("\nset {name} {number}\n").as_bytes()).unwrap();
        out.flush().unwrap();
        drop(out);
        secrets.rotate_master(&admin(), &NewMaster::Fresh).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_secret_and_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = [0_u64; NAMES.len()];
    let mut changes = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_changes_until_killed", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::<String>::new()));
        let (pipe, into) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                into.lock().unwrap().push(line);
            }
        });
        // From its first acknowledgement on, at a moment that is another in each round.
        while !lines.lock().unwrap().iter().any(|line| line.starts_with("set")) {
            assert!(child.try_wait().unwrap().is_none(), "the child ended before it did anything");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros(round * 3700));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        for line in lines.lock().unwrap().iter() {
            if let Some((name, number)) = line.strip_prefix("set ").and_then(|rest| rest.split_once(' ')) {
                let place = NAMES.iter().position(|known| *known == name).unwrap();
                acknowledged[place] = number.parse().unwrap();
                changes += 1;
            }
        }
        let (secrets, store, audit) = open(dir.path());
        for (name, least) in NAMES.iter().zip(acknowledged) {
            let found = read(&secrets, name).map_or(0, |text| text.parse().unwrap());
            assert!(found >= least, "round {round}: {name} was acknowledged as {least} and is {found}");
        }
        assert_eq!(secrets.verify().unwrap(), []);
        // Every change has its audit entry and no entry is without its change.
        let filter = Filter { action: Some("secret".into()), ..Filter::default() };
        let newest = audit.list(&store, &filter, None, 1).unwrap().records.remove(0);
        assert_eq!(newest.entry.detail["revision"], secrets.status().revision.to_string());
        store.close();
    }
    assert!(changes >= 12);
}
