//! A folder of .eml files instead of a server: for the demo, for tests, for a desk that is being set up.

use std::{fs, io::Write, path::PathBuf};

use crate::{MailFault, SetupError};

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    folder: PathBuf,
}

impl Outbox {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, SetupError> {
        fs::create_dir_all(&folder)
            .map_err(|e| SetupError(format!("outbox: cannot make the folder {}: {e}", folder.display())))?;
        Ok(Self { folder })
    }

    /// Writes the mail, unless the file of that name stands there already. A reader sees no file or the whole file.
    ///
    /// Returns whether it stood there already.
    pub(crate) async fn put(&self, message_id: &str, bytes: Vec<u8>) -> Result<bool, MailFault> {
        let folder = self.folder.clone();
        // The id is our own: hexadecimal digits, an @ and a checked domain.
        let name = format!("{}.eml", message_id.trim_matches(['<', '>']).replace(['/', '\\', ':', '['], "_"));
        let written = tokio::task::spawn_blocking(move || {
            let path = folder.join(name);
            if path.exists() {
                return Ok(true);
            }
            let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(&folder)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(path) {
                Ok(_) => {}
                // Another attempt was faster with the same mail.
                Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(true),
                Err(e) => return Err(e.error),
            }
            // The name, too, is on disk before the mail counts as sent. Folders cannot be opened on some systems.
            if let Ok(folder) = fs::File::open(&folder) {
                folder.sync_all()?;
            }
            Ok(false)
        });
        written.await.map_err(|e| MailFault::technical("internal", format!("outbox: {e}")))?.map_err(|e| {
            MailFault::technical("unavailable", format!("outbox: the mail cannot be written: {e}"))
        })
    }
}
