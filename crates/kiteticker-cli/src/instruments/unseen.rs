//! Subscribed instruments that never tick.
//!
//! The server accepts any token, so a wrong one shows only in that nothing arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use kite_conn::{Batch, Event, Sink};
use kite_wire::{Packet, TokenMap};
use tokio::sync::Notify;

use crate::format::numbers::counted;
use crate::instruments::names::Names;

/// Time after which instruments without a tick are reported. A liquid one ticks every second.
const REPORT_AFTER: Duration = Duration::from_secs(30);

/// Number of instruments that a report names.
const MOST_NAMED: usize = 10;

/// Notes which of the subscribed instruments have ticked. Cheap to clone; clones share the notes.
///
/// Costs a look-up per tick until all have ticked, then nothing.
#[derive(Debug, Clone)]
pub(crate) struct Unseen {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tokens: TokenMap<AtomicBool>,
    /// In the order of the report.
    sorted: Vec<u32>,
    left: AtomicUsize,
    /// Whether a connection has been live.
    was_live: AtomicBool,
    /// Wakes the early report once one is.
    live: Notify,
}

impl Unseen {
    pub(crate) fn new(tokens: impl IntoIterator<Item = u32>) -> Self {
        let mut sorted: Vec<u32> = tokens.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut tokens = TokenMap::with_capacity(sorted.len());
        for &token in &sorted {
            tokens.insert(token, AtomicBool::new(false));
        }
        let left = AtomicUsize::new(sorted.len());
        let (was_live, live) = (AtomicBool::new(false), Notify::new());
        Self { shared: Arc::new(Shared { tokens, sorted, left, was_live, live }) }
    }

    /// Notes the instruments of packets.
    #[inline]
    pub(crate) fn take<'a>(&self, packets: impl Iterator<Item = Packet<'a>>) {
        if self.shared.left.load(Relaxed) == 0 {
            return;
        }
        for packet in packets {
            if let Some(has_ticked) = self.shared.tokens.get(packet.instrument_token())
                && !has_ticked.load(Relaxed)
                && !has_ticked.swap(true, Relaxed)
            {
                self.shared.left.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Notes that a connection is live. Before that, no instrument can tick.
    pub(crate) fn on_live(&self) {
        self.shared.was_live.store(true, Relaxed);
        self.shared.live.notify_one();
    }

    /// Returns the report at the end; `None` if all have ticked, or no connection was ever live.
    pub(crate) fn report(&self, names: &Names) -> Option<String> {
        let tokens = self.tokens();
        // A short recording may end before the connection is noticed.
        let has_tick = tokens.len() < self.shared.sorted.len();
        let was_live = has_tick || self.shared.was_live.load(Relaxed);
        report(&tokens, names).filter(|_| was_live)
    }

    /// Returns the instruments that have not ticked, by ascending token.
    pub(crate) fn tokens(&self) -> Vec<u32> {
        let has_ticked = |token| self.shared.tokens.get(token).is_some_and(|it| it.load(Relaxed));
        self.shared.sorted.iter().copied().filter(|&token| !has_ticked(token)).collect()
    }
}

impl Sink for Unseen {
    fn on_batch(&mut self, batch: &Batch) {
        self.take(batch.ticks.packets());
    }

    fn on_event(&mut self, _: &Event) {}
}

/// Returns the report at the end; `None` if all have ticked.
pub(crate) fn report(tokens: &[u32], names: &Names) -> Option<String> {
    let count = counted(tokens.len() as u64, "instrument");
    (!tokens.is_empty()).then(|| format!("{count} never ticked: {}", listed(tokens, names)))
}

/// Waits for [`REPORT_AFTER`] from the first live connection and returns the report; `None` if all have ticked.
///
/// # Cancel safety
/// Not cancel safe: once a connection was live, it must not be dropped and called again.
pub(crate) async fn early_report(unseen: &Unseen, names: &Names) -> Option<String> {
    unseen.shared.live.notified().await;
    tokio::time::sleep(REPORT_AFTER).await;
    let tokens = &unseen.tokens();
    let (count, seconds) = (counted(tokens.len() as u64, "instrument"), REPORT_AFTER.as_secs());
    let report = || format!("{count} never ticked in {seconds} s: {}", listed(tokens, names));
    (!tokens.is_empty()).then(report)
}

fn listed(tokens: &[u32], names: &Names) -> String {
    let mistaken = names.exchange_tokens(tokens.iter().copied().take(MOST_NAMED));
    let label = |token: &u32| match mistaken.get(token) {
        Some(what) => format!("{token} ({what})"),
        None => labelled(names.known(*token).as_deref(), *token),
    };
    let mut text: Vec<String> = tokens.iter().take(MOST_NAMED).map(label).collect();
    let more = tokens.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

/// Returns an instrument's name with its token, or the token alone.
pub(crate) fn labelled(name: Option<&str>, token: u32) -> String {
    name.map_or_else(|| token.to_string(), |name| format!("{name} ({token})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ltp(token: u32) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&token.to_be_bytes());
        bytes
    }

    #[test]
    fn instruments_are_unseen_until_they_tick_on_any_connection() {
        let unseen = Unseen::new([738_561, 408_065, 999_424, 408_065]);
        let other = unseen.clone();
        assert_eq!(unseen.tokens(), [408_065, 738_561, 999_424]);
        for token in [408_065, 408_065, 5] {
            unseen.take([Packet::from_bytes(&ltp(token)).unwrap()].into_iter());
        }
        other.take([Packet::from_bytes(&ltp(738_561)).unwrap()].into_iter());
        assert_eq!(unseen.tokens(), [999_424]);
        assert_eq!(unseen.shared.left.load(Relaxed), 1);
    }

    #[test]
    fn the_report_names_ten_and_counts_the_rest() {
        let names = Names::built_in();
        assert_eq!(report(&[], &names), None);
        assert_eq!(
            report(&[408_065, 999_424], &names).unwrap(),
            "2 instruments never ticked: NSE:INFY (408065), 999424"
        );
        let many: Vec<u32> = (1_000..1_012).collect();
        assert!(report(&many, &names).unwrap().ends_with(", 1009, and 2 more"));
    }

    #[tokio::test(start_paused = true)]
    async fn instruments_that_have_not_ticked_are_reported_after_half_a_minute() {
        let names = Names::built_in();
        let unseen = Unseen::new([408_065, 999_424]);
        let begun = tokio::time::Instant::now();
        let (report, ()) = tokio::join!(early_report(&unseen, &names), async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            unseen.on_live();
            tokio::time::sleep(Duration::from_secs(29)).await;
            unseen.take([Packet::from_bytes(&ltp(408_065)).unwrap()].into_iter());
        });
        assert_eq!(report.as_deref(), Some("1 instrument never ticked in 30 s: 999424"));
        assert_eq!(begun.elapsed(), Duration::from_secs(330));
        assert!(unseen.report(&names).is_some());
        unseen.take([Packet::from_bytes(&ltp(999_424)).unwrap()].into_iter());
        unseen.on_live();
        assert_eq!(early_report(&unseen, &names).await, None);
    }

    #[test]
    fn nothing_is_reported_if_no_connection_was_live() {
        let unseen = Unseen::new([408_065]);
        assert_eq!(unseen.report(&Names::built_in()), None);
        unseen.on_live();
        assert!(unseen.report(&Names::built_in()).is_some());
    }
}
