//! When the newest packets of instruments were leaner than full.
//!
//! Each new subscription upstream begins with a packet in quote mode, and the full one follows. In
//! between, which lasts as long as the outage if the connection is lost then, a relay has no snapshot
//! in full mode.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_manager::TickStream;
use kite_wire::Mode;
use parking_lot::Mutex;
use tokio::time::Instant;

/// By how much a relay may be later than the stream that is observed here.
const LATE: Duration = Duration::from_millis(250);

/// By instrument, when its packets were last leaner than full.
#[derive(Debug, Default)]
pub(crate) struct Lean(Mutex<BTreeMap<u32, Until>>);

/// The end of such a time; `None` while it lasts.
type Until = Option<Instant>;

impl Lean {
    /// Returns whether a relay may have had no full packet at some time since.
    pub(crate) fn may_lack(&self, token: u32, since: Instant) -> bool {
        self.0.lock().get(&token).is_some_and(|until| until.is_none_or(|it| it + LATE >= since))
    }

    fn note(&self, token: u32, mode: Mode, now: Instant) {
        let mut all = self.0.lock();
        if mode < Mode::Full {
            all.insert(token, None);
        } else if let Some(until) = all.get_mut(&token) {
            until.get_or_insert(now);
        }
    }
}

/// Observes the stream of a manager until it ends.
pub(crate) async fn observe(mut stream: TickStream, lean: std::sync::Arc<Lean>) {
    while let Some(item) = stream.recv().await {
        let now = Instant::now();
        for packet in item.packets() {
            lean.note(packet.instrument_token(), packet.mode(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_packet_is_lacking_until_it_arrives() {
        let (lean, start) = (Lean::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        lean.note(1, Mode::Full, at(0));
        assert!(!lean.may_lack(1, at(0)));
        lean.note(1, Mode::Quote, at(100));
        assert!(lean.may_lack(1, at(90_000)));
        lean.note(1, Mode::Full, at(200));
        lean.note(1, Mode::Full, at(5_000));
        assert!(lean.may_lack(1, at(450)));
        assert!(!lean.may_lack(1, at(451)));
        assert!(!lean.may_lack(2, at(0)));
    }
}
