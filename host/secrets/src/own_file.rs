//! The host's own master key file: made, and replaced so that a crash at any moment leaves the key that is needed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use crate::{
    KeyId, MasterKeySource, SecretError,
    master::MasterKey,
    seal::{KEY, Key},
};

/// How long an earlier key is kept after a change. A store that does not wait for its disk may lose its last
/// moments, and the change with them, in a power cut.
const KEEP_PREVIOUS: Duration = Duration::from_secs(10 * 60);

/// The host's own key file and those beside it while the key changes.
pub(crate) struct OwnFiles {
    present: PathBuf,
    /// Holds the new key from before anything is sealed under it until it takes the present one's place.
    next: PathBuf,
}

impl OwnFiles {
    /// The files beside this one.
    pub(crate) fn of(path: &Path) -> OwnFiles {
        OwnFiles { present: path.to_owned(), next: with_ending(path, ".next") }
    }

    /// An earlier key, kept for [`KEEP_PREVIOUS`]. Each has a file of its own, so that several changes in a row
    /// lose none.
    fn previous(&self, id: KeyId) -> PathBuf {
        with_ending(&self.present, &format!(".previous-{id}"))
    }

    /// Puts a new key on disk beside the present one.
    pub(crate) fn write_next(&self, key: &Key) -> io::Result<()> {
        write_private(&self.next, key)
    }

    /// The next key takes the present one's place, which is kept as a previous one.
    pub(crate) fn advance(&self) -> io::Result<()> {
        let present = load(&self.present).map_err(|error| match error {
            SecretError::MasterKey { problem, .. } => io::Error::other(problem),
            other => io::Error::other(other),
        })?;
        write_private(&self.previous(present.id), &present.key)?;
        fs::rename(&self.next, &self.present)?;
        sync_folder(&self.present)
    }

    /// Sees to it that the file holds the key that the keyring is sealed under: sees an interrupted change through,
    /// or takes it back. `None` when the key is in none of the files.
    pub(crate) fn recover(&self, wanted: KeyId) -> io::Result<Option<MasterKey>> {
        let find = |path: &Path| load(path).ok().filter(|key| key.id == wanted);
        if let Some(key) = find(&self.present) {
            return Ok(Some(key));
        }
        if let Some(key) = find(&self.next) {
            self.advance()?;
            tracing::info!(key = %key.id, "completed an interrupted change of the master key");
            return Ok(Some(key));
        }
        let previous = self.previous(wanted);
        if let Some(key) = find(&previous) {
            fs::rename(&previous, &self.present)?;
            sync_folder(&self.present)?;
            tracing::warn!(key = %key.id, "the last change of the master key was lost; the key before is back in its place");
            return Ok(Some(key));
        }
        Ok(None)
    }

    /// Removes a next key that nothing was ever sealed under.
    pub(crate) fn drop_next(&self) -> io::Result<()> {
        remove(&self.next)
    }

    /// Removes earlier keys once the change is on disk for certain, however weakly the store waits for its disk.
    pub(crate) fn drop_previous(&self, now: SystemTime) -> io::Result<()> {
        let begin = with_ending(&self.present, ".previous-");
        let (Some(folder), Some(begin)) = (self.present.parent(), begin.file_name()) else { return Ok(()) };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(begin.as_encoded_bytes()) {
                continue;
            }
            // The change time: when the file got this name, whatever it was copied from.
            let seconds = u64::try_from(entry.metadata()?.ctime()).unwrap_or_default();
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            if now.duration_since(made).is_ok_and(|age| age >= KEEP_PREVIOUS) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn load(path: &Path) -> Result<MasterKey, SecretError> {
    MasterKeySource::OwnFile(path.to_owned()).load()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a key to a new file that only its owner can read, down to the disk. A draft that a crash left is replaced.
pub(crate) fn write_private(path: &Path, key: &Key) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        builder.mode(0o700);
        builder.create(folder)?;
    }
    let draft = with_ending(path, ".draft");
    remove(&draft)?;
    let mut text = Zeroizing::new([0_u8; 2 * KEY + 1]);
    if let Some((digits, end)) = text.split_at_mut_checked(2 * KEY) {
        hex::encode_to_slice(key.bytes(), digits).map_err(io::Error::other)?;
        end.fill(b'\n');
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_slice())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_keys_stay_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnFiles::of(&dir.path().join("key"));
        write_private(&own.present, &Key::random()).unwrap();
        let mut earlier = Vec::new();
        for _ in 0..3 {
            earlier.push(own.previous(load(&own.present).unwrap().id));
            own.write_next(&Key::random()).unwrap();
            own.advance().unwrap();
        }
        let now = SystemTime::now();
        own.drop_previous(now + KEEP_PREVIOUS - Duration::from_secs(60)).unwrap();
        assert!(earlier.iter().all(|path| path.exists()));
        own.drop_previous(now + KEEP_PREVIOUS + Duration::from_secs(5)).unwrap();
        assert!(!earlier.iter().any(|path| path.exists()));
        assert!(own.present.exists());
        OwnFiles::of(&dir.path().join("no/such/key")).drop_previous(now).unwrap_err();
    }
}
