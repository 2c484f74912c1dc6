//! The source of ticks: the simulator, a tape, or Kite; always through a manager.
//!
//! The simulator and the replay run as servers on a free loopback port, so that all three share
//! one path.

pub(crate) mod at_end;
pub(crate) mod credentials;
pub(crate) mod deadline;
pub(crate) mod first_price;
pub(crate) mod link;
pub(crate) mod outage;
pub(crate) mod refusal;
pub(crate) mod settings;
pub(crate) mod tapes;
mod token_wait;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use kite_conn::{
    Credentials, Endpoint, Liveness, MAX_INSTRUMENTS, TokenFile, TokenSource, TokenSourceError,
    Transport,
};
use kite_manager::{MAX_CONNECTIONS, Manager, ManagerBuilder, Seat};
use kite_sim::{ACCESS_TOKEN, API_KEY, FaultChance, Replay, Sim, SimBuilder, Start};
use kite_tape::{Reel, Source, Windows};

use crate::console::paths;
use crate::exit::CliError;
use crate::feed::settings::MAIN_ACCOUNT;
use crate::network::Network;

/// The source of ticks.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a command has one of them")]
pub(crate) enum Feed {
    Sim(SimFeed),
    Replay(ReplayFeed),
    Live(LiveFeed),
}

/// The simulated market.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SimFeed {
    /// The same seed produces the same bytes per instrument.
    pub(crate) seed: u64,
    /// Updates per second per instrument.
    pub(crate) rate: f64,
    /// The mean time between random faults on each socket.
    pub(crate) chaos: Option<Duration>,
}

impl Default for SimFeed {
    fn default() -> Self {
        Self { seed: 1, rate: 2.0, chaos: None }
    }
}

/// A replay of recorded tapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReplayFeed {
    /// Files, or directories of them.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) speed: Speed,
    /// The times to replay; `None` is all.
    pub(crate) windows: Option<Windows>,
    /// Longer stretches in which nothing was recorded are shortened to this.
    pub(crate) longest_pause: Option<Duration>,
    /// Whether subscribes are answered with packets from before the first window.
    pub(crate) looks_back: bool,
}

/// How fast a tape is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// This many times as fast as recorded.
    Times(f64),
    /// As fast as the tape can be read.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse().ok();
        times.filter(|times| (1e-3..=1e6).contains(times)).map(Self::Times).ok_or_else(|| {
            "expected max or a number from 0.001 to 1,000,000, such as 1, 10 or 0.5".to_owned()
        })
    }
}

impl From<Speed> for kite_sim::Speed {
    fn from(speed: Speed) -> Self {
        match speed {
            Speed::Times(times) => Self::Times(times),
            Speed::Max => Self::AsRead,
        }
    }
}

/// Kite, or another server that speaks its protocol.
#[derive(Debug, Clone)]
pub(crate) struct LiveFeed {
    /// The account whose credentials fetch the list of instruments, too.
    pub(crate) account: LiveAccount,
    /// Further accounts, each with an api_key, and so with sockets, of its own.
    pub(crate) more: Vec<LiveAccount>,
    pub(crate) endpoint: Endpoint,
    /// Its proxy and the trusted roots, also for the instrument list.
    pub(crate) network: Network,
}

/// An account at a server.
#[derive(Debug, Clone)]
pub(crate) struct LiveAccount {
    pub(crate) name: String,
    pub(crate) credentials: Credentials,
    /// The file that they came from, if any; a new token will appear in it.
    pub(crate) file: Option<TokenFile>,
}

impl LiveAccount {
    /// Returns the credentials that its file has now, else those of the start. Blocks.
    pub(crate) fn current_credentials(&self) -> Credentials {
        let now = self.file.as_ref().and_then(|file| file.read().ok());
        now.unwrap_or_else(|| self.credentials.clone())
    }
}

/// The accounts whose tokens come from files: index, name if there are several, and file.
pub(crate) type TokenFiles = Vec<(usize, Option<String>, TokenFile)>;

/// An open feed, and the builder of its manager.
#[derive(Debug)]
pub(crate) struct OpenFeed {
    pub(crate) builder: ManagerBuilder,
    /// The embedded server, for the simulator or a tape. Stops when dropped.
    pub(crate) sim: Option<Sim>,
    /// The source of ticks for a title line: "simulator, seed 1".
    pub(crate) title: String,
}

/// The port that a title leaves out.
const HTTPS_PORT: u16 = 443;

/// The longest time without ticks that a connection takes, so that it reports none.
const LONGEST_SILENCE: Duration = Duration::from_secs(86_400);

impl Feed {
    /// Returns the files that the credentials came from.
    pub(crate) fn credential_files(&self) -> Vec<PathBuf> {
        match self {
            Self::Live(live) => {
                let accounts = [&live.account].into_iter().chain(&live.more);
                let files = accounts.filter_map(|account| account.file.as_ref());
                files.map(|file| file.path().to_owned()).collect()
            }
            Self::Sim(_) | Self::Replay(_) => Vec::new(),
        }
    }

    /// Returns the number of accounts.
    pub(crate) fn accounts(&self) -> usize {
        match self {
            Self::Live(live) => 1 + live.more.len(),
            Self::Sim(_) | Self::Replay(_) => 1,
        }
    }

    /// Returns the files in which new tokens will appear.
    pub(crate) fn token_files(&self) -> TokenFiles {
        let Self::Live(live) = self else { return Vec::new() };
        let accounts = [&live.account].into_iter().chain(&live.more).enumerate();
        let is_alone = live.more.is_empty();
        accounts
            .filter_map(|(index, it)| {
                Some((index, (!is_alone).then(|| it.name.clone()), it.file.clone()?))
            })
            .collect()
    }

    /// Returns the source of new tokens: the files of the accounts, by api_key. `None` if the
    /// credentials came from no file.
    fn token_source(&self) -> Option<TokenSource> {
        let Self::Live(live) = self else { return None };
        let accounts = [&live.account].into_iter().chain(&live.more);
        let files: HashMap<String, TokenSource> = accounts
            .filter_map(|it| {
                Some((it.credentials.api_key().to_owned(), it.file.as_ref()?.source()))
            })
            .collect();
        (!files.is_empty()).then(|| {
            TokenSource::waiting(move |request| {
                // An account without a file fails again and again, with growing delays.
                let file = files.get(request.current.api_key()).cloned().ok_or_else(|| {
                    let error = io::Error::other("its credentials are not from a file");
                    TokenSourceError::Failed(Arc::new(error))
                });
                async move { file?.ask(request, Duration::MAX).await }
            })
        })
    }

    /// Opens what the feed needs and prepares a manager; the caller builds and starts it. A replay
    /// starts once all connections have subscribed.
    pub(crate) async fn open(self, connections: usize) -> Result<OpenFeed, CliError> {
        self.open_to_start(connections, Start::Sockets(connections)).await
    }

    /// Does the same; `start` is when a replay starts.
    pub(crate) async fn open_to_start(
        self,
        connections: usize,
        start_replay: Start,
    ) -> Result<OpenFeed, CliError> {
        let mut transport = Transport::default();
        let mut stale_after = Liveness::default().stale_after;
        let token_source = self.token_source();
        let own = || vec![(MAIN_ACCOUNT.to_owned(), Credentials::new(API_KEY, ACCESS_TOKEN))];
        let (sim, title, endpoint, accounts) = match self {
            Self::Sim(feed) => {
                let title = format!("simulator, seed {}", feed.seed);
                let mut builder = Sim::builder().seed(feed.seed).updates_per_second(feed.rate);
                if let Some(mean) = feed.chaos {
                    builder = builder.chance(FaultChance::new(feed.seed, mean));
                }
                let sim = start(builder).await?;
                let endpoint = loopback(&sim)?;
                (Some(sim), title, endpoint, own())
            }
            Self::Replay(feed) => {
                // A tape may pause or end, which is no matter of the market.
                stale_after = LONGEST_SILENCE;
                let reel = tapes::open(&feed.paths).await?;
                let title = feed.title();
                let replay = feed.replay(&reel).start(start_replay);
                let sim = start(Sim::builder().replay(replay)).await?;
                let endpoint = loopback(&sim)?;
                (Some(sim), title, endpoint, own())
            }
            Self::Live(feed) => {
                let (host, port) = (feed.endpoint.host(), feed.endpoint.port());
                let title = if host.contains(':') {
                    format!("[{host}]:{port}")
                } else if port == HTTPS_PORT {
                    host.to_owned()
                } else {
                    format!("{host}:{port}")
                };
                transport = feed.network.transport(&feed.endpoint)?;
                let accounts = [feed.account].into_iter().chain(feed.more);
                let accounts = accounts.map(|account| (account.name, account.credentials));
                (None, title, feed.endpoint, accounts.collect())
            }
        };
        let builder =
            accounts.into_iter().fold(Manager::builder(), |builder, (name, credentials)| {
                builder.account(name, credentials)
            });
        let builder =
            builder.endpoint(endpoint).connections(connections).connection(|connection| {
                connection.transport = transport;
                connection.liveness.stale_after = stale_after;
                connection.token_source = token_source;
            });
        Ok(OpenFeed { builder, sim, title })
    }
}

/// Builds the manager of a feed.
pub(crate) fn manager(builder: ManagerBuilder) -> Result<Manager, CliError> {
    builder
        .build()
        .map_err(|error| CliError::unable("cannot set up the connections").because(error))
}

impl ReplayFeed {
    /// Prepares the replay of a tape.
    pub(crate) fn replay(&self, reel: &Reel) -> Replay {
        let replay = Replay::new(reel.clone()).speed(self.speed.into());
        let replay = match self.longest_pause {
            Some(pause) => replay.longest_pause(pause),
            None => replay,
        };
        let replay = if self.looks_back { replay } else { replay.look_back(Duration::ZERO) };
        match &self.windows {
            Some(windows) => replay.windows(windows.clone()),
            None => replay,
        }
    }

    fn title(&self) -> String {
        let paths: Vec<String> =
            self.paths.iter().map(|path| paths::shown(path).to_string()).collect();
        let speed = match self.speed {
            Speed::Times(times) => format!("{times}×"),
            Speed::Max => "full speed".to_owned(),
        };
        format!("{} at {speed}", paths.join(", "))
    }
}

/// Returns the number of connections that this many instruments need.
pub(crate) fn connections_for(instruments: usize) -> usize {
    instruments.div_ceil(MAX_INSTRUMENTS).clamp(1, MAX_CONNECTIONS)
}

/// Returns the source under which a connection of an account is recorded.
pub(crate) fn source_of(seat: &Seat) -> Source {
    let account = u8::try_from(seat.account_index).unwrap_or(u8::MAX);
    Source { account, ..source(seat.connection) }
}

/// Returns the source under which a connection of the only account is recorded.
pub(crate) fn source(connection: usize) -> Source {
    Source { account: 0, connection: u8::try_from(connection).unwrap_or(u8::MAX) }
}

/// Starts an embedded server.
pub(crate) async fn start(builder: SimBuilder) -> Result<Sim, CliError> {
    builder
        .start()
        .await
        .map_err(|error| CliError::unable("cannot start the server").because(error))
}

fn loopback(sim: &Sim) -> Result<Endpoint, CliError> {
    Endpoint::parse(&sim.endpoint())
        .map_err(|error| CliError::unable("cannot reach the embedded server").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replay_that_pauses_or_ends_does_not_ask_whether_the_market_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let config = kite_tape::RecorderConfig::default();
        let recorder = kite_tape::Recorder::start(directory.path(), config).unwrap();
        let received = kite_tape::Received { recv_unix_ns: 1, source: source(0) };
        recorder.record(received, kite_tape::RecordKind::Binary, vec![0].into());
        recorder.finish().unwrap();
        let replay = Feed::Replay(ReplayFeed {
            paths: vec![directory.path().to_owned()],
            speed: Speed::Max,
            windows: None,
            longest_pause: None,
            looks_back: true,
        });
        for (feed, stale_after) in
            [(replay, LONGEST_SILENCE), (Feed::Sim(SimFeed::default()), Duration::from_secs(60))]
        {
            let opened = feed.open(1).await.unwrap();
            let settings = format!("{:?}", opened.builder);
            assert!(settings.contains(&format!("stale_after: {stale_after:?}")), "{settings}");
            manager(opened.builder).unwrap();
        }
    }
}
