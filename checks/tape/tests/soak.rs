//! A short run of the soak, without a full disk, which needs a file system of its own.

use std::time::Duration;

use tape_checks::soak::{Options, run};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_and_what_is_reported_missing_is_what_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        program: env!("CARGO_BIN_EXE_tape-soak").into(),
        directory: directory.path().to_owned(),
        fills_disk: false,
        faketime: None,
        seed: 16,
        lasts: Duration::from_secs(10),
    };
    let report = run(&options, |_| {}).await;
    let account = report.account.unwrap();
    assert_eq!(account.found + account.counted + account.uncounted, report.sent);
    assert!(account.found > 0 && account.gaps > 0, "{account:?}");
}
