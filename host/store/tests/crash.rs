//! What a store holds after its process was killed, its disk was full, or its file was cut off.
//!
//! The tests start this same test binary again as the process that suffers; it prints what was acknowledged to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use factotum_store::{Batch, ChainState, Linker, Options, ScanRange, Store, StoreError, Table};

const DIR: &str = "FACTOTUM_STORE_TEST_DIR";
const SIZE: &str = "FACTOTUM_STORE_TEST_SIZE";
const WRITERS: u64 = 4;

/// Links by the length of the log, and shows in each entry what it followed.
#[derive(Default)]
struct Follows(u64);

impl Linker for Follows {
    fn restore(&mut self, state: ChainState) -> Result<u64, String> {
        let last = state.last.map_or(0, |(sequence, _)| sequence);
        let head = state.head.map_or(0, |head| u64::from_be_bytes(head.try_into().unwrap_or_default()));
        if head != last {
            return Err(format!("the head speaks of {head}, the log ends at {last}"));
        }
        self.0 = last;
        Ok(last + 1)
    }
    fn link(&mut self, sequence: u64, _entry: &[u8]) -> Vec<u8> {
        let before = std::mem::replace(&mut self.0, sequence);
        before.to_be_bytes().to_vec()
    }
    fn head(&mut self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

/// Refuses every log.
struct Refuses;

impl Linker for Refuses {
    fn restore(&mut self, _: ChainState) -> Result<u64, String> {
        Err("no".to_owned())
    }
    fn link(&mut self, _: u64, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn head(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Options { linker: Some(Box::<Follows>::default()), ..Options::default() }).unwrap()
}

fn say(line: &str) {
    // One write per line: the harness's own output must not land in the middle of it.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(DIR, dir);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The killed process: four writers, each journals, indexes and links in one batch.
#[test]
#[ignore = "started by another test"]
fn child_writes_until_killed() {
    let Some(dir) = env::var_os(DIR) else { return };
    let store = open(Path::new(&dir));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                let journal = format!("w{writer}");
                let mut position = store.journal_end(&journal).unwrap();
                loop {
                    let mut batch = Batch::new();
                    // Sizes from nothing to several log buffers, so that kills fall into every kind of write.
                    let size = if position % 50 == 49 { 300_000 } else { (position * 37 % 3000) as usize };
                    batch.append(journal.as_str(), position, vec![writer as u8; size]);
                    batch.put_new(
                        Table::Runs,
                        [writer.to_be_bytes(), position.to_be_bytes()].concat(),
                        "index",
                    );
                    batch.increment(Table::Meta, "count", 1).chain("linked");
                    store.commit_blocking(batch).unwrap();
                    say(&format!("ACK {writer} {position}"));
                    position += 1;
                }
            });
        }
    });
}

/// Every batch is there whole or not at all, and the log follows on itself. Returns the journals' lengths.
fn assert_consistent(store: &Store) -> BTreeMap<u64, u64> {
    let mut ends = BTreeMap::new();
    for writer in 0..WRITERS {
        let journal = format!("w{writer}");
        let end = store.journal_end(&journal).unwrap();
        let mut read = 0;
        while read < end {
            for (position, record) in store.journal(&journal, read, 1000).unwrap() {
                assert_eq!(position, read, "no hole in a journal");
                assert!(record.iter().all(|byte| u64::from(*byte) == writer));
                read += 1;
            }
        }
        let index = count(store, Table::Runs, &writer.to_be_bytes());
        assert_eq!(index, end, "index and journal agree");
        ends.insert(writer, end);
    }
    let total: u64 = ends.values().sum();
    assert_eq!(count(store, Table::Audit, b""), total, "the log agrees");
    let counter = store.get(Table::Meta, b"count").unwrap().unwrap_or_else(|| b"0".to_vec());
    assert_eq!(String::from_utf8(counter).unwrap(), total.to_string(), "the counter agrees");
    let mut cursor = None;
    let mut expected = 0_u64;
    loop {
        let page = store.scan(Table::Audit, &ScanRange::default().after(cursor).limit(1000)).unwrap();
        let Some((last, _)) = page.last() else { break };
        cursor = Some(last.clone());
        for (_, before) in page {
            assert_eq!(before, expected.to_be_bytes(), "each entry follows the one before");
            expected += 1;
        }
    }
    ends
}

fn count(store: &Store, table: Table, prefix: &[u8]) -> u64 {
    let mut total = 0;
    let mut cursor = None;
    loop {
        let page = store.scan(table, &ScanRange::prefix(prefix).after(cursor).limit(5000)).unwrap();
        let Some((last, _)) = page.last() else { return total };
        cursor = Some(last.clone());
        total += page.len() as u64;
    }
}

/// Lets a child write into `dir` until `acks` acknowledgements were read, kills it, returns the highest per writer.
fn write_and_kill(dir: &Path, acks: u64) -> BTreeMap<u64, u64> {
    let mut child = child("child_writes_until_killed", dir).spawn().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        if words.next() != Some("ACK") {
            continue;
        }
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let [writer, position] = numbers[..] else { continue };
        acknowledged.insert(writer, position);
        seen += 1;
        if seen == acks {
            child.kill().unwrap();
        }
        // After the kill, what still stands in the pipe was acknowledged too.
    }
    child.wait().unwrap();
    assert!(seen >= acks, "the child ended by itself after {seen} acknowledgements");
    acknowledged
}

fn random(below: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() as u64 / 7 % below
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    for round in 0..12 {
        let acknowledged = write_and_kill(&dir, 1 + random(300));
        let store = open(&dir);
        let ends = assert_consistent(&store);
        for (writer, position) in acknowledged {
            assert!(ends[&writer] > position, "round {round}: writer {writer} lost record {position}");
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_leaves_whole_batches() {
    let temp = tempfile::tempdir().unwrap();
    let written = temp.path().join("written");
    write_and_kill(&written, 400);
    // The child goes on for a while after the last acknowledgement that was waited for.
    let whole = temp.path().join("whole");
    copy(&written, &whole);
    let all: u64 = assert_consistent(&open(&whole)).values().sum();
    let mut shorter = 0;
    for round in 0..12_u64 {
        let cut = temp.path().join(format!("cut{round}"));
        copy(&written, &cut);
        let logs = std::fs::read_dir(cut.join("redo")).unwrap().map(|entry| entry.unwrap().path());
        let log = logs.max().unwrap();
        let length = std::fs::read(&log).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let file = std::fs::OpenOptions::new().write(true).open(log).unwrap();
        file.set_len(length - (1 + random(1 + 20_000 * (round + 1))).min(length / 2)).unwrap();
        // Whether that is noticed is what `torn.rs` looks at.
        std::fs::remove_file(cut.join("acknowledged")).unwrap();
        let store = open(&cut);
        let ends = assert_consistent(&store);
        shorter += u64::from(ends.values().sum::<u64>() < all);
        // And it goes on from there.
        let mut batch = Batch::new();
        batch.append("w0", ends[&0], vec![0]).chain("after");
        store.commit_blocking(batch).unwrap();
    }
    assert!(shorter > 0, "no cut reached a record, the test shows nothing");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The process whose disk is full: files may not grow past a limit set from outside.
#[test]
#[ignore = "started by another test"]
fn child_fills_the_disk() {
    let Some(dir) = env::var_os(DIR) else { return };
    let store = Store::open(Path::new(&dir), Options::default()).unwrap();
    for number in 0_u64..100_000 {
        let mut batch = Batch::new();
        batch.put(Table::Runs, number.to_be_bytes(), vec![b'x'; size()]);
        match store.commit_blocking(batch) {
            Ok(_) => say(&format!("ACK {number}")),
            Err(error) => {
                assert!(matches!(error, StoreError::Failed { .. }), "{error}");
                say(&format!("FAILED {error}"));
                break;
            }
        }
    }
    let mut batch = Batch::new();
    batch.put(Table::Meta, "k", "v");
    assert!(matches!(store.commit_blocking(batch), Err(StoreError::Failed { .. })), "it stays failed");
    assert!(store.health().failure.is_some());
    // sled may not answer after a write of its own that failed; what it answers is right. Here it is let run into the limit,
    // which cannot be seen coming as the end of a real disk is.
    match store.get(Table::Runs, &0_u64.to_be_bytes()) {
        Ok(value) => assert_eq!(value.unwrap().len(), size()),
        Err(error) => assert!(matches!(error, StoreError::Io { .. }), "{error}"),
    }
    drop(store);
    say("ENDED");
}

/// Bytes of the values that fill the disk.
fn size() -> usize {
    env::var(SIZE).map_or(9000, |size| size.parse().unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_in_a_clear_error_and_no_lies() {
    let temp = tempfile::tempdir().unwrap();
    fill_the_disk(&temp.path().join("small"), 9000);
    // Values far above what the engine keeps in a log record: nothing may wait for ever.
    fill_the_disk(&temp.path().join("large"), 700_000);
}

#[cfg(target_os = "linux")]
fn fill_the_disk(dir: &Path, size: usize) {
    let inner = child("child_fills_the_disk", dir);
    // A write past the limit then fails with EFBIG, as one on a full disk fails with ENOSPC.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 20000; exec \"$0\" \"$@\""]).arg(inner.get_program());
    command.args(inner.get_args()).env(DIR, dir).env(SIZE, size.to_string());
    let started = std::time::Instant::now();
    let output = command.output().unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(120), "the store waited for itself");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("FAILED the store takes no more writes"), "{text}");
    assert!(text.contains("\nENDED"), "{text}");
    let last: u64 = text.lines().filter_map(|line| line.strip_prefix("ACK ")?.parse().ok()).max().unwrap();
    assert!(last > 3);
    let store = Store::open(dir, Options::default()).unwrap();
    for number in 0..=last {
        assert_eq!(
            store.get(Table::Runs, &number.to_be_bytes()).unwrap().map(|v| v.len()),
            Some(size),
            "{number}"
        );
    }
    let mut batch = Batch::new();
    batch.put(Table::Meta, "k", "v");
    store.commit_blocking(batch).unwrap();
}

#[test]
fn a_folder_in_use_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    let store = Store::open(&dir, Options::default()).unwrap();
    let error = Store::open(&dir, Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&dir.display().to_string()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    drop(store);
    Store::open(&dir, Options::default()).unwrap().close();
    // One that did not come to open leaves nothing behind that holds it.
    let refusing = Options { linker: Some(Box::new(Refuses)), ..Options::default() };
    assert!(matches!(Store::open(&dir, refusing).unwrap_err(), StoreError::Chain(_)));
    // A store closed by hand frees the folder although a handle is left.
    let store = Store::open(&dir, Options::default()).unwrap();
    store.close();
    Store::open(&dir, Options::default()).unwrap();
}
