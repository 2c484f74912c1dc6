//! Bars of all instruments, from packets and the time that the caller passes in.

use alloc::vec::Vec;
use core::time::Duration;

use kite_wire::{Packet, TokenMap};

use crate::bar::{Bar, Item};
use crate::counts::Counts;
use crate::every::Every;
use crate::grid::Grid;
use crate::instrument::{Feed, Instrument};
use crate::kept::Rules;
use crate::moment::Moment;
use crate::session::Sessions;
use crate::snapshot::Snapshot;

/// What bars to make. Names are those of nautilus_trader's bars where they mean the same.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Length of the bars; a minute by default.
    pub every: Every,
    /// How long after its end a bar waits for packets that are on their way; two seconds by
    /// default, at most [`Config::LONGEST_GRACE`].
    pub grace: Duration,
    /// Whether bars without trades are made, at the previous close, from the first bar of a day to
    /// the end of the session. By default they are left out.
    pub build_with_no_updates: bool,
    /// Whether the pre-open has bars, up to the start of the session. The day's bar includes it
    /// anyway.
    pub pre_open: bool,
    /// The hours of the instruments.
    pub sessions: Sessions,
}

impl Config {
    /// The longest grace: one minute.
    pub const LONGEST_GRACE: Duration = Duration::from_secs(60);
}

impl Default for Config {
    fn default() -> Self {
        Self {
            every: Every::MINUTE,
            grace: Duration::from_secs(2),
            build_with_no_updates: false,
            pre_open: false,
            sessions: Sessions::default(),
        }
    }
}

/// A setting that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The grace is too long.
    #[error("grace of {} ms; must be at most {} ms", asked.as_millis(), most.as_millis())]
    Grace {
        /// The grace of the configuration.
        asked: Duration,
        /// The longest one.
        most: Duration,
    },
}

/// The instruments that a gap concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affected<'a> {
    /// All that have ticked.
    All,
    /// Those whose last packet came from this source.
    Source(u32),
    /// Those with these tokens. Those that have not ticked are ignored: their first packet is only
    /// a baseline anyway.
    Tokens(&'a [u32]),
}

/// Makes bars from packets.
///
/// Performs no I/O and reads no clock: times are nanoseconds since the Unix epoch, as received. The
/// packets of one source must be in their order; those of several may be mixed. An instrument may
/// move from one source to another, as in a merged stream.
///
/// # Memory
/// Bounded for each instrument: less than 400 bytes of state, eight gaps of 16 bytes, and the
/// newest bars with less than 300 bytes each. Their number is two more than the bars that fit in
/// twice the grace plus two seconds: 3 bars of a minute, or 8 of a second. Instruments are never
/// removed.
///
/// # Examples
/// ```
/// use kite_candles::{Candles, Config, Item};
/// use kite_wire::{Fields, FrameEncoder, Frame, QuoteFields, Tick};
///
/// // A frame at 10:00:05 in India, and one two seconds later.
/// let at = 1_795_408_205_000_000_000;
/// let mut candles = Candles::live(Config::default())?;
/// let mut bars = Vec::new();
/// for (volume, price, at) in [(1_000, 157_370, at), (1_250, 157_400, at + 2_000_000_000)] {
///     let quote = QuoteFields { volume, ..QuoteFields::default() };
///     let fields = Fields::Quote(quote);
///     let tick = Tick { instrument_token: 408_065, last_price: price, fields };
///     let mut buffer = [0; 64];
///     let mut frame = FrameEncoder::new(&mut buffer)?;
///     frame.push(&tick)?;
///     for packet in Frame::walk(frame.finish()).packets() {
///         candles.on_packet(packet, at, &mut |item| bars.push(item));
///     }
/// }
/// // At 10:01:02 the bar has ended, and the grace too.
/// candles.advance(at + 57_000_000_000, &mut |item| bars.push(item));
/// let [Item::Bar(bar)] = bars[..] else { panic!() };
/// assert_eq!((bar.close.to_string().as_str(), bar.volume), ("1574.00", Some(250)));
/// assert_eq!(bar.flags.to_string(), "partial_start by_arrival");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Candles {
    rules: Rules,
    sessions: Sessions,
    index: TokenMap<u32>,
    instruments: Vec<Instrument>,
    last_input_unix_ns: u64,
    /// When the day after the newest input starts.
    next_day_unix_ns: u64,
    /// The time of the last packet.
    moment: Moment,
    /// The first input of the day.
    since_unix_ns: u64,
    /// When there is something to do next.
    due_unix_ns: u64,
    counts: Counts,
}

impl Candles {
    /// Makes bars for a running feed: each is passed on when it has ended, and again as a
    /// [`Item::Correction`] if it changes later.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is out of range.
    pub fn live(config: Config) -> Result<Self, ConfigError> {
        Self::new(config, true)
    }

    /// Makes bars for a recording: each is passed on once, when it can no longer change. They are
    /// the last states of those that [`Candles::live`] passes on.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is out of range.
    pub fn batch(config: Config) -> Result<Self, ConfigError> {
        Self::new(config, false)
    }

    fn new(config: Config, live: bool) -> Result<Self, ConfigError> {
        let Config { every, grace, build_with_no_updates, pre_open, sessions } = config;
        if grace > Config::LONGEST_GRACE {
            return Err(ConfigError::Grace { asked: grace, most: Config::LONGEST_GRACE });
        }
        // At most a minute, so that both fit. A trade may be as late as the grace, or as early.
        let grace_ns = grace.as_nanos() as u64;
        let kept = (2 * grace.as_secs() + 2).div_ceil(every.as_secs().into()) as usize + 2;
        let grid = Grid { every, pre_open };
        Ok(Self {
            rules: Rules { grid, grace_ns, fill: build_with_no_updates, live, kept },
            sessions,
            index: TokenMap::new(),
            instruments: Vec::new(),
            last_input_unix_ns: 0,
            next_day_unix_ns: 0,
            // No packet is received then.
            moment: Moment::new(u64::MAX, grace_ns),
            since_unix_ns: 0,
            due_unix_ns: u64::MAX,
            counts: Counts::default(),
        })
    }

    /// Handles a packet that was received at this time, and passes what follows from it to `out`.
    /// Its source is 0.
    pub fn on_packet(&mut self, packet: Packet<'_>, recv_unix_ns: u64, out: &mut impl FnMut(Item)) {
        self.on_packet_from(0, packet, recv_unix_ns, out);
    }

    /// Handles a packet of one of several sources, such as connections. What they are numbered by
    /// is up to the caller.
    ///
    /// If two sources carry an instrument, a packet that shows an older state than the other
    /// source's packet before is ignored and counted as [`Counts::out_of_order`].
    pub fn on_packet_from(
        &mut self,
        source: u32,
        packet: Packet<'_>,
        recv_unix_ns: u64,
        out: &mut impl FnMut(Item),
    ) {
        if self.moment.unix_ns != recv_unix_ns {
            self.on_input(recv_unix_ns, out);
            self.moment = Moment::new(recv_unix_ns, self.rules.grace_ns);
        }
        self.counts.packets += 1;
        // Before the due time no bar has to be passed on.
        if recv_unix_ns < self.due_unix_ns
            && let Some(full) = packet.full()
            && let Some(at) = self.index.get(packet.instrument_token())
            && let Some(instrument) = self.instruments.get_mut(*at as usize)
            && instrument.on_usual_packet(full, source, &self.moment, &mut self.counts)
        {
            return;
        }
        self.on_unusual_packet(source, packet, out);
    }

    /// Handles a packet that continues no run.
    #[inline(never)]
    fn on_unusual_packet(&mut self, source: u32, packet: Packet<'_>, out: &mut impl FnMut(Item)) {
        let token = packet.instrument_token();
        let at = match self.index.get(token) {
            Some(at) => *at as usize,
            None => {
                // Tokens have 32 bits, so their number fits.
                self.index.insert(token, self.instruments.len() as u32);
                self.instruments.push(Instrument::new(token));
                self.instruments.len() - 1
            }
        };
        let feed = Feed {
            rules: &self.rules,
            sessions: &self.sessions,
            since_unix_ns: self.since_unix_ns,
            at: &self.moment,
        };
        if let Some(instrument) = self.instruments.get_mut(at) {
            let now = Snapshot::of(packet);
            let has_new_bar = instrument.on_packet(now, source, feed, &mut self.counts, out);
            if has_new_bar && self.rules.live {
                let due = instrument.next_due_ns(&self.rules).unwrap_or(u64::MAX);
                self.due_unix_ns = self.due_unix_ns.min(due);
            }
        }
    }

    /// Handles the passing of time: passes on the bars that have ended, though nothing was received.
    ///
    /// A call also means that the feed runs. For a recording, call it with the time of each record,
    /// heartbeats included; it passes on the bars of earlier days. It costs a comparison unless a bar
    /// or a day has ended.
    pub fn advance(&mut self, now_unix_ns: u64, out: &mut impl FnMut(Item)) {
        self.on_input(now_unix_ns, out);
        self.advance_without_feed(now_unix_ns, out);
    }

    /// Handles the passing of time while no feed runs, such as when all connections are down.
    pub fn advance_without_feed(&mut self, now_unix_ns: u64, out: &mut impl FnMut(Item)) {
        if now_unix_ns < self.due_unix_ns {
            return;
        }
        for instrument in &mut self.instruments {
            instrument.advance(now_unix_ns, &self.rules, out);
        }
        let due = self.instruments.iter().filter_map(|each| each.next_due_ns(&self.rules));
        self.due_unix_ns = due.min().unwrap_or(u64::MAX);
    }

    /// Returns when [`Candles::advance`] has something to do next, in nanoseconds since the Unix
    /// epoch; `None` if it has nothing to do before the next packet.
    #[must_use]
    pub fn next_due_unix_ns(&self) -> Option<u64> {
        Some(self.due_unix_ns).filter(|due| *due != u64::MAX)
    }

    /// Handles the loss of a feed since this time. The next packet of each instrument ends it: it is
    /// a snapshot, and what was traded before it is `missed_volume`.
    pub fn on_lost(
        &mut self,
        affected: Affected<'_>,
        from_unix_ns: u64,
        out: &mut impl FnMut(Item),
    ) {
        self.on_affected(affected, |each, rules, counts| {
            each.on_lost(from_unix_ns, rules, counts, out)
        });
    }

    /// Handles a stretch without a feed that has ended, such as the gap of a tape. What was traded
    /// before the next packet of each instrument is `missed_volume`, unless one was received after
    /// the gap already. A gap that is known, as a whole, changes nothing. It does not end what
    /// [`Candles::on_lost`] started.
    pub fn on_gap(
        &mut self,
        affected: Affected<'_>,
        from_unix_ns: u64,
        to_unix_ns: u64,
        out: &mut impl FnMut(Item),
    ) {
        let gap = (from_unix_ns, to_unix_ns);
        self.on_affected(affected, |each, rules, counts| each.on_gap(gap, rules, counts, out));
    }

    /// Handles the start of a subscription at this time, before the instrument's first packet of it.
    /// An instrument that was subscribed before has missed what was traded since its last packet,
    /// unless that was received within the grace, as when it moves from one connection to another.
    pub fn on_subscribed(
        &mut self,
        instrument_token: u32,
        at_unix_ns: u64,
        out: &mut impl FnMut(Item),
    ) {
        self.on_affected(Affected::Tokens(&[instrument_token]), |each, rules, counts| {
            each.on_subscribed(at_unix_ns, rules, counts, out);
        });
    }

    /// Ends all bars at the time of the last input, and passes on those that were not passed on.
    /// Returns the counts.
    pub fn finish(mut self, out: &mut impl FnMut(Item)) -> Counts {
        for instrument in &mut self.instruments {
            instrument.finish(self.last_input_unix_ns, &self.rules, out);
        }
        self.counts
    }

    /// Returns the newest bars of an instrument, which packets can still change, by start, each as it
    /// is so far. The last of them has usually not ended.
    pub fn newest(&self, instrument_token: u32) -> impl Iterator<Item = Bar> {
        let at = self.index.get(instrument_token).copied();
        let instrument = at.and_then(|at| self.instruments.get(at as usize));
        instrument.into_iter().flat_map(Instrument::newest_bars)
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn on_affected(
        &mut self,
        affected: Affected<'_>,
        mut each: impl FnMut(&mut Instrument, &Rules, &mut Counts),
    ) {
        let Self { rules, index, instruments, counts, .. } = self;
        match affected {
            Affected::All => instruments.iter_mut().for_each(|one| each(one, rules, counts)),
            Affected::Source(source) => {
                let of_source = instruments.iter_mut().filter(|one| one.is_of(source));
                of_source.for_each(|one| each(one, rules, counts));
            }
            Affected::Tokens(tokens) => {
                for at in tokens.iter().filter_map(|token| index.get(*token)) {
                    if let Some(instrument) = instruments.get_mut(*at as usize) {
                        each(instrument, rules, counts);
                    }
                }
            }
        }
    }

    /// Notes since when there is input on this day. In a recording, bars of earlier days can no
    /// longer change: a trade of the day before is placed by its time of arrival.
    #[inline]
    fn on_input(&mut self, now_unix_ns: u64, out: &mut impl FnMut(Item)) {
        if now_unix_ns >= self.next_day_unix_ns {
            self.start_day(now_unix_ns, out);
        }
        self.last_input_unix_ns = self.last_input_unix_ns.max(now_unix_ns);
    }

    fn start_day(&mut self, now_unix_ns: u64, out: &mut impl FnMut(Item)) {
        self.since_unix_ns = now_unix_ns;
        self.next_day_unix_ns = Moment::new(now_unix_ns, 0).next_day_unix_ns();
        if !self.rules.live {
            for instrument in &mut self.instruments {
                instrument.finish(now_unix_ns, &self.rules, out);
            }
        }
    }
}
