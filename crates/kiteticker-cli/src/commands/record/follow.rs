//! Follows a running recording: shows its progress, and waits for a new token if needed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kite_conn::{Credentials, Event, ParkReason, Phase};
use kite_manager::{Events, Manager, ManagerEvent, Seat};
use kite_sim::Sim;
use kite_tape::Recorder;

use super::progress::Progress;
use super::report;
use crate::blocking;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::console::status_line::StatusLine;
use crate::exit::CliError;
use crate::feed::credentials;
use crate::instruments::names::Names;
use crate::instruments::unseen::{self, Unseen};

/// Interval of checking the file for a new token.
const CHECK_EVERY: Duration = Duration::from_secs(2);
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
    /// Where to find a new token once the current one is refused.
    pub(super) renewal: Option<Renewal>,
    /// How often to report without a terminal.
    pub(super) report_every: Duration,
}

/// Credentials and the file they came from.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) path: PathBuf,
    pub(super) current: Credentials,
}

impl Renewal {
    /// Returns the credentials in the file if they have changed.
    async fn changed(&mut self) -> Result<Option<Credentials>, CliError> {
        // A file that cannot be read yet, such as one being written, is checked again later.
        let path = self.path.clone();
        let read = blocking::run("reading the credentials", move || credentials::read(&path));
        let Ok(found) = read.await? else { return Ok(None) };
        let is_new = found != self.current && found.api_key() == self.current.api_key();
        if is_new {
            self.current = found.clone();
        }
        Ok(is_new.then_some(found))
    }
}

impl Recording<'_> {
    /// Follows the recording until it ends. Returns whether any connection had given up, so that
    /// its instruments were no longer recorded.
    pub(super) async fn follow(
        mut self,
        mut events: Events,
        lasts: Option<Duration>,
        output: Output,
        stop: &Stop,
    ) -> Result<bool, CliError> {
        let mut status = StatusLine::new(output);
        let mut check = tokio::time::interval(CHECK_EVERY);
        let mut ask = tokio::time::interval(ASK_EVERY.min(self.report_every));
        ask.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut progress = Progress::new(self.report_every, Instant::now());
        let time_is_over = async {
            match lasts {
                Some(lasts) => tokio::time::sleep(lasts).await,
                None => std::future::pending().await,
            }
        };
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
        let mut is_waiting = false;
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
                _ = check.tick(), if is_waiting => {
                    let changed = match &mut self.renewal {
                        Some(renewal) => renewal.changed().await?,
                        None => None,
                    };
                    if let Some(found) = changed {
                        status.note("found a new access token");
                        self.manager.set_access_token(found.access_token().expose());
                        is_waiting = false;
                    }
                }
                event = events.recv() => match event {
                    Some(event) => {
                        if let Some(text) = report::event(&event) {
                            status.note(&text);
                        }
                        if let ManagerEvent::Connection { seat, event: Event::Parked(reason) } = event {
                            is_waiting |= self.parked(&seat, reason, &mut status)?;
                        }
                    }
                    None => break,
                },
            }
        }
        Ok(self.count(Phase::Parked).0 > 0)
    }

    /// Handles a connection that gave up. Returns whether to wait for a new token.
    ///
    /// # Errors
    /// Returns an error if all connections have stopped and no new token can help.
    fn parked(
        &self,
        seat: &Seat,
        reason: ParkReason,
        status: &mut StatusLine,
    ) -> Result<bool, CliError> {
        let needs_token = matches!(reason, ParkReason::Authentication(_));
        if let Some(renewal) = self.renewal.as_ref().filter(|_| needs_token) {
            let path = renewal.path.display();
            status.note(&format!("waiting for a new access_token in {path}"));
            return Ok(true);
        }
        let (parked, all) = self.count(Phase::Parked);
        if parked == all {
            return Err(CliError::unable("all connections have stopped")
                .because(reason)
                .help("run kite doctor to find the cause"));
        }
        status.note(&format!("{seat} gave up; the others continue"));
        Ok(false)
    }

    /// Returns the number of connections in a phase, and of all.
    fn count(&self, phase: Phase) -> (usize, usize) {
        let connections = self.manager.snapshot().connections;
        (connections.iter().filter(|it| it.phase == phase).count(), connections.len())
    }
}
