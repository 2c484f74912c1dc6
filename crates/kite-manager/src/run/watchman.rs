//! The failover task, one for each run of a manager.
//!
//! It wakes on connection events, when a failover timeout expires, and once a second to sample the
//! counts that rates are computed from. `failover` and `balancer` decide what to do.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::select;
use kite_conn::{EventReceiver, Phase, Stamp, Status};
use tokio::sync::Notify;

use crate::balance::{Action, Change};
use crate::events::{ManagerEvent, RunEnd};
use crate::manager::{Account, Core};
use crate::observe::SAMPLE_EVERY;

/// Interval at which the tick rates of instruments are measured, to balance later subscriptions.
const OBSERVE_EVERY: Duration = Duration::from_secs(30);

/// The manager and its run that a watchman watches. When dropped, which the end of the runtime does
/// too, the listeners of the run end with its connections.
pub(crate) struct Watched {
    core: Weak<Core>,
    run: RunEnd,
}

impl Watched {
    pub(crate) fn new(core: &Arc<Core>, run: RunEnd) -> Self {
        Self { core: Arc::downgrade(core), run }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.end_events_of(&self.run);
        }
    }
}

/// Runs until the manager is dropped or every connection has ended; the end of the run aborts the
/// task.
pub(crate) async fn watch(watched: Watched, mut events: EventReceiver, recheck: Arc<Notify>) {
    let mut seen = Vec::new();
    let (mut observed, mut sampled) = (now(), now());
    loop {
        let deadline = {
            let Some(core) = watched.core.upgrade() else { return };
            let now = now();
            if now - observed >= OBSERVE_EVERY {
                observe(&core, now - observed);
                observed = now;
            }
            if now - sampled >= SAMPLE_EVERY {
                sample(&core);
                sampled = now;
            }
            let failover_due = look(&core, &mut seen, now);
            if seen.iter().all(|status| status.phase == Phase::Closed) {
                return;
            }
            let next = (observed + OBSERVE_EVERY).min(sampled + SAMPLE_EVERY);
            failover_due.map_or(next, |due| due.min(next))
        };
        // Neither the event nor a lag matters, because the statuses are read again.
        let (event, notified) = (pin!(events.skip()), pin!(recheck.notified()));
        let _ = tokio::time::timeout_at(deadline.into(), select(event, notified)).await;
    }
}

fn observe(core: &Core, since: Duration) {
    for account in &mut core.lock().accounts {
        account.observe(since);
    }
}

fn sample(core: &Core) {
    let now = Stamp::now();
    for account in &mut core.lock().accounts {
        account.sample(now);
    }
}

/// Checks every connection and does what is due; returns when to check again.
fn look(core: &Core, seen: &mut Vec<Status>, now: Instant) -> Option<Instant> {
    let mut control = core.lock();
    let statuses: Vec<Status> = control.connections().iter().map(|it| it.status()).collect();
    seen.resize_with(statuses.len(), Status::default);
    let mut deadline: Option<Instant> = None;
    for account in &mut control.accounts {
        for number in 0..account.open.len() {
            let slot = account.first_slot() + number;
            for change in changes(&seen[slot], &statuses[slot]) {
                account.failover.handle(now, number, change);
            }
        }
        let until = act(core, account, now);
        deadline = until.into_iter().chain(deadline).min();
    }
    *seen = statuses;
    deadline
}

/// Returns the changes of a connection between two checks. A socket that was lost and replaced in
/// between counts as down and up.
fn changes(before: &Status, after: &Status) -> impl Iterator<Item = Change> {
    let was_live = before.phase == Phase::Live;
    let (down, up) = match after.phase {
        Phase::Live if was_live && before.epoch == after.epoch => (None, None),
        Phase::Live => (was_live.then_some(Change::Down), Some(Change::Up)),
        Phase::Parked => (Some(Change::Parked), None),
        _ => (was_live.then_some(Change::Down), None),
    };
    down.into_iter().chain(up)
}

/// Carries out the failover actions of an account; returns when to poll it again.
fn act(core: &Core, account: &mut Account, now: Instant) -> Option<Instant> {
    let deadline = loop {
        let (connection, plan, dark, back) = match account.failover.poll(now) {
            Action::HandOver(connection) => {
                update_standings(account);
                let (plan, dark) = account.balancer.plan_hand_over(connection);
                (connection, plan, dark, false)
            }
            Action::GiveBack(connection) => {
                update_standings(account);
                (connection, account.balancer.plan_give_back(connection), Vec::new(), true)
            }
            Action::Wait(deadline) => break deadline,
        };
        account.carry_out(&plan);
        if !plan.moves().is_empty() {
            let moves = plan.moves().into();
            core.notify(ManagerEvent::Moved { account: account.name.clone(), moves, back });
        }
        if !dark.is_empty() {
            account.failover.on_dark(connection);
            let (name, tokens) = (account.name.clone(), dark.into());
            core.notify(ManagerEvent::Dark { account: name, connection, tokens });
        }
    };
    update_standings(account);
    deadline
}

fn update_standings(account: &mut Account) {
    for number in 0..account.open.len() {
        account.balancer.set_standing(number, account.failover.standing(number));
    }
}

fn now() -> Instant {
    // Tokio's clock, so that tests may pause it.
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: Phase, epoch: u32) -> Status {
        let mut status = Status::default();
        (status.phase, status.epoch) = (phase, epoch);
        status
    }

    #[test]
    fn a_socket_replaced_between_two_checks_counts_as_down() {
        let seen = |before: (Phase, u32), after: (Phase, u32)| -> Vec<Change> {
            changes(&status(before.0, before.1), &status(after.0, after.1)).collect()
        };
        assert_eq!(seen((Phase::Opening, 0), (Phase::Live, 1)), [Change::Up]);
        assert_eq!(seen((Phase::Live, 1), (Phase::Live, 1)), []);
        assert_eq!(seen((Phase::Live, 1), (Phase::Live, 3)), [Change::Down, Change::Up]);
        assert_eq!(seen((Phase::Live, 1), (Phase::Waiting, 1)), [Change::Down]);
        assert_eq!(seen((Phase::Live, 1), (Phase::Parked, 1)), [Change::Parked]);
        assert_eq!(seen((Phase::Waiting, 1), (Phase::Opening, 1)), []);
    }
}
