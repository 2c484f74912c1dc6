//! Credentials as editors and shells write them, and those that an instrument list wants.

use std::path::PathBuf;
use std::process::Command;

#[cfg(target_os = "linux")]
use crate::https::{Https, pem_file};
use crate::process::{Outcome, Running, kite, run, sim, with_credentials};
use crate::server::Server;

/// Writes a file that only its owner can read.
fn file(directory: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("credentials");
    std::fs::write(&path, bytes).expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
    }
    path
}

#[test]
fn credentials_are_read_as_editors_and_shells_write_them() {
    let (_sim, endpoint) = sim(&[]);
    let directory = tempfile::tempdir().expect("a directory");
    let text = "\u{feff}api_key = sim_api_key \r\n\r\naccess_token=\u{a0}sim_access_token\r\n";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let watch = ["watch", "408065", "--json", "--endpoint", &endpoint];
    let ticks = |command: Command| {
        let mut watching = Running::start(command);
        assert!(watching.line().contains("408065"), "{watching:?}");
        watching.interrupt();
        assert_eq!(watching.ended().code, Some(0));
    };
    for bytes in [text.as_bytes(), &utf16] {
        let path = file(&directory, bytes);
        let path = path.to_str().expect("UTF-8");
        ticks(kite(&[&watch[..], &["--credentials", path]].concat()));
    }
    let mut command = kite(&watch);
    command
        .env("KITE_API_KEY", "\u{feff}sim_api_key\r")
        .env("KITE_ACCESS_TOKEN", " sim_access_token\r\n");
    ticks(command);
}

const LIST: &str = "token,exchange,symbol\n408065,NSE,INFY\n";

/// Runs `kite instruments` on a list from this server.
fn find(server: &Server, mut command: Command) -> Outcome {
    let home = tempfile::tempdir().expect("a directory");
    run(command.env("HOME", home.path()).env("KITE_INSTRUMENTS_URL", server.url()))
}

#[test]
fn credentials_are_sent_for_a_list_that_is_not_served_without_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, b"api_key = filekey\naccess_token = s3cr3t\n");
    let path = path.to_str().expect("UTF-8");
    for (command, authorization) in [
        (kite(&["instruments", "infy", "--credentials", path, "-vvv"]), "token filekey:s3cr3t"),
        (
            with_credentials(kite(&["instruments", "infy", "-vvv"]), "s3cr3t"),
            "token sim_api_key:s3cr3t",
        ),
    ] {
        let server = Server::start(vec![Server::status("403 Forbidden"), Server::ok(LIST)]);
        let ended = find(&server, command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("NSE:INFY"), "{ended:?}");
        assert!(!(ended.out + &ended.err).contains("s3cr3t"));
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "{requests:?}");
        assert!(!requests[0].contains("s3cr3t"), "only if it is refused: {requests:?}");
        assert!(
            requests[1].to_lowercase().contains(&format!("authorization: {authorization}\n")),
            "{requests:?}"
        );
    }
}

#[test]
fn a_list_that_wants_credentials_is_refused_with_every_way_to_pass_them() {
    let server = Server::start(vec![Server::status("401 Unauthorized")]);
    let ended = find(&server, kite(&["instruments", "infy"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for part in ["401", "KITE_API_KEY", "KITE_ACCESS_TOKEN", "--credentials", "--file"] {
        assert!(ended.err.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

/// Writes the credentials file of this home.
#[cfg(target_os = "linux")]
fn default_file(home: &tempfile::TempDir, bytes: &[u8]) {
    let folder = home.path().join(".config/kiteticker");
    std::fs::create_dir_all(&folder).expect("a directory");
    std::fs::copy(file(home, bytes), folder.join("credentials")).expect("a file");
}

#[cfg(target_os = "linux")]
#[test]
fn credentials_for_kite_are_not_sent_to_the_server_of_another_list() {
    // An address of this machine that is not a loopback one.
    let host = "0.0.0.0";
    let server = Https::protected(host, LIST, "token sim_api_key:s3cr3t");
    let home = tempfile::tempdir().expect("a directory");
    let roots = pem_file(&home, &[&server.certificate]).display().to_string();
    let of_file = b"api_key = sim_api_key\naccess_token = s3cr3t\n";
    let path = file(&home, of_file).display().to_string();
    let find = |mut command: Command| {
        command.env("HOME", home.path()).env("SSL_CERT_FILE", &roots);
        command.env("KITE_INSTRUMENTS_URL", format!("https://{host}:{}/list", server.port));
        run(&mut command)
    };
    let instruments = || kite(&["instruments", "infy"]);
    let of_feed = ["watch", "NSE:ONLYHERE", "--json", "--credentials", &path];
    let of_environment = find(with_credentials(instruments(), "s3cr3t"));
    let of_feed = find(kite(&of_feed));
    default_file(&home, of_file);
    let of_default_file = find(instruments());
    for ended in [of_environment, of_feed, of_default_file] {
        assert_eq!(ended.code, Some(3), "{ended:?}");
        for part in [host, "not sent to another host", "kite instruments --credentials FILE"] {
            assert!(ended.err.contains(part), "{part}: {ended:?}");
        }
        assert!(!ended.err.contains("s3cr3t"), "{ended:?}");
    }
    let ended = find(kite(&["instruments", "infy", "--credentials", &path]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("NSE:INFY"), "{ended:?}");
    // A list of another day is used instead, and the advice is the same.
    let ended = find(kite(&["instruments", "infy", "--refresh"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("kite instruments --credentials FILE"), "{ended:?}");
}

#[test]
fn credentials_for_a_list_are_not_sent_to_where_it_redirects() {
    let target = Server::start(vec![Server::ok(LIST)]);
    let redirect = Server::redirect(target.url());
    let server = Server::start(vec![Server::status("403 Forbidden"), redirect]);
    let ended = find(&server, with_credentials(kite(&["instruments", "infy"]), "s3cr3t"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let requests = server.requests();
    assert!(requests[1].contains("s3cr3t"), "{requests:?}");
    let requests = target.requests();
    assert!(requests.len() == 1 && !requests[0].contains("s3cr3t"), "{requests:?}");
}
