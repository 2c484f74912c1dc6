//! What the servers print for the official clients.

use crate::process::{Running, kite, run};
use crate::socket::Socket;

/// Reads the lines for other clients, and opens the URLs that these make of them.
pub(crate) fn check(server: &mut Running, endpoint: &str) {
    let host = endpoint.strip_prefix("ws://").expect("a ws:// endpoint");
    let query = "api_key=sim_api_key&access_token=sim_access_token";

    let python = server.line();
    assert!(python.starts_with("Python  KiteTicker(\"sim_api_key\", \"sim_access_token\", root="));
    assert_eq!(status(&format!("{}?{query}", quoted(&python, "root=\""))), 101, "{python}");
    let node = server.line();
    assert!(node.starts_with("Node    new KiteTicker({"), "{node}");
    assert_eq!(status(&format!("{}?{query}", quoted(&node, "root: \""))), 101, "{node}");
    let go = format!("Go      ticker.SetRootURL(url.URL{{Scheme: \"ws\", Host: \"{host}\"}})");
    assert_eq!(server.line(), go);
    let java = server.line();
    let route = quoted(&java, "Java    Routes._wsuri = \"");
    let route =
        route.replace(":access_token", "sim_access_token").replace(":api_key", "sim_api_key");
    assert_eq!(status(&route), 101, "{java}");
    assert_eq!(server.line(), format!("others  {endpoint}/?{query}"));
}

/// Returns the text between `before` and the next quote.
fn quoted<'a>(line: &'a str, before: &str) -> &'a str {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("no {before} in {line}"));
    rest.split('"').next().unwrap_or(rest)
}

/// Opens a WebSocket at `url` and returns the status of the answer.
fn status(url: &str) -> u16 {
    let (_, head) = Socket::ask(url);
    head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{head}"))
}

#[test]
fn the_help_of_all_servers_says_how_the_official_clients_connect() {
    for command in ["sim", "replay", "serve"] {
        let help = run(&mut kite(&[command, "--help"])).out;
        for text in [
            "KiteTicker(api_key, access_token, root=\"ws://127.0.0.1:8765\")",
            "new KiteTicker({api_key, access_token, root: \"ws://127.0.0.1:8765\"})",
            "ticker.SetRootURL(url.URL{Scheme: \"ws\", Host: \"127.0.0.1:8765\"})",
            "\"ws://127.0.0.1:8765/?access_token=:access_token&api_key=:api_key\"",
        ] {
            assert!(help.contains(text), "no {text} in the help of {command}: {help}");
        }
    }
}
