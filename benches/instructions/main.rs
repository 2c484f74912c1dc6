//! Runs one workload for a number of frames, so that its instructions can be counted.
//!
//! `benches/instructions.sh` runs each workload under callgrind for two numbers of frames; the
//! difference excludes start-up. Unlike times, instruction counts do not change on a busy machine.

mod candles;
mod decode;
mod feeder;
mod path;

use std::process::ExitCode;

/// `instructions WORKLOAD FRAMES`; workloads that use a socket are named `CONSUMER/PACKETSxBURST`.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_default();
    let Some(Ok(frames)) = arguments.next().map(|frames| frames.parse()) else {
        eprintln!("usage: instructions WORKLOAD FRAMES");
        return ExitCode::from(2);
    };
    let ran = match workload.split_once('/') {
        Some((consumer, load)) => path::run(consumer, load, frames),
        None if candles::run(&workload, frames) || decode::run(&workload, frames) => Ok(()),
        None => Err("unknown workload".into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{workload}: {error}");
            ExitCode::FAILURE
        }
    }
}
