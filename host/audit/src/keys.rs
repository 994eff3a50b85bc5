//! The log's key file and what is derived from it.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use ring::hmac;

use crate::AuditError;

const KEY_BYTES: usize = 32;

/// A derived key for HMAC-SHA-256 (RFC 2104), with what depends on the key alone worked out.
#[derive(Clone)]
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    fn new(key: &[u8]) -> MacKey {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn derive(root: &MacKey, purpose: &str) -> MacKey {
        MacKey::new(&root.mac(&[purpose.as_bytes()]))
    }

    fn start(&self, parts: &[&[u8]]) -> hmac::Context {
        let mut mac = hmac::Context::with_key(&self.0);
        for part in parts {
            mac.update(part);
        }
        mac
    }

    /// HMAC-SHA-256 over the parts, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // It has 32 bytes; zeros would be no valid tag of anything.
        self.start(parts).sign().as_ref().try_into().unwrap_or_default()
    }

    /// Whether `tag` is the MAC of the parts; takes the same time for any wrong tag.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8; 32]) -> bool {
        hmac::verify(&self.0, &parts.concat(), tag).is_ok()
    }
}

/// The keys of one store's log.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) head: MacKey,
    pub(crate) payload: MacKey,
}

impl Keys {
    /// Reads the key file, or makes it with fresh random bytes. `true` when it was made.
    pub(crate) fn open(path: &Path) -> Result<(Keys, bool), AuditError> {
        let (bytes, fresh) = match OpenOptions::new().read(true).open(path) {
            Ok(file) => (read(file, path)?, false),
            Err(error) if error.kind() == ErrorKind::NotFound => (create(path)?, true),
            Err(error) => return Err(refuse(path, &error.to_string())),
        };
        let root = MacKey::new(&bytes);
        Ok((
            Keys {
                head: MacKey::derive(&root, "audit head"),
                payload: MacKey::derive(&root, "payload digest"),
            },
            fresh,
        ))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

fn read(file: File, path: &Path) -> Result<[u8; KEY_BYTES], AuditError> {
    tighten(&file, path)?;
    let mut text = Vec::new();
    let limit = (KEY_BYTES + 1) as u64;
    file.take(limit).read_to_end(&mut text).map_err(|error| refuse(path, &error.to_string()))?;
    text.try_into().map_err(|_| {
        refuse(path, &format!("it does not hold {KEY_BYTES} bytes; restore it from a backup, without it heads cannot be checked"))
    })
}

fn create(path: &Path) -> Result<[u8; KEY_BYTES], AuditError> {
    let mut bytes = [0; KEY_BYTES];
    rand::fill(&mut bytes);
    write_private(path, &bytes)?;
    Ok(bytes)
}

/// Takes away what group and others may do: volumes restored or mounted by others often come too open.
fn tighten(file: &File, path: &Path) -> Result<(), AuditError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|error| refuse(path, &error.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "the audit key was open to others; now 0600");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| {
                refuse(path, &format!("it is open to others and cannot be closed: {error}"))
            })?;
        }
    }
    #[cfg(not(unix))]
    let _ = (file, path);
    Ok(())
}

/// Writes a new file that only its owner can read, down to the disk: first beside its name, then in place, so that a
/// crash never leaves half of it.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), AuditError> {
    let draft = draft_of(path);
    let write = || -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|error| refuse(path, &error.to_string()))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

pub(crate) fn refuse(path: &Path, reason: &str) -> AuditError {
    AuditError::File { path: path.display().to_string(), reason: reason.to_owned() }
}
