//! Why a text does not describe contracts, and why a list has none of them.

use std::fmt;

use kite_wire::Amount;

use super::Expiry;
use crate::date::Date;
use crate::exchange::Exchange;

/// Maximum number of expiries that a message names.
const MAX_NAMED: usize = 8;

/// An error parsing [`Contracts`](crate::Contracts) or an [`Expiry`]. It names the word that is
/// wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContractsError {
    /// The name, the expiry or the strike is missing.
    #[error("{text:?} is incomplete; expected NAME EXPIRY STRIKE, such as NIFTY nearest 26000+-10")]
    Incomplete {
        /// The whole text.
        text: String,
    },
    /// There is no word between the name and the strike.
    #[error("the expiry is missing: {complete}")]
    NoExpiry {
        /// The text with the nearest expiry.
        complete: String,
    },
    /// The word after the strike is no type.
    #[error("{text:?} is not CE or PE")]
    Type {
        /// The word.
        text: String,
    },
    /// There are two types.
    #[error("CE or PE is written once, at the end; without it both are chosen")]
    Types,
    /// A future is described as an option.
    #[error("a future takes no {what}")]
    Future {
        /// `CE or PE`, or `+-N`.
        what: &'static str,
    },
    /// The word before the colon cannot be an exchange.
    #[error("{text:?} is not an exchange; expected one such as NFO")]
    Exchange {
        /// The word.
        text: String,
    },
    /// The word in place of the expiry is none.
    #[error("{text:?} is not an expiry; expected nearest, next or a date such as 2026-12-31")]
    Expiry {
        /// The word.
        text: String,
    },
    /// The word in place of the strike is none.
    #[error("{text:?} is not a strike; expected a price or ATM, or FUT for a future")]
    Strike {
        /// The word.
        text: String,
    },
    /// What follows `+-` is not a number of strikes and an optional type.
    #[error("{text:?} is not a number of strikes up to 65,535, with or without CE or PE")]
    Around {
        /// What follows `+-`.
        text: String,
    },
}

/// Why a list has no contracts as described. Each error states what the list has instead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChoiceError {
    /// The list has no such contracts of this name.
    Name {
        /// The name of the underlying.
        name: String,
        /// The exchange, if one was named.
        exchange: Option<Exchange>,
        /// `options` or `futures`.
        kind: &'static str,
        /// Similar names that have such contracts, at most three.
        near: Vec<String>,
    },
    /// Several exchanges list such contracts, and none was named.
    Exchanges {
        /// The name of the underlying.
        name: String,
        /// `options` or `futures`.
        kind: &'static str,
        /// The exchanges.
        exchanges: Vec<Exchange>,
    },
    /// No listed contract expires then, or only expired ones.
    Expiry {
        /// The name of the underlying.
        name: String,
        /// `options` or `futures`.
        kind: &'static str,
        /// The expiry as described.
        expiry: Expiry,
        /// The date that was passed in as today's.
        today: Date,
        /// The days on which contracts expire, from today on.
        listed: Vec<Date>,
    },
    /// The strike is not listed.
    Strike {
        /// The name of the underlying.
        name: String,
        /// The day of the expiry.
        expiry: Date,
        /// The strike as described.
        strike: Amount,
        /// The next listed strike below.
        below: Option<Amount>,
        /// The next listed strike above.
        above: Option<Amount>,
    },
    /// `ATM` needs the price of the underlying, which was not passed in.
    Spot {
        /// The name of the underlying.
        name: String,
    },
    /// The underlying is not in the list.
    Underlying {
        /// The name of the underlying.
        name: String,
        /// The symbol looked up, or a description of the future looked for.
        symbol: String,
    },
}

impl std::error::Error for ChoiceError {}

impl fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, exchange, kind, near } => {
                write!(f, "the list has no {kind} of {name}")?;
                if let Some(exchange) = exchange {
                    write!(f, " on {exchange}")?;
                }
                if near.is_empty() { Ok(()) } else { write!(f, " (did you mean {}?)", Or(near)) }
            }
            Self::Exchanges { name, kind, exchanges } => {
                let whole: Vec<String> =
                    exchanges.iter().map(|exchange| format!("{exchange}:{name}")).collect();
                write!(f, "several exchanges list {kind} of {name}; write {}", Or(&whole))
            }
            Self::Expiry { name, kind, expiry, today, listed } => {
                match expiry {
                    Expiry::On(day) if day < today => {
                        write!(f, "{day} is past: it is {today} in India")?;
                    }
                    Expiry::On(day) => write!(f, "no {kind} of {name} expire on {day}")?,
                    Expiry::Nearest => write!(f, "all {kind} of {name} in the list have expired")?,
                    Expiry::Next => write!(f, "{name} has no {expiry} expiry of {kind}")?,
                }
                write!(f, "; expiries from {today} on: {}", Days(listed))
            }
            Self::Strike { name, expiry, strike, below, above } => {
                write!(f, "{name} has no strike {strike} that expires on {expiry}; ")?;
                match (below, above) {
                    (Some(below), Some(above)) => {
                        write!(f, "the nearest are {below} and {above}")
                    }
                    (Some(last), None) => write!(f, "the highest is {last}"),
                    (None, Some(first)) => write!(f, "the lowest is {first}"),
                    (None, None) => f.write_str("it has none"),
                }
            }
            Self::Spot { name } => write!(f, "ATM needs the price of {name}'s underlying"),
            Self::Underlying { name, symbol } => {
                write!(f, "the underlying of {name}, {symbol}, is not in the list")
            }
        }
    }
}

/// Lists alternatives: `A, B or C`.
struct Or<'a>(&'a [String]);

impl fmt::Display for Or<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [firsts @ .., last] if !firsts.is_empty() => {
                write!(f, "{} or {last}", firsts.join(", "))
            }
            all => f.write_str(&all.join(", ")),
        }
    }
}

/// Lists the first days, and counts the others.
struct Days<'a>(&'a [Date]);

impl fmt::Display for Days<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (number, day) in self.0.iter().take(MAX_NAMED).enumerate() {
            write!(f, "{}{day}", if number == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
