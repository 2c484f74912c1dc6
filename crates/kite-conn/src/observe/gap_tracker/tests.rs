mod moves;

use std::cell::Cell;

use bytes::Bytes;
use kite_wire::{Fields, FrameEncoder, FullFields, IndexFields, QuoteFields, Tick};

use super::*;
use crate::observe::VolumeMissed;

const SETTLE: Duration = Duration::from_secs(10);
/// 4 August 2025, 10:00 in India.
const MORNING_UNIX_S: u32 = 1_754_281_800;

thread_local! {
    static NOW_UNIX_S: Cell<u64> = const { Cell::new(MORNING_UNIX_S as u64) };
}

fn wall_clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_UNIX_S.get())
}

fn quote(token: u32, volume: u32) -> Tick {
    let fields = Fields::Quote(QuoteFields { volume, ..QuoteFields::default() });
    Tick { instrument_token: token, last_price: 5, fields }
}

fn full(token: u32, volume: u32, exchange_timestamp: u32) -> Tick {
    let quote = QuoteFields { volume, ..QuoteFields::default() };
    let full = FullFields { exchange_timestamp, ..FullFields::default() };
    Tick { instrument_token: token, last_price: 5, fields: Fields::Full { quote, full } }
}

fn ltp(token: u32) -> Tick {
    Tick { instrument_token: token, last_price: 5, fields: Fields::Ltp }
}

fn frame(ticks: &[Tick]) -> TickBatch {
    let mut buffer = vec![0; 2 + 186 * ticks.len()];
    let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
    ticks.iter().for_each(|tick| encoder.push(tick).unwrap());
    TickBatch::new(Bytes::copy_from_slice(encoder.finish())).unwrap()
}

/// A tracker on a clock that the test moves.
struct Line {
    tracker: GapTracker,
    start: Stamp,
}

impl Line {
    fn new() -> Self {
        Self::with(true)
    }

    fn with(tracked: bool) -> Self {
        NOW_UNIX_S.set(MORNING_UNIX_S.into());
        let instruments = tracked.then(|| InstrumentWriter::new(Arc::default()));
        let unsettled = Arc::default();
        let tracker = GapTracker::new(instruments, unsettled, SETTLE, wall_clock);
        Self { tracker, start: Stamp::now() }
    }

    fn at(&self, seconds: u64) -> Stamp {
        Stamp::at(self.start.to_instant() + Duration::from_secs(seconds))
    }

    fn frame(&mut self, seconds: u64, ticks: &[Tick]) -> Option<Gap> {
        let tokens: Vec<u32> = ticks.iter().map(|tick| tick.instrument_token).collect();
        self.tracker.on_subscribed(&tokens);
        self.tracker.on_frame(&frame(ticks), self.at(seconds));
        self.gap()
    }

    /// Returns the gap to report; there is at most one.
    fn gap(&mut self) -> Option<Gap> {
        let gap = self.tracker.poll_settled();
        assert_eq!(self.tracker.poll_settled(), None);
        gap
    }

    fn lose(&mut self, seconds: u64, subscribed: &[(u32, Mode)]) -> Option<Gap> {
        let (last_heard, lost) = (self.at(seconds - 1), self.at(seconds));
        self.tracker.on_lost(1, last_heard, lost, subscribed.iter().copied().collect());
        self.gap()
    }

    fn up(&mut self, seconds: u64) -> Option<Gap> {
        let all = (0..1_000).map(|token| (token, Mode::Full)).collect();
        self.up_with(seconds, &all)
    }

    fn up_with(&mut self, seconds: u64, desired: &BTreeMap<u32, Mode>) -> Option<Gap> {
        self.tracker.on_up(2, self.at(seconds), desired);
        self.gap()
    }
}

fn volumes(gap: &Gap) -> Vec<(u32, VolumeMissed)> {
    gap.instruments.iter().map(|missed| (missed.token, missed.volume)).collect()
}

#[test]
fn a_gap_reports_its_times_and_the_volume_each_instrument_missed() {
    let mut line = Line::new();
    line.frame(0, &[quote(256, 1_000), full(257, 50, MORNING_UNIX_S)]);
    line.frame(1, &[quote(256, 1_010)]);
    assert_eq!(line.lose(5, &[(256, Mode::Quote), (257, Mode::Full)]), None);
    assert_eq!(line.up(8), None);
    assert_eq!(line.frame(9, &[quote(256, 1_500)]), None, "257 is not back");
    let gap = line.frame(10, &[full(257, 50, MORNING_UNIX_S), quote(256, 1_600)]).unwrap();
    assert_eq!((gap.lost_epoch, gap.epoch), (1, 2));
    assert_eq!((gap.last_heard, gap.lost, gap.up), (line.at(4), line.at(5), line.at(8)));
    assert_eq!(gap.resumed, Some(line.at(9)));
    assert_eq!(gap.without_ticks(), Some(Duration::from_secs(5)));
    assert_eq!(
        volumes(&gap),
        [(256, VolumeMissed::Known(490)), (257, VolumeMissed::Known(0))],
        "up to the first tick after the gap, not the second"
    );
    assert_eq!(gap.instruments[1].mode, Mode::Full);
    assert_eq!(gap.known_volume(), 490);
    assert_eq!(line.frame(11, &[quote(256, 1_700)]), None, "a gap is reported once");
}

#[test]
fn an_unknown_volume_has_its_reason() {
    let index = IndexFields::default();
    let index = |token| Tick { fields: Fields::IndexQuote(index), ..ltp(token) };
    let mut line = Line::new();
    line.frame(0, &[ltp(256), index(265), quote(258, 900), quote(259, 4), quote(260, 7)]);
    line.frame(1, &[quote(259, 5), quote(261, 5)]);
    let subscribed = [256, 265, 258, 259, 260, 261, 300].map(|token| (token, Mode::Quote));
    line.lose(5, &subscribed);
    line.up(6);
    let back = [ltp(256), index(265), quote(258, 800), quote(259, 6), quote(261, 6), quote(300, 1)];
    assert_eq!(line.frame(7, &back), None);
    assert_eq!(line.frame(15, &[]), None);
    let gap = line.frame(16, &[]).expect("a heartbeat settles it");
    let expected = [
        (256, VolumeMissed::NotCarried),
        (258, VolumeMissed::Fell),
        (259, VolumeMissed::Known(1)),
        (260, VolumeMissed::NotBack),
        (261, VolumeMissed::UnknownDay),
        (265, VolumeMissed::NotCarried),
        (300, VolumeMissed::NeverSeen),
    ];
    assert_eq!(volumes(&gap), expected);
}

#[test]
fn volume_is_not_compared_across_days() {
    let evening = MORNING_UNIX_S + 6 * 3_600;
    let mut line = Line::new();
    line.frame(0, &[quote(256, 1_000), full(257, 2_000, evening), full(258, 3_000, evening)]);
    line.lose(5, &[256, 257, 258].map(|token| (token, Mode::Full)));
    NOW_UNIX_S.set(u64::from(evening) + 15 * 3_600);
    line.up(50_000);
    // Before the market opens the server sends the last tick of the day before.
    let back = [quote(256, 1_200), full(257, 2_000, evening), full(258, 3_500, evening + 54_000)];
    let gap = line.frame(50_001, &back).unwrap();
    let expected = [
        (256, VolumeMissed::OtherDay),
        (257, VolumeMissed::Known(0)),
        (258, VolumeMissed::OtherDay),
    ];
    assert_eq!(volumes(&gap), expected);
}

#[test]
fn a_full_instrument_waits_for_the_exchanges_time_though_it_begins_in_quote_mode() {
    let evening = MORNING_UNIX_S + 6 * 3_600;
    let mut line = Line::new();
    line.frame(0, &[full(256, 5_000, MORNING_UNIX_S), full(257, 5_000, evening)]);
    line.lose(5, &[256, 257].map(|token| (token, Mode::Full)));
    line.up(6);
    assert_eq!(
        line.frame(7, &[quote(256, 100), quote(257, 5_020)]),
        None,
        "the exchange timestamp is pending"
    );
    let next_day = full(256, 130, MORNING_UNIX_S + 86_400);
    let gap = line.frame(8, &[next_day, full(257, 5_090, evening)]).unwrap();
    let expected = [(256, VolumeMissed::OtherDay), (257, VolumeMissed::Known(20))];
    assert_eq!(volumes(&gap), expected, "up to the first tick");
    assert_eq!(gap.resumed, Some(line.at(7)));
}

#[test]
fn a_gap_does_not_wait_for_unsubscribed_instruments() {
    let mut line = Line::new();
    line.frame(0, &[quote(256, 1), quote(257, 0)]);
    line.frame(1, &[quote(257, 1)]);
    line.lose(5, &[256, 257].map(|token| (token, Mode::Quote)));
    let desired = BTreeMap::from([(257, Mode::Quote)]);
    assert_eq!(line.up_with(6, &desired), None);
    let gap = line.frame(7, &[quote(257, 4)]).unwrap();
    assert_eq!(volumes(&gap), [(256, VolumeMissed::Unsubscribed), (257, VolumeMissed::Known(3))]);
    line.lose(8, &[(257, Mode::Quote)]);
    let gap = line.up_with(9, &BTreeMap::new()).unwrap();
    assert_eq!(volumes(&gap), [(257, VolumeMissed::Unsubscribed)], "nothing to wait for");
}

#[test]
fn a_tick_of_yesterday_received_today_is_not_counted_as_todays() {
    let mut line = Line::new();
    // Before the market opens, the snapshot is from the day before. Then the socket is lost.
    line.frame(0, &[quote(256, 1_000), quote(257, 1_000)]);
    let subscribed = [256, 257].map(|token| (token, Mode::Quote));
    line.lose(5, &subscribed);
    line.up(6);
    let gap = line.frame(7, &[quote(256, 5_000), quote(257, 1_000)]).unwrap();
    assert_eq!(volumes(&gap), [(256, VolumeMissed::UnknownDay), (257, VolumeMissed::Known(0))]);
    // A volume that has changed is of today.
    line.lose(8, &subscribed);
    line.up(9);
    let gap = line.frame(10, &[quote(256, 5_100), quote(257, 1_000)]).unwrap();
    assert_eq!(gap.known_volume(), 100);
}

#[test]
fn a_loss_closes_an_unsettled_gap_and_the_next_counts_from_the_last_tick_seen() {
    let mut line = Line::new();
    line.frame(0, &[quote(256, 90), quote(257, 90)]);
    line.frame(1, &[quote(256, 100), quote(257, 100)]);
    let subscribed = [256, 257].map(|token| (token, Mode::Quote));
    line.lose(5, &subscribed);
    line.up(6);
    line.frame(7, &[quote(256, 150)]);
    let first = line.lose(8, &subscribed).unwrap();
    assert_eq!(volumes(&first), [(256, VolumeMissed::Known(50)), (257, VolumeMissed::NotBack)]);
    line.up(9);
    let second = line.frame(10, &[quote(256, 160), quote(257, 190)]).unwrap();
    let expected = [(256, VolumeMissed::Known(10)), (257, VolumeMissed::Known(90))];
    assert_eq!(volumes(&second), expected);
}

#[test]
fn every_reconnect_has_a_gap_even_if_nothing_ticks() {
    let mut line = Line::new();
    line.lose(5, &[]);
    let empty = line.up(6).unwrap();
    assert_eq!((empty.resumed, empty.instruments.len()), (None, 0));
    line.lose(7, &[(256, Mode::Full)]);
    line.up(8);
    let silent = line.frame(30, &[]).unwrap();
    assert_eq!(silent.resumed, None);
    assert_eq!(volumes(&silent), [(256, VolumeMissed::NeverSeen)]);
    // If no socket follows, there is no reconnect and no gap.
    line.lose(40, &[(256, Mode::Full)]);
    line.tracker.settle();
    assert_eq!(line.gap(), None);
}

#[test]
fn without_tracking_the_gap_settles_once_all_are_back() {
    let mut line = Line::with(false);
    line.frame(0, &[quote(256, 1), ltp(257)]);
    line.lose(5, &[(256, Mode::Quote), (257, Mode::Ltp)]);
    line.up(6);
    assert_eq!(line.frame(7, &[quote(256, 9), quote(256, 10)]), None);
    let gap = line.frame(8, &[ltp(257)]).unwrap();
    assert!(gap.instruments.iter().all(|missed| missed.volume == VolumeMissed::NotTracked));
    assert_eq!(gap.resumed, Some(line.at(7)));
}
