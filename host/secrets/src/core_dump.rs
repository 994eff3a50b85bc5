//! Keeps this process's memory, and so keys and secrets, out of core files.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core files of this process and of those it starts, for good. Call it first in `main`.
///
/// The limit is 1 byte and not 0: Linux hands a crash to a collector (a `core_pattern` that begins with `|`) even
/// under a limit of 0, and treats 1 as "no core at all"; where cores are written to files, less than a page means
/// none.
///
/// # Errors
/// When the system refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_set_and_cannot_be_raised() {
        let already = rustix::process::getrlimit(rustix::process::Resource::Core);
        if already.maximum == Some(0) {
            return; // Stricter already.
        }
        super::forbid_core_dumps().unwrap();
        let now = rustix::process::getrlimit(rustix::process::Resource::Core);
        assert_eq!((now.current, now.maximum), (Some(1), Some(1)));
    }
}
