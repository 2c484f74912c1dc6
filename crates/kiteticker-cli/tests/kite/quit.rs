//! Ctrl-C while something outside the command does not answer.

use std::net::TcpListener;

use crate::process::{Running, kite, with_credentials};

#[test]
fn quitting_does_not_wait_for_the_download_of_the_list() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let list = format!("http://{}", listener.local_addr().expect("an address"));
    let folder = tempfile::tempdir().expect("a folder");
    let tapes = folder.path().join("tapes").display().to_string();
    for (arguments, code) in [
        (&["record", "NSE:SBIN", "--to", &tapes][..], 0),
        (&["watch", "NSE:SBIN"], 0),
        (&["instruments", "sbin"], 130),
    ] {
        let mut command = with_credentials(kite(arguments), "token");
        command.env("KITE_INSTRUMENTS_URL", &list).env("HOME", folder.path());
        let running = Running::start(command);
        // The download has begun, and never ends.
        let download = listener.accept().expect("a connection");
        running.interrupt();
        let ended = running.ended();
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        drop(download);
    }
    assert!(!folder.path().join("tapes").exists(), "nothing was recorded");
}
