//! What a test run printed, in short: what passed is counted, what failed stands there whole, what was skipped is listed.

use crate::run::note;

/// Where in libtest's output we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Among the lines `test NAME ... ok`, or what a failed test printed.
    Shown,
    /// What the tests that passed printed, and their names once more.
    Passed,
}

/// Reads libtest's output line by line (`--show-output`), passes on what somebody needs who looks for a failure, and keeps the rest as counts.
pub struct Report {
    part: Part,
    passed: u64,
    ignored: u64,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    pub const fn new() -> Self {
        Self { part: Part::Shown, passed: 0, ignored: 0, failed: Vec::new(), skipped: Vec::new() }
    }

    /// Takes the next line; `true` when it is to be shown.
    pub fn line(&mut self, line: &str) -> bool {
        if line.trim_start().starts_with("skipped:") {
            self.skipped.push(line.trim().to_owned());
        }
        match line {
            "successes:" if self.part == Part::Shown => self.part = Part::Passed,
            "failures:" => self.part = Part::Shown,
            _ if line.starts_with("test result:") => self.part = Part::Shown,
            _ => {}
        }
        if self.part == Part::Passed || line.is_empty() || is_count(line) {
            return false;
        }
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|test| test.rsplit_once(" ... "))
        else {
            return true;
        };
        match outcome.split(',').next() {
            Some("ok") => self.passed += 1,
            Some("ignored") => self.ignored += 1,
            Some("FAILED") => {
                self.failed.push(name.to_owned());
                return true;
            }
            _ => return true,
        }
        false
    }

    /// How many tests were skipped.
    pub const fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Says what became of all of them.
    pub fn sum_up(&self) {
        for line in &self.skipped {
            note(line);
        }
        for name in &self.failed {
            note(&format!("failed: {name}"));
        }
        note(&format!(
            "{} passed, {} failed, {} skipped, {} ignored",
            self.passed,
            self.failed.len(),
            self.skipped.len(),
            self.ignored
        ));
    }
}

/// `running 7 tests`.
fn is_count(line: &str) -> bool {
    line.strip_prefix("running ").is_some_and(|rest| rest.ends_with(" tests") || rest.ends_with(" test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... ignored, needs d\ntest e ... ok\n\n\
        successes:\n\n---- a stdout ----\nfailed to find lib.rs\n---- e stdout ----\nskipped: e: no server\n\nsuccesses:\n    a\n    e\n\n\
        failures:\n\n---- b stdout ----\nthread 'b' panicked at 1 != 2\nsuccesses:\n\nfailures:\n    b\n\n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored\n";

    #[test]
    fn what_failed_is_shown_and_what_passed_is_counted() {
        let mut report = Report::new();
        let shown: Vec<&str> = OUTPUT.lines().filter(|line| report.line(line)).collect();
        assert_eq!(shown[0], "test b ... FAILED");
        assert!(shown.contains(&"thread 'b' panicked at 1 != 2"), "{shown:?}");
        assert!(shown.last().unwrap().starts_with("test result: FAILED"), "{shown:?}");
        assert!(!shown.iter().any(|line| line.contains("lib.rs")), "{shown:?}");
        assert_eq!((report.passed, report.ignored, report.skipped()), (2, 1, 1));
        assert_eq!(report.failed, ["b"]);
    }
}
