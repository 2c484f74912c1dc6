//! What a reader of a bar must know about it, as a set of bits.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// A set of remarks on a bar. Empty for a bar that was seen whole.
///
/// Prints as names separated by spaces: `gap late`.
///
/// ```
/// use kite_candles::Flags;
///
/// let flags = Flags::GAP | Flags::LATE;
/// assert!(flags.contains(Flags::GAP) && !flags.contains(Flags::BY_ARRIVAL));
/// assert_eq!(flags.to_string(), "gap late");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// The instrument's first packet came after the bar's start, so earlier trades are missing.
    pub const PARTIAL_START: Self = Self(1);
    /// Part of the bar was without a feed, or it has the first packet after such a stretch.
    pub const GAP: Self = Self(1 << 1);
    /// A packet changed the bar at or after its end plus the grace.
    pub const LATE: Self = Self(1 << 2);
    /// The open is no trade that was seen as it happened: it is the price of the snapshot after a
    /// gap or, in a filled bar, the previous close.
    pub const CACHED_OPEN: Self = Self(1 << 3);
    /// The high or low is a new extreme of the day that may have been traded before the bar: the
    /// packet before the one that shows it lay in an earlier bar.
    pub const EXTREME_LATE: Self = Self(1 << 4);
    /// The day's volume fell within the day, so the volume between two packets is not known.
    pub const VOLUME_FELL: Self = Self(1 << 5);
    /// At least one packet without a usable trade time was placed by its time of arrival.
    pub const BY_ARRIVAL: Self = Self(1 << 6);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::PARTIAL_START, "partial_start"),
        (Self::GAP, "gap"),
        (Self::LATE, "late"),
        (Self::CACHED_OPEN, "cached_open"),
        (Self::EXTREME_LATE, "extreme_late"),
        (Self::VOLUME_FELL, "volume_fell"),
        (Self::BY_ARRIVAL, "by_arrival"),
    ];

    /// Returns whether all flags of `other` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether no flag is set.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the names of the set flags, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }

    /// Clears the flags of `other`.
    pub(crate) const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Sets the flags of `other` if `condition` holds.
    pub(crate) const fn set_if(&mut self, other: Self, condition: bool) {
        if condition {
            self.0 |= other.0;
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}
