//! Sets the wall clock back by 90 minutes and forward by 8 hours during a recording, and checks
//! every recorded time. `checks/clock/run.sh` runs it under faketime, which reads the clock's offset
//! from a file that this program writes.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_conn::{Credentials, Event, Stamp};
use kite_manager::{Events, Manager, ManagerEvent, Mode};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
use kite_tape::{Entry, RecordKind, Recorder, RecorderConfig, Reel, Source};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
/// Offsets of the wall clock in seconds, one after the other.
const OFFSETS_S: [i64; 3] = [0, -5_400, 23_400];
const CONNECTIONS: usize = 3;
/// Tolerance for reading two clocks one after the other.
const TOLERANCE: Duration = Duration::from_millis(50);

type Failure = Box<dyn Error>;

/// A period with one offset: what the wall clock showed at its start and its end.
struct Period {
    start: SystemTime,
    end: SystemTime,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let clock = env::var("FAKETIME_TIMESTAMP_FILE")
        .map_err(|_| "not run under faketime; use checks/clock/run.sh")?;
    let directory = tempfile::tempdir()?;
    let sim = Sim::builder().heartbeat_every(SECOND / 5).start().await?;
    let recorder = Recorder::start(directory.path(), RecorderConfig::default())?;
    let tape = recorder.clone();
    let manager = Manager::builder()
        .account("mine", Credentials::new(API_KEY, ACCESS_TOKEN))
        .endpoint(sim.endpoint().parse()?)
        .connections(CONNECTIONS)
        .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
        .build()?;
    manager.subscribe(&kite_sim::universe(300), Mode::Full)?;
    let mut events = manager.events();
    manager.start().await?;
    sleep(3 * SECOND).await;

    let mut periods = Vec::new();
    let mut earlier: Vec<(Stamp, SystemTime)> = Vec::new();
    for (number, offset_s) in OFFSETS_S.iter().enumerate() {
        if number > 0 {
            fs::write(&clock, format!("{offset_s:+}\n"))?;
        }
        let start = SystemTime::now();
        if number > 0 {
            let by_s = offset_s - OFFSETS_S[number - 1];
            step(&mut events, by_s).await?;
            // The other connections note it within a second too.
            sleep(2 * SECOND).await;
        }
        let (stamp, now) = (Stamp::now(), SystemTime::now());
        near(stamp.to_system_time(), now, "a new stamp")?;
        earlier.push((stamp, stamp.to_system_time()));
        sleep(2 * SECOND).await;
        periods.push(Period { start, end: SystemTime::now() });
    }
    for (stamp, time) in earlier {
        check(stamp.to_system_time() == time, || format!("{stamp:?} has changed its time"))?;
    }
    manager.stop().await;
    recorder.finish()?;
    let mut records = 0;
    for connection in 0..CONNECTIONS {
        records += check_source(directory.path(), Source::of(0, connection), &periods)?;
    }
    println!("{records} records, {} steps: every time is right", OFFSETS_S.len() - 1);
    Ok(())
}

/// Waits for the report of a step, which must be the only one, and not of a sleep.
async fn step(events: &mut Events, by_s: i64) -> Result<(), Failure> {
    let is_report =
        |event: &Event| matches!(event, Event::ClockStepped { .. } | Event::Suspended { .. });
    let next = async |events: &mut Events| loop {
        match events.recv().await {
            Some(ManagerEvent::Connection { event, .. }) if is_report(&event) => {
                return Some(event);
            }
            Some(_) => {}
            None => return None,
        }
    };
    let Some(Event::ClockStepped { by_ns }) = timeout(10 * SECOND, next(events)).await? else {
        return Err("no step was reported".into());
    };
    let off_ns = by_ns.abs_diff(by_s * 1_000_000_000);
    check(u128::from(off_ns) < TOLERANCE.as_nanos(), || format!("{by_ns} ns, not {by_s} s"))?;
    let second = timeout(2 * SECOND, next(events)).await;
    check(second.is_err(), || format!("reported again: {second:?}"))
}

/// Checks the records of a connection: between two notes of a step, every time lies in its period.
/// Returns their number.
fn check_source(tape: &Path, source: Source, periods: &[Period]) -> Result<usize, Failure> {
    let (mut period, mut records) = (0, 0);
    for entry in Reel::open([tape])?.entries() {
        let entry = entry?;
        if entry.received.source != source {
            continue;
        }
        period += usize::from(is_step(&entry));
        let Period { start, end } =
            periods.get(period).ok_or_else(|| format!("{source:?} notes {period} steps"))?;
        // Until the step is noted, within a second, records have the old offset.
        let is_first = period == 0;
        let start = if is_first { *start - 10 * SECOND } else { *start - TOLERANCE };
        let end = *end + 3 * SECOND / 2;
        let at = UNIX_EPOCH + Duration::from_nanos(entry.recv_unix_ns());
        check(start <= at && at <= end, || {
            format!("{source:?}, period {period}: {at:?} is not between {start:?} and {end:?}")
        })?;
        records += 1;
    }
    check(period + 1 == periods.len(), || format!("{source:?} noted {period} steps"))?;
    check(records > 100, || format!("{source:?} recorded only {records}"))?;
    Ok(records)
}

fn is_step(entry: &Entry) -> bool {
    entry.kind == RecordKind::Event && entry.payload.starts_with(br#"{"event":"clock_stepped","#)
}

fn near(time: SystemTime, expected: SystemTime, what: &str) -> Result<(), Failure> {
    let off = time.duration_since(expected).unwrap_or_else(|earlier| earlier.duration());
    check(off < TOLERANCE, || format!("{what} is {off:?} off"))
}

fn check(holds: bool, failure: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(failure().into()) }
}
