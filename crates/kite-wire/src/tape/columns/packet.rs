//! Packets as numbers, and what each number is expected to be.
//!
//! [`walk`] goes through the numbers of a packet in a fixed order. Each is expected from those
//! before it and from the packet of the same instrument before it in the block, so a packet that
//! does what packets usually do differs nowhere. The encoder and the decoder run the same code.

use core::cmp::Ordering;

/// Length of the longest packet in numbers of four bytes.
pub(super) const WORDS: usize = 46;

/// A packet's numbers. Those of all kinds have the places of the fields of a full packet.
pub(super) type Words = [u32; WORDS];

/// Places of the fields before the depth.
pub(super) const TOKEN: usize = 0;
pub(super) const LAST: usize = 1;
pub(super) const LAST_QUANTITY: usize = 2;
/// The average price; of an index, the change.
pub(super) const AVERAGE: usize = 3;
pub(super) const VOLUME: usize = 4;
/// Total quantities to buy and to sell.
pub(super) const TOTALS: [usize; 2] = [5, 6];
pub(super) const OPEN: usize = 7;
pub(super) const HIGH: usize = 8;
pub(super) const LOW: usize = 9;
pub(super) const CLOSE: usize = 10;
pub(super) const LAST_TRADE: usize = 11;
pub(super) const INTEREST: usize = 12;
pub(super) const INTEREST_HIGH: usize = 13;
pub(super) const INTEREST_LOW: usize = 14;
pub(super) const TIME: usize = 15;
/// The first place of the depth.
pub(super) const DEPTH: usize = 16;
/// Of the sides of the depth, the first place. Each level has a quantity, a price and orders.
pub(super) const SIDES: [usize; 2] = [DEPTH, 31];
pub(super) const LEVELS: usize = 5;

/// The packets that are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ltp,
    IndexQuote,
    IndexFull,
    Quote,
    Full,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Ltp, Self::IndexQuote, Self::IndexFull, Self::Quote, Self::Full];

    /// Returns the kind of packets of this length.
    #[inline]
    pub(super) fn of_len(len: usize) -> Option<Self> {
        Some(match len {
            8 => Self::Ltp,
            28 => Self::IndexQuote,
            32 => Self::IndexFull,
            44 => Self::Quote,
            184 => Self::Full,
            _ => return None,
        })
    }

    /// Returns the length of its packets in bytes.
    #[inline]
    pub(super) fn len(self) -> usize {
        4 * self.places().len()
    }

    /// Returns the places of its fields in their order on the wire.
    #[inline]
    fn places(self) -> &'static [usize] {
        const ALL: [usize; WORDS] = {
            let mut places = [0; WORDS];
            let mut at = 0;
            while at < WORDS {
                places[at] = at;
                at += 1;
            }
            places
        };
        const INDEX: [usize; 8] = [TOKEN, LAST, HIGH, LOW, OPEN, CLOSE, AVERAGE, TIME];
        match self {
            Self::Ltp => ALL.split_at(2).0,
            Self::IndexQuote => INDEX.split_at(7).0,
            Self::IndexFull => &INDEX,
            Self::Quote => ALL.split_at(11).0,
            Self::Full => &ALL,
        }
    }

    /// Reads a packet's numbers. The number of orders is moved to the low half of its four bytes,
    /// the other half of which is not used.
    #[inline]
    pub(super) fn load(self, bytes: &[u8], words: &mut Words) {
        let (fields, _) = bytes.as_chunks::<4>();
        if self == Self::Full {
            for (word, field) in words.iter_mut().zip(fields) {
                *word = u32::from_be_bytes(*field);
            }
            for side in SIDES {
                for level in 0..LEVELS {
                    let orders = &mut words[side + 3 * level + 2];
                    *orders = orders.rotate_left(16);
                }
            }
        } else {
            for (&place, field) in self.places().iter().zip(fields) {
                words[place] = u32::from_be_bytes(*field);
            }
        }
    }

    /// Writes a packet of these numbers.
    #[inline]
    pub(super) fn store(self, words: &Words, bytes: &mut [u8]) {
        let (fields, _) = bytes.as_chunks_mut::<4>();
        if self == Self::Full {
            for (field, word) in fields.iter_mut().zip(words) {
                *field = word.to_be_bytes();
            }
            for side in SIDES {
                for level in 0..LEVELS {
                    let at = side + 3 * level + 2;
                    if let Some(field) = fields.get_mut(at) {
                        *field = words[at].rotate_left(16).to_be_bytes();
                    }
                }
            }
        } else {
            for (field, &place) in fields.iter_mut().zip(self.places()) {
                *field = words[place].to_be_bytes();
            }
        }
    }
}

/// Returns what stands for the packet before the first one of an instrument.
#[inline]
fn before_first(last: u32) -> Words {
    let mut words = [0; WORDS];
    for place in [LAST, AVERAGE, OPEN, HIGH, LOW, CLOSE] {
        words[place] = last;
    }
    words
}

/// What the expectations depend on besides the packet before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) kind: Kind,
    /// Whether the instrument has no packet before it in the block.
    pub(super) is_first: bool,
    /// The exchange timestamp of the packet before it in the block.
    pub(super) clock: u32,
    /// Whether the depth moved with the last price.
    pub(super) moved: bool,
}

/// Takes numbers apart into what is expected and a difference, or puts them together.
pub(super) trait Coder {
    /// Returns the number at this place, of which this one is expected.
    fn word(&mut self, place: usize, expected: u32) -> u32;
}

/// Goes through the numbers of a packet except its token. Returns its exchange timestamp, or the
/// clock if it has none.
#[inline]
pub(super) fn walk<C: Coder>(coder: &mut C, before: &Words, context: Context) -> u32 {
    let Context { kind, is_first, clock, moved } = context;
    let last = coder.word(LAST, if is_first { 0 } else { before[LAST] });
    let first;
    let before = if is_first {
        first = before_first(last);
        &first
    } else {
        before
    };
    if kind == Kind::Ltp {
        return clock;
    }
    coder.word(OPEN, before[OPEN]);
    // Before the first trade of a day, high and low are often 0.
    let is_within = |place: usize| (before[place] as i32).cmp(&(before[LAST] as i32));
    let high = if is_within(HIGH).is_ge() { last as i32 } else { i32::MIN };
    coder.word(HIGH, (before[HIGH] as i32).max(high) as u32);
    let low = if is_within(LOW).is_le() { last as i32 } else { i32::MAX };
    coder.word(LOW, (before[LOW] as i32).min(low) as u32);
    coder.word(CLOSE, before[CLOSE]);
    let step = last.wrapping_sub(before[LAST]);
    if matches!(kind, Kind::IndexQuote | Kind::IndexFull) {
        coder.word(AVERAGE, before[AVERAGE].wrapping_add(step));
        return if kind == Kind::IndexFull { coder.word(TIME, clock) } else { clock };
    }
    let volume = coder.word(VOLUME, before[VOLUME]);
    let traded = if is_first { 0 } else { volume.wrapping_sub(before[VOLUME]) };
    coder.word(LAST_QUANTITY, if traded == 0 { before[LAST_QUANTITY] } else { traded });
    coder.word(AVERAGE, average(before, last, volume, traded));
    if kind == Kind::Quote {
        for place in TOTALS {
            coder.word(place, before[place]);
        }
        return clock;
    }
    let time = coder.word(TIME, clock);
    let is_trade = is_first || traded != 0;
    coder.word(LAST_TRADE, if is_trade { time } else { before[LAST_TRADE] });
    let interest = coder.word(INTEREST, before[INTEREST]);
    for (place, side) in [(INTEREST_HIGH, Ordering::Greater), (INTEREST_LOW, Ordering::Less)] {
        let limit = before[place];
        // Instruments without a range have the open interest in all three fields.
        let is_new = is_first
            || limit == before[INTEREST]
            || limit.cmp(&before[INTEREST]) == side && interest.cmp(&limit) == side;
        coder.word(place, if is_new { interest } else { limit });
    }
    for (side, total) in SIDES.into_iter().zip(TOTALS) {
        let best = match is_first {
            true => last,
            false => before[side + 1].wrapping_add(if moved { step } else { 0 }),
        };
        let added = walk_side(coder, before, side, is_first.then_some(last), best);
        coder.word(total, before[total].wrapping_add(added));
    }
    time
}

/// Returns the average price after a trade at the last price.
#[inline]
fn average(before: &Words, last: u32, volume: u32, traded: u32) -> u32 {
    if traded == 0 || volume == 0 {
        return before[AVERAGE];
    }
    let of = |price: u32, quantity: u32| u64::from(price) * u64::from(quantity);
    // The average before was rounded down, by half a unit in the mean.
    let half = u64::from(before[VOLUME] / 2);
    let turnover = of(before[AVERAGE], before[VOLUME]).wrapping_add(of(last, traded));
    (turnover.wrapping_add(half) / u64::from(volume)) as u32
}

/// Goes through one side of the depth. Returns by how much the quantities of levels whose price was
/// there before have grown.
///
/// `first` is the last price if the instrument has no packet before it; then the levels are
/// expected at equal distances.
#[inline]
fn walk_side<C: Coder>(
    coder: &mut C,
    before: &Words,
    side: usize,
    first: Option<u32>,
    best: u32,
) -> u32 {
    let old: [u32; LEVELS] = core::array::from_fn(|level| before[side + 3 * level + 1]);
    let find = |price: u32| old.iter().position(|it| *it == price).unwrap_or(LEVELS);
    let is_bids = side == SIDES[0];
    let mut price = coder.word(side + 1, best);
    let mut step = match first {
        Some(last) => price.wrapping_sub(last),
        None => old[1].wrapping_sub(old[0]),
    };
    // Where each level was before; `LEVELS` if it is new.
    let mut found = [LEVELS; LEVELS];
    found[0] = if first.is_some() { LEVELS } else { find(price) };
    for level in 1..LEVELS {
        let at = found[level - 1];
        let expected = if first.is_some() || at == LEVELS - 1 {
            if price == 0 { 0 } else { price.wrapping_add(step) }
        } else if at < LEVELS {
            old[at + 1]
        } else {
            // After a new level, the next of the old ones that is worse; 0 is no level.
            let is_worse = |it: &&u32| **it == 0 || (**it < price) == is_bids;
            old.iter().find(is_worse).map_or(price.wrapping_add(step), |it| *it)
        };
        let next = coder.word(side + 3 * level + 1, expected);
        step = next.wrapping_sub(price);
        price = next;
        found[level] = if first.is_some() {
            LEVELS
        } else if at < LEVELS - 1 && next == old[at + 1] {
            at + 1
        } else {
            find(next)
        };
    }
    let mut added = 0_u32;
    for (level, at) in found.into_iter().enumerate() {
        let place = side + 3 * level;
        let is_old = at < LEVELS;
        let from = side + 3 * if is_old { at } else { level };
        let quantity = coder.word(place, before[from]);
        coder.word(place + 2, before[from + 2]);
        if is_old {
            added = added.wrapping_add(quantity.wrapping_sub(before[from]));
        }
    }
    added
}
