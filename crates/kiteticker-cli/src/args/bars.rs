//! Arguments that say what bars to make.

pub(crate) mod sessions;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kite_candles::{Config, Every};

use crate::exit::CliError;
use crate::format::times;
use crate::instruments::names::Names;

/// What bars to make.
#[derive(Debug, Clone, Args)]
pub(crate) struct BarArgs {
    /// Also make bars without trades, at the previous close
    #[arg(long)]
    fill: bool,
    #[command(flatten)]
    placing: PlacingArgs,
}

/// Which trades are in which bar.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlacingArgs {
    /// Also make bars of the pre-open, before the session starts
    #[arg(long)]
    pre_open: bool,
    /// How long a bar waits for late packets [2s]
    #[arg(long, value_name = "TIME", value_parser = grace)]
    grace: Option<Duration>,
    /// Hours that replace the usual ones, one rule a line; see docs/candles.md
    #[arg(long, value_name = "FILE")]
    sessions: Option<PathBuf>,
}

/// Returns the first length that is named more than once.
pub(crate) fn repeated(lengths: &[Every]) -> Option<Every> {
    let mut numbered = lengths.iter().enumerate();
    numbered.find(|(at, every)| lengths[..*at].contains(every)).map(|(_, every)| *every)
}

impl BarArgs {
    /// Returns the configuration for bars of this length.
    pub(crate) fn config(&self, every: Every, names: &Names) -> Result<Config, CliError> {
        let mut config = self.placing.config(every, names)?;
        config.build_with_no_updates = self.fill;
        Ok(config)
    }

    /// Returns whether hours are given that replace the usual ones.
    pub(crate) fn has_sessions(&self) -> bool {
        self.placing.sessions.is_some()
    }
}

impl PlacingArgs {
    /// Returns the configuration for bars of this length, without empty ones.
    pub(crate) fn config(&self, every: Every, names: &Names) -> Result<Config, CliError> {
        let mut config = Config::default();
        (config.every, config.pre_open) = (every, self.pre_open);
        if let Some(grace) = self.grace {
            config.grace = grace;
        }
        if let Some(path) = &self.sessions {
            config.sessions = sessions::read(path, names)?;
        }
        Ok(config)
    }
}

fn grace(text: &str) -> Result<Duration, String> {
    let grace = times::duration(text)?;
    let most = Config::LONGEST_GRACE;
    if grace > most { Err(format!("must be at most {} s", most.as_secs())) } else { Ok(grace) }
}
