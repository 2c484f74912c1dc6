//! Who may connect.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use kite_manager::{Credentials, MAX_INSTRUMENTS};
use kite_server::{Account, AccountError, Accounts, MAX_SOCKETS};
use rustls::crypto::{GetRandomFailed, ring};

/// A program that may connect, with its own API key and access token, which have nothing to do with
/// those of the account upstream. `Debug` shows at most half of the API key.
#[derive(Debug, Clone)]
pub struct RelayClient {
    name: String,
    credentials: Credentials,
    orders: bool,
    max_sockets: Option<usize>,
    max_instruments: usize,
}

impl RelayClient {
    /// Creates a client with Kite's limits: three sockets of 3,000 instruments each. The name is
    /// for logs and counts. Both credentials must be made of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn new(name: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            name: name.into(),
            credentials,
            orders: false,
            max_sockets: Some(MAX_SOCKETS),
            max_instruments: MAX_INSTRUMENTS,
        }
    }

    /// Sets whether the client receives the account's order updates. Default false, because orders
    /// are private.
    #[must_use]
    pub fn orders(mut self, orders: bool) -> Self {
        self.orders = orders;
        self
    }

    /// Sets how many sockets the client may have open; `None` is no limit. Default 3.
    #[must_use]
    pub fn max_sockets(mut self, max_sockets: impl Into<Option<usize>>) -> Self {
        self.max_sockets = max_sockets.into();
        self
    }

    /// Sets how many instruments each of its sockets may subscribe. Default 3,000.
    #[must_use]
    pub fn max_instruments(mut self, max_instruments: usize) -> Self {
        self.max_instruments = max_instruments;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the client receives order updates.
    pub(crate) fn has_orders(&self) -> bool {
        self.orders
    }

    /// Returns the most instruments of a socket.
    pub(crate) fn instrument_limit(&self) -> usize {
        self.max_instruments
    }

    fn account(&self) -> Result<Account, AccountError> {
        let (key, token) = (self.credentials.api_key(), self.credentials.access_token().expose());
        Ok(Account::new(&self.name, key, token)?.max_sockets(self.max_sockets))
    }

    fn has_same_credentials(&self, other: &Self) -> bool {
        let (mine, others) = (&self.credentials, &other.credentials);
        mine.api_key() == others.api_key()
            && mine.access_token().expose() == others.access_token().expose()
    }
}

/// The clients by name.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    by_name: BTreeMap<String, Arc<RelayClient>>,
}

impl Roster {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<RelayClient>> {
        self.by_name.get(name)
    }

    /// Returns the present limits of sockets that were opened as `client`; `None` if they may not
    /// stay.
    pub(crate) fn present(&self, client: &RelayClient) -> Option<&Arc<RelayClient>> {
        self.get(&client.name).filter(|present| present.has_same_credentials(client))
    }

    /// Returns the names of all clients, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// Replaces all clients.
    pub(crate) fn set(&mut self, clients: Vec<RelayClient>) {
        let named = |client: RelayClient| (client.name.clone(), Arc::new(client));
        self.by_name = clients.into_iter().map(named).collect();
    }
}

/// Returns the accounts of clients, for their handshakes.
pub(crate) fn accounts(clients: &[RelayClient]) -> Result<Accounts, AccountError> {
    let mut accounts = Accounts::default();
    for client in clients {
        accounts.add(client.account()?)?;
    }
    Ok(accounts)
}

/// Makes credentials that cannot be guessed.
pub(crate) fn random_credentials() -> Result<Credentials, GetRandomFailed> {
    let text = || -> Result<String, GetRandomFailed> {
        let mut bytes = [0; 16];
        ring::default_provider().secure_random.fill(&mut bytes)?;
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    };
    Ok(Credentials::new(text()?, text()?))
}
