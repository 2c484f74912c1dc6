//! Files of settings: the example of the documentation, mistakes, and any changes of the example.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kite_relay::{Heartbeats, SlowClients};
use kite_wire::Mode;
use proptest::prelude::*;
use toml::de::DeTable;

use super::*;
use crate::exit::Status;
use crate::feed::settings::FeedSource;

const EXAMPLE: &str = include_str!("../../../../../../docs/kite.toml");

/// A token that must not be shown, as it stands in each file of credentials.
const TOKEN: &str = "tokenthatmustnotbeshown";

/// 09:00 on 23 November 2026 in India.
const NOW: u64 = 1_795_404_600_000_000_000;

/// A directory with the files that the example names.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { directory: tempfile::tempdir().unwrap() };
        for name in ["kite", "research", "desk", "other"] {
            let text = format!("api_key = keyof{name}\naccess_token = {TOKEN}\n");
            stage.write(&format!("{name}.credentials"), &text, 0o600);
        }
        stage.write(
            "again.credentials",
            &format!("api_key = keyofdesk\naccess_token = {TOKEN}\n"),
            0o600,
        );
        stage.write(
            "open.credentials",
            &format!("api_key = keyofopen\naccess_token = {TOKEN}\n"),
            0o644,
        );
        stage.write("half.credentials", "api_key = k\n", 0o600);
        stage.write("odd.credentials", "api_key = a b\naccess_token = c\n", 0o600);
        stage.write("instruments.txt", "NSE:INFY\n", 0o644);
        stage.write("cert.pem", "", 0o644);
        stage.write("http-cert.pem", "", 0o644);
        stage.write("http-key.pem", "", 0o600);
        stage.write("http.token", TOKEN, 0o600);
        stage.write("sessions.txt", "all 09:15-15:30\n", 0o644);
        stage.write("short.token", "12345", 0o600);
        stage.write("key.pem", "", 0o600);
        stage.write("open.pem", "", 0o644);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str, _mode: u32) {
        fs::write(self.path(name), text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.path(name), PermissionsExt::from_mode(_mode)).unwrap();
        }
    }

    fn read(&self, text: &str) -> Result<Config, Vec<Problem>> {
        self.write("kite.toml", text, 0o644);
        read(&self.path("kite.toml"), text, NOW)
    }

    /// Returns the problems of a text, as `line: text`.
    fn problems(&self, text: &str) -> Vec<String> {
        let problems = self.read(text).expect_err(text);
        problems.iter().map(|it| format!("{}: {}", it.line, it.text)).collect()
    }
}

#[test]
fn the_example_says_what_the_documentation_promises() {
    let stage = Stage::new();
    let Settings { feed, instruments, connections, relay, record, report_every, .. } =
        stage.read(EXAMPLE).unwrap().settings;
    let FeedSource::Server { account, more, endpoint, .. } = feed.source else {
        panic!("no server")
    };
    assert_eq!((endpoint, connections), (Default::default(), 3));
    assert!(more.is_empty());
    assert_eq!(
        (&*account.name, &account.credentials),
        ("main", &Some(stage.path("kite.credentials")))
    );
    assert_eq!(instruments.instruments, ["NSE:INFY", "NSE:NIFTY 50", "738561"]);
    assert_eq!((instruments.mode, instruments.list), (Mode::Full, None));
    assert_eq!((record, report_every), (Some(stage.path("tapes")), Duration::from_secs(60)));
    assert_eq!(relay.listen, "127.0.0.1:8765".parse().unwrap());
    assert_eq!((relay.slow, relay.heartbeats), (SlowClients::Conflate, Heartbeats::WhileFed));
    let [research, desk] = &relay.clients[..] else { panic!("two clients") };
    assert_eq!(
        (&*research.name, research.sockets, research.instruments),
        ("research", Some(3), Some(3_000))
    );
    assert_eq!(
        (desk.orders, desk.sockets, &desk.credentials),
        (true, None, &stage.path("desk.credentials"))
    );
}

#[test]
fn the_section_of_nats_that_the_example_comments_out_is_accepted() {
    let stage = Stage::new();
    stage.write("nats.creds", "", 0o600);
    stage.write("nats-roots.pem", "", 0o644);
    fs::create_dir(stage.path("tapes")).unwrap();
    let (before, nats) = EXAMPLE.split_at(EXAMPLE.find("# [nats]").unwrap());
    let Settings { nats, .. } = stage
        .read(&format!("{before}{}", nats.replace("\n# ", "\n").replacen("# ", "", 1)))
        .unwrap()
        .settings;
    let shown = format!("{nats:?}");
    for text in ["nats.example.com:4222", "nats.creds", "nats-roots.pem", "\"kite\"", "Packets"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(stage.read(EXAMPLE).unwrap().settings.nats.is_none());
}

/// Sets what the example comments out, one line after the other.
#[test]
fn what_the_example_comments_out_is_accepted() {
    let stage = Stage::new();
    for name in ["mine.credentials", "instruments.csv", "roots.pem"] {
        let text = format!("api_key = keyof{name}\naccess_token = {TOKEN}\n").replace('.', "-");
        stage.write(name, &text, 0o600);
    }
    fs::create_dir(stage.path("tapes")).unwrap();
    let mut count = 0;
    let (example, _) = EXAMPLE.split_at(EXAMPLE.find("# [nats]").unwrap());
    for line in example.lines() {
        let Some(setting) = line.strip_prefix("# ").filter(|it| {
            it.split_once(" = ")
                .is_some_and(|(key, _)| key.chars().all(|it| it.is_ascii_lowercase() || it == '_'))
        }) else {
            continue;
        };
        let key = setting.split(' ').next().unwrap();
        let mut text = EXAMPLE.replacen(line, setting, 1);
        // The section [http] has keys of the same names.
        let (before, http) = EXAMPLE.split_at(EXAMPLE.find("[http]").unwrap());
        if !before.contains(line) {
            text = format!("{before}{}", http.replace(line, setting));
        }
        match key {
            "sim" | "replay" => {
                text = text.replace("credentials = \"kite.credentials\"\n", "");
                for more in setting
                    .split(" with ")
                    .nth(1)
                    .unwrap()
                    .replace(", ", "\n")
                    .replace(" or \"max\"", "")
                    .lines()
                {
                    text = text.replacen("[record]", &format!("{more}\n[record]"), 1);
                }
            }
            "name" | "credentials" => {
                text = EXAMPLE.replace("credentials = \"kite.credentials\"\n", "");
                for line in ["# [[feed.account]]", "# name = \"mine\"", "# credentials = \"mine"] {
                    text = text.replacen(line, &line[2..], 1);
                }
                // A table ends those before it, so that it has to be the last.
                let at = text.find("[[feed.account]]").unwrap();
                let end = at + text[at..].find("\n\n").unwrap();
                let account = text[at..end].to_owned();
                text.replace_range(at..end, "");
                text = text.replacen("[record]", &format!("{account}\n\n[record]"), 1);
            }
            "sessions" => text = text.replace("# candles = ", "candles = "),
            "strict" => text = text.replace("# list = ", "list = "),
            "tls_key" | "spot" => {}
            "tls_cert" => {
                text = text.replace("# tls_key", "tls_key").replace("# tls_cert", "tls_cert")
            }
            _ => {}
        }
        if key == "tls_key" {
            text = text.replace("# tls_key", "tls_key").replace("# tls_cert", "tls_cert");
        }
        if key == "spot" {
            text =
                text.replace("# select = [\"NIFTY nearest 26000", "select = [\"NIFTY nearest ATM");
        }
        count += 1;
        if let Err(problems) = stage.read(&text) {
            panic!("{setting}: {problems:?}\n{text}");
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn tapes_are_packed_if_the_file_says_so() {
    let stage = Stage::new();
    for (more, expected) in [("", false), ("pack = false\n", false), ("pack = true\n", true)] {
        let settings = stage.read(&format!("[record]\nto = 'tapes'\n{more}")).unwrap().settings;
        assert_eq!(settings.pack, expected, "{more}");
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    let stage = Stage::new();
    let settings = stage.read("# nothing\r\n").unwrap().settings;
    assert!(settings.relay.clients.is_empty() && settings.instruments.is_empty());
}

/// Pairs of a file and what is wrong with it, of which each has to be found.
const MISTAKES: &[(&str, &[&str])] = &[
    ("[feed]\nendpont = 1\n", &["2: feed.endpont: unknown key"]),
    ("[feed]\nsim = true\nsim = false\n", &["3: feed.sim stands twice"]),
    ("[feed]\nmode = 'full'\n[x]\na = 1\n[feed] # again\n", &["5: feed stands twice"]),
    ("[[relay.client]] # a\nname = 'a'\nname = 'b'\n", &["3: relay.client.name stands twice"]),
    ("until = 1\nuntil = 2\n", &["2: until stands twice"]),
    ("[feed]\nsim = true\n[feed]\n", &["3: feed stands twice"]),
    ("[feed]\nsim = \"yes\"\n", &["2: feed.sim: expected true or false, found a text"]),
    ("feed = 3\n", &["1: feed: expected a table, [feed], found a number"]),
    ("[[feed]]\n", &["1: feed: expected a table, [feed], found a list"]),
    (
        "[relay.client]\nname = 'a'\n",
        &["1: relay.client: expected tables, [[relay.client]], found a table"],
    ),
    (
        "[relay]\nlisten = 8765\n",
        &["2: relay.listen: expected an address and a port, such as 127.0.0.1:8765 or [::1]:0"],
    ),
    (
        "[relay]\nlisten = true\n",
        &["2: relay.listen: expected a text in quotes, found true or false"],
    ),
    (
        "[relay]\nslow = 'fast'\n",
        &["2: relay.slow: expected conflate, drop_oldest, disconnect, block"],
    ),
    (
        "[relay]\nslow = 'block'\n",
        &["2: relay.slow: block would hold up the feed of all clients: it needs feed.replay"],
    ),
    (
        "[relay]\nlinger = 'soon'\n",
        &["2: relay.linger: expected a duration such as 500ms, 10s, 5m or 1h30m"],
    ),
    (
        "[relay]\nlisten = '0.0.0.0:1'\n",
        &["2: relay.listen: other machines reach this address, which needs TLS"],
    ),
    ("[relay]\ntls_cert = 'cert.pem'\n", &["2: relay.tls_cert: needs tls_key"]),
    (
        "[relay]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\ninsecure = true\n",
        &["4: relay.insecure: cannot be used with tls_cert"],
    ),
    (
        "[relay]\ntls_cert = 'cert.pem'\ntls_key = 'open.pem'\n",
        &["3: relay.tls_key: other users can access the private key in "],
    ),
    (
        "[[relay.client]]\n",
        &["1: relay.client.name: is missing", "1: relay.client.credentials: is missing"],
    ),
    (
        "[[relay.client]]\nname = 'a'\ncredentials = 'desk.credentials'\n\
         [[relay.client]]\nname = 'a'\ncredentials = 'again.credentials'\n",
        &[
            "5: relay.client.name: the client of line 2 is a, too",
            "6: relay.client.credentials: the api_key is that of the client of line 3",
        ],
    ),
    (
        "[[relay.client]]\nname = 'a b'\ncredentials = 'desk.credentials'\n",
        &["2: relay.client.name: expected a name of up to 64 letters"],
    ),
    (
        "[[relay.client]]\nname = 'a'\ncredentials = 'open.credentials'\n",
        &["3: relay.client.credentials: other users can access the credentials in "],
    ),
    (
        "[[relay.client]]\nname = 'a'\ncredentials = 'half.credentials'\n",
        &["3: relay.client.credentials: cannot use the credentials in "],
    ),
    (
        "[[relay.client]]\nname = 'a'\ncredentials = 'odd.credentials'\n",
        &["3: relay.client.credentials: "],
    ),
    (
        "[[relay.client]]\nname = 'a'\ncredentials = 'desk.credentials'\nsockets = 0\n",
        &["4: relay.client.sockets: expected a number from 1 to 1,000"],
    ),
    (
        "[[relay.client]]\nname = 'a'\naccess_token = 'tokenthatmustnotbeshown'\n",
        &[
            "1: relay.client.credentials: is missing",
            "3: relay.client.access_token: this file takes no credentials",
        ],
    ),
    (
        "[feed]\ncredentials = 'tokenthatmustnotbeshown'\n",
        &["2: feed.credentials: no such file in "],
    ),
    ("[feed]\ncredentials = 'tokenthatmustnotbeshown\n", &["2: not valid TOML: "]),
    ("[feed]\ncredentials = tokenthatmustnotbeshown\n", &["2: not valid TOML: "]),
    ("tokenthatmustnotbeshown\n", &["1: not valid TOML: "]),
    (
        "[feed]\nendpoint = 'ws://127.0.0.1:1'\n",
        &["2: feed.endpoint: needs credentials, or [[feed.account]]"],
    ),
    (
        "[feed]\nendpoint = 'ws://example.com'\ncredentials = 'kite.credentials'\n",
        &["2: feed.endpoint: "],
    ),
    (
        "[feed]\nsim = true\nreplay = 'kite.toml'\n",
        &["3: feed.replay: cannot be used with sim = true, line 2"],
    ),
    (
        "[feed]\nsim = true\ncredentials = 'kite.credentials'\n",
        &["3: feed.credentials: cannot be used with sim = true, line 2"],
    ),
    (
        "[feed]\nreplay = 'kite.toml'\nseed = 3\n",
        &["3: feed.seed: cannot be used with replay, line 2"],
    ),
    ("[feed]\nspeed = 3\n", &["2: feed.speed: needs replay"]),
    ("[feed]\nrate = 3\n", &["2: feed.rate: needs sim = true"]),
    (
        "[feed]\nsim = true\nrate = 3000\n",
        &["3: feed.rate: expected updates per second from 0 to 1,000"],
    ),
    ("[feed]\nreplay = 'nothing'\n", &["2: feed.replay: no such file in "]),
    (
        "[feed]\ncredentials = 'kite.credentials'\n[[feed.account]]\ncredentials = 'other.credentials'\n",
        &["2: feed.credentials: cannot be used with [[feed.account]], line 3"],
    ),
    ("[[feed.account]]\nname = 'a'\n", &["1: feed.account.credentials: is missing"]),
    (
        "[[feed.account]]\ncredentials = 'kite.credentials'\n[[feed.account]]\ncredentials = 'kite.credentials'\n",
        &[
            "3: feed.account.name: the account of line 1 is main, too",
            "4: feed.account.credentials: the api_key is that of the account of line 2",
        ],
    ),
    (
        "[feed]\nproxy = 'http://me:tokenthatmustnotbeshown@proxy:1'\n",
        &["2: feed.proxy: other users can access a proxy's password in "],
    ),
    ("[feed]\nproxy = 'tokenthatmustnotbeshown'\n", &["2: feed.proxy: "]),
    ("[feed]\nstrict = true\n", &["2: feed.strict: needs list"]),
    ("[feed]\nselect = 'NIFTY'\n", &["2: feed.select: "]),
    ("[feed]\nspot = 5\n", &["2: feed.spot: spot 5 is not needed: no select has ATM"]),
    (
        "[feed]\ninstruments = ['NSE:INFY', true, '']\n",
        &[
            "2: feed.instruments: expected a text in quotes, found true or false",
            "2: feed.instruments: expected EXCHANGE:SYMBOL or a token",
        ],
    ),
    (
        "[feed]\ninstruments = ['NSE INFY', -5, 1.5,\n 'INFY', 15:30, 7, ':INFY', 'NSE:', 408065, 'nse:infy']\n",
        &[
            "2: feed.instruments: expected EXCHANGE:SYMBOL or a token",
            "3: feed.instruments: expected EXCHANGE:SYMBOL or a token",
        ],
    ),
    ("[feed]\nmode = 'deep'\n", &["2: feed.mode: "]),
    ("[feed]\nconnections = 4\n", &["2: feed.connections: expected a number from 1 to 3"]),
    ("[record]\nto = 'kite.toml'\n", &["2: record.to: is not a directory"]),
    (
        "[record]\nto = 'tapes'\npack = 'yes'\n",
        &["3: record.pack: expected true or false, found a text"],
    ),
    ("[record]\npack = true\n", &["1: record.to: is missing"]),
    ("[record]\nfrom = 'x'\n", &["1: record.to: is missing", "2: record.from: unknown key"]),
    ("[http]\nlisten = '127.0.0.1:8765'\n", &["2: http.listen: the port 8765 is that of [relay]"]),
    (
        "[http]\nlisten = '0.0.0.0:1'\n",
        &["2: http.listen: other machines reach this address, which needs TLS"],
    ),
    (
        "[http]\nlisten = '0.0.0.0:1'\ninsecure = true\n",
        &["2: http.listen: other machines reach this address, which needs token_file"],
    ),
    ("[http]\nhosts = ['a/b']\n", &["1: http.listen: is missing", "2: http.hosts: expected "]),
    (
        "[http]\nlisten = '127.0.0.1:1'\ncandles = ['1m', '30s', '2x']\n",
        &[
            "3: http.candles: bars of 30s are too short to keep for a day; must be 1m or longer",
            "3: http.candles: not the length of a bar; must be 1s to 1d",
        ],
    ),
    (
        "[http]\nlisten = '127.0.0.1:1'\nsessions = 'sessions.txt'\n",
        &["3: http.sessions: has no bars to apply to"],
    ),
    (
        "[http]\nlisten = '127.0.0.1:1'\ncandles = '1m'\nsessions = 'missing.txt'\n",
        &["4: http.sessions: no such file in "],
    ),
    (
        "[http]\nlisten = '127.0.0.1:1'\ntoken_file = 'open.pem'\n",
        &["3: http.token_file: other users can access the token in "],
    ),
    ("[nats]\nurl = 'http://a'\n", &["2: nats.url: not the URL of a NATS server"]),
    (
        "[nats]\nurl = 'nats://me:tokenthatmustnotbeshown@127.0.0.1'\n",
        &["2: nats.url: other users can access the password for NATS in "],
    ),
    (
        "[nats]\nurl = 'nats://me:tokenthatmustnotbeshown@example.com'\n",
        &["2: nats.url: a password for example.com needs TLS"],
    ),
    ("[nats]\nprefix = 'a b'\n", &["1: nats.url: is missing", "2: nats.prefix: expected letters"]),
    (
        "[nats]\nurl = '127.0.0.1'\ncredentials = 'open.pem'\n",
        &["3: nats.credentials: other users can access the credentials in "],
    ),
    (
        "[nats]\nurl = '127.0.0.1'\nca_file = 'none'\nwhat = 'ticks'\n",
        &["3: nats.ca_file: no such file in ", "4: nats.what: expected packets, frames, both"],
    ),
    (
        "[nats]\nurl = '127.0.0.1'\n[[feed.account]]\nname = 'a.b'\ncredentials = 'kite.credentials'\n",
        &["2: nats: cannot publish to NATS: the account \"a.b\" needs a name of letters"],
    ),
    ("[record]\ntoo = 'tapes'\n", &["2: record.too: unknown key"]),
    ("[http]\nlisen = '127.0.0.1:1'\n", &["2: http.lisen: unknown key"]),
    (
        "[http]\nlisten = '127.0.0.1:1'\ntoken_file = 'short.token'\n",
        &["3: http.token_file: cannot use the token in "],
    ),
    ("until = 00:10\n", &["1: until: 2026-11-23 00:10:00 IST is past: it is "]),
    ("until = 'noon'\n", &["1: until: expected 09:15, "]),
    ("report_every = 0\n", &["1: report_every: must be greater than 0"]),
];

#[test]
fn every_mistake_is_reported_with_its_line_and_its_key_and_no_secret() {
    let stage = Stage::new();
    let mut missed = Vec::new();
    for (text, expected) in MISTAKES {
        let problems = stage.problems(text);
        let is_found = |(found, expected): (&String, &&str)| found.starts_with(expected);
        let are_found =
            problems.len() == expected.len() && problems.iter().zip(*expected).all(is_found);
        if !are_found {
            missed.push((text, problems));
        }
        assert!(!format!("{:?}", stage.read(text)).contains(TOKEN), "{text}");
    }
    assert!(missed.is_empty(), "{missed:#?}");
    // All of them are found in one file, as far as they can stand in one.
    let text = "[relay]\nslow = 1\nlisten = ''\n[feed]\nmode = ''\n[recrd]\n";
    assert_eq!(stage.problems(text).len(), 4, "{:?}", stage.problems(text));
}

#[test]
fn advice_names_what_was_probably_meant_or_what_is_known() {
    let stage = Stage::new();
    for (text, advice) in [
        ("[feed]\ncredental = 'x'\n", "did you mean `credentials`?"),
        ("[relay]\nheart-beats = 'x'\n", "did you mean `heartbeats`?"),
        ("[relay]\nListen = 'x'\n", "did you mean `listen`?"),
        ("[reord]\n", "did you mean `record`?"),
        ("[[client]]\n", "each client is written [[relay.client]]"),
        ("[relay.client]\n[relay.client]\n", "each client is written [[relay.client]]"),
        ("[record]\nto = 'tapes'\nzzz = 1\n", "known here are pack, to"),
        ("[relay]\nlisten = '[::]:1'\n", relay::HOW_TO_SECURE),
        ("[[relay.client]]\nname = 'a'\ncredentials = 'open.credentials'\n", "chmod 600 "),
    ] {
        let problems = stage.read(text).unwrap_err();
        let help = problems[0].help.as_deref().unwrap_or_default();
        assert!(help.starts_with(advice), "{text}: {problems:?}");
    }
}

#[test]
fn what_is_not_there_is_no_mistake_of_the_file() {
    let stage = Stage::new();
    for (text, status) in [
        ("[feed]\ncredentials = 'missing'\n", Status::Unable),
        ("[[relay.client]]\nname = 'a'\ncredentials = 'half.credentials'\n", Status::Unable),
        ("[[relay.client]]\nname = 'a'\ncredentials = 'open.credentials'\n", Status::Usage),
        ("[feed]\ncredentials = 'missing'\nmode = 1\n", Status::Usage),
        ("[feed]\ncredentials = 'missing'\nlist = 'missing'\n", Status::Unable),
    ] {
        let error = problems::error(stage.read(text).unwrap_err(), "kite.toml", |_| ());
        assert_eq!(error.status(), status, "{text}: {error}");
        assert!(error.to_string().starts_with("kite.toml"), "{error}");
    }
}

#[test]
fn two_listeners_cannot_have_one_port() {
    let problems = Problems::default();
    let document = Document::parse("[relay]\n", &problems);
    let section = document.root(&problems).section("relay");
    let mut files = Files::new(Path::new("kite.toml"), &problems);
    for (line, address) in ["127.0.0.1:1", "[::1]:1", "127.0.0.1:0", "127.0.0.1:0", "0.0.0.0:1"]
        .into_iter()
        .enumerate()
    {
        files.listens(&section, "relay", line, address.parse().unwrap());
    }
    drop((section, files));
    let text: Vec<String> = problems.sorted().into_iter().map(|it| it.text).collect();
    assert_eq!(text, ["relay.listen: the port 1 is that of [relay]"]);
}

#[derive(Debug, Clone)]
enum Edit {
    /// Removes a line.
    Remove(usize),
    /// Repeats a line at another place.
    Repeat(usize, usize),
    /// Replaces the key of a line.
    Key(usize, String),
    /// Replaces the value of a line.
    Value(usize, String),
    /// Removes the marks of a comment.
    Uncomment(usize),
    /// Inserts a text at a byte.
    Insert(usize, String),
    /// Cuts the text off at a byte.
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let lines = EXAMPLE.lines().count();
    let line = move || 0..lines;
    let byte = || 0..EXAMPLE.len();
    let keys = [
        "listen",
        "name",
        "sim",
        "credentials",
        "account",
        "client",
        "feed",
        "relay.client",
        "x",
        "\"\"",
        "a.b",
        "endpoint",
        "replay",
    ];
    let values = [
        "true",
        "-1",
        "0",
        "1e400",
        "99999999999999999999",
        "\"\"",
        "'x'",
        "[]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "15:30",
        "2026-11-23",
        "\"\\u0000\"",
        "nan",
        "'0.0.0.0:8765'",
        "'ws://127.0.0.1:1'",
        "'desk.credentials'",
        "'open.credentials'",
        "'..'",
        "'/'",
        "[{}]",
        "['NSE:INFY', {}]",
        "0x10",
        "'block'",
        "'max'",
        "\"\"\"\n\n\"\"\"",
    ];
    let any =
        || proptest::string::string_regex("[\\[\\]{}=\"'a-z\n\\\\#.,\u{1b}ä0-9 ]{0,8}").unwrap();
    prop_oneof![
        1 => line().prop_map(Edit::Remove),
        1 => (line(), line()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        1 => (line(), prop::sample::select(keys.to_vec())).prop_map(|(line, key)| Edit::Key(line, key.to_owned())),
        3 => (line(), prop::sample::select(values.to_vec())).prop_map(|(line, value)| Edit::Value(line, value.to_owned())),
        2 => line().prop_map(Edit::Uncomment),
        1 => (byte(), any()).prop_map(|(at, text)| Edit::Insert(at, text)),
        1 => byte().prop_map(Edit::Cut),
    ]
}

fn edited(text: &str, edit: &Edit) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place = |at: usize| {
        (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
    };
    let change = |lines: &mut [String], line: usize, change: &dyn Fn(&str, &str) -> String| {
        let count = lines.len().max(1);
        if let Some(line) = lines.get_mut(line % count)
            && let Some((key, value)) = line.split_once('=')
        {
            *line = change(key, value);
        }
    };
    match edit {
        Edit::Insert(at, inserted) => {
            let at = place(*at);
            return format!("{}{inserted}{}", &text[..at], &text[at..]);
        }
        Edit::Cut(at) => return text[..place(*at)].to_owned(),
        Edit::Remove(line) => drop((*line < lines.len()).then(|| lines.remove(*line))),
        Edit::Repeat(from, to) => {
            if let Some(line) = lines.get(*from).cloned() {
                lines.insert((*to).min(lines.len()), line);
            }
        }
        Edit::Key(line, key) => change(&mut lines, *line, &|_, value| format!("{key} ={value}")),
        Edit::Value(line, value) => change(&mut lines, *line, &|key, _| format!("{key}= {value}")),
        Edit::Uncomment(line) => {
            if let Some(line) = lines.get_mut(*line) {
                *line = line.trim_start_matches(['#', ' ']).to_owned();
            }
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_file_is_settings_or_errors_that_name_their_lines(edits in prop::collection::vec(edit(), 1..6)) {
        let stage = Stage::new();
        let text = edits.iter().fold(EXAMPLE.to_owned(), |text, edit| edited(&text, edit));
        match stage.read(&text) {
            Ok(config) => {
                prop_assert!(DeTable::parse(&text).is_ok());
                let shown = format!("{config:?}");
                prop_assert!(!shown.contains(TOKEN));
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                let lines = text.lines().count().max(1) + 1;
                for problem in &problems {
                    prop_assert!((1..=lines).contains(&problem.line), "{problem:?}\n{text}");
                    prop_assert!(!problem.text.contains(TOKEN), "{problem:?}");
                }
                let error = problems::error(problems, "kite.toml", |_| ());
                prop_assert!(error.to_string().starts_with("kite.toml"));
            }
        }
    }
}
