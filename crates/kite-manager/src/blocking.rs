//! Waits for a future on a thread that runs no async code.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::Handle;

/// Runs a future to completion on this thread.
///
/// # Panics
/// Panics if called from async code, where it would block other tasks.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    // The runtime knows whether this thread may block.
    if let Ok(runtime) = Handle::try_current() {
        return runtime.block_on(future);
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Sleeper(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Wakes a thread.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_plain_thread_is_woken() {
        let (sender, receiver) = oneshot::channel();
        let waiting = thread::spawn(move || block_on(receiver));
        sender.send(7).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_blocking_task_may_wait_and_an_async_one_may_not() {
        let (sender, receiver) = oneshot::channel();
        let waiting = tokio::task::spawn_blocking(move || block_on(receiver));
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
        assert!(tokio::spawn(async { block_on(async {}) }).await.unwrap_err().is_panic());
    }
}
