//! The recorder's sink for a connection.

use std::fmt::Write as _;

use bytes::Bytes;
use kite_conn::{Batch, Event, Sink, Stamp};
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};

use crate::recorder::Recorder;

/// Records everything that a connection receives; created by [`Recorder::sink`].
///
/// Binary frames (including heartbeats and damaged ones) and text frames are recorded byte for
/// byte, with the time at which they were read from the socket. A gap is recorded for the time that
/// the connection was down, and a note in JSON for other events: `up`, `down`, `gap` and so on.
///
/// The sink never delays the connection.
#[derive(Debug)]
pub struct RecorderSink {
    recorder: Recorder,
    source: Source,
    /// When anything was last received on the lost socket.
    down_since: Option<Stamp>,
}

impl Recorder {
    /// Creates a sink for a connection. Each connection needs its own source.
    ///
    /// ```no_run
    /// use kite_conn::Credentials;
    /// use kite_manager::Manager;
    /// use kite_tape::{Recorder, RecorderConfig, Source};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let recorder = Recorder::start("recordings", RecorderConfig::default())?;
    /// let tape = recorder.clone();
    /// let manager = Manager::builder()
    ///     .account("mine", Credentials::new("api_key", "access_token"))
    ///     .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sink(&self, source: Source) -> RecorderSink {
        RecorderSink { recorder: self.clone(), source, down_since: None }
    }
}

impl RecorderSink {
    fn received(&mut self, at: Stamp) -> Received {
        Received { recv_unix_ns: at.to_unix_ns(), source: self.source }
    }

    fn text(&mut self, text: &Bytes, at: Stamp) {
        let received = self.received(at);
        self.recorder.record(received, RecordKind::Text, text.clone());
    }

    /// Records an event under its name, with further members of the JSON object.
    fn note(&mut self, at: Stamp, event: &Event, members: &str) {
        let received = self.received(at);
        let note = format!(r#"{{"event":"{}"{members}}}"#, event.name());
        self.recorder.record(received, RecordKind::Event, note.into());
    }

    /// Records a gap for the time that the connection was down, or since the end of a previous run.
    fn end_gap(&mut self, now: Stamp) {
        let closed = self.recorder.take_closed(self.source);
        let down = self.down_since.take().map(Stamp::to_unix_ns);
        if let Some(from_unix_ns) = down.or(closed) {
            let received = self.received(now);
            let gap = Gap {
                reason: GapReason::Disconnected,
                from_unix_ns: from_unix_ns.min(received.recv_unix_ns),
                to_unix_ns: received.recv_unix_ns,
                frames: None,
            };
            self.recorder.gap(received, gap);
        }
    }
}

impl Sink for RecorderSink {
    fn on_batch(&mut self, batch: &Batch) {
        let received = self.received(batch.received);
        self.recorder.record(received, RecordKind::Binary, batch.frame().clone());
    }

    fn on_event(&mut self, event: &Event) {
        let now = Stamp::now();
        match event {
            Event::Text { text, received, .. } | Event::TextUnreadable { text, received, .. } => {
                self.text(text, *received);
            }
            Event::Up { epoch, instruments } => {
                self.end_gap(now);
                let members = format!(r#","epoch":{epoch},"instruments":{instruments}"#);
                self.note(now, event, &members);
            }
            Event::Down { epoch, cause, last_heard } => {
                self.down_since = Some(*last_heard);
                let cause = quoted(&cause.to_string());
                self.note(now, event, &format!(r#","epoch":{epoch},"cause":{cause}"#));
            }
            Event::Gap(gap) => {
                let members = gap_members(gap);
                self.note(now, event, &members);
            }
            Event::Parked(reason) => {
                let reason = quoted(&reason.to_string());
                self.note(now, event, &format!(r#","reason":{reason}"#));
            }
            Event::FeedSilent { silence: time, .. } | Event::Suspended { slept: time } => {
                let seconds = time.as_secs_f64();
                self.note(now, event, &format!(r#","seconds":{seconds:.3}"#));
            }
            Event::ClockStepped { by_ns } => {
                self.note(now, event, &format!(r#","by_ms":{}"#, rounded_ms(*by_ns)));
            }
            // The time between a loss and the end of the connection is missing too.
            Event::Closed { clean } => {
                self.end_gap(now);
                self.note(now, event, &format!(r#","clean":{clean}"#));
                self.recorder.note_closed(self.source, now.to_unix_ns());
            }
            // Reconnect attempts are within the gap; damaged frames are on the tape themselves.
            _ => {}
        }
    }
}

/// Returns the members of the note of a gap: when it began and ended, and what was missed.
fn gap_members(gap: &kite_conn::Gap) -> String {
    let (instruments, volume) = (gap.instruments.len(), gap.known_volume());
    let unix_ms = |at: Stamp| at.to_unix_ns() / 1_000_000;
    let mut members = format!(r#","instruments":{instruments},"known_volume":{volume}"#);
    let mut add = |name: &str, value: u64| members += &format!(r#","{name}":{value}"#);
    add("from_unix_ms", unix_ms(gap.last_heard));
    if let Some(resumed) = gap.resumed {
        add("to_unix_ms", unix_ms(resumed));
    }
    if let Some(connection) = gap.moved_from {
        add("moved_from", connection as u64);
    }
    members
}

/// Returns a string in JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Rounds nanoseconds to milliseconds, because comparing two clocks is less exact than the step.
fn rounded_ms(ns: i64) -> i64 {
    ns.saturating_add(ns.signum() * 500_000) / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kite_conn::LossCause;
    use kite_wire::TickBatch;

    use super::*;
    use crate::config::{Fsync, RecorderConfig};
    use crate::entry::Entry;
    use crate::reel::Reel;

    const SOURCE: Source = Source { account: 2, connection: 1 };

    fn recorded(deliver: impl FnOnce(&mut RecorderSink)) -> Vec<Entry> {
        let directory = tempfile::tempdir().unwrap();
        let config = RecorderConfig { fsync: Fsync::Never, ..RecorderConfig::default() };
        let recorder = Recorder::start(directory.path(), config).unwrap();
        let mut sink = recorder.sink(SOURCE);
        deliver(&mut sink);
        drop(sink);
        recorder.finish().unwrap();
        let entries: Result<Vec<_>, _> =
            Reel::open([directory.path()]).unwrap().entries().collect();
        entries.unwrap()
    }

    fn text_of(entry: &Entry) -> &str {
        std::str::from_utf8(&entry.payload).unwrap()
    }

    fn down(last_heard: Stamp) -> Event {
        let cause = LossCause::CloseFrame { code: 1006, reason: "a \"bad\"\nday".into() };
        Event::Down { epoch: 1, cause, last_heard }
    }

    #[test]
    fn frames_are_recorded_byte_for_byte_with_their_read_time() {
        let frame = Bytes::from_static(&[0, 1, 0, 8, 0, 6, 0x3a, 1, 0, 2, 0x66, 0xba]);
        let stamp = Stamp::now();
        let entries = recorded(|sink| {
            let ticks = TickBatch::new(frame.clone()).unwrap();
            sink.on_batch(&Batch::new(ticks, stamp, 1, 1));
            let heartbeat = TickBatch::new(Bytes::from_static(&[0])).unwrap();
            sink.on_batch(&Batch::new(heartbeat, stamp, 1, 2));
        });
        let payloads: Vec<_> = entries.iter().map(|entry| &entry.payload[..]).collect();
        assert_eq!(payloads, [&frame[..], &[0]]);
        for entry in &entries {
            assert_eq!((entry.kind, entry.received.source), (RecordKind::Binary, SOURCE));
            assert_eq!(entry.recv_unix_ns(), stamp.to_unix_ns());
        }
    }

    #[test]
    fn a_downtime_is_a_gap_before_the_records_that_follow() {
        let entries = recorded(|sink| {
            sink.on_event(&Event::Up { epoch: 1, instruments: 3 });
            sink.on_event(&down(Stamp::now()));
            sink.on_event(&Event::Up { epoch: 2, instruments: 3 });
        });
        let notes: Vec<_> = entries.iter().filter(|it| it.kind == RecordKind::Event).collect();
        assert_eq!(text_of(notes[0]), r#"{"event":"up","epoch":1,"instruments":3}"#);
        assert!(text_of(notes[1]).contains(r#"a \"bad\" day"#), "{}", text_of(notes[1]));
        assert_eq!(entries.len(), 4, "the first Up ends no gap");
        let gap = entries[2].gap().unwrap();
        assert_eq!((gap.reason, gap.frames), (GapReason::Disconnected, None));
        assert!(gap.from_unix_ns <= gap.to_unix_ns);
        assert_eq!(entries[2].recv_unix_ns(), gap.to_unix_ns);
        assert_eq!(text_of(&entries[3]), r#"{"event":"up","epoch":2,"instruments":3}"#);
    }

    #[test]
    fn the_gap_of_moved_instruments_is_noted_with_its_times_and_volume() {
        let start = Stamp::now();
        let after = |ms| Stamp::at(start.to_instant() + std::time::Duration::from_millis(ms));
        let mut gap = kite_conn::Gap::new(start, after(1), after(2));
        (gap.moved_from, gap.resumed) = (Some(1), Some(after(2_500)));
        for (token, volume) in [(1, 5_000), (2, 157)] {
            let volume = kite_conn::VolumeMissed::Known(volume);
            gap.instruments.push(kite_conn::Missed::new(token, kite_wire::Mode::Quote, volume));
        }
        let plain = kite_conn::Gap::new(start, after(1), after(2));
        let entries = recorded(|sink| {
            for gap in [gap, plain] {
                sink.on_event(&Event::Gap(Arc::new(gap)));
            }
        });
        let unix_ms = |at: Stamp| at.to_unix_ns() / 1_000_000;
        let (from, to) = (unix_ms(start), unix_ms(after(2_500)));
        let expected = [
            format!(
                r#"{{"event":"gap","instruments":2,"known_volume":5157,"from_unix_ms":{from},"to_unix_ms":{to},"moved_from":1}}"#
            ),
            format!(r#"{{"event":"gap","instruments":0,"known_volume":0,"from_unix_ms":{from}}}"#),
        ];
        assert_eq!(entries.iter().map(text_of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_noted_in_milliseconds() {
        let entries = recorded(|sink| {
            for by_ns in [-5_400_000_012_345, 700_499_999, 1_999_500_000, i64::MAX] {
                sink.on_event(&Event::ClockStepped { by_ns });
            }
        });
        let notes: Vec<_> = entries.iter().map(text_of).collect();
        assert_eq!(
            notes,
            [-5_400_000, 700, 2_000, i64::MAX / 1_000_000]
                .map(|by_ms| format!(r#"{{"event":"clock_stepped","by_ms":{by_ms}}}"#))
        );
    }

    #[test]
    fn a_connection_closed_while_down_has_a_gap_up_to_its_end() {
        let entries = recorded(|sink| {
            sink.on_event(&down(Stamp::now()));
            sink.on_event(&Event::Closed { clean: false });
        });
        assert_eq!(entries.iter().filter_map(Entry::gap).count(), 1);
        assert_eq!(text_of(&entries[2]), r#"{"event":"closed","clean":false}"#);
    }

    #[test]
    fn a_gap_is_recorded_between_two_runs_of_a_connection() {
        let entries = recorded(|sink| {
            sink.on_event(&Event::Up { epoch: 1, instruments: 3 });
            sink.on_event(&Event::Closed { clean: true });
            let mut next = sink.recorder.sink(SOURCE);
            next.on_event(&Event::Up { epoch: 1, instruments: 3 });
            let mut other = sink.recorder.sink(Source { connection: 2, ..SOURCE });
            other.on_event(&Event::Up { epoch: 1, instruments: 3 });
        });
        let gaps: Vec<_> = entries.iter().filter_map(Entry::gap).collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].reason, GapReason::Disconnected);
        assert_eq!(gaps[0].from_unix_ns, entries[1].recv_unix_ns(), "since it was closed");
        assert_eq!(entries[2].gap(), Some(gaps[0]));
    }

    #[test]
    fn text_frames_are_recorded_as_received() {
        let said = r#"{"type":"message","data":"hello"}"#;
        let text = Bytes::from_static(said.as_bytes());
        let entries = recorded(|sink| {
            let message = Arc::new(kite_wire::text::TextMessage::parse(said).unwrap());
            let received = Stamp::now();
            sink.on_event(&Event::Text { text: text.clone(), message, received });
        });
        assert_eq!((entries[0].kind, &entries[0].payload), (RecordKind::Text, &text));
    }
}
