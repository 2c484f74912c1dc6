//! The pacer of an api_key, whose governor decides when connections open their sockets.
//!
//! A thin wrapper with a lock around the governor, and a notification that wakes the waiting tasks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kite_conn::{Admission, AdmissionFuture, OpenError, Pacer};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::pacing::governor::{Failure, Governor, Next, Pace};

/// The pacer of one api_key.
pub(crate) struct AccountPacer {
    queue: Arc<Queue>,
}

/// The connections waiting for a socket.
struct Queue {
    state: Mutex<State>,
    /// Notified at every change that may admit a connection.
    changed: Notify,
    next_id: AtomicU64,
}

struct State {
    governor: Governor,
    /// Admitted connections whose tasks have not seen it yet.
    admitted: Vec<u64>,
}

impl AccountPacer {
    pub(crate) fn new(pace: Pace) -> Self {
        let state = State { governor: Governor::new(pace), admitted: Vec::new() };
        let (state, changed) = (Mutex::new(state), Notify::new());
        Self { queue: Arc::new(Queue { state, changed, next_id: AtomicU64::new(0) }) }
    }
}

impl Pacer for AccountPacer {
    fn admit(&self) -> AdmissionFuture {
        let queue = Arc::clone(&self.queue);
        let id = queue.next_id.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            // Dropping the ticket withdraws the request.
            let ticket = Ticket { queue, id };
            ticket.change(|governor, now| governor.ask(now, id));
            ticket.wait().await;
            Box::new(ticket) as Box<dyn Admission>
        })
    }
}

impl fmt::Debug for AccountPacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountPacer").finish_non_exhaustive()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// One connection's request for a socket, and later its socket.
struct Ticket {
    queue: Arc<Queue>,
    id: u64,
}

impl Ticket {
    fn change(&self, change: impl FnOnce(&mut Governor, Instant)) {
        change(&mut self.queue.lock().governor, now());
        self.queue.changed.notify_waiters();
    }

    async fn wait(&self) {
        loop {
            // Created before the check, so that no notification in between is missed.
            let notified = self.queue.changed.notified();
            let deadline = match self.look() {
                Look::Go => return,
                Look::Wait(deadline) => deadline,
            };
            match deadline {
                Some(deadline) => {
                    let _ = tokio::time::timeout_at(deadline.into(), notified).await;
                }
                None => notified.await,
            }
        }
    }

    /// Returns whether this connection may go. Also admits all others that may go now.
    fn look(&self) -> Look {
        let mut state = self.queue.lock();
        let mut others = false;
        let deadline = loop {
            match state.governor.poll(now()) {
                Next::Go(id) => {
                    state.admitted.push(id);
                    others |= id != self.id;
                }
                Next::Wait(deadline) => break deadline,
            }
        };
        let place = state.admitted.iter().position(|id| *id == self.id);
        let go = place.map(|place| state.admitted.swap_remove(place)).is_some();
        drop(state);
        if others {
            self.queue.changed.notify_waiters();
        }
        if go { Look::Go } else { Look::Wait(deadline) }
    }
}

enum Look {
    Go,
    Wait(Option<Instant>),
}

impl Admission for Ticket {
    fn on_opened(&mut self) {
        let id = self.id;
        self.change(|governor, now| governor.on_opened(now, id));
    }

    fn on_failed(&mut self, error: &OpenError) {
        let failure = match error {
            OpenError::Refused(refusal) if refusal.status == 429 => {
                Failure::TooManyRequests { retry_after: error.retry_after() }
            }
            _ => Failure::Other,
        };
        let id = self.id;
        self.change(|governor, now| governor.on_failed(now, id, failure));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let id = self.id;
        let mut state = self.queue.lock();
        state.admitted.retain(|admitted| *admitted != id);
        state.governor.on_lost(now(), id);
        state.governor.withdraw(id);
        drop(state);
        self.queue.changed.notify_waiters();
    }
}

fn now() -> Instant {
    // Tokio's clock, so that tests may pause it.
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use kite_conn::{
        Connection, ConnectionConfig, Credentials, Endpoint, EventLane, LaneConfig, Phase,
    };
    use kite_sim::{Refusal, Sim};

    use super::*;

    const STAGGER: Duration = Duration::from_millis(250);

    fn pacer() -> AccountPacer {
        AccountPacer::new(Pace { stagger: STAGGER, ..Pace::new(Duration::from_secs(2)) })
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_of_an_account_are_staggered() {
        let pacer = pacer();
        let start = Instant::from(tokio::time::Instant::now());
        let mut first = pacer.admit().await;
        first.on_opened();
        assert_eq!(now() - start, Duration::ZERO);
        let mut second = pacer.admit().await;
        second.on_opened();
        assert!(now() - start >= STAGGER && now() - start < STAGGER * 2, "{:?}", now() - start);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fourth_socket_waits_for_the_end_of_another() {
        let pacer = pacer();
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut admission = pacer.admit().await;
            admission.on_opened();
            open.push(admission);
        }
        let fourth = tokio::spawn(pacer.admit());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!fourth.is_finished());
        drop(open.pop());
        fourth.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_other_than_a_429_delays_no_one() {
        let pacer = pacer();
        let start = now();
        let mut failed = pacer.admit().await;
        failed.on_failed(&OpenError::NoAddress { host: "h".to_owned() });
        drop(failed);
        pacer.admit().await.on_opened();
        assert!(now() - start < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_429_that_asks_for_a_day_holds_the_account_for_five_minutes() {
        let sim = Sim::builder().start().await.unwrap();
        sim.refuse_with(Some(Refusal::new(429, "").retry_after("86400")));
        let pacer = Arc::new(pacer());
        let config = ConnectionConfig {
            endpoint: Endpoint::parse(&sim.endpoint()).unwrap(),
            pacer: Some(Arc::clone(&pacer) as Arc<dyn Pacer>),
            ..ConnectionConfig::default()
        };
        let (sink, lane) = kite_conn::lane(LaneConfig::default()).unwrap();
        let (credentials, events) = (Credentials::new("key", "token"), EventLane::default());
        let connection = Connection::spawn(config, credentials, sink, &events, 0).unwrap();
        let mut status = connection.watch();
        status.wait_for(|status| status.phase == Phase::Waiting).await.unwrap();
        tokio::time::pause();
        let start = now();
        drop((connection, lane));
        pacer.admit().await.on_opened();
        let waited = (now() - start).as_secs();
        assert!((299..=301).contains(&waited), "{waited} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_request_delays_no_one() {
        let pacer = pacer();
        let in_flight = pacer.admit().await;
        let mut withdrawn = pacer.admit();
        assert!(withdrawn.as_mut().now_or_never().is_none());
        let last = tokio::spawn(pacer.admit());
        drop(withdrawn);
        drop(in_flight);
        tokio::time::timeout(Duration::from_secs(1), last).await.unwrap().unwrap();
    }
}
