//! What the tasks of a run say of its clocks, once each.

use factotum_flow::{Position, SlaChange, Stop};
use factotum_store::Batch;
use serde_json::json;

use super::Durable;
use crate::journal::{Record, WriteRecord};
use crate::place::place;

impl Durable<'_> {
    /// Changes the clocks and writes down that it was done, in one batch.
    pub(super) async fn change_clocks(&self, at: &Position, change: SlaChange) -> Result<(), Stop> {
        if self.lock().replay.decided(at).is_some() {
            return Ok(());
        }
        // What is read of the clocks here must hold until it is written: branches of one run come one after the other.
        let _alone = self.clocks.lock().await;
        let here = place(at.key());
        let task = here.rsplit_once('!').map_or(here.as_str(), |(task, _)| task);
        let mut entries = Batch::new();
        self.engine.task_clocks(&mut entries, self.run, task, change);
        let word = match change {
            SlaChange::Paused => "paused",
            SlaChange::Resumed => "resumed",
            SlaChange::Met(clock) => clock.as_str(),
        };
        let value = json!({ "sla": word });
        let now = self.engine.clock.now_ms();
        let record: WriteRecord<'_> = Record::Decided { key: at.key().to_owned(), at: now, value: &value };
        let bytes = self.encode(&record)?;
        self.write(Some(bytes), entries).await
    }
}
