//! The setup of every test: a simulator, a manager for it, and waits with a time limit.

use std::time::Duration;

use kite_manager::{Credentials, Endpoint, Manager, ManagerBuilder};
use kite_relay::{Relay, RelayBuilder, RelayClient};
use kite_sim::{Sim, SimBuilder};

/// Timeout for each step, generous for slow machines. A test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Interval for polling a state that has no notification.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The account of the manager at the simulator.
pub(crate) const KEY: &str = "upstream_key";
const TOKEN: &str = "upstream_token";

/// Starts a simulator whose market moves only on [`Sim::tick_now`] and the like.
pub(crate) async fn quiet_sim() -> Sim {
    sim(|builder| builder.updates_per_second(0.0)).await
}

pub(crate) async fn sim(change: impl FnOnce(SimBuilder) -> SimBuilder) -> Sim {
    change(Sim::builder().credentials(KEY, TOKEN)).start().await.unwrap()
}

/// Returns a builder of a manager with one connection, which reconnects in milliseconds.
pub(crate) fn manager(sim: &Sim) -> ManagerBuilder {
    Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .account("main", Credentials::new(KEY, TOKEN))
        .connections(1)
        .stagger(Duration::from_millis(1))
        .failover(None)
        .connection(|connection| {
            connection.reconnect.delay = Duration::from_millis(5);
            connection.reconnect.delay_cap = Duration::from_millis(20);
            connection.liveness.silence_threshold = Duration::from_secs(60);
            connection.reconnect.jitter_seed = 1;
        })
}

/// Starts a manager with one connection.
pub(crate) async fn started(sim: &Sim) -> Manager {
    let manager = manager(sim).build().unwrap();
    manager.start().await.unwrap();
    manager
}

/// Returns a builder of a relay on a free port with the clients `one` and `two`.
pub(crate) fn relay() -> RelayBuilder {
    let address = "127.0.0.1:0".parse().unwrap();
    Relay::builder().listen(address).client(listed("one")).client(listed("two").orders(true))
}

/// Returns a client whose credentials are derived from its name.
pub(crate) fn listed(name: &str) -> RelayClient {
    RelayClient::new(name, Credentials::new(format!("{name}_key"), format!("{name}_token")))
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
