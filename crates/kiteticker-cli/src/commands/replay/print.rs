//! `kite replay --stdout`: prints ticks as JSON lines, at the pace of the recording.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kite_export::{Export, ExportError, Format, Summary};
use kite_tape::{Reel, Windows};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::blocking;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::{Speed, tapes};
use crate::format::numbers;
use crate::format::times::Moment;
use crate::instruments::names::Names;
use crate::instruments::unseen;

/// The part of the tapes to print, and the speed.
#[derive(Debug, Clone)]
pub(crate) struct Printing {
    pub(crate) speed: Speed,
    pub(crate) windows: Option<Windows>,
    pub(crate) longest_pause: Option<Duration>,
    /// The instruments to print; empty for all.
    pub(crate) tokens: Vec<u32>,
}

/// Prints until the tapes end or the user stops the printing.
pub(crate) async fn run(
    reel: Reel,
    printing: Printing,
    names: Names,
    output: Output,
    stop: Stop,
) -> Result<Status, CliError> {
    let runtime = Handle::current();
    let lacks_parts = tapes::lack_parts(&reel);
    let labels = names.clone();
    let printing = blocking::run("the replay", move || {
        let mut damages = 0;
        let printed = write(&reel, printing, names, &stop, runtime, &mut damages);
        (printed, damages)
    });
    let (printed, damages) = printing.await?;
    match printed {
        Ok(summary) => {
            output.note(numbers::counted(summary.rows, "tick"));
            if let Some(text) = unseen::report(&summary.unseen_tokens, &labels) {
                output.warn(text);
            }
        }
        Err(ExportError::Cancelled { .. }) => {}
        Err(ExportError::Write { source, .. })
            if source.get_ref().is_some_and(|inner| inner.is::<Stopped>()) => {}
        Err(error) => return Err(CliError::unable("cannot print the ticks").because(error)),
    }
    if damages > 0 {
        let places = numbers::counted(damages, "damaged place");
        output.warn(format_args!("{places} skipped; kite inspect lists them"));
    }
    Ok(Status::done(damages > 0 || lacks_parts))
}

fn write(
    reel: &Reel,
    printing: Printing,
    names: Names,
    stop: &Stop,
    runtime: Handle,
    damages: &mut u64,
) -> Result<Summary, ExportError> {
    let cancel = AtomicBool::new(false);
    let mut export = Export::new(reel)
        .symbols(move |day, token| names.known_on(day, token))
        .cancel_on(&cancel)
        .on_damage(|_| *damages += 1)
        .on_progress(|_| cancel.store(stop.is_requested(), Ordering::Relaxed));
    if let Some(windows) = &printing.windows {
        export = export.windows(windows.clone()).read_past(Duration::ZERO);
    }
    if !printing.tokens.is_empty() {
        export = export.tokens(printing.tokens.iter().copied());
    }
    match printing.speed {
        Speed::Max => export.to_writer(io::stdout(), Format::JsonLines),
        Speed::Times(times) => {
            let wait = |until: Instant| {
                runtime.block_on(async {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => true,
                        () = stop.requested() => false,
                    }
                })
            };
            let paced = Paced {
                out: io::stdout(),
                wait,
                pace: Pace::new(times, printing.longest_pause, printing.windows),
                line: Vec::new(),
            };
            export.to_writer(paced, Format::JsonLines)
        }
    }
}

/// Computes when each line is due, from the receive times.
#[derive(Debug)]
pub(crate) struct Pace {
    times: f64,
    longest_pause: Option<Duration>,
    /// What is between two windows takes no time.
    windows: Option<Windows>,
    /// The time of the previous line, and when it was due.
    last: Option<(u64, Instant)>,
}

impl Pace {
    /// Creates the pace of a replay at this speed.
    pub(crate) fn new(
        times: f64,
        longest_pause: Option<Duration>,
        windows: Option<Windows>,
    ) -> Self {
        Self { times, longest_pause, windows, last: None }
    }

    /// Returns when a line with this receive time is due.
    pub(crate) fn due(&mut self, unix_ns: u64, now: Instant) -> Instant {
        let due = match self.last {
            None => now,
            Some((before, due)) => {
                let elapsed = Duration::from_nanos(unix_ns.saturating_sub(before));
                let elapsed = self.longest_pause.map_or(elapsed, |longest| elapsed.min(longest));
                let is_cut = self
                    .windows
                    .as_ref()
                    .is_some_and(|windows| windows.position(before) != windows.position(unix_ns));
                let elapsed = if is_cut { Duration::ZERO } else { elapsed };
                due + elapsed.div_f64(self.times)
            }
        };
        // A clock that stepped back must not delay the lines.
        let latest = self.last.map_or(unix_ns, |(before, _)| before.max(unix_ns));
        self.last = Some((latest, due));
        due
    }
}

/// Writes each line when it is due.
struct Paced<W, F> {
    out: W,
    /// Waits until the given instant; returns whether to continue.
    wait: F,
    pace: Pace,
    /// The part of a line buffered so far.
    line: Vec<u8>,
}

impl<W: Write, F: FnMut(Instant) -> bool> Write for Paced<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if !part.ends_with(b"\n") {
                continue;
            }
            if let Some(unix_ns) = received(&self.line) {
                let now = Instant::now();
                let due = self.pace.due(unix_ns, now);
                if due > now {
                    self.out.flush()?;
                    if !(self.wait)(due) {
                        // `write_all` would retry on `ErrorKind::Interrupted`.
                        return Err(io::Error::other(Stopped));
                    }
                }
            }
            self.out.write_all(&self.line)?;
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The user interrupted a wait.
#[derive(Debug, thiserror::Error)]
#[error("stopped by the user")]
struct Stopped;

/// Parses the receive time of a line.
fn received(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let value = text.strip_prefix(RECEIVED)?;
    match value.split_once('"')?.0.parse() {
        Ok(Moment::Unix(unix_ns)) => Some(unix_ns),
        _ => None,
    }
}

/// The start of a line: the first column is the receive time.
const RECEIVED: &str = "{\"recv_time\":\"";

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = b"{\"recv_time\":\"2026-11-23T03:45:00.5Z\",\"a\":1}\n\
        {\"recv_time\":\"2026-11-23T03:45:01.5Z\",\"a\":2}\n\
        {\"recv_time\":\"2026-11-23T03:55:01.5Z\",\"a\":3}\n";

    fn paced<F: FnMut(Instant) -> bool>(wait: F, out: &mut Vec<u8>) -> Paced<&mut Vec<u8>, F> {
        let longest_pause = Some(Duration::from_secs(10));
        Paced {
            out,
            wait,
            pace: Pace { times: 2.0, longest_pause, windows: None, last: None },
            line: Vec::new(),
        }
    }

    #[test]
    fn lines_are_paced_regardless_of_how_the_writes_split_them() {
        let (mut out, mut waits) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        let mut paced = paced(
            |until| {
                waits.push(until - begun);
                true
            },
            &mut out,
        );
        for part in LINES.chunks(7) {
            paced.write_all(part).unwrap();
        }
        assert_eq!(out, LINES);
        // One second, then ten minutes shortened to ten seconds, both at twice the speed.
        let elapsed = waits[1] - waits[0];
        assert!(waits.len() == 2 && waits[0] >= Duration::from_millis(500), "{waits:?}");
        assert_eq!(elapsed, Duration::from_secs(5));
    }

    #[test]
    fn an_interrupted_wait_ends_the_output() {
        let mut out = Vec::new();
        let error = paced(|_| false, &mut out).write_all(LINES).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<Stopped>()));
        assert!(LINES.starts_with(&out) && out.ends_with(b"1}\n"));
    }

    #[test]
    fn the_time_between_two_windows_is_not_waited_for() {
        let second = |count: u64| count * 1_000_000_000;
        let windows = Windows::new([second(0)..second(10), second(1_000)..second(1_010)]);
        let mut pace = Pace { times: 1.0, longest_pause: None, windows: Some(windows), last: None };
        let now = Instant::now();
        let due = [1, 5, 1_000, 1_002].map(|at| (pace.due(second(at), now) - now).as_secs());
        assert_eq!(due, [0, 4, 4, 6]);
    }

    #[test]
    fn a_clock_that_steps_back_delays_nothing() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace { times: 1.0, longest_pause: None, windows: None, last: None };
        let due = [10, 5, 11].map(|second| pace.due(second * 1_000_000_000, now));
        assert_eq!(due, [now, now, now + second]);
    }
}
