//! What an instrument's segment determines: its tick size, range of prices and lot.

use kite_wire::Segment;

use super::known;

/// Properties that follow from the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing {
    /// Tick size in the segment's smallest unit.
    pub(super) tick: i32,
    /// Lowest and highest start price of an unknown instrument, in ticks.
    pub(super) lowest: u32,
    pub(super) highest: u32,
    pub(super) lot: u32,
    pub(super) has_open_interest: bool,
    pub(super) is_index: bool,
}

impl Listing {
    pub(super) fn new(token: u32, noise: u64) -> Self {
        let listing = Self::of_segment(Segment::of_token(token), noise);
        match known::find(token) {
            Some(known) => Self { tick: known.tick, lot: known.lot, ..listing },
            None => listing,
        }
    }

    fn of_segment(segment: Segment, noise: u64) -> Self {
        let share = Self {
            tick: 5,
            lowest: 1_000,
            highest: 100_000,
            lot: 1,
            has_open_interest: false,
            is_index: false,
        };
        let future = Self { has_open_interest: true, ..share };
        match segment {
            Segment::Nfo | Segment::Bfo => {
                let lot = [25, 50, 75, 500][(noise % 4) as usize];
                Self { lowest: 400, highest: 40_000, lot, ..future }
            }
            Segment::Cds => Self { tick: 25_000, lowest: 24_000, highest: 48_000, ..future },
            Segment::Bcd => Self { tick: 25, lowest: 24_000, highest: 48_000, ..future },
            Segment::Mcx => Self { lowest: 2_000, highest: 1_500_000, ..future },
            Segment::Nco => Self { tick: 500, lowest: 2_000, highest: 180_000, ..future },
            Segment::McxSx => future,
            Segment::Indices => {
                Self { lowest: 100_000, highest: 1_600_000, is_index: true, ..share }
            }
            _ => share,
        }
    }
}
