//! Prints ticks as lines if there is no terminal: for pipes, files and other programs.

use std::collections::HashMap;
use std::io::{self, BufWriter, Stdout, Write};
use std::pin::pin;
use std::time::Duration;

use kite_export::TickLines;
use kite_manager::{Manager, StreamConfig, StreamItem, TaggedBatch};
use kite_sim::Sim;
use kite_tape::Received;
use kite_wire::{Packet, Tick};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::console::output::{self, Output};
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed;
use crate::feed::at_end::AtEnd;
use crate::feed::deadline::Deadline;
use crate::feed::link::{Link, News};
use crate::format::numbers::{grouped, price};
use crate::format::times;
use crate::instruments::names::{Named, Names};
use crate::instruments::unseen::{self, Unseen};

const SECOND: Duration = Duration::from_secs(1);
/// Time for the sockets to end after the end of a tape.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// What ends the lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    /// The embedded server: of a tape, the lines end with it.
    pub(super) sim: Option<&'a Sim>,
    pub(super) deadline: Deadline,
    pub(super) stop: &'a Stop,
}

/// Writes every tick as a JSON line in the format of an export, or once a second a line per
/// instrument that ticked, until the user stops it or the reader exits.
///
/// If the reader is slow, the sockets wait for it; no tick is dropped. Returns which
/// connections were missing at the end.
pub(super) async fn run(
    manager: &Manager,
    link: Link<'_>,
    ends: Ends<'_>,
    instruments: &[Named],
    is_json: bool,
    report: Option<(&Names, Output)>,
) -> Result<AtEnd, CliError> {
    let unseen = Unseen::new(instruments.iter().map(|named| named.token));
    let done = print(manager, link, ends, instruments, is_json, &unseen, report).await;
    if let Some((names, output)) = report
        && let Some(text) = unseen.report(names)
    {
        output.warn(text);
    }
    done
}

async fn print(
    manager: &Manager,
    mut link: Link<'_>,
    ends: Ends<'_>,
    instruments: &[Named],
    is_json: bool,
    unseen: &Unseen,
    report: Option<(&Names, Output)>,
) -> Result<AtEnd, CliError> {
    let mut stream = manager
        .stream(StreamConfig::default())
        .map_err(|error| CliError::unable("cannot stream").because(error))?;
    let mut lines = match is_json {
        true => Lines::json(instruments),
        false => Lines::text(instruments),
    };
    let mut tape_has_ended = pin!(async {
        match ends.sim {
            Some(sim) if sim.replay().is_some() => sim.replay_finished().await,
            _ => std::future::pending().await,
        }
    });
    let mut time_is_over = pin!(ends.deadline.reached());
    let mut closing = pin!(manager.drain(CLOSE_DEADLINE));
    let (mut is_over, mut is_closed) = (false, false);
    let mut seconds = interval_at(Instant::now() + SECOND, SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut never_ticked = pin!(async {
        if let Some((names, output)) = report
            && let Some(text) = unseen::early_report(unseen, names).await
        {
            output.warn(text);
        }
    });
    let mut is_reported = false;
    loop {
        tokio::select! {
            biased;
            () = ends.stop.requested() => break,
            () = &mut time_is_over => break,
            news = link.next(), if !is_over => {
                let news = news?;
                if let News::Up = news {
                    unseen.on_live();
                }
                if let (Some((severity, text)), Some((_, output))) = (news.line(), report) {
                    output.event(severity, text);
                }
            }
            // The stream ends once everything that was sent has been received.
            () = &mut tape_has_ended, if !is_over => is_over = true,
            _ = &mut closing, if is_over && !is_closed => is_closed = true,
            () = &mut never_ticked, if !is_reported => is_reported = true,
            _ = seconds.tick() => lines.on_second(ends.now_unix_ns())?,
            item = stream.recv() => match item {
                Some(StreamItem::Ticks(ticks) | StreamItem::Conflated { ticks, .. }) => {
                    unseen.take(ticks.packets());
                    lines.on_ticks(&ticks, stream.stats().queued_frames > 0)?;
                }
                Some(_) => {}
                None => break,
            },
        }
    }
    lines.on_second(ends.now_unix_ns())?;
    lines.flush()?;
    Ok(link.at_end())
}

impl Ends<'_> {
    /// Returns the time in nanoseconds since the Unix epoch: that of the tape, if one is replayed.
    fn now_unix_ns(self) -> u64 {
        let tape = self.sim.and_then(Sim::replay).and_then(|replay| replay.position_unix_ns);
        tape.unwrap_or_else(times::now_unix_ns)
    }
}

/// Writes ticks to standard output.
struct Lines<'a> {
    out: BufWriter<Stdout>,
    form: Form<'a>,
}

enum Form<'a> {
    Json(TickLines),
    /// The newest ticks, written once a second in the order of the instruments.
    Text {
        instruments: &'a [Named],
        newest: Newest,
    },
}

impl<'a> Lines<'a> {
    fn json(instruments: &[Named]) -> Self {
        let symbol = |named: &Named| Some((named.token, named.symbol()?.to_owned()));
        let names: HashMap<u32, String> = instruments.iter().filter_map(symbol).collect();
        let lines = TickLines::new(move |token| names.get(&token).cloned());
        Self { out: BufWriter::new(io::stdout()), form: Form::Json(lines) }
    }

    fn text(instruments: &'a [Named]) -> Self {
        let newest = Newest::of(instruments.iter().map(|named| named.token));
        let form = Form::Text { instruments, newest };
        Self { out: BufWriter::new(io::stdout()), form }
    }

    fn on_ticks(&mut self, ticks: &TaggedBatch, is_more_waiting: bool) -> Result<(), CliError> {
        let packets = ticks.packets();
        match &mut self.form {
            Form::Text { newest, .. } => {
                packets.for_each(|packet| newest.put(packet));
                Ok(())
            }
            Form::Json(lines) => {
                let received = Received {
                    recv_unix_ns: ticks.batch.received.to_unix_ns(),
                    source: feed::source(ticks.connection),
                };
                packets.for_each(|packet| lines.push(received, packet));
                output::written(self.out.write_all(&lines.take()))?;
                // Nothing more is queued, so the reader gets the lines without delay.
                if is_more_waiting { Ok(()) } else { self.flush() }
            }
        }
    }

    fn on_second(&mut self, now_unix_ns: u64) -> Result<(), CliError> {
        let Form::Text { instruments, newest } = &mut self.form else { return Ok(()) };
        let clock = times::ist(now_unix_ns).clock();
        for named in *instruments {
            if let Some(tick) = newest.take(named.token) {
                let text = line(&named.name, &tick);
                output::written(writeln!(self.out, "{clock}  {text}"))?;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), CliError> {
        output::written(self.out.flush())
    }
}

/// The newest tick of each instrument. A server may send any number of others; they are not kept.
struct Newest(HashMap<u32, Option<Tick>>);

impl Newest {
    fn of(tokens: impl Iterator<Item = u32>) -> Self {
        Self(tokens.map(|token| (token, None)).collect())
    }

    fn put(&mut self, packet: Packet<'_>) {
        if let Some(newest) = self.0.get_mut(&packet.instrument_token()) {
            *newest = Some(packet.into());
        }
    }

    fn take(&mut self, token: u32) -> Option<Tick> {
        self.0.get_mut(&token)?.take()
    }
}

/// Returns the line of an instrument: name, last price, change, volume, bid, ask.
fn line(name: &str, tick: &Tick) -> String {
    let mut text = format!("{name:<20} {:>14}", price(tick.last_price()));
    if let Some(change) = tick.change_percent() {
        text.push_str(&format!(" {change:>+8.2}%"));
    }
    if let Some(quote) = tick.quote() {
        text.push_str(&format!("  volume {}", grouped(quote.volume.into())));
    }
    if let Some(full) = tick.full() {
        let (bid, ask) = (full.bids[0].price, full.asks[0].price);
        let [bid, ask] = [bid, ask].map(|raw| price(tick.price(raw)));
        text.push_str(&format!("  bid {bid}  ask {ask}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ltp(token: u32) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&token.to_be_bytes());
        bytes
    }

    #[test]
    fn ticks_of_instruments_that_are_not_shown_are_not_kept() {
        let mut newest = Newest::of([408_065].into_iter());
        for token in (1..100_000).chain([408_065]) {
            newest.put(Packet::from_bytes(&ltp(token)).unwrap());
        }
        assert_eq!(newest.0.len(), 1);
        assert_eq!(newest.take(408_065).map(|tick| tick.instrument_token), Some(408_065));
        assert_eq!((newest.take(408_065), newest.take(5)), (None, None));
    }
}
