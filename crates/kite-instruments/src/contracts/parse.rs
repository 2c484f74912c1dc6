//! Parses contracts, and finds the word that is wrong.

use std::str::FromStr;

use kite_wire::Amount;

use super::{AROUND, Contracts, ContractsError, Expiry, Kind, Strike};
use crate::exchange::{Exchange, InstrumentType};

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
        let is_around = left != plain;
        let kind = |strike: &str| match (strike.eq_ignore_ascii_case("FUT"), only) {
            (true, None) if !is_around => Ok(Kind::Future),
            (true, None) => Err(ContractsError::Future { what: "+-N" }),
            (true, Some(_)) => Err(ContractsError::Future { what: "CE or PE" }),
            (false, _) => Ok(Kind::Options { strike: strike.parse()?, around, only }),
        };
        if let Some((strike, extra)) = beyond_the_strike(&words) {
            kind(strike)?;
            return Err(match option_type(extra) {
                Some(_) => ContractsError::Types,
                None => ContractsError::Type { text: extra.to_owned() },
            });
        }
        if let Some((name, strike)) = without_expiry(&words)
            && let (Ok(kind), Ok((exchange, name))) = (kind(strike), exchange_and_name(name))
        {
            let nearest = Self { exchange, name, expiry: Expiry::Nearest, kind };
            return Err(ContractsError::NoExpiry { complete: nearest.to_string() });
        }
        let [name @ .., expiry, strike] = words.as_slice() else {
            return Err(ContractsError::Incomplete { text: text.to_owned() });
        };
        let (exchange, name) = exchange_and_name(&name.join(" "))?;
        if name.is_empty() {
            return Err(ContractsError::Incomplete { text: text.to_owned() });
        }
        Ok(Self { exchange, name, expiry: expiry.parse()?, kind: kind(strike)? })
    }
}

/// Returns the strike, and the word after it if there is one too many.
fn beyond_the_strike<'a>(words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let expiry = words.iter().rposition(|word| word.parse::<Expiry>().is_ok())?;
    match words[expiry + 1..] {
        [strike, extra, ..] if expiry > 0 => Some((strike, extra)),
        _ => None,
    }
}

/// Returns the name and the strike if there is no word between them.
fn without_expiry<'a>(words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    match *words {
        [name, strike] if name.parse::<Expiry>().is_err() && !name.ends_with(':') => {
            Some((name, strike))
        }
        _ => None,
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
            ("NIFTY 26000 CE", "the expiry is missing: NIFTY nearest 26000 CE"),
            ("nfo:nifty atm+-5", "the expiry is missing: NFO:NIFTY nearest ATM+-5"),
            ("NIFTY FUT", "the expiry is missing: NIFTY nearest FUT"),
            ("NIFTY nearest 26000 C", "\"C\" is not CE or PE"),
            ("NIFTY nearest 26000 XX+-5", "\"XX\" is not CE or PE"),
            ("NIFTY next FUT 26000", "\"26000\" is not CE or PE"),
            ("NIFTY nearest OTM C", "\"OTM\" is not a strike"),
            ("NIFTY nearest 26000 CE PE", "CE or PE is written once, at the end"),
            ("NIFTY nearest FUT+-2", "a future takes no +-N"),
            ("NIFTY nearest FUT CE", "a future takes no CE or PE"),
            ("NIFTY nearest 26000+-ten", "\"ten\" is not a number of strikes up to 65,535"),
            ("NIFTY nearest 26000+-", "\"\" is not a number of strikes"),
            ("NIFTY nearest 26000+-70000", "\"70000\" is not a number of strikes"),
            ("NIFTY nearest 26000+-5 CE PE", "\"5 CE PE\" is not a number of strikes"),
            ("NIFTY nearest 26000 CE+-5 CE", "CE or PE is written once, at the end"),
            (":NIFTY nearest 26000", "\"\" is not an exchange"),
            ("AN-EXCHANGE-TOO-LONG:X nearest 5", "\"AN-EXCHANGE-TOO-LONG\" is not an exchange"),
        ] {
            let error = text.parse::<Contracts>().unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
