//! A small disk for tests: an ext4 file system in a file, which can be filled, emptied, and made to fail.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A mounted file system of a few MiB. Unmounted when dropped.
pub struct SmallDisk {
    temp: TempDir,
}

impl SmallDisk {
    /// `None`, with a word on it, where this machine cannot mount one: that takes root and loop devices.
    pub fn of(test: &str, mib: u64) -> Option<SmallDisk> {
        let disk = SmallDisk { temp: tempfile::tempdir().unwrap() };
        fs::create_dir(disk.path()).unwrap();
        let image = fs::File::create(disk.image()).unwrap();
        image.set_len(mib << 20).unwrap();
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(disk.image()));
        if let Err(why) = made.and_then(|()| disk.mount()) {
            println!("skipped: {test}: a small disk cannot be mounted here: {why}");
            return None;
        }
        Some(disk)
    }

    fn image(&self) -> PathBuf {
        self.temp.path().join("image")
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.temp.path().join("mount")
    }

    /// Fills it until no more than `left` bytes are free.
    pub fn fill(&self, left: u64) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        // A file takes a little more than its bytes: a second round comes near enough.
        for _ in 0..2 {
            let more = usize::try_from(free(&self.path()).saturating_sub(left)).unwrap();
            if file.write_all(&vec![0; more]).is_err() {
                // Full to the last block.
                while file.write_all(&[0; 512]).is_ok() {}
            }
        }
    }

    /// Makes room again.
    pub fn empty(&self) {
        let _ = fs::remove_file(self.filler());
    }

    /// It fails: from now on it can only be read, as after an error of the device.
    pub fn fail(&self) {
        run(Command::new("mount").args(["-o", "remount,abort"]).arg(self.path())).unwrap();
    }

    /// Mounts it anew, to be read only or whole again. Nothing may be open on it.
    pub fn mount_again(&self, read_only: bool) {
        run(Command::new("umount").arg(self.path())).unwrap();
        // The journal is played back first, which takes writing.
        self.mount().unwrap();
        if read_only {
            run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path())).unwrap();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

/// The bytes that are free on a disk.
fn free(path: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("df tells")
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
