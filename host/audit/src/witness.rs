//! The witness: the newest head in a file of its own, which shows when the store was put back to an older state.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::{
    AuditError, Head,
    keys::{MacKey, refuse, write_private},
};

/// The file has this length always: one write in place, within one disk sector, replaces the whole statement.
const LENGTH: usize = 256;

/// What the witness file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statement {
    /// A head that the key signed; sequence 0 for an empty log.
    Signed(Head),
    /// The file is gone.
    Missing,
    /// The file is there, but the key signed nothing in it.
    Forged,
}

/// Opens the witness for writing; the first time it is made, for an empty log.
pub(crate) fn open(path: &Path, key: &MacKey, fresh: bool) -> Result<Shared, AuditError> {
    if fresh && !path.exists() {
        write_private(path, &padded(&Head::sign(key, 0, [0; 32])))?;
    }
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => Some(file),
        // Gone: that is a finding, and it is not made anew before the log has grown and was looked at.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(path, &error.to_string())),
    };
    Ok(Arc::new(Mutex::new(Witness { path: path.to_owned(), file })))
}

/// The open witness file. The writer and a check share it behind a lock: a read must not meet half a write.
pub(crate) type Shared = Arc<Mutex<Witness>>;

/// See [`Shared`].
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    file: Option<File>,
}

impl Witness {
    /// What the witness says now.
    pub(crate) fn read(&self, key: &MacKey) -> Result<Statement, AuditError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Statement::Missing),
            Err(error) => return Err(refuse(&self.path, &error.to_string())),
        };
        let mut text = Vec::new();
        file.take(LENGTH as u64)
            .read_to_end(&mut text)
            .map_err(|error| refuse(&self.path, &error.to_string()))?;
        Ok(Head::trusted(text.trim_ascii_end(), key).map_or(Statement::Forged, Statement::Signed))
    }

    /// Writes the newest head. Not synced: after a power cut it may lag behind the store, never run ahead of it.
    pub(crate) fn state(&mut self, head: &Head) {
        let written = match &mut self.file {
            Some(file) => file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&padded(head))),
            None => write_private(&self.path, &padded(head))
                .and_then(|()| {
                    let open = OpenOptions::new().write(true).open(&self.path);
                    self.file = Some(open.map_err(|error| refuse(&self.path, &error.to_string()))?);
                    Ok(())
                })
                .map_err(|error| std::io::Error::other(error.to_string())),
        };
        if let Err(error) = written {
            // The entries are on disk; a witness that lags behind only sees less.
            tracing::error!(path = %self.path.display(), %error, "the audit witness cannot be written");
        }
    }
}

fn padded(head: &Head) -> Vec<u8> {
    let mut text = head.to_bytes();
    text.resize(LENGTH - 1, b' ');
    text.push(b'\n');
    text
}
