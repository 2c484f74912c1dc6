//! Follows a running recording and shows its progress.

use std::time::{Duration, Instant};

use kite_conn::Phase;
use kite_manager::Manager;
use kite_sim::Sim;
use kite_tape::Recorder;

use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::console::status_line::StatusLine;
use crate::exit::CliError;
use crate::feed::at_end::AtEnd;
use crate::feed::deadline::Deadline;
use crate::feed::link::{Link, News};
use crate::instruments::names::Names;
use crate::instruments::unseen::{self, Unseen};
use crate::recording::progress::Progress;
use crate::recording::report;

/// Interval of asking the recorder whether it can write.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A running recording.
#[derive(Debug)]
pub(super) struct Recording<'a> {
    pub(super) manager: &'a Manager,
    /// The embedded server, for the simulator or a tape.
    pub(super) sim: Option<&'a Sim>,
    pub(super) recorder: &'a Recorder,
    pub(super) unseen: &'a Unseen,
    pub(super) names: &'a Names,
    pub(super) link: Link<'a>,
    /// How often to report without a terminal.
    pub(super) report_every: Duration,
}

impl Recording<'_> {
    /// Follows the recording until it ends. Returns which connections were missing at the end.
    pub(super) async fn follow(
        mut self,
        deadline: Deadline,
        progress: &mut Progress,
        output: Output,
        stop: &Stop,
    ) -> Result<AtEnd, CliError> {
        let mut status = StatusLine::new(output);
        let mut ask = tokio::time::interval(ASK_EVERY.min(self.report_every));
        ask.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let time_is_over = deadline.reached();
        let tape_has_ended = async {
            match self.sim {
                Some(sim) if sim.replay().is_some() => sim.replay_finished().await,
                _ => std::future::pending().await,
            }
        };
        let (unseen, names) = (self.unseen, self.names);
        let never_ticked = unseen::early_report(unseen, names);
        tokio::pin!(time_is_over, tape_has_ended, never_ticked);
        let mut is_reported = false;
        loop {
            tokio::select! {
                () = stop.requested() => break,
                () = &mut time_is_over => break,
                () = &mut tape_has_ended => break,
                report = &mut never_ticked, if !is_reported => {
                    is_reported = true;
                    if let Some(text) = report {
                        status.warn(&text);
                    }
                }
                () = status.due() => {
                    status.show(&report::line(&self.recorder.stats()));
                }
                _ = ask.tick() => {
                    let (stats, now) = (self.recorder.stats(), Instant::now());
                    if let Some(text) = progress.warning(&stats, now) {
                        status.warn(&text);
                    }
                    if progress.is_line_due(now) && !output.is_live {
                        output.note(report::minute(&stats, self.count(Phase::Live)));
                    }
                }
                news = self.link.next() => {
                    let news = news?;
                    if let News::Up = news {
                        unseen.on_live();
                    }
                    if let Some((severity, text)) = news.line() {
                        status.event(severity, &text);
                    }
                }
            }
        }
        Ok(self.link.at_end())
    }

    /// Returns the number of connections in a phase, and of all.
    fn count(&self, phase: Phase) -> (usize, usize) {
        let connections = self.manager.snapshot().connections;
        (connections.iter().filter(|it| it.phase == phase).count(), connections.len())
    }
}
