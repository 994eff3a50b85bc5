//! Whose data the stored places hold, on the store. A place's labels only grow, so what is in memory is never too much, and
//! a write to disk is needed only when a label is new there.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use factotum_provenance::{Label, Labels};
use factotum_sandbox::{BackendError, StoredLabels};
use factotum_store::{Batch, Store, Table};

/// The most places that are remembered. One that is not is read from the store.
const MAX_KNOWN: usize = 4_096;

/// The labels of stored places.
pub(crate) struct StoredPlaces {
    store: Store,
    known: RwLock<HashMap<String, Labels>>,
    /// Held while a place's labels grow, so that none of two is lost.
    growing: tokio::sync::Mutex<()>,
}

impl StoredPlaces {
    pub fn new(store: Store) -> Self {
        Self { store, known: RwLock::default(), growing: tokio::sync::Mutex::default() }
    }

    fn remember(&self, place: &str, labels: &Labels) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN && !known.contains_key(place) {
            known.clear();
        }
        // A read that began before a place grew must not make it smaller again.
        let before = known.entry(place.to_owned()).or_default();
        *before = before.union(labels);
    }

    fn read(&self, place: &str) -> Result<Labels, BackendError> {
        if let Some(labels) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(place) {
            return Ok(labels.clone());
        }
        let stored = self.store.get(Table::StoredLabels, place.as_bytes()).map_err(failed)?;
        let labels = match stored {
            None => Labels::default(),
            // What cannot be read may be anything.
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(place, %error, "whose data is stored there cannot be read");
                Labels::one(Label::anything())
            }),
        };
        self.remember(place, &labels);
        Ok(labels)
    }
}

fn failed(error: impl std::fmt::Display) -> BackendError {
    tracing::error!(%error, "the store failed under a plugin's call");
    BackendError("the host's store failed".into())
}

#[async_trait]
impl StoredLabels for StoredPlaces {
    async fn labels(&self, place: &str) -> Result<Labels, BackendError> {
        self.read(place)
    }

    async fn mark(&self, place: &str, labels: &Labels) -> Result<(), BackendError> {
        if self.read(place)?.contains(labels) {
            return Ok(());
        }
        let _growing = self.growing.lock().await;
        let all = self.read(place)?.union(labels);
        let bytes = serde_json::to_vec(&all).map_err(failed)?;
        let mut batch = Batch::new();
        batch.put(Table::StoredLabels, place.as_bytes(), bytes);
        self.store.commit(batch).await.map_err(failed)?;
        self.remember(place, &all);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factotum_store::Options;

    #[tokio::test]
    async fn labels_of_a_place_grow_and_outlive_the_memory() {
        let store = Store::in_memory(Options::default()).unwrap();
        let (crm, erp) = (Labels::from_origin("crm", ["personal"]), Labels::from_origin("erp", None));
        let places = StoredPlaces::new(store.clone());
        assert!(places.labels("report").await.unwrap().is_empty());
        places.mark("report", &crm).await.unwrap();
        places.mark("report", &erp).await.unwrap();
        places.mark("report", &crm).await.unwrap();
        for places in [places, StoredPlaces::new(store.clone())] {
            assert_eq!(places.labels("report").await.unwrap(), crm.union(&erp));
            assert!(places.labels("report/artifacts").await.unwrap().is_empty());
        }
        let mut batch = Batch::new();
        batch.put(Table::StoredLabels, b"report", b"{".to_vec());
        store.commit(batch).await.unwrap();
        let labels = StoredPlaces::new(store).labels("report").await.unwrap();
        assert!(labels.iter().all(Label::is_anything) && !labels.is_empty());
    }

    #[tokio::test]
    async fn two_that_grow_at_once_lose_nothing() {
        let places = std::sync::Arc::new(StoredPlaces::new(Store::in_memory(Options::default()).unwrap()));
        let mark = |i: usize| {
            let places = std::sync::Arc::clone(&places);
            tokio::spawn(async move { places.mark("x", &Labels::from_origin(&format!("p{i}"), None)).await })
        };
        for task in (0..20).map(mark).collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
        assert_eq!(places.labels("x").await.unwrap().iter().count(), 20);
    }
}
