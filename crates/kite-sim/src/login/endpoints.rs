//! Which request is answered how. No socket and no clock here.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use kite_server::Refusal;
use kite_server::request::{Request, Response};
use kite_wire::ist::IstDateTime;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fault::LoginFault;
use super::{LoginPage, page};
use crate::client::state::SimState;

/// The only version of the API.
const KITE_VERSION: &str = "3";
const USER_ID: &str = "SIM001";

/// What is known of logins.
#[derive(Debug, Default)]
struct Logins {
    /// Number of request tokens issued.
    issued: u64,
    /// The API key of each request token that has not been used.
    request_tokens: BTreeMap<String, String>,
    faults: VecDeque<LoginFault>,
}

/// The pages and endpoints.
pub(super) struct Endpoints {
    page: LoginPage,
    state: Arc<SimState>,
    logins: Mutex<Logins>,
}

/// What follows a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// The response, after the fault if it is one that changes when and how it is sent.
    Send(Response, Option<LoginFault>),
    /// The connection ends.
    End,
}

impl Endpoints {
    pub(super) fn new(page: LoginPage, state: Arc<SimState>) -> Self {
        Self { page, state, logins: Mutex::default() }
    }

    pub(super) fn add_fault(&self, fault: LoginFault) {
        self.logins.lock().faults.push_back(fault);
    }

    pub(super) fn handle(&self, request: &Request) -> Reply {
        let response = match (request.method(), request.path()) {
            ("GET" | "HEAD", "/connect/login") => self.login(request),
            ("GET", "/connect/finish") => self.finish(request),
            ("POST" | "DELETE", "/session/token") => return self.session(request),
            (_, "/connect/login" | "/connect/finish" | "/session/token") => {
                error(405, "InputException", "Method not allowed")
            }
            _ => error(404, "GeneralException", "Route not found"),
        };
        Reply::Send(response, None)
    }

    fn login(&self, request: &Request) -> Response {
        match self.api_key(request) {
            Some(_) => page::login(request),
            None => error(400, "InputException", "Invalid `api_key`."),
        }
    }

    /// Ends a login as the user chose on the page.
    fn finish(&self, request: &Request) -> Response {
        let Some(api_key) = self.api_key(request) else {
            return error(400, "InputException", "Invalid `api_key`.");
        };
        let url = &self.page.redirect_url;
        if request.query("choice").as_deref() != Some("login") {
            let own = [("type", "login"), ("status", "error"), ("message", "Login cancelled")];
            return page::redirect(url, &own, request);
        }
        let mut logins = self.logins.lock();
        logins.issued += 1;
        let token = format!("sim_request_token_{}", logins.issued);
        logins.request_tokens.insert(token.clone(), api_key);
        let own = [
            ("action", "login"),
            ("type", "login"),
            ("status", "success"),
            ("request_token", token.as_str()),
        ];
        page::redirect(url, &own, request)
    }

    /// Returns the API key of a query if there is such an account.
    fn api_key(&self, request: &Request) -> Option<String> {
        request.query("api_key").filter(|key| self.page.secrets.contains_key(key))
    }

    fn session(&self, request: &Request) -> Reply {
        let fault = self.logins.lock().faults.pop_front();
        let response = match fault {
            Some(LoginFault::End) => return Reply::End,
            Some(LoginFault::Expired) => expired(),
            Some(LoginFault::WrongChecksum) => wrong_checksum(),
            Some(LoginFault::RateLimit) => error(429, "NetworkException", "Too many requests"),
            Some(LoginFault::Unavailable) => {
                let body = "<html><body><h1>503 Service Unavailable</h1></body></html>";
                Response::new(503, "text/html", body)
            }
            Some(LoginFault::Garbage) => {
                Response::new(200, "application/json", b"\x00{garbage\xff".to_vec())
            }
            Some(LoginFault::Slow { .. }) | None => {
                let answer = match request.method() {
                    "POST" => self.exchange(request),
                    _ => self.end(request),
                };
                self.state.changes.notify();
                answer.unwrap_or_else(|refusal| refusal)
            }
        };
        Reply::Send(response, fault)
    }

    /// Exchanges a request token for an access token.
    fn exchange(&self, request: &Request) -> Result<Response, Response> {
        if request.header("X-Kite-Version") != Some(KITE_VERSION) {
            return Err(error(400, "InputException", "Invalid API version."));
        }
        let field = |name: &str| {
            let value = request.form(name).filter(|value| !value.is_empty());
            let missing = || format!("Missing or empty field `{name}`");
            value.ok_or_else(|| error(400, "InputException", &missing()))
        };
        let (api_key, token) = (field("api_key")?, field("request_token")?);
        let checksum = field("checksum")?;
        let Some(secret) = self.page.secrets.get(&api_key) else {
            return Err(error(400, "InputException", "Invalid `api_key`."));
        };
        let mut logins = self.logins.lock();
        if logins.request_tokens.get(&token) != Some(&api_key) {
            return Err(expired());
        }
        if checksum != self::checksum(&api_key, &token, secret) {
            return Err(wrong_checksum());
        }
        logins.request_tokens.remove(&token);
        let number = token.rsplit('_').next().unwrap_or_default();
        let access_token = format!("sim_login_token_{number}");
        self.state.admission.set_token(api_key.clone(), access_token.clone());
        self.state.counters.logins.add(1);
        Ok(success(self.session_of(&api_key, &access_token)))
    }

    /// Ends a session.
    fn end(&self, request: &Request) -> Result<Response, Response> {
        let field = |name| request.query(name).unwrap_or_default();
        let (api_key, access_token) = (field("api_key"), field("access_token"));
        match self.state.admission.check(&api_key, &access_token) {
            Ok(()) => {
                self.state.admission.revoke_token(&api_key);
                self.state.counters.logouts.add(1);
                Ok(success(json!(true)))
            }
            Err(refusal) if refusal == Refusal::auth() => Err(expired()),
            Err(_) => Err(error(400, "InputException", "Invalid `api_key`.")),
        }
    }

    /// Returns the fields of the documentation.
    fn session_of(&self, api_key: &str, access_token: &str) -> Value {
        let now = IstDateTime::from_unix_seconds(self.state.now_unix_s().into());
        json!({
            "user_type": "individual",
            "email": "sim@localhost",
            "user_name": "Simulated User",
            "user_shortname": "Simulated",
            "broker": "ZERODHA",
            "exchanges": ["NSE", "NFO", "BSE", "CDS", "BFO", "MCX"],
            "products": ["CNC", "NRML", "MIS", "BO", "CO"],
            "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
            "avatar_url": null,
            "user_id": USER_ID,
            "api_key": api_key,
            "access_token": access_token,
            "public_token": format!("{access_token}_public"),
            "refresh_token": "",
            "enctoken": "",
            "login_time": now.map(|now| now.to_string()).unwrap_or_default(),
            "meta": {"demat_consent": "consent"},
        })
    }
}

/// Returns the hexadecimal SHA-256 of the three texts.
fn checksum(api_key: &str, request_token: &str, api_secret: &str) -> String {
    let mut hash = Sha256::new();
    for part in [api_key, request_token, api_secret] {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn expired() -> Response {
    error(403, "TokenException", "Token is invalid or has expired.")
}

fn wrong_checksum() -> Response {
    error(403, "TokenException", "Invalid `checksum`.")
}

fn success(data: Value) -> Response {
    answer(200, &json!({"status": "success", "data": data}))
}

fn error(status: u16, error_type: &str, message: &str) -> Response {
    let error = json!({
        "status": "error", "message": message, "data": null, "error_type": error_type
    });
    answer(status, &error)
}

fn answer(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json", body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_the_sha_256_of_key_request_token_and_secret() {
        // From `printf 'keytokensecret' | sha256sum`.
        let expected = "08a03d928417ea4085557933d3b187ff2a3515b039d6054dbd230c95d978a17a";
        assert_eq!(checksum("key", "token", "secret"), expected);
    }
}
