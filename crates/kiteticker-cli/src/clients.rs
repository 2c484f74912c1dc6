//! How the official clients connect to a server of this command.
//!
//! The Python, Node and Go clients add the credentials to a root, so a root must not have a
//! query. The Java client replaces placeholders in a route.

/// Lines of at most 80 columns, because a wrapped line cannot be copied.
const HELP: &str = "\
Other clients, with --port 8765 and the printed credentials:
  Python  KiteTicker(api_key, access_token, root=\"ws://127.0.0.1:8765\")
  Node    new KiteTicker({api_key, access_token, root: \"ws://127.0.0.1:8765\"})
  Go      ticker.SetRootURL(url.URL{Scheme: \"ws\", Host: \"127.0.0.1:8765\"})
  Java    Routes._wsuri, by reflection:
          \"ws://127.0.0.1:8765/?access_token=:access_token&api_key=:api_key\"
  others  ws://127.0.0.1:8765/?api_key=API_KEY&access_token=ACCESS_TOKEN";

/// Appends to the `examples` of a command's help how other clients connect.
pub(crate) fn help(examples: &str) -> String {
    format!("{examples}\n\n{HELP}")
}

/// Returns a line per client that connects it to `endpoint`, a URL without a path.
pub(crate) fn lines(endpoint: &str, key: &str, token: &str) -> String {
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("ws", endpoint));
    let node = format!("{{api_key: \"{key}\", access_token: \"{token}\", root: \"{endpoint}\"}}");
    let route = format!("{endpoint}/?access_token=:access_token&api_key=:api_key");
    format!(
        "Python  KiteTicker(\"{key}\", \"{token}\", root=\"{endpoint}\")\n\
         Node    new KiteTicker({node})\n\
         Go      ticker.SetRootURL(url.URL{{Scheme: \"{scheme}\", Host: \"{host}\"}})\n\
         Java    Routes._wsuri = \"{route}\", by reflection\n\
         others  {endpoint}/?api_key={key}&access_token={token}\n"
    )
}
