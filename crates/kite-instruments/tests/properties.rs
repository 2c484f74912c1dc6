//! Every list loads back as it was written, and no input makes loading panic or lose a row.

use kite_instruments::{Amount, Date, Exchange, Instrument, InstrumentType, Instruments, trimmed};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const COLUMNS: [&str; 12] = [
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
];

/// The fields of a row, in the order of `COLUMNS`.
#[derive(Debug, Clone)]
struct Made {
    tokens: (u32, u32),
    symbol: String,
    name: String,
    prices: [Amount; 3],
    expiry: Option<Date>,
    lot_size: u32,
    kind: InstrumentType,
    segment: String,
    exchange: Exchange,
}

impl Made {
    fn fields(&self) -> [String; 12] {
        let [last_price, strike, tick_size] = self.prices.map(|price| price.to_string());
        [
            self.tokens.0.to_string(),
            self.tokens.1.to_string(),
            self.symbol.clone(),
            self.name.clone(),
            last_price,
            self.expiry.map(|day| day.to_string()).unwrap_or_default(),
            strike,
            tick_size,
            self.lot_size.to_string(),
            self.kind.to_string(),
            self.segment.clone(),
            self.exchange.to_string(),
        ]
    }

    fn is_named_as(&self, other: &Self) -> bool {
        trimmed(&self.symbol) == trimmed(&other.symbol) && self.exchange == other.exchange
    }

    fn is(&self, read: Instrument<'_>) -> bool {
        let prices = self.prices.map(|price| (!price.is_zero()).then_some(price));
        read.instrument_token == self.tokens.0
            && read.exchange_token == (self.tokens.1 != 0).then_some(self.tokens.1)
            && read.tradingsymbol == trimmed(&self.symbol)
            && read.name == trimmed(&self.name)
            && [read.last_price, read.strike, read.tick_size] == prices
            && read.expiry == self.expiry
            && read.lot_size == (self.lot_size != 0).then_some(self.lot_size)
            && read.instrument_type == self.kind
            && read.segment == trimmed(&self.segment)
            && read.exchange == self.exchange
    }
}

/// Strings with all characters that are special in CSV, except line ends.
fn text(least: usize) -> impl Strategy<Value = String> {
    vec(select(vec!['A', 'b', '7', ' ', ',', '"', '\'', ':', '-', '&', 'é', 'अ', '\t']), least..9)
        .prop_map(|chars| chars.into_iter().collect())
}

fn row() -> impl Strategy<Value = Made> {
    // Few tokens and symbols, so that some repeat.
    let tokens = (prop_oneof![0..40_u32, any::<u32>()], any::<u32>());
    let price = prop_oneof![
        Just(Amount::ZERO),
        (0..200_000_i64).prop_map(|tick| Amount::from_units((tick * 25_000).into())),
        (i64::MIN + 1..=i64::MAX).prop_map(|units| Amount::from_units(units.into())),
    ];
    let day = (-700_000..2_900_000_i32).prop_filter_map("years 1 to 9999", Date::from_days);
    let kinds = ["EQ", "FUT", "CE", "PE", "", "SPREAD"].map(InstrumentType::from_name);
    let exchanges = ["NSE", "BSE", "NFO", "CDS", "GLOBAL", "NEWEX"].map(Exchange::from_name);
    (
        tokens,
        text(1),
        text(0),
        [price.clone(), price.clone(), price],
        option::of(day),
        any::<u32>(),
        select(kinds.into_iter().flatten().collect::<Vec<_>>()),
        text(0),
        select(exchanges.into_iter().flatten().collect::<Vec<_>>()),
    )
        .prop_map(
            |(tokens, symbol, name, prices, expiry, lot_size, kind, segment, exchange)| Made {
                tokens,
                symbol,
                name,
                prices,
                expiry,
                lot_size,
                kind,
                segment,
                exchange,
            },
        )
}

/// How a list is written.
#[derive(Debug, Clone)]
struct Form {
    end_of_line: &'static str,
    quotes_all: bool,
    /// Around each value.
    blank: &'static str,
    has_mark: bool,
    year_is_last: bool,
}

fn form() -> impl Strategy<Value = Form> {
    let ends = select(vec!["\n", "\r\n", "\r"]);
    let blanks = select(vec!["", " ", "\t "]);
    (ends, any::<bool>(), blanks, any::<bool>(), any::<bool>()).prop_map(
        |(end_of_line, quotes_all, blank, has_mark, year_is_last)| Form {
            end_of_line,
            quotes_all,
            blank,
            has_mark,
            year_is_last,
        },
    )
}

/// Writes rows as CSV with the columns in this order, plus an unknown column.
fn write(rows: &[Made], order: &[usize], form: &Form) -> String {
    let Form { end_of_line, blank, .. } = form;
    let mut csv = String::from(if form.has_mark { "\u{feff}" } else { "" });
    for &column in order {
        csv += &format!("{blank}{}{blank},", COLUMNS[column]);
    }
    csv += &format!("more{end_of_line}");
    for row in rows {
        let mut fields = row.fields();
        if let Some(day) = row.expiry.filter(|_| form.year_is_last) {
            fields[5] = format!("{:02}-{:02}-{:04}", day.day(), day.month(), day.year());
        }
        for &column in order {
            let field = &fields[column];
            if form.quotes_all || field.contains([',', '"']) {
                csv += &format!("{blank}\"{}\"{blank},", field.replace('"', "\"\""));
            } else {
                csv += &format!("{blank}{field}{blank},");
            }
        }
        csv += &format!("x{end_of_line}");
    }
    csv
}

proptest! {
    #[test]
    fn rows_load_back_as_written(
        rows in vec(row(), 0..60),
        order in subsequence((0..12).collect::<Vec<_>>(), 12).prop_shuffle(),
        form in form(),
    ) {
        let loaded = Instruments::from_csv(write(&rows, &order, &form)).unwrap();
        let mut kept: Vec<&Made> = Vec::new();
        let has_symbol = |row: &&Made| !trimmed(&row.symbol).is_empty();
        for row in rows.iter().filter(has_symbol) {
            let repeats = |other: &&Made| other.tokens.0 == row.tokens.0 && other.is_named_as(row);
            if !kept.iter().any(repeats) {
                kept.push(row);
            }
        }
        let list = &loaded.instruments;
        prop_assert_eq!(list.len(), kept.len());
        prop_assert_eq!(loaded.row_count(), rows.len() as u64);
        for (row, read) in kept.iter().zip(list.iter()) {
            prop_assert!(row.is(read), "{:?} {:?}", row, read);
            let named = list.by_token(row.tokens.0).map(|one| one.instrument_token);
            prop_assert_eq!(named, Some(row.tokens.0));
            let symbol = read.to_string();
            let same = kept.iter().zip(list.iter()).filter(|(other, _)| other.is_named_as(row));
            let same: Vec<Instrument<'_>> = same.map(|(_, read)| read).collect();
            prop_assert_eq!(list.by_symbol(&symbol), same.first().copied());
            prop_assert_eq!(list.all_by_symbol(&symbol), same);
            let lower = symbol.to_ascii_lowercase();
            let found = list.by_symbol(&lower).map(|found| found.to_string());
            prop_assert_eq!(found.map(|found| found.to_ascii_lowercase()), Some(lower));
        }
    }

    #[test]
    fn a_day_parses_with_the_year_first_or_last(
        days in -719_162..2_932_896_i32,
        junk in "[0-9-]{0,11}",
    ) {
        let day = Date::from_days(days).unwrap();
        let year_last = format!("{:02}-{:02}-{:04}", day.day(), day.month(), day.year());
        prop_assert_eq!(day.to_string().parse(), Ok(day));
        prop_assert_eq!(year_last.parse(), Ok(day));
        if let Ok(day) = junk.parse::<Date>() {
            let year_last = format!("{:02}-{:02}-{:04}", day.day(), day.month(), day.year());
            prop_assert!(junk == day.to_string() || junk == year_last, "{}", junk);
        }
    }

    #[test]
    fn every_line_is_a_row_or_a_problem(
        lines in vec(vec(select(b"0159,\"\"AE.-\xff: \t".to_vec()), 0..40), 0..60),
        valid in vec(0..60_usize, 0..5),
    ) {
        let mut csv = format!("{}\n", COLUMNS.join(",")).into_bytes();
        let mut expected = 0;
        for (number, line) in lines.iter().enumerate() {
            csv.extend_from_slice(line);
            csv.push(b'\n');
            expected += u64::from(!line.trim_ascii().is_empty());
            if valid.contains(&number) {
                csv.extend_from_slice(
                    format!("{},1,VALID{number},,,,,,,EQ,NSE,NSE\n", 4_000_000_000 + number as u64)
                        .as_bytes(),
                );
                expected += 1;
            }
        }
        let loaded = Instruments::from_csv(&csv).unwrap();
        prop_assert_eq!(loaded.row_count(), expected);
        // Valid rows load after any rows, even those with unclosed quotes.
        for number in valid.iter().filter(|&&number| number < lines.len()) {
            let symbol = format!("NSE:VALID{number}");
            prop_assert!(loaded.instruments.by_symbol(&symbol).is_some(), "{}", symbol);
        }
    }

    #[test]
    fn no_input_makes_loading_or_searching_panic(
        bytes in vec(any::<u8>(), 0..400),
        with_header: bool,
        words in ".{0,20}",
    ) {
        let header = if with_header { format!("{}\n", COLUMNS.join(",")) } else { String::new() };
        if let Ok(loaded) = Instruments::from_csv([header.as_bytes(), &bytes].concat()) {
            let _ = loaded.instruments.search(&words, 5);
            let _ = loaded.instruments.resolve([&words]);
            prop_assert!(loaded.problems.len() as u64 <= loaded.problem_count);
        }
    }
}
