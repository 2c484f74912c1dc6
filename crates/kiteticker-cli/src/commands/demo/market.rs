//! The instruments of the demo: named ones, and as many others as three sockets carry.

use std::collections::BTreeSet;

use kite_conn::MAX_INSTRUMENTS;
use kite_manager::MAX_CONNECTIONS;
use kite_wire::Mode;

use crate::instruments::directory::Directory;
use crate::instruments::names::{Named, Names};

/// The limit of an account's sockets together.
const ALL: usize = MAX_INSTRUMENTS * MAX_CONNECTIONS;

/// The instruments of the demo.
#[derive(Debug)]
pub(crate) struct Simulated {
    named: Vec<Named>,
    /// All other tokens.
    unnamed: Vec<u32>,
}

impl Default for Simulated {
    fn default() -> Self {
        let universe = kite_sim::universe(ALL);
        let named: Vec<Named> = kite_sim::known_instruments()
            .map(|(token, name)| Named { token, name: name.to_owned() })
            .collect();
        let taken: BTreeSet<u32> = named.iter().map(|named| named.token).collect();
        let others = universe.into_iter().filter(|token| !taken.contains(token));
        let unnamed = others.take(ALL - named.len()).collect();
        Self { named, unnamed }
    }
}

impl Simulated {
    /// Returns the named instruments.
    pub(super) fn shown(&self) -> Vec<Named> {
        self.named.clone()
    }

    /// Returns all others, a third in each mode.
    pub(super) fn background(&self) -> Vec<(Mode, Vec<u32>)> {
        let share = self.unnamed.len().div_ceil(Mode::ALL.len()).max(1);
        let shares = self.unnamed.chunks(share).map(<[u32]>::to_vec);
        Mode::ALL.into_iter().zip(shares).collect()
    }

    /// Returns the number of instruments, named or not.
    pub(super) fn len(&self) -> usize {
        self.named.len() + self.unnamed.len()
    }
}

impl Directory for Simulated {
    fn resolve(&self, text: &str) -> Result<Named, String> {
        let text = text.trim();
        let matches = |named: &&Named| {
            let symbol = named.name.split_once(':').map_or("", |(_, symbol)| symbol);
            named.name.eq_ignore_ascii_case(text)
                || symbol.eq_ignore_ascii_case(text)
                || named.token.to_string() == text
        };
        match self.named.iter().find(matches) {
            Some(named) => Ok(named.clone()),
            None => Directory::resolve(&Names::built_in(), text),
        }
    }

    fn complete(&self, text: &str, limit: usize) -> Vec<Named> {
        let words = text.to_uppercase();
        let has = |name: &str| words.split_whitespace().all(|word| name.contains(word));
        self.named.iter().filter(|named| has(&named.name)).take(limit).cloned().collect()
    }

    fn facts(&self, _: u32) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Segment;

    use super::*;

    #[test]
    fn the_instruments_fill_three_sockets_without_duplicates() {
        let simulated = Simulated::default();
        let mut tokens: BTreeSet<u32> = simulated.shown().iter().map(|named| named.token).collect();
        assert_eq!(tokens.len(), kite_sim::known_instruments().len());
        for (_, share) in simulated.background() {
            tokens.extend(share);
        }
        assert_eq!((tokens.len(), simulated.len()), (9_000, 9_000));
    }

    #[test]
    fn every_instrument_is_in_the_segment_of_its_name() {
        for named in Simulated::default().shown() {
            let (exchange, _) = named.name.split_once(':').unwrap();
            let segment = Segment::of_token(named.token);
            let is_right = match segment {
                Segment::Indices => matches!(exchange, "NSE" | "BSE"),
                segment => segment.to_string() == exchange,
            };
            assert!(is_right, "{}: {segment}", named.name);
        }
    }

    #[test]
    fn all_three_modes_stream_in_the_background() {
        let background = Simulated::default().background();
        let modes: Vec<Mode> = background.iter().map(|(mode, _)| *mode).collect();
        assert_eq!(modes, Mode::ALL);
        assert!(background.iter().all(|(_, tokens)| tokens.len() > 2_900));
    }

    #[test]
    fn instruments_are_found_by_name_by_symbol_and_by_token() {
        let simulated = Simulated::default();
        for text in ["nse:itc", "ITC", " 424961 "] {
            assert_eq!(simulated.resolve(text).unwrap().name, "NSE:ITC", "{text}");
        }
        assert!(simulated.resolve("NSE:UNKNOWN").is_err());
        let found = simulated.complete("nifty 26000", 9);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
