//! What is done while a recording runs: it is told how it goes, and a new token is waited for.

use std::path::PathBuf;
use std::time::Duration;

use kite_conn::{Credentials, Event, ParkReason, Phase};
use kite_manager::{Events, Manager, ManagerEvent, Seat};
use kite_sim::Sim;
use kite_tape::Recorder;

use super::report;
use crate::blocking;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::console::status_line::StatusLine;
use crate::exit::CliError;
use crate::feed::credentials;

/// How often the file is looked at for a new token.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A recording that runs.
#[derive(Debug)]
pub(super) struct Recording<'a> {
    pub(super) manager: &'a Manager,
    /// The embedded server, of the simulator or of a tape.
    pub(super) sim: Option<&'a Sim>,
    pub(super) recorder: &'a Recorder,
    /// Where a new token will stand once the present one is refused.
    pub(super) renewal: Option<Renewal>,
}

/// Credentials and the file that they are from.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) path: PathBuf,
    pub(super) current: Credentials,
}

impl Renewal {
    /// Gives the credentials of the file if they are others than before.
    async fn changed(&mut self) -> Result<Option<Credentials>, CliError> {
        // A file that is just being written, or of others' reading, is looked at again.
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
    /// Follows the recording until something ends it. Says whether connections had given up then,
    /// so that their instruments were no longer recorded.
    pub(super) async fn follow(
        mut self,
        mut events: Events,
        lasts: Option<Duration>,
        output: Output,
        stop: &Stop,
    ) -> Result<bool, CliError> {
        let mut status = StatusLine::new(output);
        let mut look = tokio::time::interval(LOOK_EVERY);
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
        tokio::pin!(time_is_over, tape_has_ended);
        let mut is_waiting = false;
        loop {
            tokio::select! {
                () = stop.asked() => break,
                () = &mut time_is_over => break,
                () = &mut tape_has_ended => break,
                () = status.due() => {
                    status.show(&report::line(&self.recorder.stats(), ticks(self.manager)));
                }
                _ = look.tick(), if is_waiting => {
                    let changed = match &mut self.renewal {
                        Some(renewal) => renewal.changed().await?,
                        None => None,
                    };
                    if let Some(found) = changed {
                        status.note("a new access token");
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
        Ok(self.count_parked().0 > 0)
    }

    /// Takes note of a connection that no longer tries. Says whether a new token is waited for.
    ///
    /// # Errors
    /// No connection is left that could go on, and no token is waited for.
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
        let (parked, all) = self.count_parked();
        if parked == all {
            return Err(CliError::unable("no connection goes on")
                .because(reason)
                .help("kite doctor says what is wrong, step by step"));
        }
        status.note(&format!("{seat} gave up, the others go on"));
        Ok(false)
    }

    fn count_parked(&self) -> (usize, usize) {
        let connections = self.manager.snapshot().connections;
        let parked = connections.iter().filter(|it| it.phase == Phase::Parked).count();
        (parked, connections.len())
    }
}

/// How many ticks have come.
pub(super) fn ticks(manager: &Manager) -> u64 {
    manager.snapshot().total.ticks
}
