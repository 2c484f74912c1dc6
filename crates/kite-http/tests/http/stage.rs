//! The setup of every test: a simulator, a manager for it, a server, and waits with a time limit.

use std::time::Duration;

use kite_http::{HttpBuilder, HttpServer};
use kite_manager::{Credentials, Endpoint, Manager, Mode};
use kite_sim::Sim;

/// Timeout for each step, generous for slow machines. A test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Interval for polling a state that has no notification.
const LOOK_EVERY: Duration = Duration::from_millis(1);

const KEY: &str = "upstream_key";
const TOKEN: &str = "upstream_token";

/// The token of the index NIFTY 50, and of INFY at NSE.
pub(crate) const NIFTY: u32 = 256_265;
pub(crate) const INFY: u32 = 408_065;

/// Returns the credentials that the simulator accepts.
pub(crate) fn account() -> (&'static str, &'static str) {
    (KEY, TOKEN)
}

/// Starts a simulator whose market moves only on [`Sim::tick_now`] and the like.
pub(crate) async fn quiet_sim() -> Sim {
    Sim::builder().credentials(KEY, TOKEN).updates_per_second(0.0).start().await.unwrap()
}

/// Returns a manager with one connection, which reconnects in milliseconds.
pub(crate) fn manager(sim: &Sim) -> Manager {
    Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .account("main", Credentials::new(KEY, TOKEN))
        .connections(1)
        .latest(true)
        .stagger(Duration::from_millis(1))
        .connection(|connection| {
            connection.reconnect.delay = Duration::from_millis(5);
            connection.reconnect.delay_cap = Duration::from_millis(20);
            connection.liveness.silence_threshold = Duration::from_secs(60);
        })
        .build()
        .unwrap()
}

/// Starts a manager whose two instruments have ticked.
pub(crate) async fn ticking(sim: &Sim) -> Manager {
    let manager = manager(sim);
    manager.subscribe(&[NIFTY, INFY], Mode::Full).unwrap();
    manager.start().await.unwrap();
    let latest = manager.latest().unwrap();
    until("first ticks", || [NIFTY, INFY].iter().all(|&it| latest.get(it).is_some())).await;
    manager
}

/// Returns the builder of a server on a free port.
pub(crate) fn server(manager: &Manager) -> HttpBuilder {
    HttpServer::builder(manager).listen("127.0.0.1:0".parse().unwrap())
}

/// Awaits a future with a time limit.
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("timed out waiting for {what}")
    };
    output
}

/// Waits for a state that has no notification.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    in_time(what, wait).await;
}
