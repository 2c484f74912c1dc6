//! `kite serve --config`: a file in place of the arguments, and whether it would start.

use std::net::TcpListener;
use std::path::Path;

use crate::process::{Outcome, Running, kite, run};
use crate::serve::{assert_no_secrets, client_file, closed, open, packets, report};
use crate::socket::TEXT;

/// Writes the credentials of an account of the simulator.
fn account_file(directory: &Path, name: &str, token: &str) {
    let file = client_file(directory, name);
    let text = format!("api_key = {name}\naccess_token = {token}\n");
    std::fs::write(file, text).expect("a file");
}

/// Writes a file of settings.
fn settings(directory: &Path, text: &str) -> String {
    let file = directory.join("kite.toml");
    std::fs::write(&file, text).expect("a file");
    file.to_str().expect("UTF-8").to_owned()
}

fn check(directory: &Path, text: &str) -> Outcome {
    run(&mut kite(&["serve", "--check", "--config", &settings(directory, text)]))
}

#[test]
fn a_file_says_what_the_arguments_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_sim, endpoint) = crate::process::sim(&["--rate", "50"]);
    account_file(directory.path(), "sim_api_key", "sim_access_token");
    client_file(directory.path(), "research");
    client_file(directory.path(), "desk");
    let file = settings(
        directory.path(),
        &format!(
            "[feed]\nendpoint = '{endpoint}'\ncredentials = 'sim_api_key.credentials'\n\
             instruments = [408065]\n[record]\nto = 'tapes'\n[relay]\nlisten = '127.0.0.1:0'\n\
             [[relay.client]]\nname = 'research'\ncredentials = 'research.credentials'\n\
             sockets = 1\ninstruments = 2\n\
             [[relay.client]]\nname = 'desk'\ncredentials = 'desk.credentials'\n"
        ),
    );
    let mut serving = Running::start(kite(&["serve", "--json", "-vvv", "--config", &file]));
    let first: serde_json::Value = serde_json::from_str(&serving.line()).expect("JSON");
    let relay = first["relay"]["endpoint"].as_str().expect("an endpoint").to_owned();
    let mut research = open(&relay, "research");
    research.send(TEXT, br#"{"a":"mode","v":["full",[408065,738561,256265]]}"#);
    // The greeting of the server is a text, too.
    let is_refusal =
        |text: &[u8]| String::from_utf8_lossy(text).contains("more than 2 instruments");
    while !is_refusal(&research.until(TEXT)) {}
    research.send(TEXT, br#"{"a":"mode","v":["full",[408065]]}"#);
    packets(&mut research);
    serving.signal("-TERM");
    assert_eq!(closed(&mut research), 1_001);
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_no_secrets(&ended);
    let recorded = report(&ended)["recording"]["ticks"].as_u64();
    assert!(recorded > Some(0), "{ended:?}");
    assert!(directory.path().join("tapes").is_dir(), "paths are relative to the file");
}

#[test]
fn several_accounts_carry_more_than_one_can_each_with_its_own_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sim = Running::start(kite(&["sim", "--json", "--accounts", "2"]));
    let report: serde_json::Value = serde_json::from_str(&sim.line()).expect("JSON");
    let endpoint = report["endpoint"].as_str().expect("an endpoint");
    let mut file = format!("[relay]\nlisten = '127.0.0.1:0'\n[feed]\nendpoint = '{endpoint}'\n");
    file += "connections = 1\nlist = 'list'\n";
    let mut late = None;
    for (at, account) in report["accounts"].as_array().expect("accounts").iter().enumerate() {
        let text = |key: &str| account[key].as_str().expect("a text").to_owned();
        let (key, token) = (text("api_key"), text("access_token"));
        // Today's login of the second one is still to come.
        let is_late = at == 1;
        account_file(directory.path(), &key, if is_late { "yesterdaystoken" } else { &token });
        late = Some((key.clone(), token));
        file +=
            &format!("[[feed.account]]\nname = 'number{at}'\ncredentials = '{key}.credentials'\n");
    }
    let tokens: Vec<String> =
        (0..3_001_u32).map(|it| (256_000 + 256 * it + 1).to_string()).collect();
    std::fs::write(directory.path().join("list"), tokens.join("\n")).expect("a list");
    let file = settings(directory.path(), &file);
    let serving = Running::start(kite(&["serve", "--json", "--config", &file]));
    serving.wait_until_error("connection 1 of number0: up");
    serving.wait_until_error("refused");
    let (key, token) = late.expect("accounts");
    account_file(directory.path(), &key, &token);
    serving.wait_until_error("connection 1 of number1: up");
    serving.interrupt();
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains(&token) && !ended.err.contains("yesterdaystoken"), "{ended:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_accounts_waits_for_its_own_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let sim = kite_sim::Sim::builder().account("second", "yesterday").start().await;
    let sim = sim.expect("a server");
    account_file(directory.path(), "sim_api_key", "sim_access_token");
    account_file(directory.path(), "second", "yesterday");
    sim.set_access_token("second", "tomorrow");
    let mut file = format!(
        "[relay]\nlisten = '127.0.0.1:0'\n[feed]\nendpoint = '{}'\nconnections = 1\n\
         instruments = ['408065']\n",
        sim.endpoint()
    );
    for key in ["sim_api_key", "second"] {
        file += &format!("[[feed.account]]\nname = '{key}'\ncredentials = '{key}.credentials'\n");
    }
    let file = settings(directory.path(), &file);
    let serving = Running::start(kite(&["serve", "--json", "--config", &file]));
    serving.wait_until_error("connection 1 of sim_api_key: up\n");
    serving.wait_until_error("access token of second refused; waiting for a new access_token in ");
    let path = directory.path().join("second.credentials");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path, open).expect("permissions");
    serving.wait_until_error("yet: other users can access it (mode 644)\n");
    account_file(directory.path(), "second", "tomorrow");
    serving.wait_until_error("found a new access token of second\n");
    serving.wait_until_error("connection 1 of second: up\n");
    serving.interrupt();
    let ended = tokio::task::spawn_blocking(|| serving.ended()).await.expect("it ends");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_check_says_whether_it_would_start_and_connects_nowhere() {
    let directory = tempfile::tempdir().expect("a directory");
    client_file(directory.path(), "kite");
    client_file(directory.path(), "desk");
    // Nothing listens there, so that any connection would be an error.
    let (feed, relay) = (
        "[feed]\nendpoint = 'ws://127.0.0.1:1'\ncredentials = 'kite.credentials'\n",
        "[relay]\nlisten = '127.0.0.1:0'\n",
    );
    let client =
        "[[relay.client]]\nname = 'desk'\ncredentials = 'desk.credentials'\norders = true\n";
    let record = "[record]\nto = 'tapes'\npack = true\n";
    let ended = check(directory.path(), &format!("{feed}{record}{relay}{client}"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for text in [
        "tapes, packed\n",
        "127.0.0.1, account main",
        "ws://127.0.0.1:0",
        "desk, 3 sockets, 3,000 instruments a socket, order updates",
        "It would start.",
    ] {
        assert!(ended.out.contains(text), "{ended:?}");
    }
    assert_no_secrets(&ended);

    let ended = check(directory.path(), "[feed]\nmode = 3\n[rely]\n");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for text in [
        "kite.toml, line 2: feed.mode: ",
        "kite.toml, line 3: rely: ",
        "did you mean `relay`?",
        "has 2 errors",
    ] {
        assert!(ended.err.contains(text), "{ended:?}");
    }

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = |taken: &TcpListener| taken.local_addr().expect("an address");
    let relay = format!("[relay]\nlisten = '{}'\n[http]\nlisten = '{}'\n", at(&taken), at(&other));
    let ended = check(directory.path(), &format!("{feed}{relay}"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for text in [
        "kite.toml, line 5: relay.listen: cannot start the relay: cannot listen on 127.0.0.1:",
        "kite.toml, line 7: http.listen: cannot start the HTTP server: cannot listen on 127.0.0.1:",
    ] {
        assert!(ended.err.contains(text), "{ended:?}");
    }

    let ended = check(directory.path(), "[relay]\nlisten = '127.0.0.1:0'\n");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("no credentials found"), "{ended:?}");

    let missing = directory.path().join("missing.toml");
    let line = ["serve", "--check", "--config", missing.to_str().expect("UTF-8")];
    let ended = run(&mut kite(&line));
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[test]
fn a_check_tries_the_directory_of_tapes_and_leaves_nothing_in_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = "[feed]\nsim = true\n[relay]\nlisten = '127.0.0.1:0'\n[record]\nto = 'tapes/a'\n";
    let ended = check(directory.path(), file);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let entries = std::fs::read_dir(directory.path()).expect("a directory");
    let entries: Vec<_> = entries.map(|it| it.expect("an entry").file_name()).collect();
    assert_eq!(entries, ["kite.toml"]);
    // A directory cannot be created in a file.
    std::fs::write(directory.path().join("tapes"), "").expect("a file");
    let ended = check(directory.path(), file);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let text = "kite.toml, line 6: record.to: the directory cannot be written to";
    assert!(ended.err.contains(text), "{ended:?}");
}

#[test]
fn a_file_that_is_not_text_is_what_the_file_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("kite.toml");
    std::fs::write(&file, b"mode = '\xff'\n").expect("a file");
    let ended = run(&mut kite(&["serve", "--config", file.to_str().expect("UTF-8")]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("it is not UTF-8 text"), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_what_the_file_says() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory");
    let file = client_file(directory.path(), "kite");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("permissions");
    let ended = check(directory.path(), "[feed]\ncredentials = 'kite.credentials'\n");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("line 2: feed.credentials: other users can access"), "{ended:?}");
    assert!(ended.err.contains("chmod 600"), "{ended:?}");
}

#[test]
fn the_arguments_can_be_checked_too() {
    let ended = run(&mut kite(&["serve", "--sim", "--check", "--relay", "127.0.0.1:0", "--json"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.json()["would_start"], true);
}
