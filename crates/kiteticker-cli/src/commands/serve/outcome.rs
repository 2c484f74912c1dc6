//! What a relay has done, and what clients and tapes lack at its end.

use kite_nats::PublisherStopped;
use kite_relay::{RelayStats, RelayStopped};
use serde_json::Value;

use super::{nats, report};
use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::at_end::AtEnd;
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
    pub(super) published: Option<PublisherStopped>,
    /// Damaged places of the replayed tapes.
    pub(super) damages: u64,
    /// The connections that were missing at the end.
    pub(super) connections: AtEnd,
    /// Whether parts of the replayed tapes are missing.
    pub(super) lacks_parts: bool,
    /// Whether the feed could not go on.
    pub(super) has_failed: bool,
}

impl Outcome {
    /// Prints the summary. `unseen` are the instruments that never ticked.
    pub(super) fn print(
        &self,
        unseen: &[u32],
        is_json: bool,
        output: Output,
    ) -> Result<(), CliError> {
        let stats = &self.stopped.stats;
        let recorded = self.recorded.as_ref().map(|it| &it.summary);
        if is_json {
            let mut report = report::json(stats, &self.at_end);
            report["complete"] = (!self.has_findings() && !self.has_failed).into();
            report["cut_off"] = (!self.stopped.is_complete).into();
            report["tape_damages"] = self.damages.into();
            report["tape_parts_missing"] = self.lacks_parts.into();
            report["connections_missing"] = self.connections.lacks_connections.into();
            report["down_at_end"] = self.connections.down_json();
            report["recording"] =
                recorded.map_or(Value::Null, |summary| recorded::json(summary, unseen));
            report["nats"] = self.published.as_ref().map_or(Value::Null, nats::json);
            return output.json(&report);
        }
        output.text(&report::summary(stats, &self.at_end))?;
        if let Some(published) = &self.published {
            output.text(&nats::summary(&published.stats))?;
        }
        self.connections.lines().iter().try_for_each(|line| output.line(line))?;
        recorded.map_or(Ok(()), |summary| output.text(&recorded::summary(summary)))
    }

    /// Returns whether clients or tapes lack anything.
    pub(super) fn has_findings(&self) -> bool {
        !self.losses().is_empty()
            || self.recorded.as_ref().is_some_and(Finished::has_losses)
            || self.damages > 0
            || self.connections.has_findings()
            || self.lacks_parts
    }

    fn losses(&self) -> Vec<String> {
        let mut losses = report::losses(&self.stopped.stats, self.stopped.is_complete);
        losses.extend(self.published.iter().flat_map(nats::losses));
        losses
    }

    /// Warns of everything that clients or tapes lack. What parts of tapes are missing was said at
    /// the start.
    pub(super) fn warn(&self, progress: &mut Progress, output: Output) {
        self.losses().iter().for_each(|text| output.warn(text));
        if let Some(recorded) = &self.recorded {
            recorded.warn_of_losses(progress, output);
        }
        if self.damages > 0 {
            let places = numbers::counted(self.damages, "damaged place");
            output.warn(format_args!(
                "{places} of the replayed tapes skipped; kite inspect lists them"
            ));
        }
        self.connections.warn(output);
    }
}
