//! The end of a recording.

use std::time::Instant;

use kite_tape::{RecordError, Recorder, RecorderSummary};

use super::progress::Progress;
use super::report;
use crate::blocking;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::numbers;

/// A recording that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) summary: RecorderSummary,
    /// Why its end is not on the tapes.
    failure: Option<RecordError>,
}

impl Finished {
    /// Writes everything that was recorded to disk.
    pub(crate) async fn of(recorder: Recorder) -> Result<Self, CliError> {
        let tapes = recorder.clone();
        let finished = blocking::run("the recorder", move || recorder.finish()).await?;
        Ok(Self { summary: tapes.summary(), failure: finished.err() })
    }

    /// Returns whether anything is not on the tapes.
    pub(crate) fn has_losses(&self) -> bool {
        let stats = &self.summary.stats;
        stats.dropped + stats.lost > 0 || stats.failures > 0 || self.failure.is_some()
    }

    /// Warns of everything that is not on the tapes; returns whether there is anything.
    pub(crate) fn warn_of_losses(&self, progress: &mut Progress, output: Output) -> bool {
        let stats = &self.summary.stats;
        if let Some(error) = &self.failure {
            output.warn(format_args!("the end of the recording is not on the tapes: {error}"));
        }
        // Failures of the last second.
        if let Some(text) = progress.warning(stats, Instant::now()) {
            output.warn(text);
        }
        let lost = stats.dropped + stats.lost;
        // The warning of a lost file has said what was lost with it.
        let is_said = stats.dropped == 0 && report::failed_writes(stats) == 0;
        if lost > 0 && !is_said {
            let frames = numbers::counted(lost, "frame");
            let recorded = match self.failure {
                None => "; the tapes record them as gaps",
                Some(_) => "",
            };
            output.warn(format_args!("{frames} lost{recorded}"));
        }
        self.has_losses()
    }
}
