//! Follows a running relay and shows its progress.

use std::time::{Duration, Instant};

use kite_conn::Phase;
use kite_manager::Manager;
use kite_nats::Publisher;
use kite_relay::{Relay, RelayStats};
use kite_sim::Sim;
use kite_tape::Recorder;

use super::nats::NatsReports;
use super::refusals::RefusalReports;
use super::reload::{Reload, Reloaded};
use super::report;
use super::reported::Reported;
use super::service::Service;
use super::slow::SlowReports;
use crate::clients::{Standstill, Waiting};
use crate::console::logs;
use crate::console::output::Output;
use crate::console::signals::{HangUps, Stop};
use crate::console::status_line::StatusLine;
use crate::exit::CliError;
use crate::feed::at_end::AtEnd;
use crate::feed::deadline::Deadline;
use crate::feed::link::{Link, News};
use crate::instruments::names::Names;
use crate::instruments::unseen::{self, Unseen};
use crate::recording::progress::Progress;

/// Interval of asking the recorder whether it can write, and the relay for slow clients.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Time without a change of the subscriptions after which a replay starts, so that it begins with
/// all instruments of clients that subscribe by several commands.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Interval of asking for the subscriptions before that.
const START_EVERY: Duration = Duration::from_millis(50);

/// Why a relay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The user or the time is over.
    Requested,
    /// Everything on the tapes has been sent.
    Replayed,
}

/// A running relay.
#[derive(Debug)]
pub(super) struct Serving<'a> {
    pub(super) manager: &'a Manager,
    pub(super) relay: &'a Relay,
    /// The embedded server, for the simulator or a tape.
    pub(super) sim: Option<&'a Sim>,
    pub(super) recorder: Option<&'a Recorder>,
    pub(super) nats: Option<&'a Publisher>,
    /// Which of the instruments of the command line have ticked.
    pub(super) unseen: &'a Unseen,
    pub(super) names: &'a Names,
    pub(super) link: Link<'a>,
    /// How often to report without a terminal.
    pub(super) report_every: Duration,
    /// Sockets of clients that have to subscribe before a replay starts.
    pub(super) sockets: usize,
    /// Whether a replay is as fast as its clients, and stands still without any.
    pub(super) is_unpaced: bool,
    pub(super) service: Service,
    /// Takes over changes of the file of settings, if there is one.
    pub(super) reload: Option<&'a Reload<'a>>,
    /// Requests to do so.
    pub(super) hang_ups: Option<HangUps>,
}

impl Serving<'_> {
    /// Follows the relay until it is to end. Returns why, and which connections were missing at
    /// the end.
    pub(super) async fn follow(
        mut self,
        deadline: Deadline,
        progress: &mut Progress,
        output: Output,
        stop: &Stop,
    ) -> Result<(End, AtEnd), CliError> {
        let mut status = StatusLine::new(output);
        let mut ask = tokio::time::interval(ASK_EVERY.min(self.report_every));
        ask.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut slow = SlowReports::new(self.report_every);
        let mut refusals = RefusalReports::new(self.report_every);
        let mut silences = Reported::new(self.report_every);
        let mut published = NatsReports::new(self.report_every);
        let (mut waiting, mut standstill) = (Waiting::new(self.sockets), Standstill::default());
        let time_is_over = deadline.reached();
        let replayed = replayed(self.sim, self.relay, self.sockets);
        let never_ticked = unseen::early_report(self.unseen, self.names);
        let (relay, recorder) = (self.relay, self.recorder);
        let attended = self.service.attend(relay, || {
            report::line(&relay.stats(), recorder.map(|it| it.stats().bytes_on_disk))
        });
        tokio::pin!(time_is_over, replayed, never_ticked, attended);
        let mut reloading = None;
        let mut is_reported = false;
        let end = loop {
            tokio::select! {
                () = stop.requested() => break End::Requested,
                () = &mut time_is_over => break End::Requested,
                () = &mut replayed => break End::Replayed,
                report = &mut never_ticked, if !is_reported => {
                    is_reported = true;
                    if let Some(text) = report {
                        status.warn(&text);
                    }
                }
                () = &mut attended => {}
                () = next(&mut self.hang_ups), if reloading.is_none() => {
                    self.service.reloading();
                    reloading = self.reload.map(|reload| Box::pin(reload.apply()));
                }
                done = reloaded(&mut reloading) => {
                    reloading = None;
                    self.show_reloaded(done, &mut status);
                    self.service.ready();
                }
                () = status.due() => {
                    status.show(&report::line(&self.relay.stats(), self.on_disk()));
                }
                _ = ask.tick() => {
                    let now = Instant::now();
                    if let Some(recorder) = self.recorder
                        && let Some(text) = progress.warning(&recorder.stats(), now)
                    {
                        status.warn(&text);
                    }
                    let stats = self.relay.stats();
                    if let Some(text) = self.tape_note(&stats, &mut waiting, &mut standstill) {
                        status.note(&text);
                    }
                    let mut warnings = slow.warnings(&stats, now);
                    // The log has each of them.
                    if !logs::are_shown() {
                        warnings.extend(refusals.warnings(&stats, now));
                        let before = silences.due("", &stats.silences, now);
                        warnings.extend(before.map(|it| report::silences(stats.silences - it)));
                        let nats = self.nats.map(|nats| published.warnings(&nats.stats(), now));
                        warnings.extend(nats.into_iter().flatten());
                    }
                    warnings.iter().for_each(|text| status.warn(text));
                    if progress.is_line_due(now) && !output.is_live {
                        let line = report::line(&self.relay.stats(), self.on_disk());
                        let (up, connections) = self.count_live();
                        output.note(format_args!("{up} of {connections} connections up, {line}"));
                    }
                }
                news = self.link.next() => {
                    let news = news?;
                    if let News::Up = news {
                        self.unseen.on_live();
                    }
                    if let Some((severity, text)) = news.line() {
                        status.event(severity, &text);
                    }
                }
            }
        };
        Ok((end, self.link.at_end()))
    }

    /// Reports what a reading of the file has changed.
    fn show_reloaded(&self, done: Result<Reloaded, Vec<CliError>>, status: &mut StatusLine) {
        match done {
            Ok(Reloaded { note, warnings }) => {
                status.note(&note);
                warnings.iter().for_each(|text| status.warn(text));
            }
            Err(errors) => {
                errors.iter().for_each(|error| status.error(error));
                if let Some(reload) = self.reload {
                    status
                        .warn(&format!("{} is not taken over: nothing has changed", reload.name()));
                }
            }
        }
    }

    /// Returns the note that is due if a replayed tape waits for clients.
    fn tape_note(
        &self,
        stats: &RelayStats,
        waiting: &mut Waiting,
        standstill: &mut Standstill,
    ) -> Option<String> {
        let sim = self.sim?;
        let has_begun = sim.replay()?.begun;
        let subscribed = stats.clients.iter().map(|it| it.subscribed).sum();
        let missing = if has_begun { None } else { waiting.note(subscribed) };
        let stands = match has_begun {
            true => self.is_unpaced && sim.subscriptions().iter().all(|it| it.is_empty()),
            false => subscribed == 0,
        };
        missing.or(standstill.note(stands, tokio::time::Instant::now()))
    }

    /// Returns the size of the tapes, if the feed is recorded.
    fn on_disk(&self) -> Option<u64> {
        self.recorder.map(|recorder| recorder.stats().bytes_on_disk)
    }

    /// Returns the number of connections that are live, and of all.
    fn count_live(&self) -> (usize, usize) {
        let connections = self.manager.snapshot().connections;
        let live = connections.iter().filter(|it| it.phase == Phase::Live).count();
        (live, connections.len())
    }
}

/// Starts a replay once enough clients have subscribed, and waits for its end; pends for ever if
/// there is none.
async fn replayed(sim: Option<&Sim>, relay: &Relay, sockets: usize) {
    let Some(sim) = sim.filter(|sim| sim.replay().is_some()) else {
        return std::future::pending().await;
    };
    let mut ask = tokio::time::interval(START_EVERY);
    let (mut known, mut since) = (None, Instant::now());
    while since.elapsed() < SETTLED_AFTER {
        ask.tick().await;
        let clients = relay.stats().clients;
        let subscribed: usize = clients.iter().map(|client| client.subscribed).sum();
        let instruments: u64 = clients.iter().map(|client| client.instruments).sum();
        let now = (subscribed, instruments, sim.subscriptions());
        let is_obeyed = now.2.iter().any(|instruments| !instruments.is_empty());
        if subscribed < sockets || !is_obeyed || known.as_ref() != Some(&now) {
            since = Instant::now();
        }
        known = Some(now);
    }
    sim.begin_replay();
    sim.replay_finished().await;
}

/// Waits for a request to read the settings again.
async fn next(hang_ups: &mut Option<HangUps>) {
    match hang_ups {
        Some(hang_ups) => hang_ups.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for a reading to end; pends for ever if there is none.
async fn reloaded<F: Future + Unpin>(reading: &mut Option<F>) -> F::Output {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
