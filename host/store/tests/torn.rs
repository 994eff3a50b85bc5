//! A log that was cut off or spoilt, at every place: what was acknowledged before the damage is there, in whole batches
//! without a hole; and when something acknowledged is gone, the store does not open, and says so. The same for sled's file
//! below it, of which no more is promised than that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use factotum_store::{Batch, Options, ScanRange, Store, StoreError, Table};

/// A store as a killed process leaves it, and how long its log was when each batch was acknowledged.
struct Written {
    temp: tempfile::TempDir,
    lengths: Vec<u64>,
}

const BATCHES: u64 = 120;

/// The log of a folder that was opened once.
const LOG: &str = "redo/00000000000000000001.log";
/// No batch ends in as many zeros, which look like space that was only reserved.
const ZEROS: u64 = 16;

impl Written {
    fn new() -> Written {
        // Thousands of stores are opened and synced: in memory, where there is a place for that.
        let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let dir = temp.path().join("store");
        let store = Store::open(&dir, Options::default()).unwrap();
        let mut lengths = Vec::new();
        for position in 0..BATCHES {
            store.commit_blocking(batch(position)).unwrap();
            lengths.push(end(&dir.join(LOG)) + ZEROS);
        }
        // What lies on disk now is what `kill -9` would leave: everything is acknowledged, nothing under way.
        let written = Written { lengths, temp };
        copy(&dir, &written.whole());
        written
    }

    fn whole(&self) -> PathBuf {
        self.temp.path().join("whole")
    }

    /// How far the log was written.
    fn length(&self) -> u64 {
        end(&self.whole().join(LOG))
    }

    /// A copy of which a file was spoilt.
    fn spoilt_file(&self, name: &str, spoil: impl FnOnce(&fs::File)) -> PathBuf {
        let dir = self.temp.path().join("spoilt");
        let _ = fs::remove_dir_all(&dir);
        copy(&self.whole(), &dir);
        spoil(&fs::OpenOptions::new().write(true).open(dir.join(name)).unwrap());
        dir
    }

    /// A copy whose log was spoilt, and how many batches must be there: those that end before the damage.
    fn spoilt(&self, from: u64, spoil: impl FnOnce(&fs::File)) -> (PathBuf, u64) {
        let dir = self.spoilt_file(LOG, spoil);
        (dir, self.lengths.iter().filter(|length| **length <= from).count() as u64)
    }
}

/// Where the last byte of a file lies that is not zero.
fn end(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    // By blocks first: most of a log is space that was only reserved.
    let zeros = [0; 4096];
    let written = bytes
        .chunks(zeros.len())
        .rposition(|block| *block != zeros[..block.len()])
        .map_or(0, |last| last + 1);
    let written = &bytes[..bytes.len().min(written * zeros.len())];
    written.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

fn batch(position: u64) -> Batch {
    let mut batch = Batch::new();
    batch.append("journal", position, vec![position as u8; (position * 13 % 700) as usize]);
    batch.put(Table::Runs, position.to_be_bytes(), "index");
    batch.increment(Table::Meta, "count", 1);
    batch
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How many batches there are; all of them whole, without a hole.
fn batches(store: &Store) -> u64 {
    let end = store.journal_end("journal").unwrap();
    let records = store.journal("journal", 0, 1000).unwrap();
    assert_eq!(records.len() as u64, end);
    for (position, record) in records {
        assert_eq!(record, vec![position as u8; (position * 13 % 700) as usize]);
    }
    assert_eq!(store.scan(Table::Runs, &ScanRange::default().limit(1000)).unwrap().len() as u64, end);
    let count = store.get(Table::Meta, b"count").unwrap().unwrap_or_else(|| b"0".to_vec());
    assert_eq!(String::from_utf8(count).unwrap(), end.to_string());
    end
}

/// Opens a spoilt store: whole, or not at all with the mend, after which it opens with what is left.
fn look(dir: &Path, at_least: u64, what: &str) {
    match Store::open(dir, Options::default()) {
        Ok(store) => {
            assert_eq!(batches(&store), BATCHES, "{what}: it opened, and something acknowledged is gone")
        }
        Err(error) => {
            let StoreError::Lost { found, acknowledged, mark, .. } = &error else {
                panic!("{what}: {error}")
            };
            assert!(found < acknowledged, "{what}: {error}");
            assert!(error.to_string().contains("Restore the folder from a backup"), "{error}");
            fs::remove_file(mark).unwrap();
            let store = Store::open(dir, Options::default()).unwrap();
            let left = batches(&store);
            assert!(left >= at_least && left < BATCHES, "{what}: {left} are left of at least {at_least}");
            store.commit_blocking(batch(left)).unwrap();
            drop(store);
            assert_eq!(
                batches(&Store::open(dir, Options::default()).unwrap()),
                left + 1,
                "{what}: it goes on"
            );
        }
    }
}

#[test]
fn a_log_cut_off_at_any_place_is_whole_up_to_there_or_says_what_it_lost() {
    let written = Written::new();
    let length = written.length();
    let near = (1..=96).chain((96..4_000).step_by(97)).chain((4_000..length - 1_000).step_by(4_001));
    for cut in near {
        let (dir, at_least) = written.spoilt(length - cut, |log| log.set_len(length - cut).unwrap());
        look(&dir, at_least, &format!("{cut} bytes cut off"));
    }
}

#[test]
fn a_log_whose_end_was_not_written_or_holds_other_bytes_is_whole_up_to_there_or_says_what_it_lost() {
    let written = Written::new();
    let length = written.length();
    for spoilt in (1..=600).step_by(29).chain([512, 1024, 4096, 8192]) {
        for byte in [0, 0x5a, 0xff] {
            let from = length - spoilt;
            let (dir, at_least) = written.spoilt(from, |log| {
                log.write_all_at(&vec![byte; spoilt as usize], from).unwrap();
            });
            look(&dir, at_least, &format!("{spoilt} bytes of {byte} at the end"));
        }
    }
}

#[test]
fn a_sector_lost_in_the_middle_of_the_log_leaves_no_hole() {
    let written = Written::new();
    let length = written.length();
    for from in (4_096..length - 4_096).step_by(6_007) {
        let (dir, at_least) = written.spoilt(from, |log| log.write_all_at(&[0x33; 512], from).unwrap());
        look(&dir, at_least, &format!("a sector at {from} of {length}"));
    }
}

#[test]
fn what_was_torn_before_anyone_was_told_is_no_loss() {
    let written = Written::new();
    // The process dies while it writes behind the last acknowledged group.
    for torn in [1, 100, 5_000] {
        let (dir, _) = written.spoilt(0, |log| {
            log.write_all_at(&vec![0x17; torn], written.length() + ZEROS).unwrap();
        });
        assert_eq!(batches(&Store::open(&dir, Options::default()).unwrap()), BATCHES);
    }
}

#[test]
fn a_log_that_is_gone_is_said_to_be_lost() {
    let written = Written::new();
    let dir = written.spoilt_file(LOG, |_| {});
    fs::remove_file(dir.join(LOG)).unwrap();
    look(&dir, 0, "no log at all");
    let dir = written.spoilt_file(LOG, |log| log.write_all_at(&[0; 16], 0).unwrap());
    look(&dir, 0, "no beginning");
}

#[test]
fn damage_to_what_was_moved_out_of_the_log_is_told_or_does_no_harm() {
    let written = Written::new();
    // A store that is closed leaves nothing in the log.
    Store::open(&written.whole(), Options::default()).unwrap().close();
    let length = end(&written.whole().join("db"));
    assert!(length > 40_000, "{length}: the test shows nothing");
    let mut lost = 0;
    let places = (1..2_000).step_by(211).chain((2_000..length - 100).step_by(9_001));
    for from in places.map(|before| length - before) {
        for cut in [true, false] {
            let dir = written.spoilt_file("db", |db| match cut {
                true => db.set_len(from).unwrap(),
                false => db.write_all_at(&[0x33; 512], from).unwrap(),
            });
            match Store::open(&dir, Options::default()) {
                Ok(store) => {
                    assert_eq!(batches(&store), BATCHES, "it opened, and something acknowledged is gone");
                }
                Err(StoreError::Lost { found, acknowledged, .. }) => {
                    assert!(found < acknowledged);
                    lost += 1;
                }
                Err(StoreError::Io { .. }) => lost += 1,
                Err(error) => panic!("at {from}: {error}"),
            }
        }
    }
    assert!(lost > 0, "no damage reached anything, the test shows nothing");
}
