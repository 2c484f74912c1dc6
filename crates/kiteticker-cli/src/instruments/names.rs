//! Instrument names as users write them: `NSE:INFY`, or plain tokens.
//!
//! Performs no I/O: `loading.rs` finds the lists.

mod exchange_tokens;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kite_conn::OneLine;
use kite_instruments::{Instrument, Instruments};
use kite_wire::ist::Day;

use crate::instruments::known;
use crate::plain_text::trimmed;

use self::unknown::{AS_ARGUMENTS, MOST_NAMED, WITH_COMMAS};
pub(crate) use self::unknown::{NameError, UnknownNames};

/// A token's low byte is the segment, so no token is below this.
const LOWEST_TOKEN: u32 = 256;

/// An instrument and its display name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) token: u32,
    pub(crate) name: String,
}

impl Named {
    /// Returns the name; `None` if it is unknown, so that the token stands in its place.
    pub(crate) fn symbol(&self) -> Option<&str> {
        // The name of an instrument has a colon after the exchange.
        Some(self.name.as_str()).filter(|name| !is_number(name))
    }
}

/// The lists that name the instruments of one day, in the order in which they are searched.
pub(crate) type Lists = Vec<Instruments>;

/// Resolves instrument names. Cheap to clone.
///
/// Names belong to a day: a token is reused for another instrument after its contract has expired.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The lists of each day of the tapes.
    days: Arc<BTreeMap<Day, Lists>>,
    /// The lists if there are no tapes.
    lists: Lists,
    /// Whether a list was given for the days of the tapes.
    pub(super) is_given: bool,
}

impl Names {
    /// Uses the built-in instruments only.
    pub(crate) fn built_in() -> Self {
        Self::of_today(None)
    }

    /// Uses one list, and the built-in instruments for what it lacks.
    pub(crate) fn of_today(list: Option<Instruments>) -> Self {
        let lists = list.into_iter().chain([Instruments::built_in()]).collect();
        Self { days: Arc::default(), lists, is_given: false }
    }

    /// Uses the lists of each day of the tapes.
    pub(crate) fn of_days(days: BTreeMap<Day, Lists>) -> Self {
        Self { days: Arc::new(days), lists: vec![Instruments::built_in()], is_given: false }
    }

    /// Resolves all inputs, in their order and without duplicates.
    pub(crate) fn resolve_all(&self, inputs: &[String]) -> Result<Vec<Named>, UnknownNames> {
        let (found, unknown) = self.resolve_known(inputs);
        unknown.map_or(Ok(found), Err)
    }

    /// Resolves the inputs that can be, in their order and without duplicates; also returns the
    /// others, if there are any.
    pub(crate) fn resolve_known(&self, inputs: &[String]) -> (Vec<Named>, Option<UnknownNames>) {
        let mut seen = BTreeSet::new();
        let (mut all, mut unknown) = (Vec::with_capacity(inputs.len()), Vec::new());
        for (place, input) in inputs.iter().enumerate() {
            match self.find(input, unknown.len() < MOST_NAMED) {
                Ok(named) if seen.insert(named.token) => all.push(named),
                Ok(_) => {}
                Err(error) => unknown.push((place, error)),
            }
        }
        (all, UnknownNames::new(unknown))
    }

    /// Resolves inputs, which were separated by commas, to the tokens that they have on each day of
    /// the tapes. A plain token is taken on every day. Ignores empty inputs unless all are empty.
    pub(crate) fn resolve_by_day(
        &self,
        inputs: &[String],
    ) -> Result<BTreeSet<(Day, u32)>, UnknownNames> {
        let mut named = inputs.to_vec();
        named.retain(|input| !trimmed(input).is_empty());
        let inputs = if named.is_empty() { inputs } else { &named };
        // Reports the names that are unknown on all days.
        self.resolve_all(inputs).map_err(|unknown| unknown.written_as(WITH_COMMAS))?;
        let mut tokens = BTreeSet::new();
        for (&day, lists) in self.days.iter() {
            for input in inputs.iter().map(|input| trimmed(input)) {
                if is_number(input) {
                    tokens.extend(input.parse().map(|token| (day, token)));
                } else {
                    let found = by_symbol(lists, &whole(input));
                    tokens.extend(found.iter().map(|one| (day, one.instrument_token)));
                }
            }
        }
        Ok(tokens)
    }

    /// Resolves one input: a token, `EXCHANGE:SYMBOL` in any case, or the symbol alone of an NSE
    /// instrument. Of the days of tapes, the last one on which there is such an instrument counts.
    pub(crate) fn resolve(&self, text: &str) -> Result<Named, NameError> {
        self.find(text, true)
    }

    fn find(&self, text: &str, suggests: bool) -> Result<Named, NameError> {
        let text = trimmed(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if is_number(text) {
            let token = text.parse().ok().filter(|&token| token >= LOWEST_TOKEN);
            let token = token.ok_or_else(|| NameError::Token { token: text.to_owned() })?;
            return Ok(self.named(token));
        }
        match by_symbol(self.all(), &whole(text)).as_slice() {
            [one] => Ok(named(one)),
            [] if self.are_several(text) => {
                Err(NameError::Several { name: text.to_owned(), how: AS_ARGUMENTS })
            }
            [] => {
                let similar = if suggests { self.similar(text) } else { Vec::new() };
                Err(NameError::Unknown {
                    name: text.to_owned(),
                    similar,
                    lacks_list: self.lacks_list(),
                })
            }
            several => {
                let tokens = several.iter().map(|one| one.instrument_token).collect();
                Err(NameError::Ambiguous { name: text.to_owned(), tokens })
            }
        }
    }

    /// Returns whether an unknown name is several, separated by commas, which no symbol has, or by
    /// blanks, which many have.
    fn are_several(&self, text: &str) -> bool {
        let parts = |by: fn(char) -> bool| text.split(by).filter(|part| !part.is_empty());
        let is_known =
            |part: &str| is_number(part) || !by_symbol(self.all(), &whole(part)).is_empty();
        parts(|c| c == ',').filter(|part| !trimmed(part).is_empty()).count() > 1
            || (parts(char::is_whitespace).count() > 1 && parts(char::is_whitespace).all(is_known))
    }

    /// Returns whether there are only the built-in names, which are the last list of each day.
    fn lacks_list(&self) -> bool {
        self.days.values().chain([&self.lists]).all(|lists| lists.len() <= 1)
    }

    /// Returns names similar to an unknown one, of the first list that has any.
    fn similar(&self, text: &str) -> Vec<String> {
        let similar = self.all().map(|list| list.similar(text)).find(|near| !near.is_empty());
        similar.unwrap_or_default().iter().map(|one| named(one).name).collect()
    }

    /// Returns the name that a token has on a day, `EXCHANGE:SYMBOL`, if it is known.
    pub(crate) fn known_on(&self, day: Day, token: u32) -> Option<String> {
        let lists = self.days.get(&day).unwrap_or(&self.lists);
        by_token(lists, token).map(|one| named(&one).name)
    }

    /// Returns the name of a token, on the last day of the tapes on which it is known.
    pub(crate) fn known(&self, token: u32) -> Option<String> {
        self.instrument(token).map(|one| named(&one).name)
    }

    /// Returns the row of a token, on the last day of the tapes on which it is known.
    pub(crate) fn instrument(&self, token: u32) -> Option<Instrument<'_>> {
        by_token(self.all(), token)
    }

    /// Returns the name of a token if it is known, else the number.
    pub(crate) fn label(&self, token: u32) -> String {
        self.known(token).unwrap_or_else(|| token.to_string())
    }

    /// Returns an instrument by its token.
    pub(crate) fn named(&self, token: u32) -> Named {
        Named { token, name: self.label(token) }
    }

    /// Returns at most `limit` instruments that the words describe, best match first.
    pub(crate) fn search(&self, words: &str, limit: usize) -> Vec<Named> {
        let found = self.all().map(|list| list.search(words, limit)).find(|it| !it.is_empty());
        found.unwrap_or_default().iter().map(named).collect()
    }

    /// Returns the instruments used if the command line names none.
    pub(crate) fn default_instruments(&self) -> Vec<Named> {
        known::DEFAULT.map(|token| self.named(token)).to_vec()
    }

    /// Returns whether the names are those on tapes.
    pub(super) fn are_recorded(&self) -> bool {
        !self.days.is_empty() && !self.is_given
    }

    /// Returns the lists of each day of the tapes; without tapes, those of `today`.
    pub(super) fn lists_by_day(&self, today: Day) -> Vec<(Day, &[Instruments])> {
        if self.days.is_empty() {
            return vec![(today, &self.lists)];
        }
        self.days.iter().map(|(&day, lists)| (day, lists.as_slice())).collect()
    }

    /// Iterates over all lists, those of the last day first.
    fn all(&self) -> impl Iterator<Item = &Instruments> {
        self.days.values().rev().flatten().chain(&self.lists)
    }
}

fn by_token<'a>(
    lists: impl IntoIterator<Item = &'a Instruments>,
    token: u32,
) -> Option<Instrument<'a>> {
    lists.into_iter().find_map(|list| list.by_token(token))
}

/// Finds the instruments of a symbol in the first list that has it. Of several symbols of a token,
/// the one that names it.
fn by_symbol<'a>(
    lists: impl IntoIterator<Item = &'a Instruments>,
    whole: &str,
) -> Vec<Instrument<'a>> {
    let found = lists.into_iter().map(|list| (list, list.all_by_symbol(whole)));
    let Some((list, mut found)) = found.into_iter().find(|(_, found)| !found.is_empty()) else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    found.retain(|one| seen.insert(one.instrument_token));
    let naming = |one: Instrument<'a>| list.by_token(one.instrument_token).unwrap_or(one);
    found.into_iter().map(naming).collect()
}

pub(super) fn named(one: &Instrument<'_>) -> Named {
    // A list, and a tape, may name an instrument anything.
    Named { token: one.instrument_token, name: OneLine(one).to_string() }
}

/// Adds the exchange to a symbol without one.
fn whole(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("NSE:{text}") }
}

/// Returns whether a text can be an instrument token.
pub(crate) fn is_token(text: &str) -> bool {
    is_number(text) && text.parse().is_ok_and(|token: u32| token >= LOWEST_TOKEN)
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
