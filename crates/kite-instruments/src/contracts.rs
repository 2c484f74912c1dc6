//! Which contracts of an underlying to choose, as a text: `NIFTY nearest 26000+-10 CE`.
//!
//! Parsing only. The list, today's date and the price of the underlying come in with the choice
//! ([`Instruments::choose`](crate::Instruments::choose)).

mod choice;
mod error;
mod underlying;

use std::fmt;
use std::str::FromStr;

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

impl FromStr for Contracts {
    type Err = ContractsError;

    /// # Errors
    /// Returns an error that names the word which is not what its place requires.
    fn from_str(text: &str) -> Result<Self, ContractsError> {
        let plain = text.replace('±', AROUND);
        let (left, around) = match plain.split_once(AROUND) {
            Some((left, right)) => (left, Some(right)),
            None => (plain.as_str(), None),
        };
        let mut words: Vec<&str> = left.split_whitespace().collect();
        let (around, mut only) = around.map_or(Ok((0, None)), count_and_type)?;
        if only.is_none() && words.len() > 1 {
            only = words.last().and_then(|word| option_type(word));
            words.truncate(words.len() - usize::from(only.is_some()));
        }
        let [name @ .., expiry, strike] = words.as_slice() else {
            return Err(ContractsError::Incomplete { text: text.to_owned() });
        };
        let (exchange, name) = exchange_and_name(&name.join(" "))?;
        if name.is_empty() {
            return Err(ContractsError::Incomplete { text: text.to_owned() });
        }
        let expiry = expiry.parse()?;
        let is_future = strike.eq_ignore_ascii_case("FUT") && left == plain && only.is_none();
        let kind = if is_future {
            Kind::Future
        } else {
            Kind::Options { strike: strike.parse()?, around, only }
        };
        Ok(Self { exchange, name, expiry, kind })
    }
}

impl FromStr for Expiry {
    type Err = ContractsError;

    /// Parses `nearest`, `next` or a date, ignoring case.
    ///
    /// # Errors
    /// Returns an error that contains the string if it is none of them.
    fn from_str(text: &str) -> Result<Self, ContractsError> {
        if text.eq_ignore_ascii_case("nearest") {
            return Ok(Self::Nearest);
        }
        if text.eq_ignore_ascii_case("next") {
            return Ok(Self::Next);
        }
        let day = text.parse().map(Self::On);
        day.map_err(|_| ContractsError::Expiry { text: text.to_owned() })
    }
}

impl FromStr for Strike {
    type Err = ContractsError;

    fn from_str(text: &str) -> Result<Self, ContractsError> {
        if text.eq_ignore_ascii_case("ATM") {
            return Ok(Self::AtTheMoney);
        }
        let price = text.parse().ok().filter(|&price| price > Amount::ZERO);
        price.map(Self::At).ok_or_else(|| ContractsError::Strike { text: text.to_owned() })
    }
}

fn option_type(word: &str) -> Option<InstrumentType> {
    InstrumentType::from_name(word).filter(InstrumentType::is_option)
}

/// Parses what follows `+-`: the number of strikes, and perhaps the type.
fn count_and_type(text: &str) -> Result<(u16, Option<InstrumentType>), ContractsError> {
    let mut words = text.split_whitespace();
    let (count, kind) = (words.next().unwrap_or_default(), words.next());
    let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
    let around = count.parse().ok().filter(|_| is_number);
    let only = kind.map(option_type);
    match (around, only, words.next()) {
        (Some(around), None, None) => Ok((around, None)),
        (Some(around), Some(Some(only)), None) => Ok((around, Some(only))),
        _ => Err(ContractsError::Around { text: text.trim().to_owned() }),
    }
}

fn exchange_and_name(text: &str) -> Result<(Option<Exchange>, String), ContractsError> {
    let Some((exchange, name)) = text.split_once(':') else {
        return Ok((None, text.to_ascii_uppercase()));
    };
    let known = Some(exchange.to_ascii_uppercase()).filter(|exchange| !exchange.is_empty());
    let known = known.and_then(|exchange| Exchange::from_name(&exchange));
    let known = known.ok_or_else(|| ContractsError::Exchange { text: exchange.to_owned() })?;
    Ok((Some(known), name.trim().to_ascii_uppercase()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Contracts {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn both_forms_parse_in_any_case_and_print_back() {
        for (text, printed) in [
            ("NIFTY nearest 26000+-10", "NIFTY nearest 26000+-10"),
            ("banknifty  next atm±5  ce", "BANKNIFTY next ATM+-5 CE"),
            ("RELIANCE 2026-12-31 1400", "RELIANCE 2026-12-31 1400"),
            ("nfo:NIFTY nearest 26000 +- 10 PE", "NFO:NIFTY nearest 26000+-10 PE"),
            ("CDS:USDINR next 84.25+-2", "CDS:USDINR next 84.25+-2"),
            ("NSE:M&M Nearest ATM", "NSE:M&M nearest ATM"),
            ("mcx: gold nearest fut", "MCX:GOLD nearest FUT"),
            ("NIFTY nearest 26000+-0", "NIFTY nearest 26000"),
            ("A LONG NAME next 5", "A LONG NAME next 5"),
        ] {
            assert_eq!(parsed(text).to_string(), printed, "{text}");
            assert_eq!(parsed(printed), parsed(text), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_word_that_is_wrong() {
        for (text, message) in [
            ("", "\"\" is incomplete; expected NAME EXPIRY STRIKE"),
            ("NIFTY CE", "\"NIFTY CE\" is incomplete"),
            ("NIFTY nearest", "\"NIFTY nearest\" is incomplete"),
            ("nearest 26000 CE", "\"nearest 26000 CE\" is incomplete"),
            ("NFO: nearest 26000", "\"NFO: nearest 26000\" is incomplete"),
            ("NIFTY soon 26000", "\"soon\" is not an expiry; expected nearest, next or a date"),
            ("NIFTY 2026-02-30 26000", "\"2026-02-30\" is not an expiry"),
            ("NIFTY nearest OTM", "\"OTM\" is not a strike; expected a price or ATM"),
            ("NIFTY nearest -5", "\"-5\" is not a strike"),
            ("NIFTY nearest 0", "\"0\" is not a strike"),
            ("NIFTY nearest 26000 XX", "\"26000\" is not an expiry"),
            ("NIFTY nearest FUT+-2", "\"FUT\" is not a strike"),
            ("NIFTY nearest FUT CE", "\"FUT\" is not a strike"),
            ("NIFTY nearest 26000+-ten", "\"ten\" is not a number of strikes up to 65,535"),
            ("NIFTY nearest 26000+-", "\"\" is not a number of strikes"),
            ("NIFTY nearest 26000+-70000", "\"70000\" is not a number of strikes"),
            ("NIFTY nearest 26000+-5 CE PE", "\"5 CE PE\" is not a number of strikes"),
            ("NIFTY nearest 26000 CE+-5 CE", "\"26000\" is not an expiry"),
            (":NIFTY nearest 26000", "\"\" is not an exchange"),
            ("AN-EXCHANGE-TOO-LONG:X nearest 5", "\"AN-EXCHANGE-TOO-LONG\" is not an exchange"),
        ] {
            let error = text.parse::<Contracts>().unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
