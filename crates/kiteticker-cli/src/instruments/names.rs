//! Instrument names as users write them: `NSE:INFY`, or plain tokens.

use std::collections::BTreeSet;
use std::path::Path;

use kite_conn::ErrorChain;
use kite_instruments::{Instrument, Instruments};

use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::Feed;
use crate::instruments::{known, lists};

/// A token's low byte is the segment, so no token is below this.
const LOWEST_TOKEN: u32 = 256;

/// Number of similar names that the error for an unknown name suggests.
const SUGGESTIONS: usize = 3;

/// Advice if the instrument list cannot be fetched.
const ADVICE: &str = "name instruments by their tokens, or pass a list with --instruments-file";

/// An instrument and its display name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) token: u32,
    pub(crate) name: String,
}

/// Why the input names no instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("no instrument is named {name}")]
    Unknown {
        name: String,
        /// Similar names.
        similar: Vec<String>,
    },
    #[error("no instrument has the token {token}; tokens range from 256 to 4,294,967,295")]
    Token { token: String },
}

impl NameError {
    /// Returns the advice for the user.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Unknown { similar, .. } if !similar.is_empty() => {
                format!("did you mean {}?", similar.join(", "))
            }
            Self::Unknown { .. } => {
                "write EXCHANGE:SYMBOL, such as NSE:INFY; search names with kite instruments"
                    .to_owned()
            }
            Self::Token { .. } => "search tokens with kite instruments".to_owned(),
        }
    }
}

/// Resolves instrument names. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    list: Option<Instruments>,
}

impl Names {
    /// Uses the built-in instruments only.
    pub(crate) fn built_in() -> Self {
        Self { list: None }
    }

    /// Loads the names that the named instruments need: those of a file if one is named; for the
    /// simulator the built-in ones; for a tape, or for tokens only, the cached list; else today's
    /// list.
    pub(crate) async fn load(
        file: Option<&Path>,
        feed: &Feed,
        inputs: &[String],
        output: Output,
    ) -> Result<Self, CliError> {
        if let Some(path) = file {
            return Ok(Self { list: Some(lists::from_file(path, output).await?) });
        }
        let built_in = Self::built_in();
        if matches!(feed, Feed::Sim(_))
            && inputs.iter().all(|input| built_in.resolve(input).is_ok())
        {
            return Ok(built_in);
        }
        if !matches!(feed, Feed::Live(_)) || inputs.iter().all(|input| is_number(input)) {
            return Ok(Self { list: lists::cached().await? });
        }
        match lists::today(false, ADVICE, output).await {
            Ok(list) => Ok(Self { list: Some(list) }),
            Err(error) if inputs.iter().all(|input| built_in.resolve(input).is_ok()) => {
                output.warn(format_args!("{}: using the built-in names", ErrorChain(&error)));
                Ok(built_in)
            }
            Err(error) => Err(error),
        }
    }

    /// Loads the names of a file, or of the cached list; downloads nothing.
    pub(crate) async fn cached(file: Option<&Path>, output: Output) -> Result<Self, CliError> {
        let list = match file {
            Some(path) => Some(lists::from_file(path, output).await?),
            None => lists::cached().await?,
        };
        Ok(Self { list })
    }

    /// Resolves all inputs, in their order and without duplicates.
    pub(crate) fn resolve_all(&self, inputs: &[String]) -> Result<Vec<Named>, CliError> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::with_capacity(inputs.len());
        for input in inputs {
            let named = self.resolve(input).map_err(|error| {
                let advice = error.advice();
                CliError::usage(error.to_string()).help(advice)
            })?;
            if seen.insert(named.token) {
                all.push(named);
            }
        }
        Ok(all)
    }

    /// Resolves one input: a token, `EXCHANGE:SYMBOL` in any case, or the symbol alone of an NSE
    /// instrument.
    pub(crate) fn resolve(&self, text: &str) -> Result<Named, NameError> {
        let text = text.trim();
        if is_number(text) {
            let token = text.parse().ok().filter(|&token| token >= LOWEST_TOKEN);
            let token = token.ok_or_else(|| NameError::Token { token: text.to_owned() })?;
            return Ok(self.named(token));
        }
        let whole = match text.contains(':') {
            true => text.to_owned(),
            false => format!("NSE:{text}"),
        };
        if let Some(found) = self.list.as_ref().and_then(|list| list.by_symbol(&whole)) {
            return Ok(named(&found));
        }
        match known::all().find(|(_, name)| name.eq_ignore_ascii_case(&whole)) {
            Some((token, name)) => Ok(Named { token, name: name.to_owned() }),
            None => {
                Err(NameError::Unknown { name: text.to_owned(), similar: self.similar(&whole) })
            }
        }
    }

    /// Returns names similar to an unknown one.
    fn similar(&self, whole: &str) -> Vec<String> {
        let Some(list) = &self.list else { return Vec::new() };
        list.search(symbol(whole), SUGGESTIONS).iter().map(|one| named(one).name).collect()
    }

    /// Returns the name of a token, `EXCHANGE:SYMBOL`, if it is known.
    pub(crate) fn known(&self, token: u32) -> Option<String> {
        let listed = self.list.as_ref().and_then(|list| list.by_token(token));
        listed.map(|one| named(&one).name).or_else(|| {
            known::all().find(|known| known.0 == token).map(|(_, name)| name.to_owned())
        })
    }

    /// Returns the name of a token if it is known, else the number.
    pub(crate) fn label(&self, token: u32) -> String {
        self.known(token).unwrap_or_else(|| token.to_string())
    }

    /// Returns an instrument by its token.
    pub(crate) fn named(&self, token: u32) -> Named {
        Named { token, name: self.label(token) }
    }

    /// Returns the whole list, if one is loaded.
    pub(crate) fn list(&self) -> Option<&Instruments> {
        self.list.as_ref()
    }

    /// Returns all built-in instruments.
    pub(crate) fn built_in_instruments() -> impl Iterator<Item = Named> {
        known::all().map(|(token, name)| Named { token, name: name.to_owned() })
    }

    /// Returns the instruments used if the command line names none.
    pub(crate) fn default_instruments(&self) -> Vec<Named> {
        known::DEFAULT.map(|token| self.named(token)).to_vec()
    }
}

fn named(one: &Instrument<'_>) -> Named {
    Named { token: one.instrument_token, name: format!("{}:{}", one.exchange, one.tradingsymbol) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn symbol(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, symbol)| symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_tokens_by_number() {
        let names = Names::built_in();
        let infy = Named { token: 408_065, name: "NSE:INFY".into() };
        for text in ["NSE:INFY", "nse:infy", "infy", "408065"] {
            assert_eq!(names.resolve(text), Ok(infy.clone()), "{text}");
        }
        assert_eq!(names.resolve("5633").map(|named| named.name), Ok("5633".into()));
    }

    #[test]
    fn the_error_for_an_unknown_instrument_names_it() {
        let names = Names::built_in();
        let unknown = NameError::Unknown { name: "NSE:INFX".into(), similar: Vec::new() };
        assert_eq!(names.resolve("NSE:INFX"), Err(unknown));
        for text in ["7", "4294967296", ""] {
            assert!(names.resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_adds_names_and_suggests_similar_ones_for_an_unknown_name() {
        let csv = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                   tick_size,lot_size,instrument_type,segment,exchange\n\
                   340481,1330,HDFC,HDFC LTD,0,,0,0.05,1,EQ,NSE,NSE\n";
        let loaded = Instruments::from_csv(csv).unwrap();
        let names = Names { list: Some(loaded.instruments) };
        let hdfc = Named { token: 340_481, name: "NSE:HDFC".into() };
        assert_eq!(names.resolve("hdfc"), Ok(hdfc));
        assert_eq!(names.label(340_481), "NSE:HDFC");
        assert_eq!(names.label(408_065), "NSE:INFY");
        let Err(unknown) = names.resolve("BSE:HDFC") else { panic!("BSE:HDFC was found") };
        assert_eq!(unknown.advice(), "did you mean NSE:HDFC?");
    }

    #[test]
    fn the_default_instruments_never_expire() {
        let default = Names::built_in().default_instruments();
        assert!(default.len() >= 8);
        assert!(default.iter().all(|named| !named.name.starts_with("NCO:")));
    }
}
