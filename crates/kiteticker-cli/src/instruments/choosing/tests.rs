//! Choices by day and by price.

use clap::Parser;

use super::*;
use crate::console::output::ColorChoice;
use crate::instruments::rows::HEADER;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    select: SelectArgs,
}

fn select(texts: &[&str]) -> SelectArgs {
    let options = texts.iter().flat_map(|text| ["--select", text]);
    Line::try_parse_from(["kite"].into_iter().chain(options)).unwrap().select
}

fn day(date: u8) -> Day {
    Day::from_date(2026, 11, date).unwrap()
}

/// Returns the list of a day: calls at 100, 200 and 300 that expire on each of these days, whose
/// tokens are the day of the expiry and the strike.
fn list(expiries: &[u8]) -> Instruments {
    let mut csv = HEADER.to_owned();
    for expiry in expiries {
        for strike in [100, 200, 300] {
            csv += &format!(
                "{expiry}{strike},1,X{expiry}{strike}CE,X,0,2026-11-{expiry},{strike},0.05,1,CE,NFO,NFO\n"
            );
        }
    }
    csv += "408065,1,X,,0,,0,0.05,1,EQ,NSE,NSE\n";
    Instruments::from_csv(csv).unwrap().instruments
}

fn names() -> Names {
    let days = [(day(23), list(&[24, 26])), (day(25), list(&[24, 26]))];
    Names::of_days(days.into_iter().map(|(day, list)| (day, vec![list])).collect())
}

fn chosen(texts: &[&str], prices: &Prices) -> Result<Vec<(Day, u32)>, String> {
    let (select, names) = (select(texts), names());
    let output = Output::new(ColorChoice::Never, true, true);
    let choosing = names.choosing(&select).map_err(|error| error.to_string())?;
    let found = choosing.choose(prices, output).map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(|(day, named)| (day, named.token)).collect())
}

#[test]
fn contracts_are_chosen_as_on_each_day_of_the_tapes() {
    let none = Prices::new();
    assert_eq!(chosen(&["X nearest 200"], &none), Ok(vec![(day(23), 24_200), (day(25), 26_200)]));
    assert_eq!(
        chosen(&["X 2026-11-24 200"], &none),
        Ok(vec![(day(23), 24_200)]),
        "expired on the second day"
    );
    assert_eq!(
        chosen(&["X nearest 150"], &none).unwrap_err(),
        "--select 'X nearest 150': X has no strike 150 that expires on 2026-11-26; the nearest \
         are 100 and 200"
    );
}

#[test]
fn at_the_money_is_by_the_price_of_each_day() {
    let select = select(&["X nearest ATM"]);
    let names = names();
    let unpriced = names.choosing(&select).unwrap().unpriced().unwrap();
    assert_eq!(unpriced, BTreeSet::from([(day(23), 408_065), (day(25), 408_065)]));
    let price = |date, price: u32| ((day(date), 408_065), Amount::from(price));
    assert_eq!(
        chosen(&["X nearest ATM"], &Prices::from([price(23, 120), price(25, 290)])),
        Ok(vec![(day(23), 24_100), (day(25), 26_300)])
    );
    assert_eq!(
        chosen(&["X nearest ATM"], &Prices::from([price(25, 290)])),
        Ok(vec![(day(25), 26_300)]),
        "no price on the first day"
    );
    assert!(chosen(&["X nearest ATM"], &Prices::new()).is_err());
}
