//! Posts the messages with several clients at once, and keeps what came back.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::Value;

use super::Sample;
use crate::cli::client::Client;

/// What came of all messages.
pub struct Outcome {
    /// What the flow answered, for each message that was answered.
    pub answers: Vec<Value>,
    /// Which messages were refused or failed, and why.
    pub failures: Vec<(String, String)>,
    /// How long each message took, sorted.
    pub latencies: Vec<Duration>,
    /// How long all took together.
    pub elapsed: Duration,
}

impl Outcome {
    /// The latency that this part of the messages did not exceed.
    pub fn percentile(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        // an index
        let index = (last as f64 * part).round() as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }

    /// Answered messages a second.
    #[allow(clippy::cast_precision_loss)] // a count of messages
    pub fn per_second(&self) -> f64 {
        self.answers.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Posts every sample to the webhook.
pub async fn post_all(client: &Client, samples: Vec<Sample>, clients: usize) -> Result<Outcome> {
    let bar = ProgressBar::new(samples.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {msg}")?);
    let queue = Arc::new(Mutex::new(VecDeque::from(samples)));
    let start = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..clients {
        let (queue, client, bar) = (Arc::clone(&queue), client.clone(), bar.clone());
        workers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            while let Some(sample) = next(&queue) {
                let begun = Instant::now();
                let answer = post(&client, &sample).await;
                done.push((sample.id, answer, begun.elapsed()));
                bar.inc(1);
            }
            done
        }));
    }
    let mut outcome =
        Outcome { answers: vec![], failures: vec![], latencies: vec![], elapsed: Duration::ZERO };
    for worker in workers {
        for (id, answer, latency) in worker.await? {
            outcome.latencies.push(latency);
            match answer {
                Ok(answer) => outcome.answers.push(answer),
                Err(error) => outcome.failures.push((id, format!("{error:#}"))),
            }
        }
    }
    outcome.elapsed = start.elapsed();
    outcome.latencies.sort();
    bar.finish_and_clear();
    Ok(outcome)
}

fn next(queue: &Mutex<VecDeque<Sample>>) -> Option<Sample> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// The key makes a repeated demo on the same data post nothing twice.
async fn post(client: &Client, sample: &Sample) -> Result<Value> {
    let request = client
        .open(Method::POST, "/hooks/support/ticket-intake")
        .header("idempotency-key", &sample.id)
        .json(&sample.message);
    let answer = client.send(request).await?;
    if answer.get("case_id").is_some() {
        Ok(answer)
    } else {
        Err(anyhow!("answered without a case: {answer}"))
    }
}
