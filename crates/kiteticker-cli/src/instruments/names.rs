//! Instrument names as users write them: `NSE:INFY`, or plain tokens.
//!
//! Performs no I/O: `loading.rs` finds the lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use kite_conn::OneLine;
use kite_instruments::{Instrument, Instruments};
use kite_wire::ist::Day;

use crate::exit::CliError;
use crate::instruments::known;
use crate::plain_text::trimmed;

/// A token's low byte is the segment, so no token is below this.
const LOWEST_TOKEN: u32 = 256;

/// Number of unknown names that get suggestions, because each requires a scan of the lists.
const MOST_WITH_SUGGESTIONS: usize = 20;

/// Advice for an unknown name without a similar one.
const HOW_TO_NAME: &str =
    "write EXCHANGE:SYMBOL, such as NSE:INFY; search names with kite instruments";

/// Advice for an unknown name if there is no list. Only names that do not expire are built in.
const HOW_TO_LIST: &str = "only a few indices and shares are built in; download the list by kite \
                           instruments, or pass one with --instruments-file";

/// An instrument and its display name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) token: u32,
    pub(crate) name: String,
}

/// Why the input names no instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("an empty name names no instrument")]
    Empty,
    #[error("no instrument is named {name}")]
    Unknown {
        name: String,
        /// Similar names.
        similar: Vec<String>,
        /// Whether only the built-in names are known.
        lacks_list: bool,
    },
    #[error("{name} names {} instruments, with the tokens {}", tokens.len(), listed(tokens))]
    Ambiguous { name: String, tokens: Vec<u32> },
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
            Self::Unknown { lacks_list: true, .. } => HOW_TO_LIST.to_owned(),
            Self::Unknown { .. } | Self::Empty => HOW_TO_NAME.to_owned(),
            Self::Ambiguous { .. } => "name it by its token".to_owned(),
            Self::Token { .. } => "search tokens with kite instruments".to_owned(),
        }
    }
}

/// The inputs that name no instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownNames(Vec<Unknown>);

/// An input that names no instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unknown {
    /// Its place among the inputs.
    input: usize,
    error: NameError,
    /// Where the user wrote it, if not on the command line.
    place: Option<String>,
}

impl UnknownNames {
    /// Adds where the inputs were written, by their place among the inputs.
    pub(crate) fn written_at(mut self, place: impl Fn(usize) -> Option<String>) -> Self {
        for unknown in &mut self.0 {
            unknown.place = place(unknown.input);
        }
        self
    }

    /// Returns the error that ends the command.
    pub(crate) fn into_error(self) -> CliError {
        match self.0.as_slice() {
            [Unknown { error, place, .. }] => {
                let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
                CliError::usage(format!("{place}{error}")).help(error.advice())
            }
            all => {
                let count = all.len();
                let lacks_list = all.iter().any(|unknown| {
                    matches!(unknown.error, NameError::Unknown { lacks_list: true, .. })
                });
                CliError::usage(format!("{count} instruments are unknown: {self}"))
                    .help(if lacks_list { HOW_TO_LIST } else { HOW_TO_NAME })
            }
        }
    }
}

impl fmt::Display for UnknownNames {
    /// Lists the inputs, with suggestions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unknown) in self.0.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { ", " })?;
            match &unknown.error {
                NameError::Empty => f.write_str("an empty name")?,
                NameError::Unknown { name, similar, .. } if !similar.is_empty() => {
                    write!(f, "{name} (did you mean {}?)", similar.join(", "))?;
                }
                NameError::Unknown { name, .. } => f.write_str(name)?,
                NameError::Ambiguous { name, tokens } => {
                    write!(f, "{name} (the tokens {})", listed(tokens))?;
                }
                NameError::Token { token } => write!(f, "{token} (not a token)")?,
            }
            if let Some(place) = &unknown.place {
                write!(f, " in {place}")?;
            }
        }
        Ok(())
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
}

impl Names {
    /// Uses the built-in instruments only.
    pub(crate) fn built_in() -> Self {
        Self::of_today(None)
    }

    /// Uses one list, and the built-in instruments for what it lacks.
    pub(crate) fn of_today(list: Option<Instruments>) -> Self {
        let lists = list.into_iter().chain([known::list()]).collect();
        Self { days: Arc::default(), lists }
    }

    /// Uses the lists of each day of the tapes.
    pub(crate) fn of_days(days: BTreeMap<Day, Lists>) -> Self {
        Self { days: Arc::new(days), lists: vec![known::list()] }
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
            match self.find(input, unknown.len() < MOST_WITH_SUGGESTIONS) {
                Ok(named) if seen.insert(named.token) => all.push(named),
                Ok(_) => {}
                Err(error) => unknown.push(Unknown { input: place, error, place: None }),
            }
        }
        (all, (!unknown.is_empty()).then_some(UnknownNames(unknown)))
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
        self.resolve_all(inputs)?;
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

fn listed(tokens: &[u32]) -> String {
    tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Adds the exchange to a symbol without one.
fn whole(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("NSE:{text}") }
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[(u32, &str, &str)]) -> Instruments {
        let mut csv = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,\
                       strike,tick_size,lot_size,instrument_type,segment,exchange\n"
            .to_owned();
        for (token, exchange, symbol) in rows {
            csv += &format!("{token},1,{symbol},,0,,0,0.05,1,EQ,{exchange},{exchange}\n");
        }
        Instruments::from_csv(csv).unwrap().instruments
    }

    fn day(date: u8) -> Day {
        Day::from_date(2026, 11, date).unwrap()
    }

    fn inputs(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

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
    fn all_unknown_names_are_reported_with_similar_ones() {
        let names = Names::built_in();
        let unknown = names.resolve_all(&inputs(&["NSE:INFX"])).unwrap_err().into_error();
        assert_eq!(unknown.to_string(), "no instrument is named NSE:INFX");
        assert_eq!(unknown.advice(), Some("did you mean NSE:INFY?"));
        let texts = inputs(&["NSE:INFX", "408065", "7", "NSE:ZZZZZZZZ"]);
        let unknown = names.resolve_all(&texts).unwrap_err().into_error();
        assert_eq!(
            unknown.to_string(),
            "3 instruments are unknown: NSE:INFX (did you mean NSE:INFY?), 7 (not a token), \
             NSE:ZZZZZZZZ"
        );
        let (found, unknown) = names.resolve_known(&texts);
        assert_eq!(found, [Named { token: 408_065, name: "NSE:INFY".into() }]);
        assert!(unknown.is_some());
        for text in ["7", "4294967296", ""] {
            assert!(names.resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_expire_are_not_built_in_and_the_error_says_how_to_get_them() {
        let unknown = Names::built_in().resolve("NCO:CRUDEOILM").unwrap_err();
        assert_eq!(unknown.to_string(), "no instrument is named NCO:CRUDEOILM");
        assert_eq!(unknown.advice(), HOW_TO_LIST);
        let names = Names::of_today(Some(list(&[(33_539_084, "NCO", "CRUDEOILM")])));
        assert_eq!(names.resolve("NCO:CRUDEOILM").unwrap().token, 33_539_084);
        assert_eq!(names.resolve("NCO:COPPER").unwrap_err().advice(), HOW_TO_NAME);
    }

    #[test]
    fn all_symbols_of_a_token_find_it_under_one_name() {
        let names = Names::of_today(Some(list(&[
            (1_000, "NSE", "ABC-BE"),
            (1_000, "NSE", "ABC"),
            (2_000, "NSE", "TWO"),
            (3_000, "NSE", "TWO"),
        ])));
        let abc = Named { token: 1_000, name: "NSE:ABC".into() };
        for text in ["ABC-BE", "abc", "1000", "\u{feff} NSE:ABC\r\n"] {
            assert_eq!(names.resolve(text), Ok(abc.clone()), "{text}");
        }
        let ambiguous = names.resolve("two").unwrap_err();
        assert_eq!(ambiguous.to_string(), "two names 2 instruments, with the tokens 2000, 3000");
        assert_eq!(ambiguous.advice(), "name it by its token");
        assert_eq!(names.resolve("3000").unwrap().name, "NSE:TWO");
        let both = names.resolve_all(&inputs(&["two", "x"])).unwrap_err().to_string();
        assert_eq!(both, "two (the tokens 2000, 3000), x");
    }

    #[test]
    fn a_list_adds_names_and_suggests_similar_ones_for_an_unknown_name() {
        let names = Names::of_today(Some(list(&[(340_481, "NSE", "HDFC")])));
        let hdfc = Named { token: 340_481, name: "NSE:HDFC".into() };
        assert_eq!(names.resolve("hdfc"), Ok(hdfc));
        assert_eq!(names.label(340_481), "NSE:HDFC");
        assert_eq!(names.label(408_065), "NSE:INFY");
        let Err(unknown) = names.resolve("BSE:HDFC") else { panic!("BSE:HDFC was found") };
        assert_eq!(unknown.advice(), "did you mean NSE:HDFC?");
    }

    #[test]
    fn a_reused_token_has_the_name_of_the_day() {
        let names = Names::of_days(BTreeMap::from([
            (day(2), vec![list(&[(1_000, "NFO", "NIFTY26OCTFUT")])]),
            (day(23), vec![list(&[(1_000, "NFO", "TCS26DECFUT"), (2_000, "NFO", "X")])]),
        ]));
        assert_eq!(names.known_on(day(2), 1_000).as_deref(), Some("NFO:NIFTY26OCTFUT"));
        assert_eq!(names.known_on(day(23), 1_000).as_deref(), Some("NFO:TCS26DECFUT"));
        assert_eq!(names.known_on(day(2), 2_000), None);
        let by_day = |text: &str| names.resolve_by_day(&inputs(&[text])).unwrap();
        assert_eq!(by_day("NFO:NIFTY26OCTFUT"), BTreeSet::from([(day(2), 1_000)]));
        assert_eq!(by_day("nfo:tcs26decfut"), BTreeSet::from([(day(23), 1_000)]));
        assert_eq!(by_day("1000"), BTreeSet::from([(day(2), 1_000), (day(23), 1_000)]));
        assert!(names.resolve_by_day(&inputs(&["NFO:Y"])).is_err());
        assert_eq!(names.resolve("1000").unwrap().name, "NFO:TCS26DECFUT", "the last day's");
    }

    #[test]
    fn the_first_list_of_a_day_that_has_a_token_names_it() {
        let first = list(&[(1_000, "NFO", "A")]);
        let second = list(&[(1_000, "NFO", "B"), (2_000, "NFO", "C")]);
        let names = Names::of_days(BTreeMap::from([(day(2), vec![first, second])]));
        assert_eq!(names.known_on(day(2), 1_000).as_deref(), Some("NFO:A"));
        assert_eq!(names.known_on(day(2), 2_000).as_deref(), Some("NFO:C"));
    }

    #[test]
    fn the_default_instruments_never_expire() {
        let default = Names::built_in().default_instruments();
        assert!(default.len() >= 8);
        assert!(default.iter().all(|named| !named.name.starts_with("NCO:")));
    }
}
