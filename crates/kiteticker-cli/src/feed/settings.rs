//! Where ticks come from and when that ends, whether it was written on the command line or in a
//! file.

use std::path::PathBuf;
use std::time::Duration;

use kite_conn::{Endpoint, TokenFile};
use kite_instruments::Date;

use crate::args::period::Period;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::credentials::{self, Origin};
use crate::feed::deadline::Deadline;
use crate::feed::{Feed, LiveAccount, LiveFeed, ReplayFeed, SimFeed, Speed};
use crate::format::times::Moment;
use crate::network::{Choice, Network, Target};

/// Longer stretches in which nothing was recorded are shortened to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The source of ticks, and when it ends.
#[derive(Debug, Clone)]
pub(crate) struct FeedSettings {
    pub(crate) source: FeedSource,
    /// How long after the start.
    pub(crate) lasts: Option<Duration>,
    /// At what time, which for a replay is the tape's.
    pub(crate) until: Option<Moment>,
}

/// The source of ticks.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a command has one of them")]
pub(crate) enum FeedSource {
    /// The simulated market.
    Sim {
        market: SimFeed,
        /// Number of instruments of all segments to add.
        count: Option<u16>,
    },
    /// Recorded tapes.
    Tapes {
        /// Files, or directories of them.
        paths: Vec<PathBuf>,
        speed: Speed,
        /// The time of each day at which it begins.
        from: Option<Moment>,
        /// Only these days, if any is named.
        days: Vec<Date>,
    },
    /// Kite, or another server that speaks its protocol.
    Server {
        endpoint: Endpoint,
        /// The account whose credentials fetch the list of instruments, too.
        account: AccountSettings,
        /// Further accounts.
        more: Vec<AccountSettings>,
        network: Network,
    },
}

/// The name of an account that has no other.
pub(crate) const MAIN_ACCOUNT: &str = "main";

/// An account at the server.
#[derive(Debug, Clone)]
pub(crate) struct AccountSettings {
    pub(crate) name: String,
    /// The file of its credentials; without one they are searched for.
    pub(crate) credentials: Option<PathBuf>,
}

impl FeedSettings {
    /// Returns the names of the accounts.
    pub(crate) fn accounts(&self) -> Vec<&str> {
        match &self.source {
            FeedSource::Server { account, more, .. } => {
                [account].into_iter().chain(more).map(|it| it.name.as_str()).collect()
            }
            _ => vec![MAIN_ACCOUNT],
        }
    }

    /// Returns the chosen times of a replayed tape.
    pub(crate) fn period(&self) -> Period {
        match &self.source {
            FeedSource::Tapes { from, days, .. } => Period::new(*from, self.until, days.clone()),
            _ => Period::new(None, self.until, Vec::new()),
        }
    }

    /// Returns when the command ends by the clock, of which the duration counts from now. The end of
    /// a replay at a time is that of its tape.
    pub(crate) fn deadline(&self) -> Result<Deadline, CliError> {
        let until = self.until.filter(|_| !self.is_replay());
        Ok(Deadline::default().until(until)?.after(self.lasts))
    }

    /// Returns whether the simulated market is used.
    pub(crate) fn is_sim(&self) -> bool {
        matches!(self.source, FeedSource::Sim { .. })
    }

    /// Returns whether tapes are replayed.
    pub(crate) fn is_replay(&self) -> bool {
        matches!(self.source, FeedSource::Tapes { .. })
    }

    /// Returns the number of instruments of all segments to add, if the market is simulated.
    pub(crate) fn count(&self) -> Option<u16> {
        match self.source {
            FeedSource::Sim { count, .. } => count,
            _ => None,
        }
    }

    /// Builds the feed; for Kite, also finds the credentials and reports their source.
    pub(crate) fn feed(&self, output: Output) -> Result<Feed, CliError> {
        match &self.source {
            FeedSource::Sim { market, .. } => Ok(Feed::Sim(market.clone())),
            FeedSource::Tapes { paths, speed, .. } => Ok(Feed::Replay(ReplayFeed {
                paths: paths.clone(),
                speed: *speed,
                windows: None,
                // The hours between two sessions are not worth watching or recording.
                longest_pause: Some(LONGEST_PAUSE),
                looks_back: true,
            })),
            FeedSource::Server { endpoint, account, more, network } => {
                let choice = network.choose(Target::from(endpoint))?;
                let account = account.found(output)?;
                let more: Result<_, _> = more.iter().map(|account| account.found(output)).collect();
                if let Choice::Through { proxy, origin } = choice {
                    output.note(format_args!("through the proxy {proxy}, from {origin}"));
                }
                let (endpoint, network) = (endpoint.clone(), network.clone());
                Ok(Feed::Live(LiveFeed { account, more: more?, endpoint, network }))
            }
        }
    }
}

impl AccountSettings {
    /// Finds the credentials and reports their source.
    fn found(&self, output: Output) -> Result<LiveAccount, CliError> {
        let found = credentials::find(self.credentials.as_deref())?;
        output.note(format_args!("credentials from {}", found.origin));
        let file = match found.origin {
            // A pipe is read once.
            Origin::File(path) if path.is_file() => Some(TokenFile::new(path)),
            Origin::File(_) | Origin::Environment | Origin::Prompt => None,
        };
        Ok(LiveAccount { name: self.name.clone(), credentials: found.credentials, file })
    }
}
