//! Keeps the names of a recording that runs for several days up to date.
//!
//! A token is reused for another instrument after its contract has expired, so the tapes of a day
//! have the names of that day's list.

use std::time::Duration;

use kite_tape::Recorder;
use kite_wire::Mode;
use kite_wire::ist::Day;
use tokio::task::JoinHandle;

use crate::console::output::Output;
use crate::feed::LiveFeed;
use crate::format::times::{self, SECOND_NS};
use crate::instruments::names::{Named, Names};
use crate::instruments::{lists, rows};

/// The time of day in India at which the list is requested, in seconds. Kite completes the list of a
/// day at about 08:30, before the market opens.
const LIST_AT_S: i64 = (8 * 60 + 45) * 60;

/// Requests the list of each new day and notes its names. Ends when dropped.
#[derive(Debug)]
pub(super) struct DailyNames(JoinHandle<()>);

impl Drop for DailyNames {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl DailyNames {
    pub(super) fn start(
        recorder: Recorder,
        instruments: Vec<Named>,
        mode: Mode,
        live: LiveFeed,
        output: Output,
    ) -> Self {
        Self(tokio::spawn(async move {
            let mut instruments = instruments;
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
                let names = Names::of_today(Some(list));
                for text in renamed(&mut instruments, &names) {
                    output.warn(text);
                }
                recorder.instruments(rows::to_note(&instruments, &names, mode));
            }
        }))
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

/// Adopts the names of a new list. Returns a warning for each instrument with another name.
fn renamed(instruments: &mut [Named], names: &Names) -> Vec<String> {
    let mut warnings = Vec::new();
    for named in instruments {
        let Some(name) = names.known(named.token).filter(|name| *name != named.name) else {
            continue;
        };
        if named.name != named.token.to_string() {
            let (token, before) = (named.token, &named.name);
            warnings.push(format!("the token {token} is now {name}, no longer {before}"));
        }
        named.name = name;
    }
    warnings
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

    #[test]
    fn another_name_of_a_token_is_reported_once() {
        let names = Names::built_in();
        let named = |token, name: &str| Named { token, name: name.to_owned() };
        let mut instruments = [
            named(408_065, "NFO:NIFTY26OCTFUT"),
            named(738_561, "738561"),
            named(999_424, "999424"),
        ];
        assert_eq!(
            renamed(&mut instruments, &names),
            ["the token 408065 is now NSE:INFY, no longer NFO:NIFTY26OCTFUT"]
        );
        assert_eq!(instruments[1].name, "NSE:RELIANCE", "named now, which is no other instrument");
        assert_eq!(renamed(&mut instruments, &names), Vec::<String>::new());
    }
}
