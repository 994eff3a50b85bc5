//! Keeps this process's memory, and so keys and secrets, out of core files.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core files of this process, for good. Call it first in `main`.
///
/// The limit is 1 byte and not 0: Linux hands a crash to a collector (a `core_pattern` that begins with `|`) even under a
/// limit of 0, and treats 1 as "no core at all"; where cores are written to files, less than a page means none. Where
/// the limit is 0 already and may not be raised to 1, the process is made one that is not dumped at all, which also
/// keeps tools of the same user from looking at it in `/proc`. The limit is inherited by what this process starts.
///
/// # Errors
/// When the system refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    match setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) }) {
        Ok(()) => Ok(()),
        Err(error) => not_dumped().map_err(|_| error.into()),
    }
}

#[cfg(target_os = "linux")]
fn not_dumped() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn not_dumped() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit, set_dumpable_behavior};

    #[test]
    fn no_core_is_written_either_way() {
        not_dumped().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
        forbid_core_dumps().unwrap();
        let limit = getrlimit(Resource::Core);
        let limited = (limit.current, limit.maximum) == (Some(1), Some(1));
        assert!(limited || dumpable_behavior().unwrap() == DumpableBehavior::NotDumpable);
    }
}
