//! Somebody who is given all that the connections of a manager receive.

use std::fmt;
use std::sync::Arc;

use kite_conn::Sink;

use crate::seat::Seat;

/// Makes a sink for each connection of each run. Cheap to clone.
///
/// Such a sink is called where the frame is checked, before the manager's own; it gets every frame,
/// those too whose instruments were handed to another connection in the meantime. One that blocks
/// ([`Sink::poll_ready`]) holds its connection back.
#[derive(Clone)]
pub struct Tap(Arc<dyn Fn(Seat) -> Box<dyn Sink> + Send + Sync>);

impl Tap {
    /// Wraps what makes the sinks. It is called while a manager starts, and must not call this
    /// manager.
    pub fn new<S: Sink>(make_sink: impl Fn(Seat) -> S + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |seat| Box::new(make_sink(seat))))
    }

    pub(crate) fn sink(&self, seat: Seat) -> Box<dyn Sink> {
        (self.0)(seat)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}
