//! Arguments shared by the commands that receive ticks: the source and the instruments.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kite_conn::Endpoint;
use kite_instruments::Date;
use kite_wire::Mode;

use crate::args::range::within;
use crate::args::select::SelectArgs;
use crate::blocking;
use crate::console::paths;
use crate::exit::CliError;
use crate::faults;
use crate::feed::settings::{AccountSettings, FeedSettings, FeedSource, MAIN_ACCOUNT};
use crate::feed::{SimFeed, Speed};
use crate::format::times::{self, Moment};
use crate::network::Network;
use crate::plain_text::{self, trimmed};

/// The source of ticks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source of ticks (default: Kite)")]
pub(crate) struct SourceArgs {
    /// Use the simulated market; no account needed
    #[arg(long, conflicts_with_all = ["replay", "proxy", "ca_file"])]
    sim: bool,
    /// Replay a tape, or a directory of tapes
    #[arg(long, value_name = "TAPE", conflicts_with_all = ["proxy", "ca_file"])]
    replay: Vec<PathBuf>,
    /// With --sim: the market's seed [1]
    #[arg(long, value_name = "N", requires = "sim", conflicts_with = "replay")]
    seed: Option<u64>,
    /// With --sim: updates per second per instrument [2]
    #[arg(long, value_name = "N", requires = "sim", conflicts_with = "replay", value_parser = faults::rate, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// With --sim: random faults, one per DURATION on average on each socket
    #[arg(long, value_name = "DURATION", requires = "sim", conflicts_with = "replay", value_parser = times::positive_duration, allow_hyphen_values = true)]
    chaos: Option<Duration>,
    /// With --sim: N instruments from all segments and those named; at most 9,000
    #[arg(long, value_name = "N", requires = "sim", conflicts_with = "replay", value_parser = within(1..=9_000_u16), allow_hyphen_values = true)]
    count: Option<u16>,
    /// With --replay: speed factor, or max [1]
    #[arg(
        long,
        value_name = "N",
        requires = "replay",
        conflicts_with = "sim",
        allow_hyphen_values = true
    )]
    speed: Option<Speed>,
    /// Stop this long after the start, such as 6h15m
    #[arg(long = "for", value_name = "DURATION", value_parser = times::positive_duration, allow_hyphen_values = true)]
    lasts: Option<Duration>,
    /// Connect to a different server, such as `kite sim`
    #[arg(long, value_name = "URL", conflicts_with_all = ["sim", "replay"])]
    endpoint: Option<Endpoint>,
    /// File with api_key and access_token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sim", "replay"])]
    credentials: Option<PathBuf>,
    #[command(flatten)]
    network: Network,
}

/// The source of ticks, and which times of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source of ticks (default: Kite)")]
pub(crate) struct FeedArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// With --replay: start at this time of each day, such as 09:15
    #[arg(long, value_name = "TIME", requires = "replay", conflicts_with = "sim")]
    from: Option<Moment>,
    /// Stop at 15:30 in India; with --replay, the tape's time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// With --replay: only this day, such as 2026-11-23; repeatable
    #[arg(long = "day", value_name = "DATE", requires = "replay", conflicts_with = "sim")]
    days: Vec<Date>,
}

impl FeedArgs {
    /// Returns what the arguments say, with the defaults for what they leave open.
    pub(crate) fn settings(self) -> FeedSettings {
        self.source.settings(self.from, self.until, self.days)
    }
}

impl SourceArgs {
    /// Returns what the arguments say, and these times, with the defaults for what is left open.
    pub(crate) fn settings(
        self,
        from: Option<Moment>,
        until: Option<Moment>,
        days: Vec<Date>,
    ) -> FeedSettings {
        let source = if self.sim {
            let default = SimFeed::default();
            let (seed, rate) =
                (self.seed.unwrap_or(default.seed), self.rate.unwrap_or(default.rate));
            let market = SimFeed { seed, rate, chaos: self.chaos };
            FeedSource::Sim { market, count: self.count }
        } else if self.replay.is_empty() {
            FeedSource::Server {
                endpoint: self.endpoint.unwrap_or_default(),
                account: AccountSettings {
                    name: MAIN_ACCOUNT.to_owned(),
                    credentials: self.credentials,
                },
                more: Vec::new(),
                network: self.network,
            }
        } else {
            FeedSource::Tapes {
                paths: self.replay,
                speed: self.speed.unwrap_or_default(),
                from,
                days,
            }
        };
        FeedSettings { source, lasts: self.lasts, until }
    }

    /// Returns an option that was given, if any, for commands that do not always receive ticks.
    /// Those that need another one are left out.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--sim", self.sim),
            ("--replay", !self.replay.is_empty()),
            ("--for", self.lasts.is_some()),
            ("--endpoint", self.endpoint.is_some()),
            ("--credentials", self.credentials.is_some()),
        ];
        let given = options.into_iter().find_map(|(name, is_given)| is_given.then_some(name));
        given.or_else(|| self.network.given())
    }
}

/// The instruments and their mode.
#[derive(Debug, Clone, Args)]
pub(crate) struct InstrumentArgs {
    /// Instruments: NSE:INFY, or an instrument token such as 408065
    #[arg(value_name = "INSTRUMENT")]
    pub(crate) instruments: Vec<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// File with more instruments, one per line, or - for stdin; unknown ones are left
    /// out
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// With --list: end with an error if the file names unknown instruments
    #[arg(long, requires = "list")]
    pub(crate) strict: bool,
    /// Mode: ltp, quote or full [full]
    #[arg(long, value_name = "MODE", default_value = "full")]
    #[arg(hide_default_value = true)]
    pub(crate) mode: Mode,
    /// Kite's instruments CSV [today's list]
    #[arg(long, value_name = "CSV")]
    pub(crate) instruments_file: Option<PathBuf>,
}

impl InstrumentArgs {
    /// Returns whether neither a name, nor a list, nor a text is given.
    pub(crate) fn is_empty(&self) -> bool {
        self.instruments.is_empty() && self.select.is_empty() && self.list.is_none()
    }

    /// Returns the name of the list for messages.
    pub(crate) fn list_name(&self) -> Option<String> {
        let name = |path: &PathBuf| match is_stdin(path) {
            true => "standard input".to_owned(),
            false => paths::shown(path).to_string(),
        };
        self.list.as_ref().map(name)
    }

    /// Returns the instruments named in the list, and their lines, counted from 1.
    pub(crate) async fn listed(&self) -> Result<(Vec<String>, Vec<usize>), CliError> {
        let (Some(path), Some(name)) = (self.list.clone(), self.list_name()) else {
            return Ok(Default::default());
        };
        // The other end of a pipe may take its time.
        let reading = blocking::run("reading the list", move || match is_stdin(&path) {
            true => plain_text::read(io::stdin()),
            false => File::open(path).and_then(plain_text::read),
        });
        let text = reading
            .await?
            .map_err(|error| CliError::unable(format!("cannot read {name}")).because(error))?;
        Ok(listed(&text).map(|(line, name)| (name.to_owned(), line)).unzip())
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Returns the instruments of a list, with the numbers of their lines: one per line; `#` starts a
/// comment.
pub(crate) fn listed(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let without_comment = |line: &'_ str| -> usize { line.find('#').unwrap_or(line.len()) };
    let lines = plain_text::lines(text);
    let names = lines.map(move |(number, line)| (number, trimmed(&line[..without_comment(line)])));
    names.filter(|(_, name)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        instruments: InstrumentArgs,
        #[command(flatten)]
        feed: FeedArgs,
    }

    fn line(text: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(["kite"].into_iter().chain(text.split_whitespace()))
    }

    #[test]
    fn a_feed_is_one_of_three_and_rejects_options_of_the_others() {
        for valid in [
            "",
            "--sim --seed 7 --rate 0.5 --chaos 2s",
            "--replay a --replay b --speed max",
            "--replay a --from 09:15",
            "--endpoint ws://127.0.0.1:1 --credentials x 408065 NSE:INFY",
            "--proxy http://127.0.0.1:1 --ca-file roots.pem",
        ] {
            assert!(line(valid).is_ok(), "{valid}");
        }
        for wrong in [
            "--sim --replay a",
            "--seed 7",
            "--sim --speed 2",
            "--replay a --rate 3",
            "--sim --endpoint ws://127.0.0.1:1",
            "--sim --proxy http://127.0.0.1:1",
            "--replay a --ca-file roots.pem",
            "--sim --chaos 0",
            "--sim --count 0",
            "--sim --count 9001",
            "--sim --rate 1001",
            "--sim --day 2026-11-23",
            "--replay a --from noon",
            "--endpoint ws://example.com",
            "--mode depth",
            "--replay a --speed 0",
        ] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_may_have_comments_and_blank_lines() {
        let text = "# mine\nNSE:INFY\n\n  408065  # infosys again\r\n";
        assert_eq!(listed(text).collect::<Vec<_>>(), [(2, "NSE:INFY"), (4, "408065")]);
    }
}
