//! Bars of a tape that is replayed, by the times on it.

use std::collections::HashSet;

use kite_candles::{Config, Counts, Every, Item, RecordedCandles};
use kite_tape::Reel;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::super::report;
use super::rows::Rows;
use crate::blocking;
use crate::commands::replay::print::Pace;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::{ReplayFeed, Speed, tapes};
use crate::format::numbers;
use crate::instruments::names::Names;

/// What is replayed.
pub(super) struct Replayed {
    pub(super) feed: ReplayFeed,
    pub(super) tokens: HashSet<u32>,
    pub(super) configs: Vec<Config>,
}

/// What was printed.
struct Printed {
    rows: Rows,
    counts: Vec<(Every, Counts)>,
    damages: u64,
}

/// Prints bars until the tape ends or the user stops it. Returns whether parts of it are damaged.
pub(super) async fn run(
    replayed: Replayed,
    rows: Rows,
    names: &Names,
    output: Output,
    stop: Stop,
) -> Result<bool, CliError> {
    let reel = tapes::open(&replayed.feed.paths).await?;
    let runtime = Handle::current();
    let printing =
        blocking::run("the replay", move || replayed.print(&reel, rows, &stop, &runtime));
    let Printed { rows, counts, damages } = printing.await??;
    rows.report(names);
    report::live(&counts, output);
    if damages > 0 {
        let places = numbers::counted(damages, "damaged place");
        output.warn(format_args!("{places} skipped; kite inspect lists them"));
    }
    Ok(damages > 0)
}

impl Replayed {
    /// Blocks.
    fn print(
        self,
        reel: &Reel,
        mut rows: Rows,
        stop: &Stop,
        runtime: &Handle,
    ) -> Result<Printed, CliError> {
        let lengths: Vec<Every> = self.configs.iter().map(|config| config.every).collect();
        let mut candles = RecordedCandles::live(self.configs)
            .map_err(|error| CliError::unable("cannot make bars").because(error))?;
        let ReplayFeed { windows, speed, longest_pause, .. } = self.feed;
        let mut pace = match speed {
            Speed::Max => None,
            Speed::Times(times) => Some(Pace::new(times, longest_pause, windows.clone())),
        };
        let from = windows.as_ref().and_then(|windows| windows.span()).map_or(0, |(from, _)| from);
        let (mut damages, mut last) = (0, 0);
        let mut items = Vec::new();
        for entry in reel.seek(from) {
            if stop.is_requested() {
                break;
            }
            let mut out = |nth, item: Item| items.push((nth, item));
            let Ok(entry) = entry else {
                damages += 1;
                candles.on_damage(None, None, &mut out);
                continue;
            };
            let at = entry.recv_unix_ns();
            if windows.as_ref().is_some_and(|windows| !windows.contains(at)) {
                continue;
            }
            if let Some(pace) = &mut pace {
                let now = Instant::now();
                let due = pace.due(at, now);
                if due > now && !wait(due, stop, runtime) {
                    break;
                }
            }
            last = last.max(at);
            candles.on_record(entry.received, entry.kind, &entry.payload, &mut out);
            for packet in entry.frame().into_iter().flat_map(|frame| frame.packets()) {
                if self.tokens.contains(&packet.instrument_token()) {
                    candles.on_packet(entry.received, packet, &mut out);
                }
            }
            items.drain(..).try_for_each(|(nth, item)| rows.print(nth, &item))?;
        }
        let counts = candles.finish(&mut |nth, item| items.push((nth, item)));
        items.iter().try_for_each(|(nth, item)| rows.print_last(*nth, item, last))?;
        Ok(Printed { rows, counts: lengths.into_iter().zip(counts).collect(), damages })
    }
}

/// Waits until a time; returns whether to continue.
fn wait(until: Instant, stop: &Stop, runtime: &Handle) -> bool {
    runtime.block_on(async {
        tokio::select! {
            () = tokio::time::sleep_until(until) => true,
            () = stop.requested() => false,
        }
    })
}
