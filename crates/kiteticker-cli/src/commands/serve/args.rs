//! The arguments of `kite serve`.

mod http;
mod nats;
mod relay;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kite_manager::MAX_CONNECTIONS;
use kite_relay::SlowClients;

use self::http::HttpArgs;
use self::nats::NatsArgs;
pub(super) use self::nats::server as nats_server;
use self::relay::RelayArgs;
pub(super) use self::relay::{Beats, Slow, one_of};
use super::config::{self, Config};
use super::places::Places;
use super::plan::{Plan, SettingsFile};
use super::settings::Settings;
use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::clients;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::times;

/// More than any machine needs, and few enough to start.
pub(super) const MAX_THREADS: usize = 64;

/// The arguments that stand in the file of `--config` instead.
const IN_THE_FILE: [&str; 51] = [
    "instruments",
    "contracts",
    "spots",
    "list",
    "strict",
    "mode",
    "instruments_file",
    "record",
    "pack",
    "report_every",
    "connections",
    "threads",
    "sockets",
    "listen",
    "clients",
    "orders",
    "slow",
    "linger",
    "heartbeats",
    "tls_cert",
    "tls_key",
    "insecure",
    "origins",
    "http_listen",
    "http_token_file",
    "http_hosts",
    "http_tls_cert",
    "http_tls_key",
    "http_insecure",
    "http_candles",
    "http_sessions",
    "nats",
    "nats_credentials",
    "nats_ca_file",
    "nats_prefix",
    "nats_what",
    "sim",
    "replay",
    "seed",
    "rate",
    "chaos",
    "count",
    "speed",
    "from",
    "lasts",
    "until",
    "days",
    "endpoint",
    "credentials",
    "proxy",
    "ca_file",
];

const EXAMPLES: &str = "\
Examples:
  kite serve --sim
  kite serve --config kite.toml
  kite serve --record tapes --until 15:30
  kite serve --client research=research.credentials --orders research
  kite serve --relay 0.0.0.0:8765 --tls-cert cert.pem --tls-key key.pem
  kite serve --replay tapes --speed max --slow block --sockets 2

An account has three sockets. This command holds them and serves any number of
programs: each connects as to Kite and subscribes what it wants. Subscribed at
Kite is what all of them want, each instrument in the richest mode that is
asked for. INSTRUMENTS are subscribed besides, also without clients.

Each --client has a file of its own api_key and access_token, in the form of
credentials files, which have nothing to do with those of the account. Without
any, one pair is made for all programs: printed on a terminal and by --json,
else written to a file whose path is printed. Only loopback addresses are
served without TLS, unless --insecure is given.

A client that reads too slowly gets the newest tick of each instrument
(conflate), loses the oldest ones and is sent a message (drop_oldest), or is
disconnected. With --replay it may hold up the tape (block).

Dropped ticks, disconnected slow clients and lost records are findings: the exit
status is 1. Conflated ticks are not. docs/relay.md has the details.";

/// Serve one account to any number of programs over Kite's protocol
#[derive(Debug, Args)]
#[command(after_help = clients::help(EXAMPLES))]
pub(crate) struct ServeArgs {
    /// Read the settings from this TOML file; docs/kite.toml has all of them
    #[arg(long, value_name = "FILE", conflicts_with_all = IN_THE_FILE)]
    config: Option<PathBuf>,
    /// Check whether it would start, and print what it would do; connects nowhere
    #[arg(long)]
    check: bool,
    /// What the file says, once it has been read.
    #[arg(skip)]
    loaded: Option<Box<Config>>,
    #[command(flatten)]
    instruments: InstrumentArgs,
    /// Record the feed to this directory, as kite record does
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Pack each file of --record when the next one has begun, as kite pack does
    #[arg(long, requires = "record")]
    pack: bool,
    /// Without a terminal, print a line of progress this often
    #[arg(long, value_name = "DURATION", default_value = "1m",
        value_parser = times::positive_duration, allow_hyphen_values = true)]
    report_every: Duration,
    /// Print the endpoint and the report as JSON
    #[arg(long)]
    json: bool,
    /// Sockets of the account to use, 1 to 3 [3]
    #[arg(long, value_name = "N", value_parser = connections)]
    connections: Option<usize>,
    /// Threads for the feed and all clients, 1 to 64: more if one is full [1]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// With --replay: start once N sockets of clients have subscribed [1]
    #[arg(long, value_name = "N", value_parser = sockets)]
    sockets: Option<usize>,
    #[command(flatten)]
    relay: RelayArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    feed: FeedArgs,
}

/// Parses an address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:8765 or [::1]:0")
}

fn connections(text: &str) -> Result<usize, String> {
    let connections = text.parse().ok().filter(|it| (1..=MAX_CONNECTIONS).contains(it));
    connections.ok_or_else(|| format!("expected 1 to {MAX_CONNECTIONS}, as many as an account has"))
}

fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|it| (1..=MAX_THREADS).contains(it));
    threads.ok_or_else(|| format!("expected 1 to {MAX_THREADS}"))
}

fn sockets(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|&sockets| sockets > 0).ok_or("expected a number of at least 1")
}

impl ServeArgs {
    /// Reads the file of settings, if one is named. Blocks.
    ///
    /// # Errors
    /// Returns an error if the file cannot be used.
    pub(crate) fn load(&mut self, output: Output) -> Result<(), CliError> {
        if let Some(file) = &self.config {
            self.loaded = Some(Box::new(config::load(file, |error| output.error(&error))?));
        }
        Ok(())
    }

    /// Returns the number of threads for the feed and all clients. A file has been read before.
    pub(crate) fn threads(&self) -> usize {
        let in_file = self.loaded.as_ref().and_then(|it| it.settings.threads);
        in_file.or(self.threads).unwrap_or(1)
    }

    /// Returns what the arguments or their file say, checked as far as possible without files and
    /// network.
    pub(super) fn plan(mut self) -> Result<Plan, CliError> {
        let (is_check, json) = (self.check, self.json);
        Ok(match self.config.take().zip(self.loaded.take()) {
            Some((path, loaded)) => {
                let settings = Settings { json, ..loaded.settings };
                let file = SettingsFile { path, written: loaded.written };
                Plan { settings, file: Some(file), places: loaded.places, is_check }
            }
            None => {
                let (settings, places) = (self.settings()?, Places::default());
                Plan { settings, file: None, places, is_check }
            }
        })
    }

    fn settings(self) -> Result<Settings, CliError> {
        let relay = self.relay.settings()?;
        let feed = self.feed.settings();
        if relay.slow == SlowClients::Block && !feed.is_replay() {
            return Err(CliError::usage("--slow block would hold up the feed of all clients")
                .help("only a replay can wait: use it with --replay"));
        }
        if self.sockets.is_some() && !feed.is_replay() {
            return Err(CliError::usage("--sockets needs --replay"));
        }
        relay.check()?;
        let http = self.http.settings()?;
        let nats = self.nats.settings();
        if let Some(nats) = &nats {
            nats.check(feed.accounts())?;
        }
        Ok(Settings {
            feed,
            instruments: self.instruments,
            connections: self.connections.unwrap_or(MAX_CONNECTIONS),
            relay,
            http,
            nats,
            threads: self.threads,
            sockets: self.sockets.unwrap_or(1),
            record: self.record,
            pack: self.pack,
            report_every: self.report_every,
            json: self.json,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use kite_relay::Heartbeats;

    use super::*;
    use crate::commands::serve::settings::ClientSettings;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn settings(text: &str) -> Result<Settings, String> {
        let line = Line::try_parse_from(["kite"].into_iter().chain(text.split_whitespace()));
        line.map_err(|error| error.to_string())?.serve.settings().map_err(|it| it.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let settings = settings("").unwrap();
        assert_eq!(settings.relay.listen, "127.0.0.1:8765".parse().unwrap());
        assert_eq!(settings.relay.slow, SlowClients::Conflate);
        assert_eq!(settings.relay.linger, Duration::from_secs(30));
        assert_eq!(settings.relay.heartbeats, Heartbeats::WhileFed);
        assert_eq!((settings.connections, settings.sockets), (3, 1));
        assert!(settings.relay.clients.is_empty() && !settings.relay.is_insecure);
    }

    #[test]
    fn every_argument_stands_in_the_file_or_can_be_used_with_it() {
        let command = Line::command();
        let beside = ["config", "check", "json", "help"];
        let ids = command.get_arguments().map(|argument| argument.get_id().as_str());
        for id in ids.filter(|id| !beside.contains(id)) {
            assert!(IN_THE_FILE.contains(&id), "{id}");
        }
        let error = settings("--config kite.toml --sim").unwrap_err();
        assert!(error.contains("--config <FILE>") && error.contains("--sim"), "{error}");
    }

    #[test]
    fn clients_have_names_files_and_orders_if_asked_for() {
        let line = "--client a=x --client b.c-d_e=dir/y=z --orders a";
        let client = |name: &str, file: &str, orders| ClientSettings {
            name: name.into(),
            credentials: file.into(),
            orders,
            sockets: None,
            instruments: None,
        };
        let expected = [client("a", "x", true), client("b.c-d_e", "dir/y=z", false)];
        assert_eq!(settings(line).unwrap().relay.clients, expected);
    }

    #[test]
    fn mistakes_are_reported_before_anything_is_opened() {
        for (line, message) in [
            ("--client a=x --client a=y", "two clients have the name a"),
            ("--client a=x --orders b", "--orders b is no --client"),
            ("--client a", "expected NAME=FILE"),
            ("--client =x", "expected NAME=FILE"),
            ("--client a/b=x", "expected NAME=FILE"),
            ("--slow block", "--slow block would hold up the feed"),
            ("--slow block --sim", "--slow block would hold up the feed"),
            ("--slow fast", "invalid value"),
            ("--relay 8765", "expected an address and a port"),
            ("--relay localhost:8765", "expected an address and a port"),
            ("--relay 0.0.0.0:0", "0.0.0.0:0 can be reached from other machines"),
            ("--tls-cert a.pem", "--tls-key"),
            ("--insecure --tls-cert a.pem --tls-key b.pem", "cannot be used with"),
            ("--connections 4", "expected 1 to 3"),
            ("--threads 0", "expected 1 to 64"),
            ("--threads 65", "expected 1 to 64"),
            ("--sockets 2", "--sockets needs --replay"),
            ("--sim --sockets 2", "--sockets needs --replay"),
            ("--origin https://a.example/b", "expected scheme://host[:port], without a path"),
            ("--replay x --sockets 0", "at least 1"),
            ("--nats http://a", "not the URL of a NATS server"),
            ("--nats nats://me:x@example.com", "a password for example.com needs TLS"),
            ("--nats 127.0.0.1 --nats-what ticks", "invalid value"),
            ("--nats 127.0.0.1 --nats-prefix a..b", "cannot publish to NATS"),
            ("--nats-prefix a", "--nats <URL>"),
        ] {
            let error = settings(line).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
        assert!(settings("--slow block --replay x").is_ok());
    }
}
