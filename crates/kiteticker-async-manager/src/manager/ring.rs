//! A broadcast ring that waits for its first taker, and the count of what lag loses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

/// Counts messages lost to lag, shared by the subscribers of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct LagCount(Arc<AtomicU64>);

impl LagCount {
    pub(crate) fn add(&self, lost: u64) {
        self.0.fetch_add(lost, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A broadcast ring that keeps its messages for the first taker.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    sender: broadcast::Sender<T>,
    /// What the channel makes of the capacity asked for: the next power of two.
    slots: usize,
    kept: Arc<Mutex<Option<broadcast::Receiver<T>>>>,
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        let (sender, kept) = (self.sender.clone(), Arc::clone(&self.kept));
        Self { sender, slots: self.slots, kept }
    }
}

impl<T: Clone> Ring<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let (sender, kept) = broadcast::channel(capacity);
        let kept = Arc::new(Mutex::new(Some(kept)));
        Self { sender, slots: capacity.next_power_of_two(), kept }
    }

    fn kept(&self) -> MutexGuard<'_, Option<broadcast::Receiver<T>>> {
        self.kept.lock()
    }

    fn unkeep(&self) -> Option<broadcast::Receiver<T>> {
        self.kept().take()
    }

    /// Says whether the receiver for the first taker is still there.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept().is_some()
    }

    /// Lets go of the receiver for the first taker.
    pub(crate) fn let_go(&self) {
        // Dropped under the lock, so that `takers` counts it once or not at all.
        *self.kept() = None;
    }

    /// Gives a receiver: the kept one to the first taker, with what the ring still holds.
    pub(crate) fn take(&self, lag: &LagCount) -> broadcast::Receiver<T> {
        let Some(mut kept) = self.unkeep() else { return self.sender.subscribe() };
        // More than the ring has slots for: its first message would be the news of a lag, which
        // ends the loop of many a program. Nobody was promised what came before, so only count it.
        if kept.len() > self.slots
            && let Err(TryRecvError::Lagged(lost)) = kept.try_recv()
        {
            lag.add(lost);
        }
        kept
    }

    /// Sends to all receivers; says whether there are any.
    pub(crate) fn send(&self, message: T) -> bool {
        self.sender.send(message).is_ok()
    }

    /// Says whether anybody, or the first taker, would get what is sent.
    pub(crate) fn is_heard(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    pub(crate) fn takers(&self) -> usize {
        let kept = self.kept();
        self.sender.receiver_count().saturating_sub(usize::from(kept.is_some()))
    }
}

/// Gives a receiver whose channel has ended.
pub(crate) fn ended<T: Clone>() -> broadcast::Receiver<T> {
    broadcast::Sender::new(1).subscribe()
}
