//! Kite's sessions: an access token is issued at a login and ends at a logout or in the morning.

pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod lifetime;
pub(crate) mod store;
pub(crate) mod url;

/// Port of the redirect URL, if the user registers no other.
pub(crate) const REDIRECT_PORT: u16 = 5010;
/// Kite's login page.
pub(crate) const KITE_LOGIN_URL: &str = "https://kite.zerodha.com/connect/login";
/// Kite's API.
pub(crate) const KITE_API_URL: &str = "https://api.kite.trade";
