//! Reads a file that holds a key: its owner's alone, bounded, in memory that is wiped.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use zeroize::Zeroizing;

/// The content of a regular file that belongs to the host's user or root, and that nobody else can read or change. What was
/// opened is what is checked. At most `most` bytes, wiped when dropped.
///
/// # Errors
/// What is wrong with it, and the mend.
pub fn read_private(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let words = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file; restore it from where its copy is kept".to_owned(),
        _ => error.to_string(),
    };
    // Not blocking: a named pipe in its place must not hang the host.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(words)?;
    let about = file.metadata().map_err(words)?;
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o777;
        return Err(format!("others may read or change it (mode {mode:03o}); chmod 600 {}", path.display()));
    }
    let me = rustix::process::geteuid().as_raw();
    if about.uid() != me && about.uid() != 0 {
        return Err(format!(
            "it belongs to user {}, who can change it; chown it to the host's user ({me})",
            about.uid()
        ));
    }
    // A buffer of fixed size: one that grows leaves copies behind.
    let mut text = Zeroizing::new(vec![0; most.saturating_add(1)]);
    let mut length = 0;
    while let Some(room) = text.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(words(error)),
        }
    }
    if length > most {
        return Err(format!("it is longer than {most} bytes"));
    }
    text.truncate(length);
    Ok(text)
}
