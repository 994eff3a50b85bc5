//! Places for the calls of one plugin, whose number an administrator may change while calls are under way.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// So many calls at one time.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

struct Size {
    limit: usize,
    /// Places that are to go when the calls that hold them end.
    owed: usize,
}

impl Places {
    pub(crate) fn new(limit: u32) -> Arc<Self> {
        let limit = limit as usize;
        Arc::new(Self { free: Arc::new(Semaphore::new(limit)), size: Mutex::new(Size { limit, owed: 0 }) })
    }

    /// Waits for a place; first come, first served.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Place, AcquireError> {
        let permit = Arc::clone(&self.free).acquire_owned().await?;
        Ok(Place { permit: Some(permit), places: Arc::clone(self) })
    }

    /// Changes the number. Calls that hold a place keep it; no new one begins while there are too many.
    pub(crate) fn resize(&self, limit: u32) {
        let limit = limit as usize;
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if limit > size.limit {
            let more = limit - size.limit;
            let paid = more.min(size.owed);
            size.owed -= paid;
            self.free.add_permits(more - paid);
        } else {
            let less = size.limit - limit;
            size.owed += less - self.free.forget_permits(less);
        }
        size.limit = limit;
    }
}

/// A place, held until dropped.
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut size = self.places.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.owed > 0
            && let Some(permit) = self.permit.take()
        {
            size.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_number_changes_under_calls_that_hold_places() {
        let places = Places::new(3);
        let held = [places.take().await.unwrap(), places.take().await.unwrap(), places.take().await.unwrap()];
        places.resize(1);
        let [one, two, three] = held;
        drop(one);
        drop(two);
        assert_eq!(places.free.available_permits(), 0, "the one that is left holds the only place");
        drop(three);
        assert_eq!(places.free.available_permits(), 1);
        let one = places.take().await.unwrap();
        places.resize(0);
        places.resize(2);
        assert_eq!(places.free.available_permits(), 1);
        drop(one);
        assert_eq!(places.free.available_permits(), 2);
    }
}
