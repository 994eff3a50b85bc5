//! Runs the command that prints the master key: no shell, bounded in time and output, its words never shown.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often its end is looked for, once it has closed its output.
const POLL: Duration = Duration::from_millis(5);

/// What the program prints, at most `limit` bytes.
pub(crate) fn output(argv: &[String], limit: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    output_within(argv, limit, TIMEOUT)
}

fn output_within(argv: &[String], limit: usize, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let (program, arguments) = argv
        .split_first()
        .ok_or("it names no program; give the program's absolute path and its arguments")?;
    if !program.starts_with('/') {
        return Err("the program must be an absolute path, so that no search path decides what runs".into());
    }
    let deadline = Instant::now() + timeout;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it says there may hold the key, and would be in our log.
        .stderr(Stdio::null())
        // A group of its own, so that what it started ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let mut ended = false;
    let result = collect(&mut child, limit, deadline, timeout, &mut ended);
    // Its number belongs to it for as long as its end was not waited for; afterwards it may be another's.
    if !ended {
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
    }
    result
}

fn collect(
    child: &mut Child,
    limit: usize,
    deadline: Instant,
    timeout: Duration,
    ended: &mut bool,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let late = || format!("it took longer than {} s and was ended", timeout.as_secs_f32());
    let mut pipe = child.stdout.take().ok_or("its output cannot be read")?;
    let (sender, receiver) = mpsc::sync_channel(1);
    // A thread, since reading a pipe has no time limit. It ends when the group does.
    thread::Builder::new()
        .name("master-key".into())
        .spawn(move || {
            let _ = sender.send(read(&mut pipe, limit));
        })
        .map_err(|error| format!("no thread to read its output: {error}"))?;
    let wait = deadline.saturating_duration_since(Instant::now());
    let text = receiver.recv_timeout(wait).map_err(|_| late())??;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                *ended = true;
                if status.success() {
                    return Ok(text);
                }
                return Err(format!("it failed ({status}); run it by hand as the host's user to see why"));
            }
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            Ok(None) => return Err(late()),
            Err(error) => return Err(format!("its end cannot be waited for: {error}")),
        }
    }
}

/// All of it, in a buffer of fixed size: one that grows leaves copies behind.
fn read(pipe: &mut impl Read, limit: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut text = Zeroizing::new(vec![0; limit.saturating_add(1)]);
    let mut length = 0;
    while let Some(room) = text.get_mut(length..).filter(|room| !room.is_empty()) {
        match pipe.read(room) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("its output cannot be read: {error}")),
        }
    }
    if length > limit {
        return Err(format!("it printed more than {limit} bytes; it should print the key and nothing else"));
    }
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout_ms: u64) -> Result<Zeroizing<Vec<u8>>, String> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        output_within(&argv, 100, Duration::from_millis(timeout_ms))
    }

    #[test]
    fn its_output_is_what_it_prints() {
        assert_eq!(&**sh("printf abc; printf no >&2", 5000).unwrap(), b"abc");
        assert_eq!(sh("printf %0100d 1", 5000).unwrap().len(), 100);
    }

    #[test]
    fn it_is_bounded_in_output_and_time() {
        assert!(sh("printf %0101d 1", 5000).unwrap_err().contains("more than 100"));
        assert!(sh("while :; do echo y; done", 5000).unwrap_err().contains("more than 100"));
        let begun = Instant::now();
        for script in ["sleep 60", "printf a; sleep 60", "sleep 60 & printf a", "exec >&-; sleep 60"] {
            let result = sh(script, 200);
            assert!(result.unwrap_err().contains("longer than"), "{script}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "what it started was ended too");
    }

    #[test]
    fn failure_is_named_without_its_words() {
        let error = sh("echo hush; echo hush >&2; exit 3", 5000).unwrap_err();
        assert!(error.contains("3") && error.contains("by hand") && !error.contains("hush"), "{error}");
        assert!(output(&[], 10).is_err());
        assert!(output(&["sh".into()], 10).unwrap_err().contains("absolute"));
        assert!(output(&["/no/such/program".into()], 10).unwrap_err().contains("cannot be run"));
    }
}
