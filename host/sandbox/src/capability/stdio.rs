//! Standard output and error of a guest: kept within bounds, and written to the host's log when the call ends.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::CallContext;

/// The most bytes kept of one call; what comes after is counted and dropped, so that a talkative plugin still works.
const MAX_BYTES: usize = 16 << 10;

/// What a guest wrote.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Log {
    /// Writes what was kept to the host's log, line by line. A guest's text is data: control characters are shown, not sent.
    pub(crate) fn flush(&self, plugin: &str, context: &CallContext) {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if kept.bytes.is_empty() {
            return;
        }
        let run = context.run_id.as_deref().unwrap_or("-");
        for line in String::from_utf8_lossy(&kept.bytes).lines() {
            tracing::info!(target: "plugin", plugin, run, "{}", line.escape_debug());
        }
        if kept.dropped > 0 {
            tracing::info!(target: "plugin", plugin, run, "… and {} bytes more, dropped", kept.dropped);
        }
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_BYTES.saturating_sub(kept.bytes.len()).min(bytes.len());
        let (keep, rest) = bytes.split_at(room);
        kept.bytes.extend_from_slice(keep);
        kept.dropped = kept.dropped.saturating_add(rest.len());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait::async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}
