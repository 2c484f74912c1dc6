//! `kite serve --nats`, as far as it needs no server; `checks/nats` has one.

use std::net::TcpListener;

use serde_json::Value;

use crate::process::{kite, run};

/// Returns a port that nothing listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_server_that_is_missing_holds_nothing_up_and_is_a_finding() {
    let url = format!("nats://me:s3cr3t@127.0.0.1:{}", free_port());
    let arguments = ["serve", "--sim", "--count", "20", "--rate", "20", "--relay", "127.0.0.1:0"];
    let mut command = kite(&arguments);
    command.args(["--json", "--for", "7s", "-q", "--nats", &url]);
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.out.lines().last().expect("a line");
    let report: Value = serde_json::from_str(last).expect("JSON");
    assert!(report["ticks_in"].as_u64() > Some(100), "{report}");
    assert_eq!((&report["complete"], &report["nats"]["complete"]), (&false.into(), &false.into()));
    assert_eq!(report["nats"]["confirmed"], 0);
    let warning = "NATS: no connection: ";
    assert_eq!(ended.err.matches(warning).count(), 1, "{ended:?}");
    assert!(ended.err.contains("at the end NATS had not received everything"), "{ended:?}");
    assert!(!ended.err.contains("s3cr3t") && !ended.out.contains("s3cr3t"), "{ended:?}");
}

#[test]
fn the_plan_names_the_server_without_its_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let credentials = directory.path().join("feed.creds");
    let arguments = ["serve", "--sim", "--check", "--nats", "nats://me:s3cr3t@127.0.0.1:4223"];
    let checked = run(kite(&arguments).args(["--nats-what", "both", "--nats-prefix", "live.kite"]));
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let line = "nats    127.0.0.1:4223; packets and whole frames, subjects below live.kite\n";
    assert!(checked.out.contains(line), "{checked:?}");
    let mut command = kite(&["serve", "--sim", "--relay", "127.0.0.1:0", "--nats", "127.0.0.1"]);
    let refused = run(command.arg("--nats-credentials").arg(&credentials));
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("cannot publish to NATS: cannot read the credentials of NATS"));
    let refused = run(&mut kite(&["serve", "--nats", "http://me:s3cr3t@127.0.0.1"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.err.contains("not the URL of a NATS server") && !refused.err.contains("s3cr3t")
    );
}
