//! Who may connect to `kite serve`, and what keeps it from starting.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::https;
use crate::process::{Running, kite, run};
use crate::serve::{
    assert_no_secrets, client_file, closed, open, packets, report, serve, serve_two, url,
};
use crate::socket::{Socket, TEXT};

#[test]
fn wrong_credentials_are_refused_as_by_kite_and_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let (serving, relay) = serve_two(directory.path(), &["--sim", "-v"]);
    for (key, token, status) in [
        ("research", "s3cr3t", "403"),
        ("unknown", "s3cr3t", "400"),
        ("sim_api_key", "sim_access_token", "400"),
        ("desk", "tokenofresearch", "403"),
    ] {
        let (_, head) = Socket::ask(&url(&relay, key, token));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{key}: {head}");
    }
    // The others notice nothing.
    let mut desk = open(&relay, "desk");
    desk.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
    packets(&mut desk);
    serving.signal("-TERM");
    assert_eq!(closed(&mut desk), 1_001);
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let refused = &report(&ended)["refused"];
    assert_eq!((&refused["400"], &refused["403"]), (&2.into(), &2.into()));
    assert!(ended.err.contains("client refused"), "{ended:?}");
    assert!(!ended.err.contains("s3cr3t"));
    assert_no_secrets(&ended);
}

#[test]
fn refused_handshakes_are_reported_without_v() {
    let directory = tempfile::tempdir().expect("a directory");
    let (serving, relay) = serve_two(directory.path(), &["--sim"]);
    let (_, head) = Socket::ask(&url(&relay, "desk", "s3cr3t"));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    serving.wait_until_error("1 handshake refused with 403, from 127.0.0.1");
    serving.interrupt();
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "refused clients are no finding: {ended:?}");
    assert!(!ended.err.contains("s3cr3t"));
}

#[test]
fn a_pair_that_was_made_is_on_the_first_line_of_json_and_nowhere_else() {
    let (serving, first) = serve(&["--sim", "-vvv"]);
    let text = |name: &str| first["relay"][name].as_str().expect("a text").to_owned();
    let (key, token) = (text("api_key"), text("access_token"));
    let (mut socket, head) = Socket::ask(&url(&text("endpoint"), &key, &token));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    socket.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
    packets(&mut socket);
    drop(socket);
    serving.interrupt();
    let ended = serving.ended();
    // What waited for a client that left is no finding.
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.out.contains(&token) && !ended.err.contains(&token), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_pair_that_was_made_is_written_to_a_file_of_its_owner_if_the_output_may_be_a_log() {
    use std::os::unix::fs::PermissionsExt;

    let home = tempfile::tempdir().expect("a directory");
    let mut command = kite(&["serve", "--sim", "--relay", "127.0.0.1:0", "-vvv"]);
    command.env("HOME", home.path());
    let mut serving = Running::start(command);
    let endpoint = serving.line().replace("endpoint  ", "");
    let file = serving.line().replace("credentials  ", "");
    assert!(file.starts_with(home.path().to_str().expect("UTF-8")), "{file}");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).expect("the file");
    let token = token.rsplit("access_token = ").next().expect("a token").trim().to_owned();
    assert!(token.len() >= 32, "{token}");

    let watch = ["watch", "408065", "--json", "--endpoint", &endpoint, "--credentials", &file];
    let mut watching = Running::start(kite(&watch));
    assert!(watching.line().contains("408065"), "{watching:?}");
    watching.interrupt();
    assert_eq!(watching.ended().code, Some(0));

    serving.signal("-TERM");
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.contains("Python  KiteTicker(\"API_KEY\", \"ACCESS_TOKEN\", root="),
        "{ended:?}"
    );
    assert!(ended.out.contains("\ndefault: 1 socket, "), "{ended:?}");
    assert!(!ended.out.contains(&token) && !ended.err.contains(&token), "{ended:?}");
    assert!(!Path::new(&file).exists(), "the credentials end with the relay");
}

#[test]
fn what_cannot_start_says_why_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let research = client_file(directory.path(), "research");
    let research = research.to_str().expect("UTF-8");
    let odd = directory.path().join("odd");
    std::fs::copy(research, &odd).expect("a copy");
    std::fs::write(&odd, "api_key = odd\naccess_token = tokenofdesk#1\n").expect("a file");
    let odd = format!("odd={}", odd.to_str().expect("UTF-8"));
    let (one, other) = (format!("one={research}"), format!("other={research}"));
    for (line, code, parts) in [
        (
            &["--relay", &taken][..],
            3,
            &["cannot listen on ", taken.as_str(), "help: choose another port, or port 0"][..],
        ),
        (&["--relay", "localhost"], 2, &["expected an address and a port"]),
        (&["--relay", "127.0.0.1:99999"], 2, &["expected an address and a port"]),
        (
            &["--relay", "0.0.0.0:0"],
            2,
            &[
                "can be reached from other machines",
                "help: add --tls-cert and --tls-key, or --insecure",
            ],
        ),
        (&["--origin", "*"], 2, &["expected scheme://host[:port], without a path"]),
        (&["--sockets", "2"], 2, &["--sockets needs --replay"]),
        (&["--slow", "block"], 2, &["--slow block would hold up", "help: only a replay"]),
        (&["--client", &one, "--client", &other], 2, &["have the same api_key"]),
        (&["--client", &odd], 3, &["`odd`: the access_token must consist of"]),
        (
            &["--client", "x=/nowhere/at/all"],
            3,
            &["no credentials: /nowhere/at/all does not exist"],
        ),
        (&["--tls-cert", research, "--tls-key", research], 3, &["no certificate"]),
    ] {
        let port = if line[0] == "--relay" { &[][..] } else { &["--relay", "127.0.0.1:0"] };
        let ended = run(&mut kite(&[&["serve", "--sim", "--json"], port, line].concat()));
        assert_eq!(ended.code, Some(code), "{line:?}: {ended:?}");
        for part in parts {
            assert!(ended.err.contains(part), "{line:?}: no {part:?} in {ended:?}");
        }
        assert_eq!(ended.out, "", "{line:?}");
        assert_no_secrets(&ended);
    }
}

#[test]
fn an_endpoint_on_all_addresses_is_printed_with_a_name_to_fill_in() {
    let folder = tempfile::tempdir().expect("a directory");
    let [certificate, key] = https::identity_files(&folder, "localhost");
    let [certificate, key] = [certificate, key].map(|it| it.to_str().expect("UTF-8").to_owned());
    let client = format!("desk={}", client_file(folder.path(), "desk").display());
    let line = ["serve", "--sim", "--relay", "0.0.0.0:0", "--client", &client];
    let mut serving = Running::start(kite(
        &[&line[..], &["--tls-cert", &certificate, "--tls-key", &key]].concat(),
    ));
    assert!(serving.line().starts_with("endpoint  wss://NAME:"), "{serving:?}");
    assert!(serving.line().ends_with(" --ca-file CA.pem NSE:INFY"), "{serving:?}");
    serving.interrupt();
    let ended = serving.ended();
    assert!(ended.out.contains("NAME is this machine's name for the clients, as in"), "{ended:?}");
    assert!(!ended.out.contains("0.0.0.0") && !ended.err.contains("0.0.0.0"), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_private_key_is_refused_if_others_can_read_it_or_it_is_of_another_certificate() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, other) = [(), ()].map(|()| tempfile::tempdir().expect("a directory")).into();
    let [certificate, key] = https::identity_files(&folder, "localhost");
    let [_, foreign] = https::identity_files(&other, "localhost");
    let refused = |key: &Path| {
        let files = [certificate.as_path(), key].map(|it| it.to_str().expect("UTF-8"));
        let line = ["serve", "--sim", "--relay", "127.0.0.1:0", "--tls-cert", files[0]];
        run(&mut kite(&[&line[..], &["--tls-key", files[1]]].concat()))
    };
    let ended = refused(&foreign);
    let expected = format!("{} is not the key of {}", foreign.display(), certificate.display());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains(&expected), "{ended:?}");

    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("permissions");
    let ended = refused(&key);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for part in ["other users can access the private key in ", "(mode 644)", "help: chmod 600 "] {
        assert!(ended.err.contains(part), "no {part:?} in {ended:?}");
    }
}

#[test]
fn other_machines_are_served_by_tls() {
    let folder = tempfile::tempdir().expect("a directory");
    let [certificate, key] = https::identity_files(&folder, "localhost");
    let (certificate, key) = (certificate.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    let file = client_file(folder.path(), "desk");
    let (file, client) = (file.to_str().expect("UTF-8"), format!("desk={}", file.display()));
    let line = ["serve", "--sim", "--json", "--relay", "0.0.0.0:0", "--client", &client];
    let mut serving =
        Running::start(kite(&[&line[..], &["--tls-cert", certificate, "--tls-key", key]].concat()));
    let first: Value = serde_json::from_str(&serving.line()).expect("JSON");
    let endpoint = first["relay"]["endpoint"].as_str().expect("an endpoint");
    let endpoint = endpoint.replace("wss://0.0.0.0", "wss://localhost");
    let watch = ["watch", "408065", "--json", "--endpoint", &endpoint, "--credentials", file];
    let mut watching = Running::start(kite(&[&watch[..], &["--ca-file", certificate]].concat()));
    assert!(watching.line().contains("408065"), "{watching:?}");
    watching.interrupt();
    assert_eq!(watching.ended().code, Some(0));
    serving.signal("-TERM");
    let ended = serving.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_no_secrets(&ended);
}
