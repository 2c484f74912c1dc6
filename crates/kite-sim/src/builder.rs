//! Configures and starts a simulator.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kite_server::Accounts;
use tokio::net::TcpListener;
use tokio::task::JoinError;

#[cfg(feature = "tls")]
use crate::certificate::Identity;
use crate::client::state::{Config, SimState};
use crate::error::SimError;
use crate::fault::chance::FaultChance;
use crate::fault::script::FaultScript;
#[cfg(feature = "login")]
use crate::login::{LoginPage, LoginServer};
use crate::market::{Clock, Exchange};
use crate::replay::{Fanout, Records, Replay, TapeStart};
use crate::sim::Sim;

/// API key of the default account.
pub const API_KEY: &str = "sim_api_key";
/// Access token of the default account.
pub const ACCESS_TOKEN: &str = "sim_access_token";

/// Start of the simulated exchange's clock: 4 August 2025, 09:15 IST.
const MARKET_OPENS_UNIX_S: u32 = 1_754_279_100;
/// Highest rate of updates per instrument that one task can send.
const MAX_UPDATES_PER_SECOND: f64 = 1_000.0;

/// Configures and starts a [`Sim`].
#[derive(Clone)]
#[must_use]
pub struct SimBuilder {
    port: u16,
    seed: u64,
    credentials: (String, String),
    accounts: Vec<(String, String)>,
    updates_per_second: f64,
    heartbeat_every: Option<Duration>,
    is_greeting: bool,
    start_unix_s: u32,
    is_clock_running: bool,
    unknown: BTreeSet<u32>,
    listed: Option<BTreeSet<u32>>,
    chance: Option<FaultChance>,
    scripts: Vec<FaultScript>,
    replay: Option<Replay>,
    #[cfg(feature = "login")]
    login: Option<LoginPage>,
    #[cfg(feature = "tls")]
    is_secure: bool,
}

impl Default for SimBuilder {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            credentials: (API_KEY.into(), ACCESS_TOKEN.into()),
            accounts: Vec::new(),
            updates_per_second: 2.0,
            heartbeat_every: Some(Duration::from_secs(1)),
            is_greeting: true,
            start_unix_s: MARKET_OPENS_UNIX_S,
            is_clock_running: false,
            unknown: BTreeSet::new(),
            listed: None,
            chance: None,
            scripts: Vec::new(),
            replay: None,
            #[cfg(feature = "login")]
            login: None,
            #[cfg(feature = "tls")]
            is_secure: false,
        }
    }
}

impl SimBuilder {
    /// Sets the port on 127.0.0.1. Default 0, which means any free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the market's seed. Default 1. The same seed produces the same bytes per instrument.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Replaces the default account, [`API_KEY`] with [`ACCESS_TOKEN`].
    pub fn credentials(
        mut self,
        api_key: impl Into<String>,
        access_token: impl Into<String>,
    ) -> Self {
        self.credentials = (api_key.into(), access_token.into());
        self
    }

    /// Adds an account.
    pub fn account(mut self, api_key: impl Into<String>, access_token: impl Into<String>) -> Self {
        self.accounts.push((api_key.into(), access_token.into()));
        self
    }

    /// Sets the updates per second of each subscribed instrument. Default 2, Kite's maximum; 0
    /// sends only snapshots; at most 1,000.
    pub fn updates_per_second(mut self, rate: f64) -> Self {
        self.updates_per_second = rate;
        self
    }

    /// Sets the time between heartbeats on each socket. Default one second.
    pub fn heartbeat_every(mut self, period: Duration) -> Self {
        self.heartbeat_every = Some(period);
        self
    }

    /// Disables heartbeats, which Kite is not known to do.
    pub fn no_heartbeats(mut self) -> Self {
        self.heartbeat_every = None;
        self
    }

    /// Sets whether `instruments_meta` and `app_code` are sent on connect. Default true.
    pub fn greet(mut self, greet: bool) -> Self {
        self.is_greeting = greet;
        self
    }

    /// Sets the start of the simulated exchange's clock, in Unix seconds. Default 4 August 2025,
    /// 09:15 IST, which is fixed so that every run sends the same bytes.
    pub fn market_time(mut self, start_unix_s: u32) -> Self {
        self.start_unix_s = start_unix_s;
        self
    }

    /// Sets whether the exchange's clock runs, from [`SimBuilder::market_time`] at the start, so
    /// that the timestamps of packets, greetings and order updates are all of one time. Default
    /// false: the time of each instrument advances with its own updates, a second every two, and
    /// every run sends the same bytes.
    pub fn run_clock(mut self, runs: bool) -> Self {
        self.is_clock_running = runs;
        self
    }

    /// Lists the only instruments that exist. Any other token is accepted in commands and stays
    /// silent, as an unknown one does at Kite.
    pub fn only_tokens(mut self, tokens: impl IntoIterator<Item = u32>) -> Self {
        self.listed = Some(tokens.into_iter().collect());
        self
    }

    /// Marks a token as unknown, so that commands ignore it.
    pub fn unknown_token(mut self, token: u32) -> Self {
        self.unknown.insert(token);
        self
    }

    /// Enables random faults on every socket.
    pub fn chance(mut self, chance: FaultChance) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Runs a fault script from the start. Several scripts run side by side.
    pub fn script(mut self, script: FaultScript) -> Self {
        self.scripts.push(script);
        self
    }

    /// Serves a recorded tape instead of the simulated market. See [`Replay`]. The seed, the rate
    /// of updates and [`SimBuilder::market_time`] then have no effect.
    #[cfg(feature = "tape")]
    pub fn replay(mut self, replay: Replay) -> Self {
        self.replay = Some(replay);
        self
    }

    /// Serves the login page and the endpoints of access tokens too, on a port of their own.
    #[cfg(feature = "login")]
    pub fn login(mut self, page: LoginPage) -> Self {
        self.login = Some(page);
        self
    }

    /// Serves TLS only, with a self-signed certificate created at start for `localhost` and
    /// 127.0.0.1. Clients must trust it explicitly; see [`Sim::certificate_der`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self) -> Self {
        self.is_secure = true;
        self
    }

    /// Starts the simulator on 127.0.0.1, within the Tokio runtime of the caller.
    ///
    /// # Errors
    /// Returns an error if the port is taken or a setting is out of its range.
    ///
    /// # Cancel safety
    /// Cancel safe. Nothing has started unless it returns.
    ///
    /// # Panics
    /// Panics on a runtime without I/O. One without timers panics later, in the simulator's tasks.
    pub async fn start(self) -> Result<Sim, SimError> {
        let (asked, most) = (self.updates_per_second, MAX_UPDATES_PER_SECOND);
        if !(0.0..=most).contains(&asked) {
            return Err(SimError::UpdatesPerSecond { asked, most });
        }
        if self.heartbeat_every == Some(Duration::ZERO) {
            return Err(SimError::HeartbeatEvery);
        }
        if let Some(asked) = self.replay.as_ref().and_then(Replay::impossible_speed) {
            return Err(SimError::ReplaySpeed { asked });
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let bind = |source| SimError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;

        let mut accounts = Accounts::default();
        for (api_key, access_token) in [self.credentials].into_iter().chain(self.accounts) {
            accounts.set(api_key, access_token);
        }
        let replay_unix_s = self.replay.as_ref().map(|replay| {
            // A tape without records has no time.
            replay.start_unix_s().unwrap_or(self.start_unix_s)
        });
        let (fanout, tape) = read_start(self.replay).await?;
        let config = Config {
            // In a replay, all updates come from the tape.
            updates_per_second: if tape.is_some() { 0.0 } else { self.updates_per_second },
            heartbeat_every: self.heartbeat_every,
            is_greeting: self.is_greeting,
            replay_unix_s,
            chance: self.chance.map(Arc::new),
            #[cfg(feature = "tls")]
            identity: match self.is_secure {
                true => {
                    Some(Identity::new().map_err(|error| SimError::Tls { source: error.into() })?)
                }
                false => None,
            },
        };
        let clock = match self.is_clock_running {
            true => Clock::running(self.start_unix_s),
            false => Clock::of_steps(self.start_unix_s),
        };
        let exchange = Exchange::new(self.seed, clock, self.unknown, self.listed);
        let (state, commands) = SimState::new(config, address, exchange, fanout, accounts);
        #[cfg(feature = "login")]
        let login = match self.login {
            Some(page) => Some(LoginServer::start(page, Arc::clone(&state)).await?),
            None => None,
        };
        let sim = Sim::run(listener, state, commands, tape);
        #[cfg(feature = "login")]
        let sim = sim.with_login(login);
        self.scripts.into_iter().for_each(|script| sim.play(script));
        Ok(sim)
    }
}

/// Reads a tape up to the replay's start, off the runtime's threads.
async fn read_start(replay: Option<Replay>) -> Result<(Option<Fanout>, Option<Records>), SimError> {
    let Some(replay) = replay else { return Ok((None, None)) };
    let reading = tokio::task::spawn_blocking(move || {
        let start = TapeStart::new(&replay);
        (replay, start)
    });
    let failed = |error: JoinError| SimError::ReplayStart { reason: error.to_string() };
    let (replay, start) = reading.await.map_err(failed)?;
    let (fanout, tape) = Fanout::new(replay, start);
    Ok((Some(fanout), Some(tape)))
}

impl fmt::Debug for SimBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBuilder")
            .field("port", &self.port)
            .field("seed", &self.seed)
            .field("accounts", &(1 + self.accounts.len()))
            .field("updates_per_second", &self.updates_per_second)
            .field("heartbeat_every", &self.heartbeat_every)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_setting_out_of_range_is_rejected() {
        for rate in [-1.0, f64::NAN, 1_000.5] {
            let error = SimBuilder::default().updates_per_second(rate).start().await.unwrap_err();
            assert!(matches!(error, SimError::UpdatesPerSecond { .. }), "{error}");
        }
        let error = SimBuilder::default().heartbeat_every(Duration::ZERO).start().await;
        assert!(matches!(error, Err(SimError::HeartbeatEvery)));
    }

    #[tokio::test]
    async fn the_error_for_a_taken_port_names_it() {
        let sim = SimBuilder::default().start().await.unwrap();
        let port = sim.addr().port();
        let error = SimBuilder::default().port(port).start().await.unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }

    #[test]
    fn debug_shows_no_access_token() {
        let builder = SimBuilder::default().credentials("key", "secret-a").account("k", "secret-b");
        assert!(!format!("{builder:?}").contains("secret"));
    }
}
