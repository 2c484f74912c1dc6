//! Names of tokens and tokens of names, by the lists of each day.

use super::unknown::{HOW_TO_LIST, HOW_TO_NAME};
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
fn many_unknown_names_and_long_ones_are_shortened() {
    let texts: Vec<String> = (0..255).map(|number| format!("NSE:Z{number:03}Z")).collect();
    let unknown = Names::built_in().resolve_known(&texts).1.unwrap().to_string();
    assert!(unknown.starts_with("NSE:Z000Z, NSE:Z001Z, "), "{unknown}");
    assert!(unknown.ends_with(", NSE:Z009Z and 245 more"), "{unknown}");
    let long = "é".repeat(70_000);
    let unknown = Names::built_in().resolve(&long).unwrap_err().to_string();
    assert_eq!(unknown, format!("no instrument is named {}...", "é".repeat(100)));
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
