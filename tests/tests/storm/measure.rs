//! What the storm measures: memory, disk, and how long the host takes to be back.

use std::{fs, path::Path, time::Duration};

/// The memory that a process has, in MiB; `None` when it is gone.
pub fn memory_mib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// What a folder takes on disk, in KiB.
pub fn folder_kib(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut kib = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        kib += if metadata.is_dir() { folder_kib(&entry.path()) } else { metadata.blocks() / 2 };
    }
    kib
}

/// The median and the longest of some times, in words.
pub fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(longest)) => format!("median {median:.0?}, longest {longest:.0?}"),
        _ => "none".to_owned(),
    }
}
