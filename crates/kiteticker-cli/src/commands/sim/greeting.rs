//! What `kite sim` prints when it has started: its URLs, credentials, and commands to paste.

use kite_sim::{ACCESS_TOKEN, API_KEY, API_SECRET, Sim};
use serde_json::json;

use crate::clients;
use crate::console::output::{self, Output};
use crate::session::REDIRECT_PORT;
use crate::session::url::LocalUrl;

/// An account of the simulator.
pub(super) struct Account {
    pub(super) key: String,
    pub(super) token: String,
    pub(super) secret: String,
}

/// Returns the accounts: the simulator's default, and more numbered from 2.
pub(super) fn accounts(count: u16) -> Vec<Account> {
    let of = |suffix: &str| {
        let [key, token, secret] =
            [API_KEY, ACCESS_TOKEN, API_SECRET].map(|text| format!("{text}{suffix}"));
        Account { key, token, secret }
    };
    std::iter::once(of("")).chain((2..=count).map(|number| of(&format!("_{number}")))).collect()
}

/// Returns the greeting for programs.
pub(super) fn json(sim: &Sim, accounts: &[Account]) -> serde_json::Value {
    let accounts: Vec<_> = accounts
        .iter()
        .map(|account| {
            json!({
                "api_key": account.key,
                "access_token": account.token,
                "api_secret": account.secret,
            })
        })
        .collect();
    json!({
        "endpoint": sim.endpoint(),
        "login_url": sim.login_url(),
        "api_url": sim.api_url(),
        "accounts": accounts,
    })
}

/// Returns the greeting for people. The login that it proposes waits where the page leads to, and
/// writes a file of its own, so that it does not replace the day's token.
pub(super) fn text(
    sim: &Sim,
    accounts: &[Account],
    redirect_url: Option<&LocalUrl>,
    output: Output,
) -> String {
    let endpoint = sim.endpoint();
    let bold = |name| output.paint(output::BOLD, name);
    let mut text = format!("{}  {endpoint}\n", bold("endpoint"));
    for Account { key, token, .. } in accounts {
        text += &format!("export KITE_API_KEY={key} KITE_ACCESS_TOKEN={token}\n");
    }
    let Account { key, token, secret } = &accounts[0];
    text += &format!(
        "kite watch --endpoint {endpoint} NSE:INFY\n{}",
        clients::lines(&endpoint, key, token)
    );
    if let (Some(login), Some(api)) = (sim.login_url(), sim.api_url()) {
        text += &format!("{}  {login}\n{}  {api}\n", bold("login_url"), bold("api_url"));
        let port = redirect_url.map_or(REDIRECT_PORT, LocalUrl::port);
        let port = match port {
            REDIRECT_PORT => String::new(),
            port => format!(" --port {port}"),
        };
        text += &format!(
            "KITE_API_KEY={key} KITE_API_SECRET={secret} kite login --login-url {login} --api-url \
             {api}{port} --credentials sim.credentials\n"
        );
    }
    text + "Ctrl-C stops it.\n"
}
