//! The instruments with a known name and start price, by token.
//!
//! Any other token trades too, at a price that is plausible for its segment.

use Terms::{Call, Future, Index, Put, Spot};

/// An instrument that the simulator knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) token: u32,
    pub(super) name: &'static str,
    /// Tick size in the segment's smallest unit.
    pub(super) tick: i32,
    pub(super) lot: u32,
    pub(super) terms: Terms,
}

/// How the price is determined. Prices are in the segment's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    /// An independent price.
    Spot {
        start: i64,
    },
    /// The level of an index; `spread` is its usual deviation in parts per thousand.
    Index {
        start: i64,
        spread: i64,
    },
    /// A future on another instrument of this list, with the same unit.
    Future {
        of: u32,
        days: u32,
    },
    Call {
        of: u32,
        strike: i64,
        days: u32,
    },
    Put {
        of: u32,
        strike: i64,
        days: u32,
    },
}

const fn known(token: u32, name: &'static str, tick: i32, lot: u32, terms: Terms) -> Known {
    Known { token, name, tick, lot, terms }
}

/// A share on the NSE, its price in rupees.
const fn share(token: u32, name: &'static str, rupees: i64) -> Known {
    known(token, name, 5, 1, Spot { start: rupees * 100 })
}

/// An index, its level in points.
const fn index(token: u32, name: &'static str, tick: i32, points: i64, spread: i64) -> Known {
    known(token, name, tick, 1, Index { start: points * 100, spread })
}

const fn nifty(token: u32, name: &'static str, terms: Terms) -> Known {
    known(token, name, 5, 75, terms)
}

const NIFTY: u32 = 256_265;
const BANK_NIFTY: u32 = 260_105;
const SENSEX: u32 = 265;
const RELIANCE: u32 = 738_561;

/// Days from the usual start of the simulated clock, 4 August 2025, to the month's last Thursday,
/// and to its last Tuesday for contracts of the BSE.
const NSE_DAYS: u32 = 24;
const BSE_DAYS: u32 = 22;

/// All known instruments. Derivatives are contracts of the simulated month with invented tokens.
pub(super) const KNOWN: [Known; 43] = [
    index(NIFTY, "NSE:NIFTY 50", 5, 26_000, 4),
    index(BANK_NIFTY, "NSE:NIFTY BANK", 5, 59_000, 4),
    index(SENSEX, "BSE:SENSEX", 1, 85_000, 4),
    index(264_969, "NSE:INDIA VIX", 1, 12, 50),
    share(RELIANCE, "NSE:RELIANCE", 1_550),
    share(408_065, "NSE:INFY", 1_500),
    share(2_953_217, "NSE:TCS", 3_100),
    share(341_249, "NSE:HDFCBANK", 1_000),
    share(1_270_529, "NSE:ICICIBANK", 1_380),
    share(779_521, "NSE:SBIN", 980),
    share(1_510_401, "NSE:AXISBANK", 1_270),
    share(492_033, "NSE:KOTAKBANK", 2_100),
    share(2_714_625, "NSE:BHARTIARTL", 2_100),
    share(424_961, "NSE:ITC", 400),
    share(2_939_649, "NSE:LT", 4_000),
    share(356_865, "NSE:HINDUNILVR", 2_400),
    share(2_815_745, "NSE:MARUTI", 16_000),
    share(884_737, "NSE:TATAMOTORS", 690),
    share(895_745, "NSE:TATASTEEL", 170),
    share(857_857, "NSE:SUNPHARMA", 1_780),
    share(897_537, "NSE:TITAN", 3_900),
    share(969_473, "NSE:WIPRO", 250),
    nifty(13_568_258, "NFO:NIFTY25AUGFUT", Future { of: NIFTY, days: NSE_DAYS }),
    nifty(13_600_002, "NFO:NIFTY25AUG25500CE", call(NIFTY, 25_500, NSE_DAYS)),
    nifty(13_600_258, "NFO:NIFTY25AUG25500PE", put(NIFTY, 25_500, NSE_DAYS)),
    nifty(13_600_514, "NFO:NIFTY25AUG26000CE", call(NIFTY, 26_000, NSE_DAYS)),
    nifty(13_600_770, "NFO:NIFTY25AUG26000PE", put(NIFTY, 26_000, NSE_DAYS)),
    nifty(13_601_026, "NFO:NIFTY25AUG26500CE", call(NIFTY, 26_500, NSE_DAYS)),
    nifty(13_601_282, "NFO:NIFTY25AUG26500PE", put(NIFTY, 26_500, NSE_DAYS)),
    known(13_568_514, "NFO:BANKNIFTY25AUGFUT", 5, 35, Future { of: BANK_NIFTY, days: NSE_DAYS }),
    known(13_601_538, "NFO:BANKNIFTY25AUG59000CE", 5, 35, call(BANK_NIFTY, 59_000, NSE_DAYS)),
    known(13_601_794, "NFO:BANKNIFTY25AUG59000PE", 5, 35, put(BANK_NIFTY, 59_000, NSE_DAYS)),
    known(13_568_770, "NFO:RELIANCE25AUGFUT", 5, 500, Future { of: RELIANCE, days: NSE_DAYS }),
    known(213_500_677, "BFO:SENSEX25AUGFUT", 5, 20, Future { of: SENSEX, days: BSE_DAYS }),
    known(213_500_933, "BFO:SENSEX25AUG85000CE", 5, 20, call(SENSEX, 85_000, BSE_DAYS)),
    known(213_501_189, "BFO:SENSEX25AUG85000PE", 5, 20, put(SENSEX, 85_000, BSE_DAYS)),
    known(370_179, "CDS:USDINR25AUGFUT", 25_000, 1, Spot { start: 877_500_000 }),
    known(277_515_270, "BCD:USDINR25AUGFUT", 25, 1, Spot { start: 877_500 }),
    known(114_056_711, "MCX:GOLD25OCTFUT", 100, 1, Spot { start: 10_100_000 }),
    known(114_050_311, "MCX:CRUDEOIL25AUGFUT", 100, 1, Spot { start: 570_000 }),
    known(31_132_684, "NCO:ALUMINI25AUGFUT", 500, 1, Spot { start: 2_530_000 }),
    // As reported by users; see docs/protocol.md.
    known(31_132_428, "NCO:ALUMINI", 500, 1, Spot { start: 3_782_000 }),
    known(33_539_084, "NCO:CRUDEOILM", 500, 1, Spot { start: 84_940_000 }),
];

/// A call on an instrument in paise, its strike in rupees.
const fn call(of: u32, strike: i64, days: u32) -> Terms {
    Call { of, strike: strike * 100, days }
}

/// A put on an instrument in paise, its strike in rupees.
const fn put(of: u32, strike: i64, days: u32) -> Terms {
    Put { of, strike: strike * 100, days }
}

/// Returns the instrument of a token, if it is one of these.
pub(super) fn find(token: u32) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.token == token)
}

/// Returns the instruments that the simulator knows by name: token, and exchange and symbol as in
/// `NSE:INFY`. Indices, shares, and contracts of the month in which the simulated clock starts.
pub fn known_instruments() -> impl ExactSizeIterator<Item = (u32, &'static str)> {
    KNOWN.iter().map(|known| (known.token, known.name))
}
