//! What happens to runs and tasks, as CloudEvents for whoever watches: `io.serverlessworkflow.workflow.started.v1` and its
//! like. They are not kept: who does not watch misses them, and the journals have it all. Nobody watching costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

/// How far a watcher may fall behind, in events; then it is told how many it missed.
const BEHIND: usize = 1_024;
/// The most readers at one time.
const MAX_WATCHERS: usize = 64;

/// The stream of what happens.
pub struct Lifecycle {
    sender: broadcast::Sender<Arc<Lived>>,
    number: AtomicU64,
    /// How many watch. Asked at each task, so it must cost next to nothing.
    watchers: Arc<AtomicUsize>,
    over: watch::Sender<bool>,
}

/// A reader of what happens.
pub struct RunWatch {
    receiver: broadcast::Receiver<Arc<Lived>>,
    over: watch::Receiver<bool>,
    watchers: Arc<AtomicUsize>,
}

impl Drop for RunWatch {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a reader of what happens is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Watched {
    /// This happened.
    Lived(Arc<Lived>),
    /// It was too slow, and so many events are lost to it.
    Missed(u64),
}

impl RunWatch {
    /// What happens next; `None` when the host stops.
    pub async fn next(&mut self) -> Option<Watched> {
        tokio::select! {
            told = self.receiver.recv() => match told {
                Ok(lived) => Some(Watched::Lived(lived)),
                Err(broadcast::error::RecvError::Lagged(missed)) => Some(Watched::Missed(missed)),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            _ = self.over.wait_for(|over| *over) => None,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Lived {
    /// The namespace of the flow that it happened to.
    pub namespace: String,
    /// The CloudEvent in its JSON form.
    pub event: Value,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BEHIND),
            number: AtomicU64::new(0),
            watchers: Arc::default(),
            over: watch::Sender::new(false),
        }
    }
}

impl Lifecycle {
    /// Begins to watch; `None` when there are too many readers.
    pub(crate) fn watch(&self) -> Option<RunWatch> {
        if self.watchers.fetch_add(1, Ordering::Relaxed) >= MAX_WATCHERS {
            self.watchers.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(RunWatch {
            receiver: self.sender.subscribe(),
            over: self.over.subscribe(),
            watchers: Arc::clone(&self.watchers),
        })
    }

    /// Lets all readers go.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Whether anyone watches. Ask before making an event.
    pub(crate) fn watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Tells what happened to a run or, with `task`, to one of its tasks. `kind` is such as `workflow.started`.
    pub(crate) fn tell(
        &self,
        kind: &str,
        run: &str,
        (flow, version): (&str, &str),
        task: Option<&str>,
        now: u64,
        more: Value,
    ) {
        if !self.watched() {
            return;
        }
        let (namespace, name) = flow.split_once('/').unwrap_or(("", flow));
        let mut data = json!({
            "name": run,
            "definition": {"namespace": namespace, "name": name, "version": version},
        });
        if let Some(data) = data.as_object_mut() {
            if let Some(task) = task {
                data.insert("task".into(), task.into());
            }
            if let Value::Object(more) = more {
                data.extend(more);
            }
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let event = json!({
            "specversion": "1.0",
            "id": format!("{run}-{now}-{number}"),
            "source": format!("/flows/{flow}"),
            "type": format!("io.serverlessworkflow.{kind}.v1"),
            "subject": run,
            "time": crate::time::rfc3339(now),
            "datacontenttype": "application/json",
            "data": data,
        });
        // Whoever left in between need not be told.
        let _ = self.sender.send(Arc::new(Lived { namespace: namespace.to_owned(), event }));
    }
}
