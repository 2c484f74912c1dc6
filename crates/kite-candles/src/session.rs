//! When instruments trade, as data: the exchanges' usual hours, and what replaces them.

use alloc::vec::Vec;

use kite_wire::Segment;
use kite_wire::ist::Day;

/// Seconds per day.
const DAY_S: u32 = 86_400;

/// The trading hours of one day in India, in seconds after midnight.
///
/// Bars are aligned to `open`. The time from the pre-open to `open` has bars of its own, if they
/// are chosen ([`Config::pre_open`](crate::Config::pre_open)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session {
    pre_open: u32,
    open: u32,
    close: u32,
}

/// Hours that are no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "session from {open} s to {close} s after midnight, pre-open from {pre_open} s; must be pre-open <= open < close <= 86400"
)]
pub struct SessionError {
    /// When the pre-open starts, in seconds after midnight.
    pub pre_open: u32,
    /// When trading starts, in seconds after midnight.
    pub open: u32,
    /// When trading ends, in seconds after midnight.
    pub close: u32,
}

impl Session {
    /// Creates a session without a pre-open, from hours and minutes in India: `(9, 15), (15, 30)`.
    /// The end is excluded; `(24, 0)` is the end of the day.
    ///
    /// # Errors
    /// Returns [`SessionError`] unless the session ends after its start and within the day.
    pub const fn new(open: (u32, u32), close: (u32, u32)) -> Result<Self, SessionError> {
        Self::checked(seconds(open), seconds(open), seconds(close))
    }

    /// Adds a pre-open that starts at this hour and minute and ends when trading starts.
    ///
    /// # Errors
    /// Returns [`SessionError`] if it starts after trading does.
    pub const fn with_pre_open(self, start: (u32, u32)) -> Result<Self, SessionError> {
        Self::checked(seconds(start), self.open, self.close)
    }

    const fn checked(pre_open: u32, open: u32, close: u32) -> Result<Self, SessionError> {
        if pre_open <= open && open < close && close <= DAY_S {
            Ok(Self { pre_open, open, close })
        } else {
            Err(SessionError { pre_open, open, close })
        }
    }

    /// Returns when the pre-open starts, in seconds after midnight; the same as
    /// [`Session::open_s`] without one.
    #[must_use]
    pub const fn pre_open_s(&self) -> u32 {
        self.pre_open
    }

    /// Returns when trading starts, in seconds after midnight.
    #[must_use]
    pub const fn open_s(&self) -> u32 {
        self.open
    }

    /// Returns when trading ends, in seconds after midnight; trades at this second are excluded.
    #[must_use]
    pub const fn close_s(&self) -> u32 {
        self.close
    }
}

/// Seconds after midnight; more than a day for parts that do not exist.
const fn seconds((hour, minute): (u32, u32)) -> u32 {
    if hour <= 24 && minute < 60 { hour * 3600 + minute * 60 } else { u32::MAX }
}

/// The instruments that an override of [`Sessions`] concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of them.
    All,
    /// Those of a segment.
    Segment(Segment),
    /// The one with this token.
    Instrument(u32),
}

impl Scope {
    fn includes(self, instrument_token: u32) -> bool {
        match self {
            Self::All => true,
            Self::Segment(segment) => segment == Segment::of_token(instrument_token),
            Self::Instrument(token) => token == instrument_token,
        }
    }

    fn precision(self) -> u8 {
        match self {
            Self::All => 0,
            Self::Segment(_) => 1,
            Self::Instrument(_) => 2,
        }
    }
}

/// The sessions of all instruments on all days.
///
/// The exchanges' usual hours, Monday to Friday, unless overridden. Holidays are not known; a day
/// without trades has no bars anyway.
///
/// | segment | hours | pre-open |
/// |---|---|---|
/// | NSE, BSE, NFO, BFO, indices | 09:15–15:30 | from 09:00 |
/// | CDS, BCD, MCXSX | 09:00–17:00 | |
/// | MCX, NCO | 09:00–23:30, to 23:55 while the United States have winter time | |
/// | others | the whole day | |
///
/// A cross-currency pair trades to 19:30, which the token does not show:
///
/// ```
/// use kite_candles::{Scope, Session, Sessions};
/// use kite_wire::ist::Day;
///
/// let eurusd = 0x0001_2303;
/// let muhurat = Day::from_date(2026, 11, 8).unwrap();
/// let sessions = Sessions::default()
///     .with(Scope::Instrument(eurusd), None, Some(Session::new((9, 0), (19, 30))?))
///     .with(Scope::All, Some(muhurat), Some(Session::new((18, 0), (19, 0))?));
/// assert_eq!(sessions.of(408_065, muhurat).unwrap().open_s(), 18 * 3600);
/// # Ok::<(), kite_candles::SessionError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    overrides: Vec<Override>,
}

#[derive(Debug, Clone, Copy)]
struct Override {
    scope: Scope,
    day: Option<Day>,
    session: Option<Session>,
}

impl Sessions {
    /// Adds an override: for one day or, with `None`, for every day from Monday to Friday. A
    /// session of `None` means that there is no trading.
    ///
    /// Overrides for a day come before those for every day. Among these, an instrument comes before
    /// its segment, and the segment before all; of equal ones the last counts.
    #[must_use]
    pub fn with(mut self, scope: Scope, day: Option<Day>, session: Option<Session>) -> Self {
        self.overrides.push(Override { scope, day, session });
        self
    }

    /// Returns the session of an instrument on a day; `None` if there is no trading.
    #[must_use]
    pub fn of(&self, instrument_token: u32, day: Day) -> Option<Session> {
        let weekend = is_weekend(day);
        let fits = |over: &&Override| {
            over.scope.includes(instrument_token) && over.day.map_or(!weekend, |only| only == day)
        };
        let found = self.overrides.iter().filter(fits);
        let best = found.max_by_key(|over| (over.day.is_some(), over.scope.precision()));
        match best {
            Some(over) => over.session,
            None if weekend => None,
            None => Some(usual(Segment::of_token(instrument_token), day)),
        }
    }
}

/// Returns the usual hours of a segment.
fn usual(segment: Segment, day: Day) -> Session {
    let hours = |pre_open, open, close| Session {
        pre_open: seconds(pre_open),
        open: seconds(open),
        close: seconds(close),
    };
    match segment {
        Segment::Nse | Segment::Bse | Segment::Nfo | Segment::Bfo | Segment::Indices => {
            hours((9, 0), (9, 15), (15, 30))
        }
        Segment::Cds | Segment::Bcd | Segment::McxSx => hours((9, 0), (9, 0), (17, 0)),
        Segment::Mcx | Segment::Nco if is_us_summer(day) => hours((9, 0), (9, 0), (23, 30)),
        Segment::Mcx | Segment::Nco => hours((9, 0), (9, 0), (23, 55)),
        _ => hours((0, 0), (0, 0), (24, 0)),
    }
}

/// Returns the day of the week, 0 for Sunday.
fn weekday(day: Day) -> u32 {
    // 1970-01-01 was a Thursday.
    (day.unix_days() + 4).rem_euclid(7).unsigned_abs()
}

fn is_weekend(day: Day) -> bool {
    matches!(weekday(day), 0 | 6)
}

/// Returns whether the United States have daylight saving time on the evening of this day: from the
/// second Sunday of March to the day before the first Sunday of November.
fn is_us_summer(day: Day) -> bool {
    let (_, month, of_month) = day.date();
    // The day of the month of this week's Sunday, or less than 1 if it was in the month before.
    let sunday = i64::from(of_month) - i64::from(weekday(day));
    match month {
        3 => sunday >= 8,
        4..=10 => true,
        11 => sunday < 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: u16, month: u8, day: u8) -> Day {
        Day::from_date(year, month, day).unwrap()
    }

    fn close_of(segment: Segment, on: Day) -> Option<u32> {
        Sessions::default().of(segment.code().into(), on).map(|session| session.close / 60)
    }

    #[test]
    fn usual_hours_are_those_of_the_exchanges() {
        let monday = day(2026, 11, 23);
        for (segment, open, close) in [
            (Segment::Nse, (9, 15), (15, 30)),
            (Segment::Bse, (9, 15), (15, 30)),
            (Segment::Nfo, (9, 15), (15, 30)),
            (Segment::Bfo, (9, 15), (15, 30)),
            (Segment::Indices, (9, 15), (15, 30)),
            (Segment::Cds, (9, 0), (17, 0)),
            (Segment::Bcd, (9, 0), (17, 0)),
            (Segment::Mcx, (9, 0), (23, 55)),
            (Segment::Nco, (9, 0), (23, 55)),
            (Segment::from_code(11), (0, 0), (24, 0)),
        ] {
            let session = Sessions::default().of(segment.code().into(), monday).unwrap();
            assert_eq!((session.open, session.close), (seconds(open), seconds(close)), "{segment}");
        }
    }

    #[test]
    fn mcx_trades_longer_while_the_us_has_winter_time() {
        // The clocks change on 2026-03-08 and 2026-11-01, 2027-03-14 and 2027-11-07.
        for (on, minutes) in [
            (day(2026, 3, 6), 23 * 60 + 55),
            (day(2026, 3, 9), 23 * 60 + 30),
            (day(2026, 7, 1), 23 * 60 + 30),
            (day(2026, 10, 30), 23 * 60 + 30),
            (day(2026, 11, 2), 23 * 60 + 55),
            (day(2027, 3, 12), 23 * 60 + 55),
            (day(2027, 3, 15), 23 * 60 + 30),
            (day(2027, 11, 5), 23 * 60 + 30),
            (day(2027, 11, 8), 23 * 60 + 55),
        ] {
            assert_eq!(close_of(Segment::Mcx, on), Some(minutes), "{on}");
            assert_eq!(close_of(Segment::Nco, on), Some(minutes), "{on}");
            assert_eq!(close_of(Segment::Nse, on), Some(930), "{on}");
        }
    }

    #[test]
    fn weekends_trade_only_if_an_override_says_so() {
        let saturday = day(2026, 11, 28);
        assert_eq!(close_of(Segment::Nse, saturday), None);
        let special = Session::new((9, 15), (12, 30)).unwrap();
        let daily = Session::new((10, 0), (11, 0)).unwrap();
        let sessions = Sessions::default().with(Scope::All, None, Some(daily)).with(
            Scope::Segment(Segment::Nse),
            Some(saturday),
            Some(special),
        );
        assert_eq!(sessions.of(1, saturday), Some(special));
        assert_eq!(sessions.of(7, saturday), None);
        assert_eq!(sessions.of(7, day(2026, 11, 27)), Some(daily));
    }

    #[test]
    fn a_day_comes_before_an_instrument_and_an_instrument_before_its_segment() {
        let on = day(2026, 11, 23);
        let hours = |to| Some(Session::new((9, 0), (to, 0)).unwrap());
        let mut sessions = Sessions::default().with(Scope::Instrument(0x103), None, hours(19));
        sessions = sessions.with(Scope::Segment(Segment::Cds), None, hours(18));
        assert_eq!((sessions.of(0x103, on), sessions.of(0x203, on)), (hours(19), hours(18)));
        sessions = sessions.with(Scope::All, Some(on), None);
        assert_eq!((sessions.of(0x103, on), sessions.of(1, on)), (None, None));
        sessions = sessions.with(Scope::Instrument(0x103), Some(on), hours(12));
        assert_eq!((sessions.of(0x103, on), sessions.of(0x203, on)), (hours(12), None));
        sessions = sessions.with(Scope::Instrument(0x103), Some(on), hours(13));
        assert_eq!(sessions.of(0x103, on), hours(13));
    }

    #[test]
    fn hours_that_are_no_session_are_rejected() {
        let nse = Session::new((9, 15), (15, 30)).unwrap();
        assert!(nse.with_pre_open((9, 0)).is_ok() && nse.with_pre_open((9, 16)).is_err());
        assert!(Session::new((0, 0), (24, 0)).is_ok());
        for (open, close) in
            [((9, 0), (9, 0)), ((9, 0), (24, 1)), ((9, 60), (10, 0)), ((30, 0), (31, 0))]
        {
            assert!(Session::new(open, close).is_err());
        }
    }
}
