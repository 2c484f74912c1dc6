//! Which contracts of an underlying to choose, as a text: `NIFTY nearest 26000+-10 CE`.
//!
//! Parsing only. The list, today's date and the price of the underlying come in with the choice
//! ([`Instruments::choose`](crate::Instruments::choose)).

mod choice;
mod error;
mod parse;
mod underlying;

use std::fmt;

use kite_wire::Amount;

pub use self::choice::Choice;
pub use self::error::{ChoiceError, ContractsError};

use crate::date::Date;
use crate::exchange::{Exchange, InstrumentType};

/// Separates a strike from the number of strikes on either side.
const AROUND: &str = "+-";

/// Which contracts of an underlying to choose from a list.
///
/// Parses from one of two forms, ignoring case:
///
/// - `[EXCHANGE:]NAME EXPIRY STRIKE[+-N] [CE|PE]` for options. `NAME` is the underlying as the list
///   names it (`NIFTY`, `RELIANCE`). `STRIKE` is a price in the list, or `ATM`, which is the listed
///   strike nearest to the price of the underlying, and the lower of two that are equally near.
///   `+-N` or `±N` adds the next `N` strikes of the list on either side. Without `CE` or `PE` both
///   are chosen.
/// - `[EXCHANGE:]NAME EXPIRY FUT` for a future.
///
/// `EXPIRY` is `nearest`, `next` (the one after the nearest), or a date. The exchange is needed only
/// if several exchanges list such contracts; `NSE` and `BSE` stand for their derivatives segments.
///
/// Prints in the form that it parses.
///
/// ```
/// use kite_instruments::{Contracts, Expiry};
///
/// let contracts: Contracts = "banknifty next ATM±5 ce".parse()?;
/// assert_eq!(contracts.name(), "BANKNIFTY");
/// assert_eq!(contracts.expiry(), Expiry::Next);
/// assert!(contracts.is_at_the_money());
/// assert_eq!(contracts.to_string(), "BANKNIFTY next ATM+-5 CE");
/// # Ok::<(), kite_instruments::ContractsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contracts {
    exchange: Option<Exchange>,
    /// In upper case.
    name: String,
    expiry: Expiry,
    kind: Kind,
}

/// When contracts expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// On the earliest listed day that is not before today.
    Nearest,
    /// On the listed day after the nearest.
    Next,
    /// On this day.
    On(Date),
}

/// Futures, or some strikes of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Future,
    Options {
        strike: Strike,
        /// The number of strikes on either side.
        around: u16,
        /// Calls or puts only.
        only: Option<InstrumentType>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Strike {
    AtTheMoney,
    At(Amount),
}

impl Contracts {
    /// Returns the name of the underlying, in upper case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns when the contracts expire.
    #[must_use]
    pub const fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// Returns whether the choice needs the price of the underlying.
    #[must_use]
    pub const fn is_at_the_money(&self) -> bool {
        matches!(self.kind, Kind::Options { strike: Strike::AtTheMoney, .. })
    }

    /// Returns the word for what is chosen, for messages.
    const fn plural(&self) -> &'static str {
        match self.kind {
            Kind::Future => "futures",
            Kind::Options { .. } => "options",
        }
    }

    /// Returns whether the text asks for this type of instrument.
    fn takes_type(&self, kind: InstrumentType) -> bool {
        match self.kind {
            Kind::Future => kind == InstrumentType::Fut,
            Kind::Options { only, .. } => kind.is_option() && only.is_none_or(|only| only == kind),
        }
    }

    /// Returns whether the text allows an exchange.
    fn takes_exchange(&self, exchange: Exchange) -> bool {
        match self.exchange {
            None => true,
            Some(Exchange::Nse) => {
                matches!(exchange, Exchange::Nfo | Exchange::Cds | Exchange::Nco)
            }
            Some(Exchange::Bse) => matches!(exchange, Exchange::Bfo | Exchange::Bcd),
            Some(asked) => asked == exchange,
        }
    }
}

impl fmt::Display for Contracts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(exchange) = self.exchange {
            write!(f, "{exchange}:")?;
        }
        write!(f, "{} {} ", self.name, self.expiry)?;
        match self.kind {
            Kind::Future => f.write_str("FUT"),
            Kind::Options { strike, around, only } => {
                match strike {
                    Strike::AtTheMoney => f.write_str("ATM")?,
                    Strike::At(price) => write!(f, "{price}")?,
                }
                if around > 0 {
                    write!(f, "{AROUND}{around}")?;
                }
                only.map_or(Ok(()), |only| write!(f, " {only}"))
            }
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest => f.write_str("nearest"),
            Self::Next => f.write_str("next"),
            Self::On(day) => write!(f, "{day}"),
        }
    }
}
