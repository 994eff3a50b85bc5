//! The redo log: every group of writes is appended to a file and synced before anyone is told; the engine gets what has
//! come together later, many groups at once.
//!
//! That is what makes a commit cheap: one write to the end of a file whose space is reserved, and one sync of data alone,
//! where the engine writes pages in many places. What was overwritten or removed meanwhile never reaches the engine.
//!
//! The log is a folder of segments. Each belongs to one generation of recent writes ([`crate::recent`]) and is removed once
//! the engine has that generation on disk; groups are numbered without a hole across all of them. What is read back at the
//! start is everything from the first group that the engine does not have, up to the first record that is not whole or not
//! the next.

mod record;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sled::IVec;

use crate::base::create_private_folder;

pub(crate) use record::Effect;

/// The folder of the segments, in the store's folder.
pub(crate) const FOLDER: &str = "redo";
/// What a segment is called: its number in decimal, so long that names sort as numbers do, and this.
const ENDING: &str = ".log";
/// How a segment begins.
const MAGIC: &[u8; 16] = b"factotum-redo/1\n";
/// Bytes that are reserved for a segment. One that holds a larger group is longer.
pub(crate) const SEGMENT: u64 = 8 * 1024 * 1024;
/// Bytes of a spare segment that are written at once.
const ZEROS: usize = 256 * 1024;
/// The longest segment that is read back: one that was full but for a byte, and then took the largest group.
const MAX_SEGMENT: u64 = 64 * 1024 * 1024;

/// The log, open for appending.
pub(crate) struct Log {
    dir: PathBuf,
    /// Whether a group is waited for until the device has it.
    durable: bool,
    segment: Segment,
    /// The number of the last group.
    last: u64,
    buffer: Vec<u8>,
    spare: Spare,
}

/// The segment after the one that is written, made ready by somebody who has the time: its space is written, not only
/// reserved, which spares each sync in it a write of the file system's own.
#[derive(Clone, Default)]
pub(crate) struct Spare(Arc<Mutex<Option<Segment>>>);

/// The file that is appended to.
struct Segment {
    number: u64,
    file: File,
    /// Where the next record begins.
    end: u64,
}

/// What a log held when it was opened.
pub(crate) struct Found {
    /// The number of the last group.
    pub(crate) last: u64,
    /// What the groups behind the engine's last one leave, by key.
    pub(crate) effects: BTreeMap<Vec<u8>, Option<IVec>>,
    /// Segments that are read on from, with the length of what is whole in each.
    segments: Vec<(u64, u64)>,
    /// Segments behind the damage.
    stray: Vec<u64>,
}

impl Log {
    /// Reads what is there behind the engine's group `engine`. Changes nothing.
    pub(crate) fn read(store: &Path, engine: u64) -> io::Result<Found> {
        let dir = store.join(FOLDER);
        let mut found =
            Found { last: engine, effects: BTreeMap::new(), segments: Vec::new(), stray: Vec::new() };
        for number in numbers(&dir)? {
            let path = path(&dir, number);
            if fs::metadata(&path)?.len() > MAX_SEGMENT {
                return Err(io::Error::other(format!(
                    "{} is no segment of the log: too long",
                    path.display()
                )));
            }
            let bytes = fs::read(&path)?;
            let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
                // Made, and not begun when the process ended; or spoilt, and then its groups are missing behind it.
                found.stray.push(number);
                continue;
            };
            let before = found.segments.len();
            found.segments.push((number, 0));
            while let Some(record) = record::decode(rest) {
                if record.group > engine {
                    if record.group != found.last.saturating_add(1) {
                        break;
                    }
                    found.last = record.group;
                    found.effects.extend(record.effects);
                }
                rest = rest.get(record.length..).unwrap_or_default();
            }
            if let Some(segment) = found.segments.get_mut(before) {
                segment.1 = (bytes.len().saturating_sub(rest.len())) as u64;
            }
        }
        Ok(found)
    }

    /// Goes on behind what was found, in a segment of its own. What is not whole is cut off, so that nothing that was left
    /// behind once is ever taken for a part of the log again.
    pub(crate) fn go_on(store: &Path, durable: bool, found: &Found) -> io::Result<Log> {
        let dir = store.join(FOLDER);
        create_private_folder(&dir)?;
        for (number, whole) in &found.segments {
            let file = OpenOptions::new().write(true).open(path(&dir, *number))?;
            file.set_len(*whole)?;
            file.sync_all()?;
        }
        for number in &found.stray {
            fs::remove_file(path(&dir, *number))?;
        }
        let used = found.segments.iter().map(|(number, _)| number).chain(&found.stray).max();
        let number = used.map_or(1, |last| last.saturating_add(1));
        let segment = Segment::create(&dir, number)?;
        if durable {
            // The folder itself is new, perhaps.
            File::open(store)?.sync_all()?;
        }
        Ok(Log { dir, durable, segment, last: found.last, buffer: Vec::new(), spare: Spare::default() })
    }

    /// The number of the last group.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The number of the segment before the one that is written now.
    pub(crate) fn before(&self) -> u64 {
        self.segment.number.saturating_sub(1)
    }

    /// Appends a group and returns its number, once it is as durable as was promised. After an error nothing more may be
    /// appended: nobody knows what the file holds.
    pub(crate) fn append(&mut self, effects: &[Effect]) -> io::Result<u64> {
        let group = self.last.saturating_add(1);
        record::encode(&mut self.buffer, group, effects).map_err(io::Error::other)?;
        self.segment.file.write_all_at(&self.buffer, self.segment.end)?;
        if self.durable {
            self.segment.file.sync_data()?;
        }
        self.segment.end = self.segment.end.saturating_add(self.buffer.len() as u64);
        self.last = group;
        Ok(group)
    }

    /// Whether the segment has used up what was reserved for it.
    pub(crate) fn is_full(&self) -> bool {
        self.segment.end >= SEGMENT
    }

    /// Where the next segment is made ready, when that is of use: who does not wait for the device gains nothing.
    pub(crate) fn spare(&self) -> Option<Spare> {
        self.durable.then(|| self.spare.clone())
    }

    /// Begins the next segment; returns the number of the one that ends, and its file when that is not synced.
    pub(crate) fn turn(&mut self) -> io::Result<(u64, Option<File>)> {
        let number = self.segment.number.saturating_add(1);
        let next = match self.spare.take() {
            Some(spare) if spare.number == number => spare,
            _ => Segment::create(&self.dir, number)?,
        };
        let ended = std::mem::replace(&mut self.segment, next);
        Ok((ended.number, (!self.durable).then_some(ended.file)))
    }

    /// The bytes that its files take.
    pub(crate) fn size(store: &Path) -> io::Result<u64> {
        let dir = store.join(FOLDER);
        let mut size = 0_u64;
        for number in numbers(&dir)? {
            // One that the engine has caught up with may go away meanwhile.
            size = size.saturating_add(fs::metadata(path(&dir, number)).map_or(0, |meta| meta.len()));
        }
        Ok(size)
    }

    /// Removes the segments up to this one: the engine has what they hold.
    pub(crate) fn forget(store: &Path, upto: u64) -> io::Result<()> {
        let dir = store.join(FOLDER);
        for number in numbers(&dir)?.into_iter().filter(|number| *number <= upto) {
            fs::remove_file(path(&dir, number))?;
        }
        Ok(())
    }
}

impl Spare {
    fn take(&self) -> Option<Segment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes a segment ready. Nothing is left of one that cannot be.
    pub(crate) fn prepare(&self, store: &Path, number: u64) -> io::Result<()> {
        let dir = store.join(FOLDER);
        let ready = Segment::create(&dir, number).and_then(|segment| {
            segment.write_zeros()?;
            Ok(segment)
        });
        if let Err(error) = &ready
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            fs::remove_file(path(&dir, number))?;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready?);
        Ok(())
    }
}

impl Segment {
    /// Writes the space that is reserved, in steps that hold up nobody's sync for long.
    fn write_zeros(&self) -> io::Result<()> {
        let zeros = vec![0; ZEROS];
        let mut at = self.end;
        while at < SEGMENT {
            let step =
                zeros.get(..usize::try_from(SEGMENT - at).unwrap_or(ZEROS).min(ZEROS)).unwrap_or(&zeros);
            self.file.write_all_at(step, at)?;
            self.file.sync_data()?;
            at = at.saturating_add(step.len() as u64);
        }
        Ok(())
    }

    fn create(dir: &Path, number: u64) -> io::Result<Segment> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path(dir, number))?;
        // Reserved at once: then a record is data alone, without a new length of the file to be written with it, and a
        // full disk is met here, before anyone waits for an answer. Where a file system cannot, the file simply grows.
        let reserved = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SEGMENT);
        match reserved {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        file.write_all_at(MAGIC, 0)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(Segment { number, file, end: MAGIC.len() as u64 })
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}{ENDING}"))
}

/// The numbers of the segments, in their order; none where there is no folder.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(ENDING)?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_was_made_ready_is_the_next_and_reads_as_empty_until_then() {
        let store = tempfile::tempdir().unwrap();
        let found = Log::read(store.path(), 0).unwrap();
        let mut log = Log::go_on(store.path(), true, &found).unwrap();
        let group = |value: u8| vec![(b"key".to_vec(), Some(IVec::from(&[value])))];
        log.append(&group(1)).unwrap();
        let spare = log.spare().unwrap();
        spare.prepare(store.path(), 2).unwrap();
        assert_eq!(fs::metadata(path(&store.path().join(FOLDER), 2)).unwrap().len(), SEGMENT);
        let found = Log::read(store.path(), 0).unwrap();
        assert_eq!((found.last, found.segments.len()), (1, 2));

        assert_eq!(log.turn().unwrap().0, 1);
        assert!(spare.take().is_none());
        log.append(&group(2)).unwrap();
        // One that nobody made ready is made then.
        assert_eq!(log.turn().unwrap().0, 2);
        log.append(&group(3)).unwrap();
        drop(log);
        let found = Log::read(store.path(), 0).unwrap();
        assert_eq!((found.last, found.segments.len()), (3, 3));
        let log = Log::go_on(store.path(), true, &found).unwrap();
        assert_eq!((log.last(), log.before()), (3, 3));
        assert!(spare.prepare(store.path(), 4).is_err());
        assert!(path(&store.path().join(FOLDER), 4).exists(), "somebody has it");
    }
}
