//! The names on tapes: which lists name the instruments of each day.
//!
//! Names belong to a day, because a token is reused for another instrument after its contract has
//! expired. Reads notes only; which lists are cached is passed in.

use std::collections::{BTreeMap, BTreeSet};

use kite_tape::{InstrumentRow, Reel, TapeFile};
use kite_wire::ist::Day;

use crate::instruments::Instruments;

/// The names on tapes, and the days of the tapes. With the feature `tape`.
///
/// ```no_run
/// use std::collections::BTreeMap;
///
/// use kite_instruments::TapeNames;
/// use kite_tape::Reel;
///
/// let tapes = TapeNames::read(&Reel::open(["recordings"])?);
/// for (day, lists) in tapes.lists_by_day(None, &BTreeMap::new(), None) {
///     let name = lists.iter().find_map(|list| list.by_token(408_065));
///     println!("{day}: {name:?}");
/// }
/// # Ok::<(), kite_tape::OpenError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TapeNames {
    tapes: Vec<OfTape>,
}

/// The names on one tape.
#[derive(Debug, Clone)]
struct OfTape {
    first: Day,
    last: Day,
    list: Option<Instruments>,
    /// Whether the names of all noted instruments are known.
    is_complete: bool,
}

impl TapeNames {
    /// Reads the notes of subscribed instruments, which takes milliseconds for a day.
    #[must_use]
    pub fn read(reel: &Reel) -> Self {
        Self { tapes: reel.files().iter().filter_map(OfTape::read).collect() }
    }

    /// Returns the days of the tapes, in India.
    #[must_use]
    pub fn days(&self) -> BTreeSet<Day> {
        self.tapes.iter().flat_map(OfTape::days).collect()
    }

    /// Returns the days of tapes on which some name is not on the tape.
    #[must_use]
    pub fn incomplete_days(&self) -> BTreeSet<Day> {
        self.tapes.iter().filter(|tape| !tape.is_complete).flat_map(OfTape::days).collect()
    }

    /// Returns the days of which there are no names, neither on a tape nor in a list of that day.
    #[must_use]
    pub fn unnamed_days(&self, lists: &BTreeMap<Day, Instruments>) -> BTreeSet<Day> {
        let named = self.tapes.iter().filter(|tape| tape.list.is_some());
        let named: BTreeSet<Day> = named.flat_map(OfTape::days).collect();
        let is_unnamed = |day: &Day| !named.contains(day) && !lists.contains_key(day);
        self.days().into_iter().filter(is_unnamed).collect()
    }

    /// Returns the lists of each day, in the order in which they name its instruments: a given list,
    /// the names on the tapes, the list of that day, and only if there is none of them a last resort.
    #[must_use]
    pub fn lists_by_day(
        &self,
        given: Option<&Instruments>,
        lists: &BTreeMap<Day, Instruments>,
        last_resort: Option<&Instruments>,
    ) -> BTreeMap<Day, Vec<Instruments>> {
        let unnamed = self.unnamed_days(lists);
        let mut days: BTreeMap<Day, Vec<Instruments>> = BTreeMap::new();
        for tape in &self.tapes {
            for day in tape.days() {
                let first = || given.cloned().into_iter().collect();
                days.entry(day).or_insert_with(first).extend(tape.list.clone());
            }
        }
        for (day, named) in &mut days {
            named.extend(lists.get(day).cloned());
            named.extend(last_resort.filter(|_| unnamed.contains(day)).cloned());
        }
        days
    }
}

impl OfTape {
    /// Reads the notes of a file; `None` if it has no records.
    fn read(file: &TapeFile) -> Option<Self> {
        let (from, to) = file.span()?;
        let notes = Reel::from(file.clone()).instruments();
        let noted: Vec<InstrumentRow> = notes.into_iter().flat_map(|note| note.rows).collect();
        let is_named = |row: &InstrumentRow| row.listing.is_some();
        Some(Self {
            first: Day::at_unix_ns(from),
            last: Day::at_unix_ns(to),
            list: list(noted.iter()),
            is_complete: !noted.is_empty() && noted.iter().all(is_named),
        })
    }

    fn days(&self) -> impl Iterator<Item = Day> + use<> {
        let days = self.first.unix_days()..=self.last.unix_days();
        days.filter_map(|day| Day::from_unix_days(day.into()))
    }
}

/// The header of Kite's CSV.
const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

/// Returns the names in notes as a list; `None` if they have none. Of two rows of an instrument, the
/// later one counts.
fn list<'a>(rows: impl DoubleEndedIterator<Item = &'a InstrumentRow>) -> Option<Instruments> {
    let mut csv = String::from(HEADER);
    // A list keeps the first row of an instrument.
    for row in rows.rev() {
        let Some(one) = &row.listing else { continue };
        let expiry = one.expiry.map(|day| day.to_string()).unwrap_or_default();
        csv += &format!(
            "{},{},{},{},{},{expiry},{},{},{},{},{},{}\n",
            row.instrument_token,
            one.exchange_token,
            quoted(&one.tradingsymbol),
            quoted(&one.name),
            one.last_price,
            one.strike,
            one.tick_size,
            one.lot_size,
            quoted(&one.instrument_type),
            quoted(&one.segment),
            quoted(&one.exchange),
        );
    }
    let loaded = Instruments::from_csv(csv).ok()?;
    (!loaded.instruments.is_empty()).then_some(loaded.instruments)
}

/// Quotes a cell of CSV. A line break would end the row, so it becomes a space.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['\r', '\n'], " ").replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use kite_tape::Listing;

    use super::*;

    fn list_of(token: u32, symbol: &str) -> Instruments {
        let csv = format!("{HEADER}{token},1,{symbol},,0,,0,0,0,FUT,NFO,NFO\n");
        Instruments::from_csv(csv).unwrap().instruments
    }

    fn day(date: u8) -> Day {
        Day::from_date(2026, 10, date).unwrap()
    }

    fn tape(first: u8, last: u8, list: Option<Instruments>) -> OfTape {
        let is_complete = list.is_some();
        OfTape { first: day(first), last: day(last), list, is_complete }
    }

    fn tapes<const N: usize>(tapes: [OfTape; N]) -> TapeNames {
        TapeNames { tapes: tapes.into() }
    }

    /// Returns the name of token 1,000 on a day.
    fn name(days: BTreeMap<Day, Vec<Instruments>>, date: u8) -> Option<String> {
        let lists = days.get(&day(date))?;
        lists.iter().find_map(|list| list.by_token(1_000)).map(|one| one.to_string())
    }

    #[test]
    fn a_given_list_precedes_the_tape_which_precedes_the_list_of_the_day() {
        let named = tapes([tape(5, 5, Some(list_of(1_000, "TAPE")))]);
        let lists = BTreeMap::from([(day(5), list_of(1_000, "DAY"))]);
        let (given, latest) = (list_of(1_000, "GIVEN"), list_of(1_000, "LATEST"));
        let all = named.lists_by_day(Some(&given), &lists, Some(&latest));
        assert_eq!(name(all, 5).as_deref(), Some("NFO:GIVEN"));
        let without = named.lists_by_day(None, &lists, Some(&latest));
        assert_eq!(name(without, 5).as_deref(), Some("NFO:TAPE"));
        let unnamed = tapes([tape(5, 5, None)]);
        let of_day = unnamed.lists_by_day(None, &lists, Some(&latest));
        assert_eq!(name(of_day, 5).as_deref(), Some("NFO:DAY"));
        let none = BTreeMap::new();
        let last = unnamed.lists_by_day(None, &none, Some(&latest));
        assert_eq!(name(last, 5).as_deref(), Some("NFO:LATEST"));
        assert_eq!(name(unnamed.lists_by_day(None, &none, None), 5), None);
    }

    #[test]
    fn the_last_resort_never_names_instruments_of_a_day_that_has_names() {
        let latest = list_of(1_000, "LATEST");
        let tapes = tapes([tape(5, 5, Some(list_of(2_000, "OTHER"))), tape(6, 7, None)]);
        let days = tapes.lists_by_day(None, &BTreeMap::new(), Some(&latest));
        assert_eq!(name(days.clone(), 5), None, "unknown rather than wrong");
        assert_eq!(name(days, 7).as_deref(), Some("NFO:LATEST"));
        assert_eq!(tapes.unnamed_days(&BTreeMap::new()), BTreeSet::from([day(6), day(7)]));
    }

    #[test]
    fn a_list_of_the_day_is_read_if_the_tape_does_not_have_all_names() {
        let partly = OfTape { is_complete: false, ..tape(5, 5, Some(list_of(2_000, "A"))) };
        let tapes = tapes([partly, tape(6, 6, Some(list_of(2_000, "B")))]);
        assert_eq!(tapes.incomplete_days(), BTreeSet::from([day(5)]));
        let lists = BTreeMap::from([(day(5), list_of(1_000, "DAY"))]);
        let named = tapes.lists_by_day(None, &lists, None);
        assert_eq!(name(named, 5).as_deref(), Some("NFO:DAY"));
    }

    #[test]
    fn a_list_comes_back_from_its_notes_and_the_later_row_counts() {
        let row = |symbol: &str| {
            let mut row = InstrumentRow::new(9_604_354);
            row.listing = Some(Listing {
                exchange_token: 37_517,
                tradingsymbol: symbol.into(),
                name: "A \"B\", C\nD".into(),
                last_price: "0.05".parse().unwrap(),
                expiry: Day::from_date(2026, 12, 29),
                strike: "24500.5".parse().unwrap(),
                tick_size: "0.05".parse().unwrap(),
                lot_size: 75,
                instrument_type: "CE".into(),
                segment: "NFO-OPT".into(),
                exchange: "NFO".into(),
            });
            row
        };
        let rows = [row("NIFTY26DEC24500PE"), InstrumentRow::new(5_633), row("NIFTY26DEC24500CE")];
        let back = list(rows.iter()).unwrap();
        assert_eq!(back.len(), 2, "both symbols find it");
        let one = back.by_token(9_604_354).unwrap();
        assert_eq!((one.tradingsymbol, one.name), ("NIFTY26DEC24500CE", "A \"B\", C D"));
        assert_eq!((one.strike, one.lot_size), ("24500.5".parse().ok(), Some(75)));
        assert!(list(rows[1..2].iter()).is_none());
    }
}
