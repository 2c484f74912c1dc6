//! Instruments as people write them: `NSE:INFY`, or plain tokens.

use std::collections::BTreeSet;
use std::path::Path;

use kite_conn::ErrorChain;
use kite_instruments::{Instrument, Instruments};

use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::Feed;
use crate::instruments::{known, lists};

/// A token's low byte is the segment, so that no instrument has one below this.
const LOWEST_TOKEN: u32 = 256;

/// How many like names an unknown one is answered with.
const LIKE_TOLD: usize = 3;

/// An instrument that was asked for, and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) token: u32,
    pub(crate) name: String,
}

/// Why a text is no instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("no instrument is named {name}")]
    Unknown {
        name: String,
        /// Names that are like it.
        like: Vec<String>,
    },
    #[error("no instrument has the token {token}: tokens are numbers from 256 to 4294967295")]
    Token { token: String },
}

impl NameError {
    /// What the user can do.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Unknown { like, .. } if !like.is_empty() => {
                format!("did you mean {}?", like.join(", "))
            }
            Self::Unknown { .. } => {
                "write EXCHANGE:SYMBOL, such as NSE:INFY; kite instruments finds names".to_owned()
            }
            Self::Token { .. } => "kite instruments finds tokens".to_owned(),
        }
    }
}

/// What is known of the names of instruments. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    list: Option<Instruments>,
}

impl Names {
    /// Knows the built-in instruments only.
    pub(crate) fn built_in() -> Self {
        Self { list: None }
    }

    /// Learns as many names as the instruments that were asked for need: those of a file; for the
    /// simulator those known by heart, for a tape and for tokens alone what is cached already; else
    /// the list of today.
    pub(crate) async fn load(
        file: Option<&Path>,
        feed: &Feed,
        wanted: &[String],
        output: Output,
    ) -> Result<Self, CliError> {
        if let Some(path) = file {
            return Ok(Self { list: Some(lists::from_file(path, output).await?) });
        }
        let by_heart = Self::built_in();
        if matches!(feed, Feed::Sim(_)) && wanted.iter().all(|text| by_heart.resolve(text).is_ok())
        {
            return Ok(by_heart);
        }
        if !matches!(feed, Feed::Live(_)) || wanted.iter().all(|text| is_number(text)) {
            return Ok(Self { list: lists::cached().await? });
        }
        match lists::today(false, output).await {
            Ok(list) => Ok(Self { list: Some(list) }),
            Err(error) if wanted.iter().all(|text| by_heart.resolve(text).is_ok()) => {
                output.warn(format_args!("{}: names are those known by heart", ErrorChain(&error)));
                Ok(by_heart)
            }
            Err(error) => Err(error),
        }
    }

    /// Knows what a file has, or a list that is cached already: nothing is fetched.
    pub(crate) async fn cached(file: Option<&Path>, output: Output) -> Result<Self, CliError> {
        let list = match file {
            Some(path) => Some(lists::from_file(path, output).await?),
            None => lists::cached().await?,
        };
        Ok(Self { list })
    }

    /// Finds all instruments that texts mean, each once, in their order.
    pub(crate) fn resolve_all(&self, texts: &[String]) -> Result<Vec<Named>, CliError> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let named = self.resolve(text).map_err(|error| {
                let advice = error.advice();
                CliError::usage(error.to_string()).help(advice)
            })?;
            if seen.insert(named.token) {
                all.push(named);
            }
        }
        Ok(all)
    }

    /// Finds the instrument that a text means: a token, `EXCHANGE:SYMBOL` in any case, or the
    /// symbol alone of one of NSE.
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
            None => Err(NameError::Unknown { name: text.to_owned(), like: self.like(&whole) }),
        }
    }

    /// Finds names that are like one that is none.
    fn like(&self, whole: &str) -> Vec<String> {
        let Some(list) = &self.list else { return Vec::new() };
        list.search(symbol(whole), LIKE_TOLD).iter().map(|one| named(one).name).collect()
    }

    /// Gives the name of a token, `EXCHANGE:SYMBOL`, where it is known.
    pub(crate) fn known(&self, token: u32) -> Option<String> {
        let listed = self.list.as_ref().and_then(|list| list.by_token(token));
        listed.map(|one| named(&one).name).or_else(|| {
            known::all().find(|known| known.0 == token).map(|(_, name)| name.to_owned())
        })
    }

    /// Gives the name of a token where it is known, else the number.
    pub(crate) fn label(&self, token: u32) -> String {
        self.known(token).unwrap_or_else(|| token.to_string())
    }

    /// Gives an instrument by its token.
    pub(crate) fn named(&self, token: u32) -> Named {
        Named { token, name: self.label(token) }
    }

    /// Gives the whole list, where there is one.
    pub(crate) fn list(&self) -> Option<&Instruments> {
        self.list.as_ref()
    }

    /// Gives all those known by heart.
    pub(crate) fn by_heart() -> impl Iterator<Item = Named> {
        known::all().map(|(token, name)| Named { token, name: name.to_owned() })
    }

    /// Gives those known by heart that the simulator has: a start for who names none.
    pub(crate) fn usual(&self) -> Vec<Named> {
        known::USUAL.map(|token| self.named(token)).to_vec()
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
    fn what_is_no_instrument_is_named() {
        let names = Names::built_in();
        let unknown = NameError::Unknown { name: "NSE:INFX".into(), like: Vec::new() };
        assert_eq!(names.resolve("NSE:INFX"), Err(unknown));
        for text in ["7", "4294967296", ""] {
            assert!(names.resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_knows_more_and_tells_what_is_like_an_unknown_name() {
        let csv = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                   tick_size,lot_size,instrument_type,segment,exchange\n\
                   340481,1330,HDFC,HDFC LTD,0,,0,0.05,1,EQ,NSE,NSE\n";
        let loaded = Instruments::from_csv(csv).unwrap();
        let names = Names { list: Some(loaded.instruments) };
        let hdfc = Named { token: 340_481, name: "NSE:HDFC".into() };
        assert_eq!(names.resolve("hdfc"), Ok(hdfc));
        assert_eq!(names.label(340_481), "NSE:HDFC");
        assert_eq!(names.label(408_065), "NSE:INFY");
        let Err(unknown) = names.resolve("BSE:HDFC") else { panic!("BSE has none") };
        assert_eq!(unknown.advice(), "did you mean NSE:HDFC?");
    }

    #[test]
    fn the_usual_ones_never_expire() {
        let usual = Names::built_in().usual();
        assert!(usual.len() >= 8);
        assert!(usual.iter().all(|named| !named.name.starts_with("NCO:")));
    }
}
