//! The faulty server, the manager that is connected to it, and what happens between them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kite_manager::{Credentials, Endpoint, Event, Events, Manager, ManagerEvent, TokenSource};
use kite_sim::{Fault, FaultChance, FaultKind, Refusal, Sim};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::market::OPENS_UNIX_S;
use crate::plan::Plan;
use crate::secrets;

/// Silence after which a socket is lost; the default is 10 s.
const SILENCE: Duration = Duration::from_millis(800);
/// The server's heartbeats.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(100);
/// Longer than it takes to notice a silent socket, so that what it misses is in a gap.
const HEAL_AFTER: Duration = Duration::from_secs(6);

/// Time for sockets to end.
const AWAY: Duration = Duration::from_secs(5);

/// Faults on single sockets. Those that withhold packets without a loss are left out, because nothing
/// can report them.
const KINDS: &[FaultKind] = &[
    FaultKind::Refusal,
    FaultKind::SlowHandshake,
    FaultKind::HangingHandshake,
    FaultKind::WrongAcceptKey,
    FaultKind::HandshakeReset,
    FaultKind::HandshakeEnd,
    FaultKind::Reset,
    FaultKind::EndOfStream,
    FaultKind::HalfOpen,
    FaultKind::Stalls,
    FaultKind::StopsReading,
    FaultKind::SlowLink,
    FaultKind::TruncatedFrame,
    FaultKind::LyingCount,
    FaultKind::OversizedFrame,
    FaultKind::UnknownPacket,
    FaultKind::UnknownText,
    FaultKind::UnparsableText,
    FaultKind::ErrorText,
    FaultKind::DuplicateOrder,
    FaultKind::Close,
    FaultKind::Burst,
    FaultKind::InvalidFrame,
    FaultKind::LateSlot,
    FaultKind::Restart,
];

/// The server and the manager.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) sim: Arc<Sim>,
    pub(crate) manager: Manager,
    /// The API keys of the accounts.
    keys: Vec<String>,
    /// Connections of all accounts.
    slots: usize,
    /// The token of the day, as a login would return it; the same for all accounts.
    token: Arc<Mutex<String>>,
    logins: u64,
    /// The instruments that may be subscribed.
    traded: Vec<u32>,
    world: u64,
    /// Messages sent to all sockets so far.
    pub(crate) messages: u64,
}

/// A time during which a connection had no socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) slot: usize,
    pub(crate) from: Instant,
    /// `None` while it lasts.
    pub(crate) to: Option<Instant>,
}

/// The outages so far, in the order in which they began.
pub(crate) type Outages = Arc<Mutex<Vec<Outage>>>;

impl Upstream {
    pub(crate) async fn start(plan: &Plan) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let world = plan.seed;
        let token = new_token(world, 0);
        let keys: Vec<String> = (0..plan.accounts).map(api_key).collect();
        let chance = FaultChance::new(plan.seed, plan.fault_every)
            .kinds(KINDS.iter().copied())
            .longest_delay(Duration::from_millis(300))
            .heal_after(HEAL_AFTER);
        let builder = Sim::builder()
            .seed(plan.seed)
            .market_time(OPENS_UNIX_S)
            .credentials(&*keys[0], &*token)
            .updates_per_second(plan.updates_per_second)
            .heartbeat_every(HEARTBEAT_EVERY)
            .chance(chance);
        let others = keys[1..].iter();
        let builder = others.fold(builder, |builder, key| builder.account(&**key, &*token));
        let sim = builder.start().await?;
        let token = Arc::new(Mutex::new(token));
        let manager = manager(&sim, plan, &keys, Arc::clone(&token))?;
        Ok(Self {
            sim: Arc::new(sim),
            manager,
            keys,
            slots: plan.slots(),
            token,
            logins: 0,
            traded: plan.all(),
            world,
            messages: 0,
        })
    }

    /// Makes trouble of one kind, and returns once it is over.
    pub(crate) async fn trouble(&mut self, random: &mut Rng) {
        let (kind, part) = (random.u32(..16), random.f64());
        let up_to =
            |most: u64| Duration::from_millis(50) + Duration::from_millis(most).mul_f64(part);
        match kind {
            0..=3 => self.message(),
            4..=6 => self.order(random.u64(..1_000_000)),
            7..=8 => self.sim.drop_all(),
            9 => self.sim.close_all(1_001),
            10..=11 => {
                let key = &self.keys[random.usize(..self.keys.len())];
                self.sim.inject(key, Fault::Restart { down: up_to(900) });
            }
            12..=13 => self.expire(up_to(1_500)).await,
            _ => self.refuse_for(up_to(3_500)).await,
        }
        // Their number would grow during the whole run.
        self.keys.iter().for_each(|key| self.sim.forget_ended(key));
    }

    /// Loses all sockets and lets none in.
    pub(crate) async fn refuse_for(&self, time: Duration) {
        self.sim.refuse_with(Some(Refusal::too_many_sockets()));
        self.sim.drop_all();
        self.trade_unseen(time).await;
        self.sim.refuse_with(None);
    }

    /// Lets the access token expire; a new one can be had after `time`.
    async fn expire(&mut self, time: Duration) {
        self.logins += 1;
        let token = new_token(self.world, self.logins);
        for key in &self.keys {
            self.sim.set_access_token(&**key, &*token);
        }
        self.sim.drop_all();
        self.trade_unseen(time).await;
        *self.token.lock() = token;
    }

    /// Waits for some time without sockets, in which the market moves.
    async fn trade_unseen(&self, time: Duration) {
        // A socket that is just ending would still send the new state.
        let away = async {
            while self.manager.snapshot().live > 0 || !self.sim.subscriptions().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(AWAY, away).await.is_ok() {
            self.sim.advance_market(&self.traded, 1 + time.as_millis() as u64 / 100);
        }
        sleep(time).await;
    }

    /// Sends all sockets a numbered message.
    fn message(&mut self) {
        self.messages += 1;
        let text = json!({ "type": "message", "data": { "number": self.messages } });
        self.sim.send_text(&text.to_string());
    }

    fn order(&self, number: u64) {
        self.sim.send_order(json!({ "order_id": number.to_string(), "status": "COMPLETE" }));
    }

    /// Ends all faults and waits until the connections are open. Silent sockets are lost before
    /// they are healed, so that what they missed is in a gap.
    pub(crate) async fn calm(&self) {
        self.sim.refuse_with(Some(Refusal::too_many_sockets()));
        self.sim.drop_all();
        self.trade_unseen(Duration::ZERO).await;
        self.sim.calm();
        self.sim.refuse_with(None);
        self.sim.wait_until(|sim| sim.subscriptions().len() == self.slots).await;
        while self.manager.snapshot().live < self.slots {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn manager(
    sim: &Sim,
    plan: &Plan,
    keys: &[String],
    token: Arc<Mutex<String>>,
) -> Result<Manager, Box<dyn Error + Send + Sync>> {
    let builder = keys.iter().fold(Manager::builder(), |builder, key| {
        builder.account(&**key, Credentials::new(&**key, &*token.lock()))
    });
    let (seed, limit) = (plan.seed, plan.instrument_limit());
    let manager = builder
        .endpoint(Endpoint::parse(&sim.endpoint())?)
        .connections(plan.connections)
        .stagger(Duration::from_millis(1))
        .failover(plan.failover)
        .connection(|connection| {
            connection.instrument_limit = limit;
            connection.token_source = Some(TokenSource::new(move |request| {
                let token = token.lock().clone();
                async move { Ok::<_, &str>(request.current.with_access_token(token)) }
            }));
            connection.transport.connect_timeout = Duration::from_millis(1_500);
            connection.reconnect.delay = Duration::from_millis(5);
            connection.reconnect.delay_cap = Duration::from_millis(100);
            connection.reconnect.jitter_seed = seed;
            connection.liveness.silence_threshold = SILENCE;
        });
    Ok(manager.build()?)
}

fn api_key(account: usize) -> String {
    format!("upstream_key_{account}")
}

/// Makes an access token, which must not be logged.
fn new_token(world: u64, login: u64) -> String {
    format!("{}-upstream-{world}-{login}", secrets::MARK)
}

/// Records the outages until the manager stops. `slots` is the number of all connections, and of
/// those of each account.
pub(crate) async fn watch(mut events: Events, outages: Outages, slots: (usize, usize)) {
    let begin = |slot| Outage { slot, from: Instant::now(), to: None };
    outages.lock().extend((0..slots.0).map(begin));
    while let Some(event) = events.recv().await {
        let ManagerEvent::Connection { seat, event } = event else { continue };
        let slot = seat.account_index * slots.1 + seat.connection;
        let mut outages = outages.lock();
        match event {
            Event::Down { .. } => outages.push(begin(slot)),
            Event::Up { .. } => {
                let open = outages.iter_mut().rev().find(|it| it.slot == slot && it.to.is_none());
                if let Some(outage) = open {
                    outage.to = Some(Instant::now());
                }
            }
            _ => {}
        }
    }
}
