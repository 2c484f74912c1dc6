//! The instruments that a stream delivers, which can change while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use kite_wire::TokenMap;
use parking_lot::Mutex;

use crate::stream::hub::WeakHub;

/// Changes the instruments of a stream while it runs; created by
/// [`TickStream::filter`](crate::TickStream::filter). Cheap to clone and usable from any thread,
/// such as one that decides while another reads the stream.
#[derive(Debug, Clone)]
pub struct StreamFilter {
    chosen: Chosen,
    hub: WeakHub,
}

impl StreamFilter {
    pub(crate) fn new(chosen: Chosen, hub: WeakHub) -> Self {
        Self { chosen, hub }
    }

    /// Sets the instruments to deliver, as [`StreamConfig::tokens`](crate::StreamConfig::tokens);
    /// `None` delivers all. This does not subscribe any.
    ///
    /// It applies on each connection starting with the next frame that it reads. Frames that are
    /// already queued are delivered as they are. To miss nothing of an instrument, set it here
    /// before it is subscribed.
    pub fn set(&self, tokens: Option<BTreeSet<u32>>) {
        self.chosen.set(tokens);
        self.hub.announce_change();
    }
}

/// The instruments of one stream, shared with the connections. Not locked while frames pass: a
/// connection's sink keeps a copy of the reference until it is notified of a change.
#[derive(Debug, Clone)]
pub(crate) struct Chosen(Arc<Mutex<Tokens>>);

/// Instruments to deliver; `None` for all.
pub(crate) type Tokens = Option<Arc<TokenMap<()>>>;

impl Chosen {
    pub(crate) fn new(tokens: Option<&BTreeSet<u32>>) -> Self {
        Self(Arc::new(Mutex::new(tokens.map(|it| Arc::new(it.iter().copied().collect())))))
    }

    pub(crate) fn tokens(&self) -> Tokens {
        self.0.lock().clone()
    }

    fn set(&self, tokens: Option<BTreeSet<u32>>) {
        let tokens = tokens.map(|it| Arc::new(it.into_iter().collect()));
        let before = std::mem::replace(&mut *self.0.lock(), tokens);
        drop(before);
    }
}
