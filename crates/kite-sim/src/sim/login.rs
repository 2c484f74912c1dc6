//! Logins at a running simulator.

use super::Sim;
use crate::login::{LoginFault, LoginServer};

impl Sim {
    pub(crate) fn with_login(mut self, login: Option<LoginServer>) -> Self {
        self.login = login;
        self
    }

    /// Returns the URL of the login page, `http://127.0.0.1:PORT/connect/login`; `None` if there is
    /// none.
    ///
    /// Like Kite's page it takes `api_key`, `v` and `redirect_params`. Its links lead to
    /// `/connect/finish`, which redirects with a `request_token`, or with `status=error` if the user
    /// cancels.
    #[must_use]
    pub fn login_url(&self) -> Option<String> {
        Some(format!("{}/connect/login", self.login.as_ref()?.url()))
    }

    /// Returns the URL of the API, `http://127.0.0.1:PORT`, which has `/session/token`; `None` if
    /// there is none.
    #[must_use]
    pub fn api_url(&self) -> Option<String> {
        Some(self.login.as_ref()?.url())
    }

    /// Queues a fault for the next request to `/session/token`, after those already queued. Does
    /// nothing without a login page.
    pub fn at_next_login(&self, fault: LoginFault) {
        if let Some(login) = &self.login {
            login.add_fault(fault);
        }
    }

    pub(super) fn stop_login(&self) {
        if let Some(login) = &self.login {
            login.stop();
        }
    }
}
