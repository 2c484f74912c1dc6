//! Replays the fuzzers' corpus: what once led them to new code goes on holding.

use std::path::Path;

/// Runs every input of a target's corpus through its check.
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("a readable folder").path();
        let bytes = std::fs::read(&path).expect("a readable input");
        // Named first: a panic of the check says which input it was.
        println!("{}", path.display());
        check(&bytes);
        inputs += 1;
    }
    assert!(inputs >= 20, "{inputs} inputs are no corpus");
}

#[test]
fn commands() {
    replay("command", fuzz_checks::command::check);
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
