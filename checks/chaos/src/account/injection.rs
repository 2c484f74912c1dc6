//! Injects faults into a connection, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_conn::{Credentials, Event, LossCause, Stamp};
use kite_sim::{Fault, FaultKind};
use kite_wire::Mode;

use super::Account;
use crate::fault_deck::Deal;
use crate::frame_check::Finding;
use crate::promise::{Promise, Standing};
use crate::simulator::fillers;
use crate::timing::{POLL_EVERY, TIMEOUT};

/// Interval of long commands to a server that does not read.
const FLOOD_EVERY: Duration = Duration::from_millis(3);

impl Account {
    /// Injects this many faults, or until time is up; reports each.
    pub(crate) async fn run_faults(&mut self, faults: u64, stop: Instant, report: impl Fn(bool)) {
        for _ in 0..faults {
            if Instant::now() >= stop {
                return;
            }
            let Some(deal) = self.deck.deal() else { return };
            let simulator = Arc::clone(&self.simulator);
            let permit = simulator.permit(deal.hits_all()).await;
            let outcome = match !deal.hits_all() || simulator.is_flowing().await {
                true => self.run_fault(&deal).await,
                false => Err("ticks do not flow on all connections to the simulator".into()),
            };
            drop(permit);
            let is_kept = outcome.is_ok();
            if let Err(what) = outcome {
                self.fail(Some(&deal), what);
                // The next fault needs flowing ticks; without them this connection is abandoned.
                simulator.sim.heal(&self.api_key);
                let flows = self.recorder.until(TIMEOUT, |state| state.flows().then_some(()));
                if flows.await.is_none() {
                    self.fail(Some(&deal), "abandoned: no ticks arrived again".into());
                    return;
                }
                self.recorder.state().mark();
            }
            report(is_kept);
        }
    }

    /// Injects one fault, from flowing ticks to flowing ticks.
    async fn run_fault(&mut self, deal: &Deal) -> Result<(), String> {
        self.until_flowing().await?;
        if self.random.bool() {
            self.change_subscriptions();
        }
        let promise = Promise::of(&deal.fault, self.renews);
        let injected = self.inject(deal).await?;
        if promise.loses() && deal.kind() != FaultKind::StopsReading && self.random.bool() {
            // Changes while there is no socket to send them on.
            let is_down = |it: &Event| matches!(it, Event::Down { .. });
            let down = self.recorder.until(TIMEOUT, |state| state.seen.when(is_down));
            down.await.ok_or_else(|| format!("no socket was lost in time: {promise:?}"))?;
            self.change_subscriptions();
        }
        self.await_promise(&promise, deal).await?;
        // After the promised effects ticks must flow; if no socket was lost, new ones.
        let frames = self.recorder.state().seen.frames;
        let is_back = self.recorder.until(TIMEOUT, |state| {
            (state.flows() && (promise.loses() || state.seen.frames > frames)).then_some(())
        });
        is_back.await.ok_or("no ticks arrived afterwards")?;
        self.check_frames().await?;
        match promise.judge(&self.recorder.state().seen) {
            Standing::Kept => {}
            other => return Err(format!("{other:?} after the recovery, {promise:?}")),
        }
        self.count_lane_events()?;
        self.count(deal, &promise, injected);
        self.recorder.state().mark();
        Ok(())
    }

    /// Waits until ticks flow, and makes sure that nothing went wrong since the last fault.
    async fn until_flowing(&mut self) -> Result<(), String> {
        let restarts = self.simulator.restarts();
        let was_dropped = restarts != std::mem::replace(&mut self.restarts, restarts);
        let flows = self
            .recorder
            .until(TIMEOUT, |state| (state.flows() && state.seen.frames > 0).then_some(()));
        flows.await.ok_or("no ticks flow before the fault")?;
        if was_dropped {
            // A fault of another connection dropped this socket too.
            self.check_frames().await?;
            self.tally.lock().collateral += 1;
        } else {
            let state = self.recorder.state();
            let is_loss = |it: &&Event| matches!(it, Event::Down { .. } | Event::OpenFailed { .. });
            if let Some(loss) = state.seen.events().find(is_loss) {
                return Err(format!("{loss:?} without a fault"));
            }
        }
        Ok(())
    }

    fn change_subscriptions(&mut self) {
        let changes = self.subscriptions.change(&mut self.random);
        for &(token, mode) in &changes {
            self.recorder.state().gaps.on_desired_change(token, mode.is_some());
        }
        // Few enough, and the connection has not ended: a refusal would be seen in the comparison.
        let _ = self.connection.apply(changes);
    }

    /// Injects a fault and returns when.
    async fn inject(&mut self, deal: &Deal) -> Result<Stamp, String> {
        let sim = &self.simulator.sim;
        match deal.kind() {
            FaultKind::AuthRefusal => {
                let token = format!("token-{}-{}", self.number, deal.ordinal);
                token.clone_into(&mut self.token.lock());
                sim.set_access_token(&*self.api_key, token);
            }
            FaultKind::TruncatedFrame | FaultKind::LyingCount => self.dealt.damaging += 1,
            FaultKind::UnknownPacket => self.dealt.unknown_packets += 1,
            FaultKind::Restart => {
                self.simulator.count_restart();
                self.restarts = self.simulator.restarts();
            }
            _ => {}
        }
        // Other sockets of the account may be dead without having noticed.
        let records = sim.sockets(&self.api_key);
        let socket = records.iter().rfind(|record| record.end.is_none());
        let socket = socket.ok_or("no socket of the account is open")?.id;
        self.recorder.state().mark();
        let now = Stamp::now();
        let is_injected = match &deal.provocation {
            Some(provocation) => {
                sim.at_next_handshake(&self.api_key, deal.fault.clone());
                sim.inject_socket(socket, provocation.clone())
            }
            None => sim.inject_socket(socket, deal.fault.clone()),
        };
        if !is_injected {
            return Err("the socket was gone before the fault".into());
        }
        if deal.kind() == FaultKind::StopsReading {
            self.until_in_effect(FaultKind::StopsReading).await?;
        }
        Ok(now)
    }

    /// Waits until the fault is in effect on the current socket.
    async fn until_in_effect(&self, kind: FaultKind) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let records = self.simulator.sim.sockets(&self.api_key);
            if records.iter().any(|it| it.end.is_none() && it.faults.contains(&kind)) {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Err("the simulator did not apply the fault".into())
    }

    /// Waits until everything promised has been seen, and meanwhile acts as a user would.
    async fn await_promise(&mut self, promise: &Promise, deal: &Deal) -> Result<(), String> {
        let mut is_healed = false;
        loop {
            let standing = self.recorder.until(TIMEOUT, |state| {
                if let Some(wrong) = state.take_wrong() {
                    return Some(Standing::Broken(wrong));
                }
                let standing = promise.judge(&state.seen);
                let is_news = match standing {
                    Standing::Waiting => false,
                    Standing::Stale => !is_healed,
                    _ => true,
                };
                is_news.then_some(standing)
            });
            let standing = if deal.kind() == FaultKind::StopsReading {
                tokio::select! {
                    standing = standing => standing,
                    () = self.flood() => None,
                }
            } else {
                standing.await
            };
            if deal.kind() == FaultKind::StopsReading {
                let _ = self.connection.apply(fillers().map(|token| (token, None)));
            }
            match standing {
                None => return Err(format!("the promise was not kept in time: {promise:?}")),
                Some(Standing::Broken(what)) => return Err(what),
                Some(Standing::Stale) => {
                    is_healed = true;
                    self.simulator.sim.heal(&self.api_key);
                }
                Some(Standing::Parked) => {
                    // While parked: it must be sent once a socket is open.
                    self.change_subscriptions();
                    let token = self.token.lock().clone();
                    self.connection.set_credentials(Credentials::new(&*self.api_key, token));
                    let resumed = self.recorder.until(TIMEOUT, |state| {
                        (promise.judge(&state.seen) != Standing::Parked).then_some(())
                    });
                    resumed.await.ok_or("new credentials did not resume the connection")?;
                }
                Some(Standing::Kept | Standing::Waiting) => return Ok(()),
            }
        }
    }

    /// Sends long commands until the socket is lost.
    async fn flood(&self) {
        let is_down = |it: &Event| matches!(it, Event::Down { .. });
        while self.recorder.state().seen.when(is_down).is_none() {
            for mode in [Some(Mode::Ltp), None] {
                let begun = Instant::now();
                let _ = self.connection.apply(fillers().map(|token| (token, mode)));
                // The connection needs longer for it than the caller.
                tokio::time::sleep(FLOOD_EVERY.max(4 * begun.elapsed())).await;
            }
        }
        std::future::pending().await
    }

    /// Waits until all received frames match and the server has the desired subscriptions.
    async fn check_frames(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let finding = {
                let mut state = self.recorder.state();
                if let Some(wrong) = state.take_wrong() {
                    return Err(wrong);
                }
                self.frame_check.check(&self.simulator.sim, &self.api_key, &mut state)
            };
            let missing = match finding {
                Finding::Missing(missing) => Some(missing),
                Finding::Matched => self.desired_mismatch(),
            };
            match missing {
                None => return Ok(()),
                Some(missing) if Instant::now() >= deadline => return Err(missing),
                Some(_) => tokio::time::sleep(POLL_EVERY).await,
            }
        }
    }

    /// Counts a fault and the time until its effects.
    fn count(&mut self, deal: &Deal, promise: &Promise, injected: Stamp) {
        let state = self.recorder.state();
        let first = |is_it: fn(&Event) -> bool| state.seen.when(is_it);
        let detected = match deal.fault {
            Fault::HeartbeatsOnly | Fault::SlowLink { .. } => {
                first(|it| matches!(it, Event::TicksStale { .. }))
            }
            _ => first(|it| matches!(it, Event::Down { .. })),
        };
        let mut tally = self.tally.lock();
        tally.count_fault(deal);
        if promise.loses() {
            tally.recovered(deal.kind());
        }
        if let Some(detected) = detected.filter(|_| deal.provocation.is_none()) {
            tally.detected_after(deal.kind(), detected.since(injected));
        }
        if let Some(silent) = first(|it| matches!(it, Event::FeedSilent { .. })) {
            tally.feed_silent_after(silent.since(injected));
        }
        let blocked = state.seen.events().find_map(|event| match event {
            Event::Down { cause: LossCause::WriteBlocked { blocked }, .. } => Some(*blocked),
            _ => None,
        });
        if let Some(blocked) = blocked {
            tally.was_blocked(blocked);
        }
        if promise.loses()
            && let Some((_, took)) = state.recovered
        {
            tally.recovered_after(deal.kind(), took);
        }
    }
}
