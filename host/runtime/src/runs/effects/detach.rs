//! A call that goes to its end when nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that is driven on in the background when it is dropped before its end, and what then becomes of its output.
///
/// The branch of a `fork` that lost is dropped in the middle of its call. What the call does outside cannot be taken back;
/// it must be known.
pub(super) struct Detached<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    afterwards: Option<Afterwards<T>>,
}

type Afterwards<T> = Box<dyn FnOnce(T) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl<T: Send + 'static> Detached<T> {
    pub fn new(
        work: impl Future<Output = T> + Send + 'static,
        afterwards: impl FnOnce(T) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) -> Self {
        Self { work: Some(Box::pin(work)), afterwards: Some(Box::new(afterwards)) }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        let (Some(work), Some(afterwards)) = (self.work.take(), self.afterwards.take()) else { return };
        // Without a runtime the process is ending, and with it the call.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { afterwards(work.await).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_is_dropped_goes_on_and_what_ended_is_not_told_twice() {
        let (go, gone) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let after = |tell: oneshot::Sender<u32>| {
            move |n| {
                Box::pin(async move {
                    let _ = tell.send(n);
                }) as Pin<Box<dyn Future<Output = ()> + Send>>
            }
        };
        drop(Detached::new(async move { gone.await.unwrap_or(0) }, after(tell)));
        go.send(7).unwrap();
        assert_eq!(told.await, Ok(7));
        let (tell, told) = oneshot::channel();
        assert_eq!(Detached::new(async { 3 }, after(tell)).await, 3);
        assert!(told.await.is_err(), "who waited to the end was told already");
    }
}
