//! What the server answered to the last handshake, until the notice of it is made.

use std::sync::{Mutex, PoisonError};

use kite_conn::{Accepted, OnAccepted};

/// The answer to the last handshake of a connection.
#[derive(Debug, Default)]
pub struct LastAccepted(Mutex<Option<Accepted>>);

impl LastAccepted {
    /// Takes the answer; `None` if there was no handshake since.
    pub fn take(&self) -> Option<Accepted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl OnAccepted for LastAccepted {
    fn on_accepted(&self, accepted: Accepted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted);
    }
}
