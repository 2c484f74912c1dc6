//! Kite's login page, and the endpoints at which access tokens are issued and ended.
//!
//! No passwords: the page asks for a choice. The server listens on a port of its own, because at
//! Kite the page, the API and the ticker are three hosts.

mod endpoints;
mod fault;
mod page;
mod server;

use std::collections::BTreeMap;
use std::fmt;

use crate::builder::API_KEY;

pub use self::fault::{LoginFault, LoginFaultError};
pub(crate) use self::server::LoginServer;

/// API secret of the default account.
pub const API_SECRET: &str = "sim_api_secret";

/// Where logins return to, unless another URL is set: the port that `kite login` waits on.
const REDIRECT_URL: &str = "http://127.0.0.1:5010";

/// Settings of the login page and of the endpoints of access tokens. `Debug` shows no API secret.
#[derive(Clone)]
#[must_use]
pub struct LoginPage {
    port: u16,
    redirect_url: String,
    /// API secrets by API key.
    secrets: BTreeMap<String, String>,
}

impl Default for LoginPage {
    fn default() -> Self {
        let secrets = [(API_KEY.to_owned(), API_SECRET.to_owned())].into();
        Self { port: 0, redirect_url: REDIRECT_URL.to_owned(), secrets }
    }
}

impl LoginPage {
    /// Creates the page of the default account, [`API_KEY`] with [`API_SECRET`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the port on 127.0.0.1. Default 0, which means any free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the URL that a login returns to, which at Kite is registered with the API key. Default
    /// `http://127.0.0.1:5010`.
    pub fn redirect_url(mut self, url: impl Into<String>) -> Self {
        self.redirect_url = url.into();
        self
    }

    /// Adds an API key with its API secret.
    pub fn secret(mut self, api_key: impl Into<String>, api_secret: impl Into<String>) -> Self {
        self.secrets.insert(api_key.into(), api_secret.into());
        self
    }
}

impl fmt::Debug for LoginPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPage")
            .field("port", &self.port)
            .field("redirect_url", &self.redirect_url)
            .field("accounts", &self.secrets.len())
            .finish()
    }
}
