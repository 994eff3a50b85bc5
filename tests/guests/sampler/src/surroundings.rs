//! Looks around: variables, arguments, files, clocks, and what an earlier call left behind.

use std::{
    fs,
    io::Read,
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use crate::{Sampler, bindings::exports::acme::sampler::surroundings::Guest};

static CALLS: AtomicU32 = AtomicU32::new(0);

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Guest for Sampler {
    fn variables() -> Vec<(String, String)> {
        std::env::vars().collect()
    }

    fn arguments() -> Vec<String> {
        std::env::args().collect()
    }

    fn read_file(path: String) -> Result<String, String> {
        fs::read_to_string(path).map_err(text)
    }

    fn write_file(path: String, content: String) -> Result<(), String> {
        fs::write(path, content).map_err(text)
    }

    fn list_folder(path: String) -> Result<Vec<String>, String> {
        fs::read_dir(path)
            .map_err(text)?
            .map(|entry| entry.map(|e| e.path().display().to_string()).map_err(text))
            .collect()
    }

    fn read_input() -> Result<String, String> {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).map_err(text)?;
        Ok(input)
    }

    fn clock_moves() -> bool {
        let start = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        start.elapsed().as_millis() >= 1
    }

    fn count() -> u32 {
        CALLS.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    #[allow(clippy::print_stdout, clippy::print_stderr)] // what it is for
    fn say(text: String) {
        println!("{text}");
        eprintln!("{text}");
    }
}
