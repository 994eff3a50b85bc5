//! How far the log was acknowledged, told outside of the log: a log that lost its end is noticed when it is opened.
//!
//! The first damage near the log's end is taken for a write that was torn, and what comes before it is gone on from. That is
//! right for what nobody was told of yet. Each group therefore has a number, which is in the log with it; once the group is
//! on disk, and before anyone is told, the number is noted in a small file. That file is not waited for: it may speak of an earlier
//! group than the last one, never of a later one than the disk has.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::StoreError;

/// The file's name in the store's folder.
const NAME: &str = "acknowledged";

/// Notes which group was the last to be acknowledged.
pub(crate) struct Mark {
    /// Where the number is noted; nowhere without a promise that outlives the machine.
    file: Option<File>,
}

impl Mark {
    /// Compares what was acknowledged with the last group that is there.
    pub(crate) fn open(last: u64, dir: Option<&Path>) -> Result<Mark, StoreError> {
        let Some(dir) = dir else { return Ok(Mark { file: None }) };
        let path = dir.join(NAME);
        if let Some(acknowledged) = read(&path)?
            && acknowledged > last
        {
            return Err(StoreError::Lost {
                folder: dir.display().to_string(),
                found: last,
                acknowledged,
                mark: path.display().to_string(),
            });
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mark = Mark { file: Some(file.map_err(failed(&path))?) };
        mark.note(last).map_err(failed(&path))?;
        Ok(mark)
    }

    /// This group is on disk.
    pub(crate) fn note(&self, group: u64) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(&encode(group), 0)
    }
}

/// The number and its complement: a file that was written in part is told from a whole one.
fn encode(number: u64) -> [u8; 16] {
    (u128::from(number) << 64 | u128::from(!number)).to_be_bytes()
}

fn read(path: &Path) -> Result<Option<u64>, StoreError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    let number = bytes.get(..8).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
    let whole = number.filter(|number| encode(*number) == bytes.as_slice());
    if whole.is_none() {
        tracing::warn!(file = %path.display(), "how far the store was acknowledged cannot be read; it is not compared");
    }
    Ok(whole)
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path: PathBuf = path.to_owned();
    move |error| StoreError::Io {
        doing: "note how far it was acknowledged",
        reason: format!("{}: {error}", path.display()),
    }
}
