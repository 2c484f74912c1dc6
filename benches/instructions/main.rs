//! Runs one workload for so many frames, for counting its instructions.
//!
//! `benches/instructions.sh` runs them all under callgrind, each for two numbers of frames, so that
//! the start falls out of the difference: unlike times, instructions are the same on a busy machine.

mod decode;
mod feeder;
mod path;

use std::process::ExitCode;

/// `instructions WORKLOAD FRAMES`; a workload of the path of frames is `WAY/PACKETSxBURST`.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_default();
    let Some(Ok(frames)) = arguments.next().map(|frames| frames.parse()) else {
        eprintln!("usage: instructions WORKLOAD FRAMES");
        return ExitCode::from(2);
    };
    let ran = match workload.split_once('/') {
        Some((way, load)) => path::run(way, load, frames),
        None if decode::run(&workload, frames) => Ok(()),
        None => Err("no such workload".into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{workload}: {error}");
            ExitCode::FAILURE
        }
    }
}
