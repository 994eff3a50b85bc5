//! What all tests of one process log, so that a test can say what is not in it.

#![allow(clippy::unwrap_used)] // for tests only: a failure here fails the test

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};

/// Collects what is logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// All lines until now.
    ///
    /// # Panics
    /// When a test panicked while it logged, or what was logged is not UTF-8.
    #[must_use]
    pub fn lines(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of all tests of the process, of every level, from the first time that this is called.
///
/// It is not one for a thread: while there is only one subscriber, and that for a thread, what another thread logs first is
/// taken for something that nobody wants to see, there and everywhere.
///
/// # Panics
/// When the process has another subscriber.
#[allow(clippy::must_use_candidate)] // some only have it begin
pub fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    })
}
