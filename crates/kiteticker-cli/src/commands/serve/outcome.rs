//! What a relay has done, and what clients and tapes lack at its end.

use kite_relay::{RelayStats, RelayStopped};
use serde_json::Value;

use super::report;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::numbers;
use crate::recording::finished::Finished;
use crate::recording::progress::Progress;
use crate::recording::report as recorded;

/// What a relay has done.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) stopped: RelayStopped,
    /// What was counted before the clients were closed.
    pub(super) at_end: RelayStats,
    pub(super) recorded: Option<Finished>,
    /// Damaged places of the replayed tapes.
    pub(super) damages: u64,
}

impl Outcome {
    /// Prints the summary. `unseen` are the instruments that never ticked.
    pub(super) fn print(
        &self,
        unseen: &[u32],
        is_json: bool,
        output: Output,
    ) -> Result<(), CliError> {
        let (stats, is_complete) = (&self.stopped.stats, self.stopped.is_complete);
        let recorded = self.recorded.as_ref().map(|it| &it.summary);
        if is_json {
            let mut report = report::json(stats, &self.at_end, is_complete);
            report["recording"] =
                recorded.map_or(Value::Null, |summary| recorded::json(summary, unseen));
            return output.json(&report);
        }
        output.text(&report::summary(stats, &self.at_end))?;
        recorded.map_or(Ok(()), |summary| output.text(&recorded::summary(summary)))
    }

    /// Warns of everything that clients or tapes lack; returns whether there is anything.
    pub(super) fn warn(&self, progress: &mut Progress, output: Output) -> bool {
        let losses = report::losses(&self.stopped.stats, self.stopped.is_complete);
        losses.iter().for_each(|text| output.warn(text));
        let is_tape_whole =
            self.recorded.as_ref().is_none_or(|it| !it.warn_of_losses(progress, output));
        if self.damages > 0 {
            let places = numbers::counted(self.damages, "damaged place");
            output.warn(format_args!(
                "{places} of the replayed tapes skipped; kite inspect lists them"
            ));
        }
        !losses.is_empty() || !is_tape_whole || self.damages > 0
    }
}
