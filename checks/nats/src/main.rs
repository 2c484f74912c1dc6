//! Publishes a simulated feed through a real NATS server, and checks what arrives.
//!
//! `checks/nats/run.sh` runs it: `nats-check SERVER PYTHON CONSUMER KITE [SCENARIO...]`.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod consumer;
mod feed;
mod proxy;
mod remote;
mod scenarios;
mod server;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a scenario may wait for one thing.
const PATIENCE: Duration = Duration::from_secs(240);

/// The programs that the scenarios run.
#[derive(Debug)]
struct Programs {
    server: String,
    python: String,
    consumer: String,
    kite: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next();
    let (Some(server), Some(python), Some(consumer), Some(kite)) = (next(), next(), next(), next())
    else {
        println!("nats-check SERVER PYTHON CONSUMER KITE [SCENARIO...]");
        return ExitCode::from(2);
    };
    let chosen: Vec<String> = arguments.collect();
    let programs = Programs { server, python, consumer, kite };
    let (mut passed, mut failed) = (0, 0);
    for name in scenarios::NAMES {
        if !chosen.is_empty() && !chosen.iter().any(|it| it == name) {
            continue;
        }
        let started = Instant::now();
        match scenarios::run(name, &programs).await {
            Ok(report) => {
                passed += 1;
                println!("{name}: {report} ({:.1} s)", started.elapsed().as_secs_f64());
            }
            Err(error) => {
                failed += 1;
                println!("{name}: FAILED: {error}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.map_err(|_| format!("waited in vain: {what}").into())
}

/// Fails if two values differ.
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: {found:?} instead of {wanted:?}").into())
}
