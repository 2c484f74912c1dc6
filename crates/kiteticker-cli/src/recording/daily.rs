//! Keeps the names of a recording that runs for several days up to date.
//!
//! A token is reused for another instrument after its contract has expired, so the tapes of a day
//! have the names of that day's list.

use std::time::Duration;

use kite_conn::Endpoint;
use kite_wire::ist::Day;
use tokio::task::JoinHandle;

use super::notes::Notes;
use crate::console::output::Output;
use crate::feed::{Feed, LiveFeed};
use crate::format::times::{self, SECOND_NS};
use crate::instruments::lists;
use crate::instruments::names::Names;

/// The time of day in India at which the list is requested, in seconds. Kite completes the list of a
/// day at about 08:30, before the market opens.
const LIST_AT_S: i64 = (8 * 60 + 45) * 60;

/// Requests the list of each new day and notes its names. Ends when dropped.
#[derive(Debug)]
pub(crate) struct DailyNames(JoinHandle<()>);

impl Drop for DailyNames {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl DailyNames {
    pub(crate) fn start(notes: Notes, live: LiveFeed, output: Output) -> Self {
        Self(tokio::spawn(async move {
            let mut again = None;
            loop {
                tokio::time::sleep(until_list(times::now_unix_ns(), again)).await;
                let list = match lists::of_today(&live, output).await {
                    Ok(list) => list,
                    Err(sooner) => {
                        again = sooner;
                        continue;
                    }
                };
                again = None;
                for text in notes.rename(Names::of_today(Some(list))) {
                    output.warn(text);
                }
            }
        }))
    }
}

/// Returns the feed whose instruments Kite's list of each day names. Other servers and given lists
/// need not have its tokens.
pub(crate) fn listed_by_kite(feed: &Feed, is_list_given: bool) -> Option<LiveFeed> {
    match feed {
        Feed::Live(live) if !is_list_given && live.endpoint == Endpoint::default() => {
            Some(live.clone())
        }
        _ => None,
    }
}

/// Returns the time until the next list is complete, or until the last one is requested again.
fn until_list(unix_ns: u64, again: Option<Duration>) -> Duration {
    let at = Day::at_unix_ns(unix_ns).start_unix_s() + LIST_AT_S;
    let at_ns = u64::try_from(at).unwrap_or(0).saturating_mul(SECOND_NS);
    let at_ns = if unix_ns < at_ns { at_ns } else { at_ns.saturating_add(86_400 * SECOND_NS) };
    let until_next = Duration::from_nanos(at_ns.saturating_sub(unix_ns));
    again.map_or(until_next, |again| again.min(until_next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Midnight in India before 23 November 2026.
    const MIDNIGHT: u64 = 1_795_372_200 * SECOND_NS;
    const HOUR: u64 = 3_600 * SECOND_NS;

    #[test]
    fn the_list_is_requested_once_a_day_before_the_market_opens() {
        let minutes = |unix_ns: u64| until_list(unix_ns, None).as_secs() / 60;
        assert_eq!(minutes(MIDNIGHT), 8 * 60 + 45);
        assert_eq!(minutes(MIDNIGHT + 8 * HOUR), 45);
        assert_eq!(minutes(MIDNIGHT + 8 * HOUR + 45 * 60 * SECOND_NS), 24 * 60);
        assert_eq!(minutes(MIDNIGHT + 20 * HOUR), 12 * 60 + 45);
        let early = MIDNIGHT + 8 * HOUR + 45 * 60 * SECOND_NS - 1;
        assert_eq!(until_list(early, None), Duration::from_nanos(1));
        // A list that was not trusted, unless that of the next day comes first.
        let again = Some(Duration::from_secs(15 * 60));
        assert_eq!(until_list(MIDNIGHT + 9 * HOUR, again), Duration::from_secs(15 * 60));
        assert_eq!(until_list(early, again), Duration::from_nanos(1));
    }
}
