//! Finds silences and steps of the clock in a recording.
//!
//! It has neither a file nor a clock, so it follows a recorder's records as they arrive as well as
//! those of a tape as they are read.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};

/// Maximum number of silences kept of each kind and connection, and of steps of the clock. A day
/// has 17,280 stretches of five seconds.
const MOST_LISTED: usize = 1_000_000;

/// Difference up to which two connections report the same step of the clock.
const SAME_STEP_MS: u64 = 1_000;

/// Time between two connections' reports of the same step. Each compares its clocks once a second.
const SAME_STEP_NS: u64 = 2_000_000_000;

const SECOND_NS: u128 = 1_000_000_000;

/// A stretch of time in which a connection was up and received nothing, or no ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Silence {
    /// The connection.
    pub source: Source,
    /// What did not arrive.
    pub kind: SilenceKind,
    /// When the last frame, or the last frame with ticks, was received, in nanoseconds since the
    /// Unix epoch. After a connect, the time of the connect.
    pub from_unix_ns: u64,
    /// When the next one was received, or the connection or the recording ended.
    pub to_unix_ns: u64,
}

impl Silence {
    /// Returns how long it lasted.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.to_unix_ns.saturating_sub(self.from_unix_ns))
    }
}

/// What did not arrive during a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SilenceKind {
    /// No frame at all, not even a heartbeat.
    NoFrames,
    /// Frames, such as heartbeats, but no ticks, on a connection that receives at least one tick a
    /// second on average.
    NoTicks,
}

impl SilenceKind {
    /// Returns the name for reports, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFrames => "no_frames",
            Self::NoTicks => "no_ticks",
        }
    }
}

/// A step of the recorder's clock, as the note `clock_stepped` on the tape reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockStep {
    /// When it was noted, by the clock after the step, in nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// By how much the clock was set, in milliseconds; negative if it was set back.
    pub by_ms: i64,
}

/// The silences and the steps of the clock in a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Silences {
    /// The silences in the order of their start; at most 1,000,000 of each kind and connection.
    pub silences: Vec<Silence>,
    /// The steps of the clock, in the order of the tape. A step that several connections noted is
    /// one.
    pub clock_steps: Vec<ClockStep>,
}

impl Silences {
    /// Returns the total duration of the silences.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.silences.iter().map(Silence::duration).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Returns the longest silences, the longest first.
    #[must_use]
    pub fn longest(&self, count: usize) -> Vec<Silence> {
        let mut longest = self.silences.clone();
        longest.sort_by_key(|silence| std::cmp::Reverse(silence.duration()));
        longest.truncate(count);
        longest
    }

    /// Keeps the silences and steps that have a time for which `overlaps(first, last)` is true.
    pub fn retain(&mut self, overlaps: impl Fn(u64, u64) -> bool) {
        self.silences.retain(|it| overlaps(it.from_unix_ns, it.to_unix_ns));
        self.clock_steps.retain(|it| overlaps(it.at_unix_ns, it.at_unix_ns));
    }
}

/// Finds silences: no frame, or no tick, for longer than a given time.
///
/// Time during which a connection was down, or frames are missing for another reason, is a gap and
/// not a silence, and neither is time that [`cut`](crate::cut) has cut off, or that an account which
/// [`merge`](crate::merge) took records from only fills. Records are given in the order of the tape. A step of the clock that the tape
/// notes neither hides a silence nor causes one.
#[derive(Debug, Clone)]
pub struct SilenceDetector {
    quiet_after_ns: u64,
    connections: BTreeMap<Source, Connection>,
    /// The time of the last record, other than those that only fill.
    latest_unix_ns: u64,
    clock_steps: Vec<ClockStep>,
    /// On merged tapes, the first account that only fills what another recording misses.
    filling: Option<u8>,
}

impl SilenceDetector {
    /// The time after which a connection counts as silent by default. Kite sends a heartbeat every
    /// second.
    pub const QUIET_AFTER: Duration = Duration::from_secs(5);

    /// Creates a detector of silences longer than this.
    #[must_use]
    pub fn new(quiet_after: Duration) -> Self {
        Self {
            quiet_after_ns: u64::try_from(quiet_after.as_nanos()).unwrap_or(u64::MAX),
            connections: BTreeMap::new(),
            latest_unix_ns: 0,
            clock_steps: Vec::new(),
            filling: None,
        }
    }

    /// Takes the next record.
    pub fn take(&mut self, received: Received, kind: RecordKind, payload: &[u8]) {
        let Received { recv_unix_ns: now, source } = received;
        let quiet = self.quiet_after_ns;
        let is_filling =
            self.filling.is_some_and(|first| source.account >= first) && source != Source::RECORDER;
        match kind {
            _ if is_filling => {}
            RecordKind::Binary => self.connection(source).frame(now, packets(payload), quiet),
            RecordKind::Text => self.connection(source).frame(now, 0, quiet),
            RecordKind::Gap => self.gap(received, payload),
            RecordKind::Event => self.note(received, payload),
            _ => {}
        }
        // When the first recording of a merge is over, its connections have ended with it.
        if !is_filling {
            self.latest_unix_ns = now;
        }
    }

    /// Returns the silences found. A connection that has not ended is silent since its last frame.
    #[must_use]
    pub fn finish(mut self) -> Silences {
        self.end_all(self.latest_unix_ns);
        let mut silences: Vec<Silence> = Vec::new();
        for (&source, connection) in &self.connections {
            let kinds = [
                (SilenceKind::NoFrames, &connection.no_frames, true),
                (SilenceKind::NoTicks, &connection.no_ticks, connection.is_busy()),
            ];
            for (kind, stretches, counts) in kinds {
                let found = stretches.iter().filter(|_| counts);
                silences.extend(found.map(|&(from_unix_ns, to_unix_ns)| Silence {
                    source,
                    kind,
                    from_unix_ns,
                    to_unix_ns,
                }));
            }
        }
        silences.sort_by_key(|silence| silence.from_unix_ns);
        Silences { silences, clock_steps: self.clock_steps }
    }

    fn connection(&mut self, source: Source) -> &mut Connection {
        self.connections.entry(source).or_default()
    }

    fn gap(&mut self, received: Received, payload: &[u8]) {
        let Some(gap) = Gap::from_bytes(payload) else { return };
        let to = if gap.to_unix_ns == 0 { received.recv_unix_ns } else { gap.to_unix_ns };
        let quiet = self.quiet_after_ns;
        let all = received.source == Source::RECORDER;
        for (source, connection) in &mut self.connections {
            if !all && *source != received.source {
                continue;
            }
            connection.pause(gap.from_unix_ns, quiet);
            match gap.reason {
                // The connections of the next run come up first.
                GapReason::RecorderStopped => connection.end(),
                _ => connection.resume(to),
            }
        }
    }

    /// Notes by a merge or a cut.
    fn note_edit(&mut self, note: &[u8]) {
        if note.starts_with(br#"cut""#) {
            // The time before it is not on the tape.
            self.end_all(self.latest_unix_ns);
        } else if note.starts_with(br#"merged""#) {
            let offset = note.rsplit(|byte| *byte == b':').next().and_then(leading_number);
            self.filling = offset.and_then(|offset| u8::try_from(offset).ok());
        }
    }

    fn note(&mut self, received: Received, payload: &[u8]) {
        let Some(note) = payload.strip_prefix(br#"{"event":""#.as_slice()) else { return };
        let Received { recv_unix_ns: now, source } = received;
        let quiet = self.quiet_after_ns;
        if source == Source::RECORDER {
            return self.note_edit(note);
        }
        if let Some(members) = note.strip_prefix(br#"up","#.as_slice()) {
            // A first connect without an end before it: the recorder was killed and started again.
            let is_first = members.starts_with(br#""epoch":1,"#);
            if is_first && self.connection(source).frame_at.is_some() {
                self.end_all(self.latest_unix_ns);
            }
            self.connection(source).start(now);
        } else if note.starts_with(br#"closed""#) {
            let connection = self.connection(source);
            connection.pause(now, quiet);
            connection.end();
        } else if let Some(by) = note.strip_prefix(br#"clock_stepped","by_ms":"#.as_slice())
            && let Some(by_ms) = leading_number(by)
        {
            self.connection(source).shift(by_ms);
            self.note_step(ClockStep { at_unix_ns: now, by_ms });
        }
    }

    fn note_step(&mut self, step: ClockStep) {
        let is_same = |other: &ClockStep| {
            other.by_ms.abs_diff(step.by_ms) <= SAME_STEP_MS
                && other.at_unix_ns.abs_diff(step.at_unix_ns) <= SAME_STEP_NS
        };
        if self.clock_steps.len() < MOST_LISTED
            && !self.clock_steps.iter().rev().take(MOST_SAME).any(is_same)
        {
            self.clock_steps.push(step);
        }
    }

    fn end_all(&mut self, at_unix_ns: u64) {
        for connection in self.connections.values_mut() {
            connection.pause(at_unix_ns, self.quiet_after_ns);
            connection.end();
        }
    }
}

/// Number of steps among which one that another connection noted is searched for.
const MOST_SAME: usize = 4;

/// One connection, up or not.
#[derive(Debug, Clone, Default)]
struct Connection {
    /// When the last frame was received; `None` if the connection is not up.
    frame_at: Option<u64>,
    /// When the last frame with ticks was received.
    tick_at: Option<u64>,
    /// Whether frames without ticks were received since.
    has_other_frames: bool,
    /// Nanoseconds of being up.
    up_ns: u64,
    ticks: u64,
    no_frames: Vec<(u64, u64)>,
    no_ticks: Vec<(u64, u64)>,
}

impl Connection {
    fn frame(&mut self, now: u64, ticks: u16, quiet_after_ns: u64) {
        self.pause_frames(now, quiet_after_ns);
        self.frame_at = Some(now);
        if ticks > 0 {
            self.ticks += u64::from(ticks);
            self.pause_ticks(now, quiet_after_ns);
            self.tick_at = Some(now);
            self.has_other_frames = false;
        } else {
            self.has_other_frames = self.tick_at.is_some();
            self.tick_at.get_or_insert(now);
        }
    }

    /// Ends the silence that lasts, at the start of a gap or the end of the connection.
    fn pause(&mut self, at: u64, quiet_after_ns: u64) {
        self.pause_frames(at, quiet_after_ns);
        self.pause_ticks(at, quiet_after_ns);
    }

    fn pause_frames(&mut self, at: u64, quiet_after_ns: u64) {
        let Some(last) = self.frame_at else { return };
        let elapsed = at.saturating_sub(last);
        self.up_ns = self.up_ns.saturating_add(elapsed);
        if elapsed > quiet_after_ns && self.no_frames.len() < MOST_LISTED {
            self.no_frames.push((last, at));
        }
    }

    fn pause_ticks(&mut self, at: u64, quiet_after_ns: u64) {
        let Some(last) = self.tick_at else { return };
        // Without any frame in between it is a silence of frames already.
        if at.saturating_sub(last) > quiet_after_ns
            && self.has_other_frames
            && self.no_ticks.len() < MOST_LISTED
        {
            self.no_ticks.push((last, at));
        }
    }

    /// Continues after a gap.
    fn resume(&mut self, at: u64) {
        if self.frame_at.is_some() {
            self.start(at);
        }
    }

    fn start(&mut self, at: u64) {
        (self.frame_at, self.tick_at, self.has_other_frames) = (Some(at), Some(at), false);
    }

    fn end(&mut self) {
        (self.frame_at, self.tick_at, self.has_other_frames) = (None, None, false);
    }

    /// Follows a step of the clock.
    fn shift(&mut self, by_ms: i64) {
        let by_ns = by_ms.saturating_mul(1_000_000);
        for at in [&mut self.frame_at, &mut self.tick_at] {
            *at = at.map(|at| at.saturating_add_signed(by_ns));
        }
    }

    /// Returns whether it received at least one tick a second on average.
    fn is_busy(&self) -> bool {
        u128::from(self.ticks) * SECOND_NS >= u128::from(self.up_ns)
    }
}

/// Returns the number of packets that a frame declares; 0 for a heartbeat.
fn packets(frame: &[u8]) -> u16 {
    frame.first_chunk().map_or(0, |count| u16::from_be_bytes(*count))
}

/// Parses the number at the start of the text.
fn leading_number(text: &[u8]) -> Option<i64> {
    let len = text.iter().take_while(|it| it.is_ascii_digit() || **it == b'-').count();
    std::str::from_utf8(&text[..len]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_795_405_500 * SECOND;

    /// A detector, with times in seconds.
    struct Tape(SilenceDetector);

    impl Tape {
        fn new() -> Self {
            Self(SilenceDetector::new(SilenceDetector::QUIET_AFTER))
        }

        fn push(&mut self, second: u64, connection: u8, kind: RecordKind, payload: &[u8]) {
            let source = Source { account: 0, connection };
            let received = Received { recv_unix_ns: START + second * SECOND, source };
            self.0.take(received, kind, payload);
        }

        fn ticks(&mut self, seconds: impl IntoIterator<Item = u64>) {
            for second in seconds {
                self.push(second, 0, RecordKind::Binary, &[0, 9]);
            }
        }

        fn heartbeats(&mut self, seconds: impl IntoIterator<Item = u64>) {
            for second in seconds {
                self.push(second, 0, RecordKind::Binary, &[0]);
            }
        }

        fn note(&mut self, second: u64, connection: u8, note: &str) {
            self.push(second, connection, RecordKind::Event, note.as_bytes());
        }

        fn gap(&mut self, from: u64, to: u64) {
            let gap = Gap {
                reason: GapReason::Disconnected,
                from_unix_ns: START + from * SECOND,
                to_unix_ns: START + to * SECOND,
                frames: None,
            };
            self.push(to, 0, RecordKind::Gap, &gap.to_bytes());
        }

        fn found(self) -> Vec<(SilenceKind, u8, u64, u64)> {
            let second = |unix_ns: u64| (unix_ns - START) / SECOND;
            let found = self.0.finish().silences.into_iter();
            found
                .map(|it| {
                    let (from, to) = (second(it.from_unix_ns), second(it.to_unix_ns));
                    (it.kind, it.source.connection, from, to)
                })
                .collect()
        }
    }

    use SilenceKind::{NoFrames, NoTicks};

    #[test]
    fn eight_seconds_without_a_frame_are_a_silence_and_five_are_not() {
        let mut tape = Tape::new();
        tape.ticks((0..10).chain(18..30).chain([34, 35]));
        assert_eq!(tape.found(), [(NoFrames, 0, 9, 18)]);
    }

    #[test]
    fn heartbeats_alone_are_a_silence_of_ticks_on_a_busy_connection() {
        let mut tape = Tape::new();
        tape.ticks(0..10);
        tape.heartbeats(10..25);
        tape.ticks(25..30);
        assert_eq!(tape.found(), [(NoTicks, 0, 9, 25)]);
        let mut rare = Tape::new();
        for minute in 0..10 {
            rare.push(60 * minute, 0, RecordKind::Binary, &[0, 1]);
            rare.heartbeats((60 * minute + 1)..(60 * minute + 60));
        }
        assert_eq!(rare.found(), [], "less than a tick a second");
    }

    #[test]
    fn a_connection_that_is_silent_up_to_the_end_is_found() {
        for closed in [false, true] {
            let mut tape = Tape::new();
            tape.note(0, 0, r#"{"event":"up","epoch":1,"instruments":3}"#);
            tape.note(0, 1, r#"{"event":"up","epoch":1,"instruments":3}"#);
            tape.ticks(0..20);
            if closed {
                tape.note(20, 1, r#"{"event":"closed"}"#);
            }
            let until = if closed { 20 } else { 19 };
            assert_eq!(tape.found(), [(NoFrames, 1, 0, until)]);
        }
    }

    #[test]
    fn a_gap_is_not_a_silence() {
        let mut tape = Tape::new();
        tape.ticks(0..10);
        tape.note(15, 0, r#"{"event":"down","epoch":1,"cause":"reset"}"#);
        tape.gap(9, 30);
        tape.note(30, 0, r#"{"event":"up","epoch":2,"instruments":3}"#);
        tape.ticks(31..40);
        // Silent before the frames that a full queue lost.
        tape.gap(47, 50);
        tape.ticks(51..55);
        assert_eq!(tape.found(), [(NoFrames, 0, 39, 47)]);
    }

    #[test]
    fn the_time_between_two_runs_is_not_a_silence() {
        let mut closed = Tape::new();
        closed.ticks(0..10);
        closed.note(10, 0, r#"{"event":"closed"}"#);
        closed.note(500, 0, r#"{"event":"up","epoch":1,"instruments":3}"#);
        closed.ticks(500..510);
        assert_eq!(closed.found(), []);
        let mut killed = Tape::new();
        killed.push(0, 1, RecordKind::Binary, &[0]);
        killed.ticks(0..10);
        killed.note(500, 0, r#"{"event":"up","epoch":1,"instruments":3}"#);
        killed.ticks(500..510);
        assert_eq!(killed.found(), [(NoFrames, 1, 0, 9)], "up to the end of the first run");
    }

    #[test]
    fn a_step_of_the_clock_neither_hides_a_silence_nor_causes_one() {
        let mut tape = Tape::new();
        tape.ticks(1_000..1_010);
        tape.note(1_910, 0, r#"{"event":"clock_stepped","by_ms":900000}"#);
        tape.note(1_911, 1, r#"{"event":"clock_stepped","by_ms":900001}"#);
        tape.ticks(1_911..1_920);
        tape.note(1_027, 0, r#"{"event":"clock_stepped","by_ms":-900000}"#);
        tape.ticks(1_028..1_030);
        let steps = tape.0.clone().finish().clock_steps;
        let steps: Vec<_> =
            steps.iter().map(|it| (it.by_ms, (it.at_unix_ns - START) / SECOND)).collect();
        assert_eq!(steps, [(900_000, 1_910), (-900_000, 1_027)]);
        assert_eq!(tape.found(), [(NoFrames, 0, 1_019, 1_028)]);
    }

    #[test]
    fn time_that_is_cut_off_and_accounts_that_fill_another_are_not_silent() {
        let recorder = |second: u64| Received {
            recv_unix_ns: START + second * SECOND,
            source: Source::RECORDER,
        };
        let mut tape = Tape::new();
        tape.0.take(recorder(0), RecordKind::Event, br#"{"event":"cut"}"#);
        tape.ticks(0..10);
        tape.0.take(recorder(500), RecordKind::Event, br#"{"event":"cut","instruments":[5]}"#);
        tape.ticks((500..510).chain([520]));
        let merged = br#"{"event":"merged","tapes":["1"],"with":["2"],"account_offset":1}"#;
        tape.0.take(recorder(520), RecordKind::Event, merged);
        for second in [521, 530] {
            let source = Source { account: 1, connection: 0 };
            let received = Received { source, ..recorder(second) };
            tape.0.take(received, RecordKind::Binary, &[0]);
            tape.ticks([second]);
        }
        let source = Source { account: 1, connection: 0 };
        tape.0.take(Received { source, ..recorder(600) }, RecordKind::Binary, &[0]);
        assert_eq!(tape.found(), [(NoFrames, 0, 509, 520), (NoFrames, 0, 521, 530)]);
    }

    #[test]
    fn the_longest_come_first_and_all_are_in_the_total() {
        let mut tape = Tape::new();
        tape.ticks([0, 6, 20, 28]);
        let mut found = tape.0.finish();
        let seconds: Vec<_> = found.longest(2).iter().map(|it| it.duration().as_secs()).collect();
        assert_eq!((seconds, found.total().as_secs()), (vec![14, 8], 28));
        found.retain(|first, last| first < START + SECOND && last > START);
        assert_eq!(found.silences.len(), 1);
    }

    proptest! {
        /// Against the plain definition, on a tape of frames alone.
        #[test]
        fn silences_are_the_pauses_between_frames(
            pauses in prop::collection::vec((0_u64..12, any::<bool>()), 1..60),
        ) {
            let (mut tape, mut now) = (Tape::new(), 0);
            let (mut frames, mut ticks) = (Vec::new(), Vec::new());
            for (pause, has_ticks) in pauses {
                now += pause;
                let payload: &[u8] = if has_ticks { &[9, 9] } else { &[0] };
                tape.push(now, 0, RecordKind::Binary, payload);
                frames.push(now);
                if has_ticks || ticks.is_empty() {
                    ticks.push((now, frames.len()));
                }
            }
            let end = (now, frames.len());
            let mut expected: Vec<_> = frames
                .windows(2)
                .filter(|pair| pair[1] - pair[0] > 5)
                .map(|pair| (NoFrames, 0, pair[0], pair[1]))
                .collect();
            let is_busy = ticks.len() > 1 || tape.0.connections.values().any(|it| it.ticks > 0);
            ticks.push((end.0, end.1 + 1));
            expected.extend(ticks.windows(2).filter(|_| is_busy).filter_map(|pair| {
                let has_others = pair[1].1 - pair[0].1 > 1;
                let is_long = pair[1].0 - pair[0].0 > 5;
                (has_others && is_long).then_some((NoTicks, 0, pair[0].0, pair[1].0))
            }));
            let mut found = tape.found();
            found.sort_by_key(|it| (it.2, it.0 == NoTicks));
            expected.sort_by_key(|it| (it.2, it.0 == NoTicks));
            prop_assert_eq!(found, expected);
        }
    }
}
