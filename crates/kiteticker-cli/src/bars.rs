//! Bars of tapes, for the commands that show or write them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kite_candles::Config;
use kite_export::{Bars, Export, ExportError};
use kite_tape::{Reel, Windows};
use kite_wire::ist::Day;

use crate::args::period::Period;
use crate::args::select::SelectArgs;
use crate::console::output::Output;
use crate::console::progress;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::tapes;
use crate::instruments::names::Names;
use crate::instruments::selection::{self, Underlyings};

/// What the command line chooses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) tapes: &'a [PathBuf],
    pub(crate) instruments_file: Option<&'a Path>,
    pub(crate) period: &'a Period,
    pub(crate) instruments: &'a [String],
    pub(crate) select: &'a SelectArgs,
}

/// The part of tapes that bars are made from.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) reel: Reel,
    pub(crate) names: Names,
    windows: Option<Windows>,
    /// Empty for all instruments.
    tokens: BTreeSet<(Day, u32)>,
    /// Whether files of the tapes cannot be read or are cut off.
    pub(crate) lacks_parts: bool,
}

impl Choice<'_> {
    /// Opens the tapes, and finds what is chosen of them; `None` if the user stopped it. Reports
    /// files that are not read or are cut off.
    pub(crate) async fn find(
        self,
        output: Output,
        stop: &Stop,
    ) -> Result<Option<Chosen>, CliError> {
        let reel = tapes::open_and_warn(self.tapes, output).await?;
        tapes::report_ends(&reel, output);
        let lacks_parts = tapes::lack_parts(&reel);
        let windows = self.period.windows(&reel)?;
        let names = Names::of_tapes(&reel, self.instruments_file, output).await?;
        let part = (self.instruments, self.select, Underlyings::LeftOut);
        let finding = selection::of_tapes(part, &reel, windows.as_ref(), &names, output, stop);
        let Some(tokens) = stop.until_done(finding).await? else { return Ok(None) };
        Ok(Some(Chosen { reel, names, windows, tokens, lacks_parts }))
    }
}

/// Makes bars with these settings; `set` changes those of the export, and `write` takes the bars.
/// Blocks. Shows progress, and reports damage of the tapes.
pub(crate) fn make(
    chosen: Chosen,
    configs: Vec<Config>,
    output: Output,
    stop: &Stop,
    set: impl for<'a> FnOnce(Export<'a>) -> Export<'a>,
    write: impl FnOnce(Bars<'_>) -> Result<kite_export::BarSummary, ExportError>,
) -> Result<kite_export::BarSummary, ExportError> {
    let Chosen { reel, names, windows, tokens, .. } = chosen;
    let bar = progress::Bar::bytes(output, reel.len_bytes(), "making bars");
    let cancel = AtomicBool::new(false);
    let mut export = Export::new(&reel)
        .symbols(move |day, token| names.known_on(day, token))
        .scratch(stop.scratch())
        .cancel_on(&cancel)
        .on_progress(|progress| {
            bar.of(progress.bytes_done, progress.bytes_total);
            cancel.store(stop.is_requested(), Ordering::Relaxed);
        })
        .on_damage(|damage| bar.above(|| output.warn(damage)));
    if let Some(windows) = windows {
        // A gap is recorded only when it ends.
        export = export.windows(windows).read_past(Duration::from_nanos(tapes::READ_PAST_NS));
    }
    if !tokens.is_empty() {
        export = export.tokens_by_day(tokens);
    }
    let made = write(set(export).bars(configs));
    bar.done();
    made
}
