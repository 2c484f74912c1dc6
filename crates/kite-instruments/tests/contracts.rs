//! Choosing contracts by a text, from a list like Kite's.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::collections::BTreeSet;

use kite_instruments::{Amount, ChoiceError, Contracts, Date, Expiry, InstrumentType, Instruments};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

/// Builds a list.
#[derive(Debug, Default)]
struct Csv {
    rows: String,
    token: u32,
}

impl Csv {
    fn add(&mut self, exchange: &str, name: &str, expiry: &str, strike: &str, kind: &str) {
        self.token += 1;
        let (token, day) = (self.token, expiry.replace('-', ""));
        let symbol = format!("{name}{day}{strike}{kind}");
        self.rows += &format!(
            "{token},1,{symbol},{name},0,{expiry},{strike},0.05,75,{kind},{exchange},{exchange}\n"
        );
    }

    fn share(&mut self, exchange: &str, symbol: &str) {
        self.token += 1;
        self.rows += &format!("{},1,{symbol},,0,,0,0,0,EQ,,{exchange}\n", self.token);
    }

    fn list(&self) -> Instruments {
        let loaded = Instruments::from_csv(format!("{HEADER}{}", self.rows)).unwrap();
        assert_eq!(loaded.problems, []);
        loaded.instruments
    }
}

fn list() -> Instruments {
    let mut csv = Csv::default();
    for (exchange, symbol) in
        [("NSE", "NIFTY 50"), ("NSE", "NIFTY BANK"), ("NSE", "RELIANCE"), ("BSE", "SENSEX")]
    {
        csv.share(exchange, symbol);
    }
    for day in ["2026-11-24", "2026-12-01", "2026-12-08", "2026-12-29"] {
        for strike in ["25900", "25950", "26000", "26050", "26200"] {
            csv.add("NFO", "NIFTY", day, strike, "CE");
            csv.add("NFO", "NIFTY", day, strike, "PE");
        }
    }
    for day in ["2026-11-26", "2026-12-31"] {
        csv.add("NFO", "NIFTY", day, "0", "FUT");
        csv.add("MCX", "CRUDEOIL", day, "0", "FUT");
    }
    csv.add("NFO", "RELIANCE", "2026-12-29", "1400", "CE");
    csv.add("NFO", "GONE", "2026-11-24", "100", "CE");
    csv.add("MCX", "CRUDEOIL", "2026-12-16", "5700", "PE");
    csv.add("MCX", "GOLD", "2026-12-29", "100000", "CE");
    csv.add("NCO", "GOLD", "2026-12-29", "100000", "CE");
    csv.add("CDS", "USDINR", "2026-12-29", "84.25", "CE");
    csv.list()
}

fn today() -> Date {
    Date::new(2026, 11, 30).unwrap()
}

/// Returns the symbols of a choice without their common beginning.
fn chosen(list: &Instruments, text: &str, spot: Option<&str>) -> Result<Vec<String>, String> {
    let contracts: Contracts = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let spot = spot.map(|spot| spot.parse().unwrap());
    let choice = list.choose(&contracts, today(), spot).map_err(|error| error.to_string())?;
    Ok(choice.instruments.iter().map(|one| one.tradingsymbol.to_owned()).collect())
}

#[test]
fn options_are_chosen_by_expiry_strike_and_type() {
    let list = list();
    for (text, spot, symbols) in [
        ("NIFTY nearest 26000 CE", None, &["NIFTY2026120126000CE"][..]),
        ("nfo:nifty next 26000 pe", None, &["NIFTY2026120826000PE"]),
        ("NSE:NIFTY 2026-12-29 26000", None, &["NIFTY2026122926000CE", "NIFTY2026122926000PE"]),
        (
            "NIFTY nearest 26050+-1 CE",
            None,
            &["NIFTY2026120126000CE", "NIFTY2026120126050CE", "NIFTY2026120126200CE"],
        ),
        ("NIFTY nearest ATM CE", Some("26130"), &["NIFTY2026120126200CE"]),
        ("NIFTY nearest ATM CE", Some("26125"), &["NIFTY2026120126050CE"]),
        ("NIFTY nearest ATM CE", Some("1"), &["NIFTY2026120125900CE"]),
        ("NIFTY nearest ATM CE", Some("99999"), &["NIFTY2026120126200CE"]),
        ("USDINR nearest 84.25", None, &["USDINR2026122984.25CE"]),
        ("MCX:GOLD nearest 100000", None, &["GOLD20261229100000CE"]),
        ("NIFTY nearest FUT", None, &["NIFTY202612310FUT"]),
    ] {
        assert_eq!(chosen(&list, text, spot).unwrap(), symbols, "{text}");
    }
}

#[test]
fn strikes_that_the_list_lacks_are_counted() {
    let (list, contracts) = (list(), "NIFTY nearest 25950+-4".parse().unwrap());
    let choice = list.choose(&contracts, today(), None).unwrap();
    assert_eq!(choice.instruments.len(), 2 * 5);
    assert_eq!((choice.missing_below, choice.missing_above), (3, 1));
}

#[test]
fn an_error_states_what_the_list_has_instead() {
    let list = list();
    for (text, message) in [
        ("NIFTI nearest 26000", "the list has no options of NIFTI (did you mean NIFTY?)"),
        ("NIFTY 50 nearest 26000", "the list has no options of NIFTY 50 (did you mean NIFTY?)"),
        (
            "BFO:NIFTY nearest 1",
            "the list has no options of NIFTY on BFO (did you mean NFO:NIFTY?)",
        ),
        ("RELIANCE nearest FUT", "the list has no futures of RELIANCE"),
        (
            "GOLD nearest 100000",
            "several exchanges list options of GOLD; write MCX:GOLD or NCO:GOLD",
        ),
        (
            "NIFTY 2026-12-30 26000",
            "no options of NIFTY expire on 2026-12-30; expiries from 2026-11-30 on: 2026-12-01, \
             2026-12-08, 2026-12-29",
        ),
        (
            "NIFTY 2026-11-24 26000",
            "2026-11-24 is past: it is 2026-11-30 in India; expiries from 2026-11-30 on: \
             2026-12-01, 2026-12-08, 2026-12-29",
        ),
        (
            "RELIANCE next 1400",
            "RELIANCE has no next expiry of options; expiries from 2026-11-30 on: 2026-12-29",
        ),
        (
            "GONE nearest 100",
            "all options of GONE in the list have expired; expiries from 2026-11-30 on: none",
        ),
        (
            "NIFTY nearest 26025+-3",
            "NIFTY has no strike 26025 that expires on 2026-12-01; the nearest are 26000 and 26050",
        ),
        (
            "NIFTY nearest 1",
            "NIFTY has no strike 1 that expires on 2026-12-01; the lowest is 25900",
        ),
        (
            "NIFTY nearest 99999",
            "NIFTY has no strike 99999 that expires on 2026-12-01; the highest is 26200",
        ),
        ("NIFTY nearest ATM", "ATM needs the price of NIFTY's underlying"),
    ] {
        assert_eq!(chosen(&list, text, None).unwrap_err(), message, "{text}");
    }
}

#[test]
fn contracts_are_chosen_until_the_end_of_the_day_on_which_they_expire() {
    let (list, contracts) = (list(), "NIFTY nearest 26000 CE".parse().unwrap());
    let expiry = |day: &str| {
        let choice = list.choose(&contracts, day.parse().unwrap(), None).unwrap();
        choice.instruments[0].expiry.unwrap().to_string()
    };
    assert_eq!(expiry("2026-12-01"), "2026-12-01");
    assert_eq!(expiry("2026-12-02"), "2026-12-08");
}

#[test]
fn the_underlying_is_an_index_a_share_or_the_future_after_the_options() {
    let list = list();
    let underlying = |text: &str| {
        let found = list.underlying(&text.parse().unwrap(), today());
        found.map(|one| one.to_string()).map_err(|error| error.to_string())
    };
    for (text, symbol) in [
        ("NIFTY nearest ATM", "NSE:NIFTY 50"),
        ("RELIANCE nearest ATM", "NSE:RELIANCE"),
        ("CRUDEOIL nearest ATM", "MCX:CRUDEOIL202612310FUT"),
    ] {
        assert_eq!(underlying(text).as_deref(), Ok(symbol), "{text}");
    }
    assert_eq!(
        underlying("MCX:GOLD nearest ATM").unwrap_err(),
        "the underlying of GOLD, a future of MCX from 2026-12-29 on, is not in the list"
    );
}

/// A day near today, as its place in a list of days.
fn day(number: u8) -> Date {
    Date::from_days(today().days() + i32::from(number) - 3).unwrap()
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_and_what_is_parsed_prints_back(
        text in prop_oneof![
            any::<String>(),
            vec(
                select(vec!["NIFTY", "NFO:", "nearest", "next", "2026-12-31", "ATM", "26000",
                    "+-", "±", "10", "CE", "pe", "FUT", " ", "  ", ":", "-", "."]),
                0..9,
            ).prop_map(|words| words.concat()),
        ],
    ) {
        match text.parse::<Contracts>() {
            Ok(contracts) => prop_assert_eq!(contracts.to_string().parse(), Ok(contracts)),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn a_choice_is_a_window_of_the_strikes_of_one_expiry(
        rows in btree_set((0..7_u8, 1..9_u8, any::<bool>()), 0..60),
        others in vec((0..7_u8, 1..9_u8), 0..9),
        expiry in prop_oneof![
            Just(Expiry::Nearest),
            Just(Expiry::Next),
            (0..7_u8).prop_map(|number| Expiry::On(day(number))),
        ],
        strike in option::of(1..9_u8),
        spot in 1..1_000_u32,
        around in 0..5_usize,
        only in option::of(select(vec![InstrumentType::Ce, InstrumentType::Pe])),
    ) {
        let mut csv = Csv::default();
        for &(expiry, strike, is_call) in &rows {
            let kind = if is_call { "CE" } else { "PE" };
            let strike = (u32::from(strike) * 100).to_string();
            csv.add("NFO", "NIFTY", &day(expiry).to_string(), &strike, kind);
        }
        for &(expiry, strike) in others.iter().collect::<BTreeSet<_>>() {
            let strike = (u32::from(strike) * 100).to_string();
            csv.add("NFO", "OTHER", &day(expiry).to_string(), &strike, "CE");
        }
        let wanted = strike.map_or("ATM".to_owned(), |strike| (u32::from(strike) * 100).to_string());
        let mut text = format!("NIFTY {expiry} {wanted}+-{around}");
        text += &only.map(|only| format!(" {only}")).unwrap_or_default();
        let list = csv.list();
        let found = list.choose(&text.parse().unwrap(), today(), Some(spot.into()));

        // The same, slowly.
        let of_type = rows.iter().filter(|(_, _, is_call)| {
            only.is_none_or(|only| (only == InstrumentType::Ce) == *is_call)
        });
        let live: Vec<_> = of_type.filter(|(expiry, ..)| day(*expiry) >= today()).collect();
        let days: BTreeSet<Date> = live.iter().map(|(expiry, ..)| day(*expiry)).collect();
        let expected_day = match expiry {
            Expiry::Nearest => days.first(),
            Expiry::Next => days.iter().nth(1),
            Expiry::On(day) => days.get(&day),
        };
        let Some(&expected_day) = expected_day else {
            let is_expiry = matches!(found, Err(ChoiceError::Expiry { .. } | ChoiceError::Name { .. }));
            prop_assert!(is_expiry, "{found:?}");
            return Ok(());
        };
        let of_day = live.iter().filter(|(expiry, ..)| day(*expiry) == expected_day);
        let strikes: BTreeSet<u32> = of_day.map(|(_, strike, _)| u32::from(*strike) * 100).collect();
        let middle = match strike {
            Some(strike) => u32::from(strike) * 100,
            None => *strikes.iter().min_by_key(|&&it| (it.abs_diff(spot), it)).unwrap(),
        };
        let (below, above): (Vec<u32>, Vec<u32>) =
            strikes.iter().filter(|&&it| it != middle).partition(|&&it| it < middle);
        let amount = |strike: Option<&u32>| strike.map(|&strike| Amount::from(strike));
        if !strikes.contains(&middle) {
            let is_strike = matches!(
                found,
                Err(ChoiceError::Strike { below: b, above: a, .. })
                    if b == amount(below.last()) && a == amount(above.first())
            );
            prop_assert!(is_strike);
            return Ok(());
        }
        let choice = found.unwrap();
        let kept: BTreeSet<Amount> = (below.iter().rev().take(around))
            .chain(above.iter().take(around))
            .chain([&middle])
            .map(|&strike| strike.into())
            .collect();
        prop_assert_eq!(choice.missing_below, around.saturating_sub(below.len()));
        prop_assert_eq!(choice.missing_above, around.saturating_sub(above.len()));
        let expected: Vec<_> = list
            .iter()
            .filter(|one| {
                one.name == "NIFTY"
                    && one.expiry == Some(expected_day)
                    && only.is_none_or(|only| one.instrument_type == only)
                    && one.strike.is_some_and(|strike| kept.contains(&strike))
            })
            .collect();
        prop_assert_eq!(choice.instruments.len(), expected.len());
        prop_assert!(expected.iter().all(|one| choice.instruments.contains(one)));
        let order = |one: &kite_instruments::Instrument<'_>| (one.strike, one.instrument_type);
        prop_assert!(choice.instruments.is_sorted_by_key(order));
    }
}
