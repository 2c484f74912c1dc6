//! The arguments of `kite serve`.

mod http;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use kite_manager::MAX_CONNECTIONS;
use kite_relay::{Heartbeats, Origin, SlowClients, TlsFiles};

use self::http::HttpArgs;
use super::config::{self, Config};
use super::origin;
use super::settings::{
    ClientSettings, DEFAULT_LINGER, DEFAULT_RELAY, RelaySettings, Settings, is_plain_name,
};
use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::clients;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::times;

/// More than any machine needs, and few enough to start.
pub(super) const MAX_THREADS: usize = 64;

/// The arguments that stand in the file of `--config` instead.
const IN_THE_FILE: [&str; 43] = [
    "instruments",
    "contracts",
    "spots",
    "list",
    "strict",
    "mode",
    "instruments_file",
    "record",
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

/// What a run does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// Where the settings were read from, if not from the arguments.
    pub(super) file: Option<SettingsFile>,
    /// Whether only to check that it would start.
    pub(super) is_check: bool,
}

/// The file that the settings were read from.
#[derive(Debug)]
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    /// Its keys and their values.
    pub(super) written: BTreeMap<String, String>,
}

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
    feed: FeedArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Clients")]
struct RelayArgs {
    /// Address and port to listen on; port 0 is any free one [127.0.0.1:8765]
    #[arg(long = "relay", value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// A client, and the file with its api_key and access_token; repeatable
    #[arg(long = "client", value_name = "NAME=FILE")]
    clients: Vec<ClientFile>,
    /// Send order updates to this client too; repeatable
    #[arg(long, value_name = "NAME")]
    orders: Vec<String>,
    /// Clients that read too slowly: conflate, drop_oldest, disconnect or block
    /// [conflate]
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    slow: Option<Slow>,
    /// Keep instruments this long after the last client has left them [30s]
    #[arg(long, value_name = "DURATION", value_parser = times::duration, allow_hyphen_values = true)]
    linger: Option<Duration>,
    /// Heartbeats: while_fed, or always, also without a connection to Kite or when it is silent
    /// [while_fed]
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    heartbeats: Option<Beats>,
    /// Chain of certificates for wss://, the server's own first
    #[arg(long, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(long, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve other machines without TLS: tokens and ticks are readable on the way
    #[arg(long, conflicts_with = "tls_cert")]
    insecure: bool,
    /// Admit web pages from here, such as `https://example.com`; repeatable
    #[arg(long = "origin", value_name = "ORIGIN", value_parser = origin::parse)]
    origins: Vec<Origin>,
}

/// What happens to a client that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Slow {
    Conflate,
    DropOldest,
    Disconnect,
    Block,
}

impl From<Slow> for SlowClients {
    fn from(slow: Slow) -> Self {
        match slow {
            Slow::Conflate => Self::Conflate,
            Slow::DropOldest => Self::DropOldest,
            Slow::Disconnect => Self::Disconnect,
            Slow::Block => Self::Block,
        }
    }
}

/// When clients get heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Beats {
    WhileFed,
    Always,
}

impl From<Beats> for Heartbeats {
    fn from(beats: Beats) -> Self {
        match beats {
            Beats::WhileFed => Self::WhileFed,
            Beats::Always => Self::Always,
        }
    }
}

/// Parses the name of a value of a choice.
pub(super) fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = values.map(|it| it.get_name().to_owned()).collect();
        format!("expected {}", names.join(", "))
    })
}

/// A client's name and the file of its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ClientFile {
    name: String,
    path: PathBuf,
}

impl FromStr for ClientFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = text.split_once('=').unwrap_or((text, ""));
        if !is_plain_name(name) || path.is_empty() {
            return Err(
                "expected NAME=FILE, such as research=research.credentials, with a name of \
                        letters, digits, `-`, `_` and `.`",
            );
        }
        Ok(Self { name: name.to_owned(), path: path.into() })
    }
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
                Plan { settings, file: Some(file), is_check }
            }
            None => Plan { settings: self.settings()?, file: None, is_check },
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
        Ok(Settings {
            feed,
            instruments: self.instruments,
            connections: self.connections.unwrap_or(MAX_CONNECTIONS),
            relay,
            http,
            threads: self.threads,
            sockets: self.sockets.unwrap_or(1),
            record: self.record,
            report_every: self.report_every,
            json: self.json,
        })
    }
}

impl RelayArgs {
    fn settings(self) -> Result<RelaySettings, CliError> {
        let is_client = |name: &String| self.clients.iter().any(|client| client.name == *name);
        if let Some(name) = self.orders.iter().find(|name| !is_client(name)) {
            return Err(CliError::usage(format!("--orders {name} is no --client"))
                .help(format!("name the client: --client {name}=FILE")));
        }
        let client = |ClientFile { name, path }| ClientSettings {
            orders: self.orders.contains(&name),
            credentials: path,
            name,
            sockets: None,
            instruments: None,
        };
        let clients = self.clients.into_iter().map(client).collect();
        let tls = self.tls_cert.zip(self.tls_key);
        Ok(RelaySettings {
            listen: self.listen.unwrap_or(DEFAULT_RELAY),
            clients,
            slow: self.slow.map(Into::into).unwrap_or_default(),
            linger: self.linger.unwrap_or(DEFAULT_LINGER),
            heartbeats: self.heartbeats.map(Into::into).unwrap_or_default(),
            tls: tls.map(|(certificates, key)| TlsFiles { certificates, key }),
            is_insecure: self.insecure,
            origins: self.origins,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

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
        ] {
            let error = settings(line).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
        assert!(settings("--slow block --replay x").is_ok());
    }
}
