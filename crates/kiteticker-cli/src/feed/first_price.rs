//! The first prices of instruments: from the feed, by a connection of their own before that of the
//! command, or from tapes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kite_conn::LaneConfig;
use kite_instruments::Amount;
use kite_manager::{Manager, StreamConfig};
use kite_tape::{Reel, Windows};
use kite_wire::ist::Day;
use kite_wire::{Mode, Packet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::blocking;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::at_end::LACKS_CONNECTIONS;
use crate::feed::deadline::Deadline;
use crate::feed::link::Link;
use crate::feed::{self, Feed, OpenFeed, tapes};
use crate::format::times::{self, SECOND_NS};
use crate::instruments::names::Named;

/// Interval of reporting that no price has arrived. The server sends one on subscribe, also when
/// the market is closed.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// Limit for the closing handshake, so that the connection does not count against the account's
/// three when the command opens its own.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Subscribes instruments and waits until each has a price, for as long as it takes.
///
/// # Errors
/// Returns an error if the feed cannot be opened, the token is refused, the command's time is over
/// before, or a stop is requested and the server was never reached. A stop of a connected feed is
/// for the caller to handle: the future then stays pending.
///
/// # Cancel safety
/// If the future is dropped, the connection closes in the background.
pub(crate) async fn of_feed(
    feed: Feed,
    instruments: Vec<Named>,
    deadline: Deadline,
    output: Output,
    stop: &Stop,
) -> Result<BTreeMap<u32, Amount>, CliError> {
    let token_files = feed.token_files();
    // The server of a simulator stops when dropped.
    let OpenFeed { builder, sim: _sim, title } = feed.open(1).await?;
    let manager = feed::manager(builder)?;
    let tokens: Vec<u32> = instruments.iter().map(|named| named.token).collect();
    manager
        .subscribe(&tokens, Mode::Ltp)
        .map_err(|error| CliError::unable("cannot subscribe").because(error))?;
    let mut link = Link::open(&manager, &title, token_files)?;
    let mut waiting = Waiting { instruments, prices: BTreeMap::new() };
    output.note(format_args!("waiting for the price of {} from {title}", waiting.missing()));
    let done = tokio::select! {
        done = wait(&manager, &mut link, &mut waiting, output) => done,
        () = deadline.reached() => Ok(()),
        () = stop.requested() => {
            if link.lacks_connections() {
                return Err(waiting.error(true));
            }
            return std::future::pending().await;
        }
    };
    let lacks_connections = link.lacks_connections();
    // A socket still open after that closes with the process.
    let _ = timeout(CLOSE_TIMEOUT, manager.stop()).await;
    done?;
    if !waiting.is_over() {
        return Err(waiting.error(lacks_connections));
    }
    Ok(waiting.prices)
}

async fn wait(
    manager: &Manager,
    link: &mut Link<'_>,
    waiting: &mut Waiting,
    output: Output,
) -> Result<(), CliError> {
    let lane = LaneConfig::conflate();
    let mut stream = manager
        .stream(StreamConfig { lane, ..StreamConfig::default() })
        .map_err(|error| CliError::unable("cannot stream").because(error))?;
    let mut report = interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    while !waiting.is_over() {
        tokio::select! {
            news = link.next() => {
                if let Some((severity, text)) = news?.line() {
                    output.event(severity, text);
                }
            }
            item = stream.recv() => match item {
                Some(item) => item.packets().for_each(|packet| waiting.on_packet(packet)),
                None => return Err(CliError::unable("the feed ended before its first price")),
            },
            _ = report.tick() => {
                let (names, lasted) = (waiting.missing(), times::span(begun.elapsed()));
                output.warn(format_args!("no price of {names} in {lasted}; --spot passes one"));
            }
        }
    }
    Ok(())
}

/// Instruments whose first prices are waited for.
#[derive(Debug)]
struct Waiting {
    instruments: Vec<Named>,
    prices: BTreeMap<u32, Amount>,
}

impl Waiting {
    fn on_packet(&mut self, packet: Packet<'_>) {
        let token = packet.instrument_token();
        if let Some(price) = price(packet)
            && self.instruments.iter().any(|named| named.token == token)
        {
            self.prices.entry(token).or_insert(price);
        }
    }

    fn is_over(&self) -> bool {
        self.prices.len() == self.instruments.len()
    }

    /// Returns the error at the end of the command, which has not begun.
    fn error(&self, lacks_connections: bool) -> CliError {
        let names = self.missing();
        if lacks_connections {
            return CliError::found_nothing(format!("no price of {names} arrived"))
                .because(LACKS_CONNECTIONS)
                .help("run kite doctor to find the cause");
        }
        CliError::found_nothing(format!("no price of {names} arrived in time"))
            .help("pass the price of the underlying with --spot")
    }

    /// Returns the names of the instruments that have no price yet.
    fn missing(&self) -> String {
        let lacks = |named: &&Named| !self.prices.contains_key(&named.token);
        let names = self.instruments.iter().filter(lacks).map(|named| named.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }
}

/// Finds the first price of each instrument on its day in the windows of tapes. Those that have none
/// are absent.
pub(crate) async fn of_tapes(
    reel: &Reel,
    windows: Option<&Windows>,
    instruments: BTreeSet<(Day, u32)>,
    stop: &Stop,
) -> Result<BTreeMap<(Day, u32), Amount>, CliError> {
    let (reel, windows, stop) = (reel.clone(), windows.cloned(), stop.clone());
    blocking::run("reading the tapes", move || {
        let mut by_day: BTreeMap<Day, BTreeSet<u32>> = BTreeMap::new();
        for (day, token) in instruments {
            by_day.entry(day).or_default().insert(token);
        }
        let mut prices = BTreeMap::new();
        for (day, tokens) in by_day {
            let found = of_day(&reel, windows.as_ref(), day, tokens, &stop);
            prices.extend(found.into_iter().map(|(token, price)| ((day, token), price)));
        }
        prices
    })
    .await
}

fn of_day(
    reel: &Reel,
    windows: Option<&Windows>,
    day: Day,
    mut missing: BTreeSet<u32>,
    stop: &Stop,
) -> BTreeMap<u32, Amount> {
    let start = u64::try_from(day.start_unix_s()).unwrap_or(0).saturating_mul(SECOND_NS);
    let mut prices = BTreeMap::new();
    // Damage is reported by the commands that read the whole tape.
    for entry in tapes::read(reel, start).flatten() {
        let at = entry.recv_unix_ns();
        if missing.is_empty() || Day::at_unix_ns(at) > day || stop.is_requested() {
            break;
        }
        if Day::at_unix_ns(at) < day || windows.is_some_and(|windows| !windows.contains(at)) {
            continue;
        }
        for packet in entry.frame().into_iter().flat_map(|frame| frame.packets()) {
            if let Some(price) = price(packet)
                && missing.remove(&packet.instrument_token())
            {
                prices.insert(packet.instrument_token(), price);
            }
        }
    }
    prices
}

/// Returns the last price; `None` for an instrument that has not been traded.
fn price(packet: Packet<'_>) -> Option<Amount> {
    Some(Amount::from(packet.last_price())).filter(|&price| price > Amount::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ltp(token: u32, price: i32) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&token.to_be_bytes());
        bytes[4..].copy_from_slice(&price.to_be_bytes());
        bytes
    }

    #[test]
    fn the_first_price_above_zero_counts_and_only_of_what_is_waited_for() {
        let named = |token, name: &str| Named { token, name: name.to_owned() };
        let instruments = vec![named(256_265, "NSE:NIFTY 50"), named(260_105, "NSE:NIFTY BANK")];
        let mut waiting = Waiting { instruments, prices: BTreeMap::new() };
        let packets = [(256_265, 0), (256_265, 2_600_010), (256_265, 2_700_000), (408_065, 5)];
        for (token, price) in packets {
            waiting.on_packet(Packet::from_bytes(&ltp(token, price)).unwrap());
        }
        assert_eq!((waiting.is_over(), waiting.missing()), (false, "NSE:NIFTY BANK".to_owned()));
        waiting.on_packet(Packet::from_bytes(&ltp(260_105, 5_700_000)).unwrap());
        assert!(waiting.is_over());
        assert_eq!(waiting.prices[&256_265].to_string(), "26000.1");
        assert_eq!(waiting.prices.len(), 2);
    }
}
