//! SIGHUP: reads the file of settings again while the relay runs.
//!
//! Taken over are the instruments that are always subscribed and the clients, without a reconnect.
//! Everything else is left as it was at the start. A file with an error changes nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kite_conn::Credentials;
use kite_instruments::Amount;
use kite_manager::Manager;
use kite_relay::Relay;
use kite_wire::Mode;
use kite_wire::ist::Day;

use super::config::{self, Config};
use super::http::SharedNames;
use super::plan::SettingsFile;
use super::settings::{ClientSettings, RelaySettings, not_started};
use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::exit::CliError;
use crate::feed::Feed;
use crate::format::numbers::counted;
use crate::instruments::choosing::Prices;
use crate::instruments::loading::Need;
use crate::instruments::selection;
use crate::recording::notes::Notes;

/// The keys that choose the instruments that are always subscribed.
const OF_INSTRUMENTS: [&str; 6] =
    ["feed.instruments", "feed.list", "feed.strict", "feed.select", "feed.spot", "feed.mode"];

/// The key of the clients.
const OF_CLIENTS: &str = "relay.client";

/// The clients by name, with what they were admitted by.
type Clients = BTreeMap<String, (ClientSettings, Credentials)>;

/// A running relay whose settings came from a file.
#[derive(Debug)]
pub(super) struct Reload<'a> {
    file: SettingsFile,
    relay: &'a Relay,
    start: AtStart<'a>,
    now: RefCell<Now>,
}

/// What has been taken over.
#[derive(Debug)]
struct Now {
    fixed: BTreeMap<u32, Mode>,
    clients: Clients,
}

/// What a reading has changed, for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reloaded {
    pub(super) note: String,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reload<'a> {
    /// Returns what takes over changes of `file`.
    pub(super) fn new(
        file: SettingsFile,
        relay: &'a Relay,
        start: AtStart<'a>,
    ) -> Result<Self, CliError> {
        let fixed = start.fixed.iter().copied().collect();
        let now = RefCell::new(Now { fixed, clients: admitted(start.settings)? });
        Ok(Self { file, relay, start, now })
    }

    /// Returns the name of the file.
    pub(super) fn name(&self) -> String {
        paths::shown(&self.file.path).to_string()
    }

    /// Reads the file and takes over what has changed.
    ///
    /// # Errors
    /// Returns each error of the file; nothing has changed then.
    ///
    /// # Cancel safety
    /// If it is dropped, the instruments may have been taken over and the clients not.
    pub(super) async fn apply(&self) -> Result<Reloaded, Vec<CliError>> {
        let path = self.file.path.clone();
        let one = |error| vec![error];
        let Config { settings, written, .. } = read(path).await?;
        let mut reloaded = Reloaded::default();
        let clients = admitted(&settings.relay).map_err(one)?;
        let is_replay = matches!(self.start.feed, Feed::Replay(_));
        let mut changes = Vec::new();
        if !is_replay {
            let requested = (&settings.instruments, settings.feed.count());
            let price = |day, token| self.price(day, token);
            let AtStart { feed, need, output, .. } = &self.start;
            let chosen = selection::again(requested, feed, *need, price, *output);
            let (instruments, names) = chosen.await.map_err(one)?;
            let mode = settings.instruments.mode;
            let fixed: BTreeMap<u32, Mode> =
                instruments.iter().map(|it| (it.token, mode)).collect();
            let list: Vec<(u32, Mode)> =
                fixed.iter().map(|(&token, &mode)| (token, mode)).collect();
            let set = self.relay.set_instruments(&list).await;
            set.map_err(|error| one(not_started(error)))?;
            changes.extend(instruments_changed(&self.now.borrow().fixed, &fixed));
            self.now.borrow_mut().fixed = fixed;
            if let Some(notes) = &self.start.notes {
                reloaded.warnings.extend(notes.rename(names.clone()));
            }
            self.start.names.set(names);
        }
        let before = self.now.borrow().clients.clone();
        if clients != before {
            let all =
                clients.values().map(|(client, credentials)| client.client(credentials.clone()));
            self.relay.set_clients(all).map_err(|error| one(not_started(error)))?;
            changes.extend(clients_changed(&before, &clients));
            if clients.is_empty() {
                reloaded
                    .warnings
                    .push("no client may connect: none is left in the file".to_owned());
            }
            self.now.borrow_mut().clients = clients;
        }
        let changes =
            if changes.is_empty() { "nothing has changed".to_owned() } else { changes.join(", ") };
        reloaded.note = format!("{} read again: {changes}", self.name());
        let left = left(&self.file.written, &written, is_replay);
        if !left.is_empty() {
            let verb = if left.len() == 1 { "has" } else { "have" };
            let keys = left.into_iter().collect::<Vec<_>>().join(", ");
            reloaded.warnings.push(format!("{keys} {verb} changed, which takes a restart"));
        }
        Ok(reloaded)
    }

    /// Returns the price by which contracts of today are chosen.
    fn price(&self, day: Day, token: u32) -> Option<Amount> {
        let newest = || {
            let newest = self.start.manager.latest()?.get(token)?.packet().last_price();
            Some(Amount::from(newest)).filter(|&price| price > Amount::ZERO)
        };
        self.start.prices.get(&(day, token)).copied().or_else(newest)
    }
}

/// What a relay was started with.
#[derive(Debug)]
pub(super) struct AtStart<'a> {
    pub(super) settings: &'a RelaySettings,
    pub(super) fixed: &'a [(u32, Mode)],
    pub(super) manager: &'a Manager,
    pub(super) feed: Feed,
    pub(super) need: Need,
    /// The prices by which contracts were chosen.
    pub(super) prices: Prices,
    pub(super) names: SharedNames,
    /// Notes the names of instruments on the tapes, if there are any.
    pub(super) notes: Option<Notes>,
    pub(super) output: Output,
}

async fn read(path: PathBuf) -> Result<Config, Vec<CliError>> {
    let reading = blocking::run("reading the settings", move || {
        let mut errors = Vec::new();
        config::load(&path, |error| errors.push(error)).map_err(|last| {
            errors.push(last);
            errors
        })
    });
    reading.await.map_err(|error| vec![error])?
}

fn admitted(relay: &RelaySettings) -> Result<Clients, CliError> {
    let all = relay
        .clients
        .iter()
        .map(|client| Ok((client.name.clone(), (client.clone(), client.credentials()?))));
    all.collect()
}

fn instruments_changed(before: &BTreeMap<u32, Mode>, after: &BTreeMap<u32, Mode>) -> Vec<String> {
    let count = |one: &BTreeMap<u32, Mode>, other: &BTreeMap<u32, Mode>| {
        one.keys().filter(|token| !other.contains_key(token)).count() as u64
    };
    let differs = |(token, mode): &(&u32, &Mode)| before.get(token).is_some_and(|it| it != *mode);
    let switched = after.iter().filter(differs).count() as u64;
    [
        (count(after, before), "added"),
        (count(before, after), "removed"),
        (switched, "in another mode"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", counted(count, "instrument")))
    .collect()
}

fn clients_changed(before: &Clients, after: &Clients) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, now) in after {
        match before.get(name) {
            None => changes.push(format!("client {name} added")),
            Some(then) if then != now => changes.push(format!("client {name} changed")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    changes.extend(gone.map(|name| format!("client {name} removed")));
    changes
}

/// Returns the keys that have changed since the start and are not taken over.
fn left(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    is_replay: bool,
) -> BTreeSet<String> {
    let is_taken = |key: &str| key == OF_CLIENTS || (!is_replay && OF_INSTRUMENTS.contains(&key));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = keys.into_iter().filter(|&key| before.get(key) != after.get(key));
    changed.filter(|key| !is_taken(key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_take_a_restart_are_named_wherever_they_have_changed() {
        let file = |keys: &[(&str, &str)]| -> BTreeMap<String, String> {
            keys.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        let before =
            file(&[("feed.mode", "a"), ("relay.listen", "b"), ("record.to", "c"), ("until", "d")]);
        let after =
            file(&[("feed.mode", "x"), ("relay.listen", "x"), ("until", "d"), (OF_CLIENTS, "x")]);
        let named = |is_replay| left(&before, &after, is_replay).into_iter().collect::<Vec<_>>();
        assert_eq!(named(false), ["record.to", "relay.listen"]);
        assert_eq!(named(true), ["feed.mode", "record.to", "relay.listen"]);
        assert!(left(&before, &before, false).is_empty());
    }

    #[test]
    fn what_has_changed_is_counted() {
        let (one, two) = (
            BTreeMap::from([(1, Mode::Full), (2, Mode::Full)]),
            BTreeMap::from([(2, Mode::Ltp), (3, Mode::Ltp), (4, Mode::Ltp)]),
        );
        let expected =
            ["2 instruments added", "1 instrument removed", "1 instrument in another mode"];
        assert_eq!(instruments_changed(&one, &two), expected);
        assert!(instruments_changed(&one, &one).is_empty());
    }
}
