//! Bars from the records of a tape.

use kite_candles::{Bar, Config, Counts, Every, Flags, RecordedCandles};
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};
use kite_wire::{Frame, Tick};

use super::feed::{INFY, State, assert_flags, frame, ns, s};

const RELIANCE: u32 = 738_561;
const FIRST: Source = Source { account: 0, connection: 0 };
const SECOND: Source = Source { account: 0, connection: 1 };

struct Tape {
    candles: RecordedCandles,
    bars: Vec<(usize, Bar)>,
}

impl Tape {
    fn new(lengths: &[&str]) -> Self {
        let config = |length: &&str| {
            let mut config = Config::default();
            config.every = length.parse().unwrap();
            config
        };
        let candles = RecordedCandles::new(lengths.iter().map(config)).unwrap();
        Self { candles, bars: Vec::new() }
    }

    fn record(&mut self, source: Source, at: &str, kind: RecordKind, payload: &[u8]) {
        let received = Received { recv_unix_ns: ns(at), source };
        let mut out = |nth, item: kite_candles::Item| self.bars.push((nth, *item.bar()));
        self.candles.on_record(received, kind, payload, &mut out);
        if kind == RecordKind::Binary {
            for packet in Frame::walk(payload).packets() {
                self.candles.on_packet(received, packet, &mut out);
            }
        }
    }

    /// A full packet that shows a trade one second before.
    fn tick(&mut self, source: Source, token: u32, at: &str, volume: u32) {
        let exchange_s = s(at) - 1;
        let state =
            State { price: 100, volume, exchange_s, traded_s: exchange_s, ..State::default() };
        let tick = Tick { instrument_token: token, last_price: 100, fields: state.full() };
        self.record(source, at, RecordKind::Binary, &frame(&[tick]));
    }

    fn heartbeat(&mut self, source: Source, at: &str) {
        self.record(source, at, RecordKind::Binary, &[0]);
    }

    fn note(&mut self, source: Source, at: &str, note: &str) {
        self.record(source, at, RecordKind::Event, note.as_bytes());
    }

    fn gap(&mut self, source: Source, reason: GapReason, from: &str, to: &str) {
        let gap = Gap { reason, from_unix_ns: ns(from), to_unix_ns: ns(to), frames: None };
        self.record(source, to, RecordKind::Gap, &gap.to_bytes());
    }

    fn finish(mut self) -> (Vec<Bar>, Vec<Counts>) {
        let counts = self
            .candles
            .finish(&mut |nth, item: kite_candles::Item| self.bars.push((nth, *item.bar())));
        self.bars.sort_by_key(|(nth, bar)| (*nth, bar.start, bar.instrument_token));
        (self.bars.into_iter().map(|(_, bar)| bar).collect(), counts)
    }
}

/// Both instruments tick before the session, each on its connection, and in the first minute.
fn started(lengths: &[&str]) -> Tape {
    let mut tape = Tape::new(lengths);
    for (source, token) in [(FIRST, INFY), (SECOND, RELIANCE)] {
        tape.tick(source, token, "09:14:00", 0);
        tape.tick(source, token, "09:15:10", 10);
    }
    tape
}

#[test]
fn a_gap_concerns_the_instruments_of_its_connection() {
    let mut tape = started(&["1m"]);
    tape.gap(FIRST, GapReason::QueueFull, "09:15:20", "09:15:25");
    for (source, token) in [(FIRST, INFY), (SECOND, RELIANCE)] {
        tape.tick(source, token, "09:15:30", 30);
    }
    tape.heartbeat(FIRST, "09:20:00");
    let (bars, _) = tape.finish();
    assert_eq!((bars[0].instrument_token, bars[1].instrument_token), (INFY, RELIANCE));
    let of = |bar: &Bar| (bar.volume, bar.missed_volume, bar.missed_ms);
    assert_eq!((of(&bars[0]), of(&bars[1])), ((Some(10), 20, 5_000), (Some(30), 0, 0)));
    assert_flags(&bars[0], Flags::GAP);
    assert_flags(&bars[1], Flags::default());
}

#[test]
fn an_instrument_that_fails_over_has_a_gap_to_its_first_packet_elsewhere() {
    let mut tape = started(&["1m"]);
    tape.heartbeat(FIRST, "09:15:15");
    tape.note(FIRST, "09:15:20", r#"{"event":"down","epoch":1,"cause":"reset"}"#);
    tape.tick(SECOND, INFY, "09:15:21", 17);
    tape.tick(SECOND, RELIANCE, "09:15:21", 17);
    tape.tick(SECOND, INFY, "09:15:30", 20);
    // The record of the gap comes when the first connection is up again, long after the move.
    tape.gap(FIRST, GapReason::Disconnected, "09:15:15", "09:18:00");
    tape.tick(SECOND, INFY, "09:18:30", 25);
    tape.tick(SECOND, RELIANCE, "09:18:30", 25);
    tape.heartbeat(FIRST, "09:20:00");
    let (bars, _) = tape.finish();
    let of = |bar: &Bar| (bar.instrument_token, bar.volume, bar.missed_volume, bar.missed_ms);
    assert_eq!(
        bars.iter().map(of).collect::<Vec<_>>(),
        [
            (INFY, Some(13), 7, 6_000),
            (RELIANCE, Some(17), 0, 0),
            (INFY, Some(5), 0, 0),
            (RELIANCE, Some(8), 0, 0),
        ]
    );
}

#[test]
fn a_recorder_that_was_not_running_is_a_gap_for_all() {
    let mut tape = started(&["1m", "1d"]);
    tape.gap(Source::RECORDER, GapReason::RecorderStopped, "09:15:12", "09:17:30");
    // The next run has the instruments on other connections.
    tape.tick(SECOND, INFY, "09:17:31", 50);
    tape.tick(FIRST, RELIANCE, "09:17:32", 10);
    tape.heartbeat(FIRST, "15:30:05");
    let (bars, counts) = tape.finish();
    let of = |bar: &Bar| (bar.instrument_token, s("09:15:00") == bar.start.0, bar.missed_ms);
    assert_eq!(
        bars[..3].iter().map(of).collect::<Vec<_>>(),
        [(INFY, true, 48_000), (RELIANCE, true, 48_000), (INFY, false, 31_000),]
    );
    assert_eq!((bars[2].volume, bars[2].missed_volume), (Some(0), 40));
    // The day's bar has the same gap, and none after the session.
    let days: Vec<_> = bars[3..].iter().map(|bar| bar.missed_ms).collect();
    assert_eq!((days, counts.len()), (vec![139_000, 140_000], 2));
}

#[test]
fn a_recording_that_ends_within_a_bar_has_missed_the_rest_of_it() {
    let mut tape = started(&["1m"]);
    tape.heartbeat(SECOND, "09:15:45");
    let (bars, _) = tape.finish();
    assert_eq!(bars.iter().map(|bar| bar.missed_ms).collect::<Vec<_>>(), [15_000, 15_000]);
    assert_flags(&bars[0], Flags::GAP);
}

#[test]
fn damage_and_cuts_are_gaps_for_all() {
    for is_cut in [false, true] {
        let mut tape = started(&["1m"]);
        if is_cut {
            tape.note(Source::RECORDER, "09:15:20", r#"{"event":"cut"}"#);
        } else {
            let (from, to) = (Some(ns("09:15:12")), Some(ns("09:15:20")));
            let Tape { candles, bars } = &mut tape;
            candles.on_damage(from, to, &mut |nth, item| bars.push((nth, *item.bar())));
        }
        for (source, token) in [(FIRST, INFY), (SECOND, RELIANCE)] {
            tape.tick(source, token, "09:15:20", 15);
        }
        tape.heartbeat(FIRST, "09:16:00");
        let (bars, _) = tape.finish();
        let of = |bar: &Bar| (bar.missed_ms, bar.missed_volume, bar.flags.contains(Flags::GAP));
        let expected = (if is_cut { 10_000 } else { 8_000 }, 5, true);
        assert_eq!((of(&bars[0]), of(&bars[1])), (expected, expected), "{is_cut}");
    }
}

#[test]
fn bars_without_trades_within_a_gap_are_flagged_though_other_connections_were_up() {
    let mut config = Config::default();
    (config.every, config.build_with_no_updates) = (Every::MINUTE, true);
    let mut tape = started(&[]);
    tape.candles = RecordedCandles::new([config]).unwrap();
    for (at, volume) in [("09:14:00", 0), ("09:15:10", 10)] {
        tape.tick(FIRST, INFY, at, volume);
    }
    for minute in 16..40 {
        tape.heartbeat(SECOND, &format!("09:{minute}:00"));
    }
    tape.gap(FIRST, GapReason::Disconnected, "09:16:00", "09:40:00");
    tape.tick(FIRST, INFY, "09:40:01", 20);
    let (bars, counts) = tape.finish();
    assert_eq!(counts[0].late_gaps, 0);
    let within: Vec<_> = bars.iter().filter(|bar| bar.packets == 0).collect();
    assert_eq!(within.len(), 24);
    assert!(within.iter().all(|bar| bar.missed_ms == 60_000), "{within:?}");
}

#[test]
fn the_bars_of_a_day_are_passed_on_when_the_next_one_begins() {
    let mut tape = started(&["1m"]);
    tape.gap(Source::RECORDER, GapReason::RecorderStopped, "09:15:30", "+1 09:00:00");
    assert_eq!(tape.bars.len(), 2);
    assert!(tape.bars.iter().all(|(_, bar)| bar.missed_ms == 30_000), "{:?}", tape.bars);
    let (bars, counts) = tape.finish();
    assert_eq!((bars.len(), counts[0].late_gaps), (2, 0));
}
