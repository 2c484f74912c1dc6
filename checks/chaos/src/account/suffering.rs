//! Breaking a connection, fault by fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_conn::{Credentials, Event, LossCause, Stamp};
use kite_sim::{Fault, FaultKind};
use kite_wire::Mode;

use super::Account;
use crate::deck::Deal;
use crate::ground::fillers;
use crate::pace::{LOOK_EVERY, PATIENCE};
use crate::promise::{Promise, Standing};
use crate::proof::Finding;

/// Between two long commands to a server that does not read.
const FLOOD_EVERY: Duration = Duration::from_millis(3);

impl Account {
    /// Suffers this many faults, or until time is up; tells of each.
    pub(crate) async fn suffer(&mut self, faults: u64, stop: Instant, told: impl Fn(bool)) {
        for _ in 0..faults {
            if Instant::now() >= stop {
                return;
            }
            let Some(deal) = self.deck.deal() else { return };
            let ground = Arc::clone(&self.ground);
            let turn = ground.turn(deal.strikes_all()).await;
            let outcome = match !deal.strikes_all() || ground.is_flowing().await {
                true => self.suffer_one(&deal).await,
                false => Err("ticks do not flow on all connections to the simulator".into()),
            };
            drop(turn);
            let is_kept = outcome.is_ok();
            if let Err(what) = outcome {
                self.fail(Some(&deal), what);
                // What is dealt next needs a connection that flows, or this one is given up.
                ground.sim.heal(&self.api_key);
                let flows = self.recorder.until(PATIENCE, |state| state.flows().then_some(()));
                if flows.await.is_none() {
                    self.fail(Some(&deal), "given up: no ticks came again".into());
                    return;
                }
                self.recorder.state().mark();
            }
            told(is_kept);
        }
    }

    /// Suffers one fault, from ticks to ticks.
    async fn suffer_one(&mut self, deal: &Deal) -> Result<(), String> {
        self.await_calm().await?;
        if self.random.bool() {
            self.change_holdings();
        }
        let promise = Promise::of(&deal.fault, self.renews);
        let injected = self.inject(deal).await?;
        if promise.loses() && deal.kind() != FaultKind::StopsReading && self.random.bool() {
            // Wishes while nobody is there to hear them.
            let is_down = |it: &Event| matches!(it, Event::Down { .. });
            let down = self.recorder.until(PATIENCE, |state| state.seen.when(is_down));
            down.await.ok_or_else(|| format!("no socket was lost in time: {promise:?}"))?;
            self.change_holdings();
        }
        self.hold_to(&promise, deal).await?;
        // From what was promised on, ticks have to flow: where nothing was lost, new ones.
        let frames = self.recorder.state().seen.frames;
        let is_back = self.recorder.until(PATIENCE, |state| {
            (state.flows() && (promise.loses() || state.seen.frames > frames)).then_some(())
        });
        is_back.await.ok_or("no ticks came afterwards")?;
        self.prove().await?;
        match promise.judge(&self.recorder.state().seen) {
            Standing::Kept => {}
            other => return Err(format!("{other:?} after the recovery, {promise:?}")),
        }
        self.hear_lane()?;
        self.note(deal, &promise, injected);
        self.recorder.state().mark();
        Ok(())
    }

    /// Waits until ticks flow, and makes sure that nothing went wrong since the last fault.
    async fn await_calm(&mut self) -> Result<(), String> {
        let restarts = self.ground.restarts();
        let is_struck = restarts != std::mem::replace(&mut self.restarts, restarts);
        let flows = self
            .recorder
            .until(PATIENCE, |state| (state.flows() && state.seen.frames > 0).then_some(()));
        flows.await.ok_or("no ticks flow before the fault")?;
        if is_struck {
            // Others dropped this one's socket along with theirs.
            self.prove().await?;
            self.tally.lock().struck += 1;
        } else {
            let state = self.recorder.state();
            let is_loss = |it: &&Event| matches!(it, Event::Down { .. } | Event::OpenFailed { .. });
            if let Some(loss) = state.seen.events().find(is_loss) {
                return Err(format!("{loss:?} without a fault"));
            }
        }
        Ok(())
    }

    fn change_holdings(&mut self) {
        let changes = self.holdings.change(&mut self.random);
        for &(token, mode) in &changes {
            self.recorder.state().gaps.on_wish(token, mode.is_some());
        }
        // Few enough, and the connection has not ended: a refusal would show in the comparison.
        let _ = self.connection.apply(changes);
    }

    /// Injects a fault; gives when.
    async fn inject(&mut self, deal: &Deal) -> Result<Stamp, String> {
        let sim = &self.ground.sim;
        match deal.kind() {
            FaultKind::AuthRefusal => {
                let token = format!("token-{}-{}", self.number, deal.ordinal);
                token.clone_into(&mut self.token.lock());
                sim.set_access_token(&*self.api_key, token);
            }
            FaultKind::TruncatedFrame | FaultKind::LyingCount => self.dealt.damaging += 1,
            FaultKind::UnknownPacket => self.dealt.unknown_packets += 1,
            FaultKind::Restart => {
                self.ground.count_restart();
                self.restarts = self.ground.restarts();
            }
            _ => {}
        }
        // Others of the account may be dead and not have noticed.
        let records = sim.sockets(&self.api_key);
        let socket = records.iter().rfind(|record| record.end.is_none());
        let socket = socket.ok_or("no socket of the account is open")?.id;
        self.recorder.state().mark();
        let now = Stamp::now();
        let is_struck = match &deal.provocation {
            Some(provocation) => {
                sim.at_next_handshake(&self.api_key, deal.fault.clone());
                sim.inject_socket(socket, provocation.clone())
            }
            None => sim.inject_socket(socket, deal.fault.clone()),
        };
        if !is_struck {
            return Err("the socket was gone before the fault".into());
        }
        if deal.kind() == FaultKind::StopsReading {
            self.until_suffered(FaultKind::StopsReading).await?;
        }
        Ok(now)
    }

    /// Waits until the simulator says that the fault took effect on the present socket.
    async fn until_suffered(&self, kind: FaultKind) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let records = self.ground.sim.sockets(&self.api_key);
            if records.iter().any(|it| it.end.is_none() && it.faults.contains(&kind)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("the simulator did not take the fault".into())
    }

    /// Waits until everything promised has been seen, and does what a user would do meanwhile.
    async fn hold_to(&mut self, promise: &Promise, deal: &Deal) -> Result<(), String> {
        let mut is_healed = false;
        loop {
            let standing = self.recorder.until(PATIENCE, |state| {
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
                    self.ground.sim.heal(&self.api_key);
                }
                Some(Standing::Parked) => {
                    // While nobody listens: it must be told once somebody does.
                    self.change_holdings();
                    let token = self.token.lock().clone();
                    self.connection.set_credentials(Credentials::new(&*self.api_key, token));
                    let resumed = self.recorder.until(PATIENCE, |state| {
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
                // The connection has more to do with it than we have.
                tokio::time::sleep(FLOOD_EVERY.max(4 * begun.elapsed())).await;
            }
        }
        std::future::pending().await
    }

    /// Waits until all that was received is proven and the server holds what is desired.
    async fn prove(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let finding = {
                let mut state = self.recorder.state();
                if let Some(wrong) = state.take_wrong() {
                    return Err(wrong);
                }
                self.proof.check(&self.ground.sim, &self.api_key, &mut state)
            };
            let missing = match finding {
                Finding::Open(missing) => Some(missing),
                Finding::Proven => self.strayed(),
            };
            match missing {
                None => return Ok(()),
                Some(missing) if Instant::now() >= deadline => return Err(missing),
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Notes what a fault that was suffered took.
    fn note(&mut self, deal: &Deal, promise: &Promise, injected: Stamp) {
        let state = self.recorder.state();
        let first = |is_it: fn(&Event) -> bool| state.seen.when(is_it);
        let shown = match deal.fault {
            Fault::HeartbeatsOnly => first(|it| matches!(it, Event::TicksStale { .. })),
            _ => first(|it| matches!(it, Event::Down { .. })),
        };
        let mut tally = self.tally.lock();
        tally.suffered(deal);
        if promise.loses() {
            tally.recovered(deal.kind());
        }
        if let Some(shown) = shown.filter(|_| deal.provocation.is_none()) {
            tally.told_after(deal.kind(), shown.since(injected));
        }
        if let Some(told) = first(|it| matches!(it, Event::FeedSilent { .. })) {
            tally.feed_told(told.since(injected));
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
