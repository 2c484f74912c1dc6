//! Replays the fuzzers' corpus: inputs that once reached new code are checked again.

use fuzz_checks::corpus::replay;

#[test]
fn clients() {
    replay("client", fuzz_checks::client::check);
}

#[test]
fn columns() {
    replay("columns", fuzz_checks::columns::check);
}

#[test]
fn commands() {
    replay("command", fuzz_checks::command::check);
}

#[test]
fn contracts() {
    replay("contracts", fuzz_checks::contracts::check);
}

#[test]
fn frames() {
    replay("frame", fuzz_checks::frame::check);
}

#[test]
fn instruments() {
    replay("instruments", fuzz_checks::instruments::check);
}

#[test]
fn packets() {
    replay("packet", fuzz_checks::packet::check);
}

#[test]
fn tapes() {
    replay("tape", fuzz_checks::tape::check);
}

#[test]
fn texts() {
    replay("text", fuzz_checks::text::check);
}
