//! A broadcast ring that keeps messages for its first receiver, and the counter of lag losses.

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

/// A broadcast ring that keeps its messages for the first receiver.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    sender: broadcast::Sender<T>,
    /// The actual capacity, which is the requested one rounded up to a power of two.
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

    /// Returns whether messages are still kept for the first receiver.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept().is_some()
    }

    /// Stops keeping messages for the first receiver.
    pub(crate) fn release(&self) {
        // Dropped under the lock, so that `receivers` counts it once or not at all.
        *self.kept() = None;
    }

    /// Returns a receiver. The first call returns the kept one, with what the ring still holds.
    pub(crate) fn take(&self, lag: &LagCount) -> broadcast::Receiver<T> {
        let Some(mut kept) = self.unkeep() else { return self.sender.subscribe() };
        // Beyond the ring's capacity, its first result would be `Lagged`, which ends the loop of
        // many programs. Delivery of earlier messages is not guaranteed, so the loss is only
        // counted.
        if kept.len() > self.slots
            && let Err(TryRecvError::Lagged(lost)) = kept.try_recv()
        {
            lag.add(lost);
        }
        kept
    }

    /// Sends to all receivers; returns whether any exist.
    pub(crate) fn send(&self, message: T) -> bool {
        self.sender.send(message).is_ok()
    }

    /// Returns whether a receiver exists, including the one kept for the first call of `take`.
    pub(crate) fn has_receiver(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Returns the number of receivers, excluding the kept one.
    pub(crate) fn receivers(&self) -> usize {
        let kept = self.kept();
        self.sender.receiver_count().saturating_sub(usize::from(kept.is_some()))
    }
}

/// Returns a receiver of a closed channel.
pub(crate) fn ended<T: Clone>() -> broadcast::Receiver<T> {
    broadcast::Sender::new(1).subscribe()
}
