//! A signal that something has changed, for tasks that wait until a condition holds.

use tokio::sync::Notify;

/// Wakes the tasks that wait for a condition, so that they check it again.
#[derive(Debug, Default)]
pub struct Changes {
    changed: Notify,
}

impl Changes {
    /// Makes every waiting task check its condition again.
    pub fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until a condition holds, which is checked after every change.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until(&self, mut holds: impl FnMut() -> bool) {
        loop {
            // Created before the check, so that no change in between is missed.
            let changed = self.changed.notified();
            if holds() {
                return;
            }
            changed.await;
        }
    }
}
