//! Bars of a tape that is replayed, by the times on it.

use std::collections::HashSet;

use kite_candles::{Config, Counts, Every, Item, RecordedCandles};
use kite_export::windows_of_bars;
use kite_tape::{Reel, Windows};
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
    /// Instruments without a packet.
    unseen: Vec<u32>,
}

/// Prints bars until the tape ends or the user stops it. Returns whether parts of it are damaged, or
/// bars are missing.
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
    let Printed { rows, counts, damages, unseen } = printing.await??;
    rows.report(names);
    let mut has_findings = report::live(&counts, output);
    if damages > 0 {
        let places = numbers::counted(damages, "damaged place");
        output.warn(format_args!("{places} skipped; kite inspect lists them"));
    }
    report::warn_of_unseen(&unseen, names, output);
    has_findings |= rows.warn_if_none(&counts);
    Ok(has_findings || damages > 0 || !unseen.is_empty())
}

impl Replayed {
    /// Prints the bars that the tape form of the command makes, and reads what it reads: the whole
    /// days of the chosen times, which alone take time. Blocks.
    fn print(
        mut self,
        reel: &Reel,
        mut rows: Rows,
        stop: &Stop,
        runtime: &Handle,
    ) -> Result<Printed, CliError> {
        let lengths: Vec<Every> = self.configs.iter().map(|config| config.every).collect();
        let shown = self.feed.windows.take();
        let read = shown.as_ref().map(|shown| windows_of_bars(shown, &self.configs));
        let mut candles = RecordedCandles::live(self.configs)
            .map_err(|error| CliError::unable("cannot make bars").because(error))?;
        let mut pace = match self.feed.speed {
            Speed::Max => None,
            Speed::Times(times) => Some(Pace::new(times, self.feed.longest_pause, shown.clone())),
        };
        let span = read.as_ref().and_then(Windows::span);
        let (from, to) = span.unwrap_or((0, u64::MAX));
        // A gap is recorded only when it ends.
        let to = to.saturating_add(tapes::READ_PAST_NS);
        let is_within = |windows: &Option<Windows>, at| {
            windows.as_ref().is_none_or(|windows| windows.contains(at))
        };
        rows.show(shown.clone());
        let (mut damages, mut last, mut is_stopped) = (0, 0, false);
        let mut unseen = self.tokens.clone();
        let mut items = Vec::new();
        for entry in reel.seek(from) {
            if stop.is_requested() {
                is_stopped = true;
                break;
            }
            let mut out = |nth, item: Item| items.push((nth, item));
            let entry = match entry {
                Ok(entry) => entry,
                Err(damage) => {
                    damages += 1;
                    candles.on_damage(damage.from_unix_ns, damage.to_unix_ns, &mut out);
                    continue;
                }
            };
            let at = entry.recv_unix_ns();
            if at >= to {
                break;
            }
            if let Some(pace) = pace.as_mut().filter(|_| is_within(&shown, at)) {
                let now = Instant::now();
                let due = pace.due(at, now);
                if due > now && !wait(due, stop, runtime) {
                    is_stopped = true;
                    break;
                }
            }
            last = last.max(at);
            candles.on_record(entry.received, entry.kind, &entry.payload, &mut out);
            let frame = entry.frame().filter(|_| is_within(&read, at));
            for packet in frame.into_iter().flat_map(|frame| frame.packets()) {
                let token = packet.instrument_token();
                if self.tokens.contains(&token) {
                    unseen.remove(&token);
                    candles.on_packet(entry.received, packet, &mut out);
                }
            }
            items.drain(..).try_for_each(|(nth, item)| rows.print(nth, &item))?;
        }
        let counts = candles.finish(&mut |nth, item| items.push((nth, item)));
        items.sort_by_key(|(nth, item)| (item.bar().start, *nth, item.bar().instrument_token));
        for (nth, item) in &items {
            // The end of the tape ends all bars. A stop does not.
            match is_stopped {
                true => rows.print_last(*nth, item, last)?,
                false => rows.print(*nth, item)?,
            }
        }
        let mut unseen: Vec<u32> = unseen.into_iter().filter(|_| !is_stopped).collect();
        unseen.sort_unstable();
        let counts = lengths.into_iter().zip(counts).collect();
        Ok(Printed { rows, counts, damages, unseen })
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
