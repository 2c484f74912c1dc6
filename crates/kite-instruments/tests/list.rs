//! Loading, look-ups, search and filters, as a user sees them.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::path::Path;

use kite_instruments::{
    Amount, Column, Date, Exchange, Fault, Filter, Instrument, InstrumentType, Instruments,
    LoadError, Loaded, MAX_PROBLEMS,
};
use kite_wire::Segment;

mod dump;

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

/// A small market: shares on two exchanges, an index, currency, and a chain of two expiries.
const MARKET: &str = "\
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
128053508,500209,INFY,INFOSYS,0,,0,0.05,1,EQ,BSE,BSE
2953217,11536,TCS,\"TATA CONSULTANCY, SERVICES\",3500.25,,0,0.05,1,EQ,NSE,NSE
256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE
4344065,16969,NIFTYBEES,NIPPON INDIA NIFTY ETF,0,,0,0.01,1,EQ,NSE,NSE
2818,11,NIFTY26NOVFUT,NIFTY,0,2026-11-26,0,0.05,75,FUT,NFO-FUT,NFO
3074,12,NIFTY26DEC24500CE,\"NIFTY\",0,2026-12-31,24500,0.05,75,CE,NFO-OPT,NFO
3330,13,NIFTY26NOV24500CE,\"NIFTY\",0,2026-11-26,24500.0,0.05,75,CE,NFO-OPT,NFO
3586,14,NIFTY26NOV24500PE,\"NIFTY\",0,2026-11-26,24500.0,0.05,75,PE,NFO-OPT,NFO
3842,15,NIFTY26NOV25000PE,\"NIFTY\",0,2026-11-26,25000.0,0.05,75,PE,NFO-OPT,NFO
4098,16,BANKNIFTY26NOV24500CE,\"BANKNIFTY\",0,2026-11-26,24500,0.05,35,CE,NFO-OPT,NFO
4355,17,USDINR26NOV86.25CE,\"USDINR\",0,2026-11-26,86.25,0.0025,1,CE,CDS-OPT,CDS
";

fn load(rows: &str) -> Loaded {
    Instruments::from_csv(format!("{HEADER}{rows}")).unwrap()
}

fn market() -> Instruments {
    let loaded = load(MARKET);
    assert_eq!(loaded.problems, []);
    loaded.instruments
}

fn symbols<'a>(found: impl IntoIterator<Item = Instrument<'a>>) -> Vec<String> {
    found.into_iter().map(|instrument| instrument.to_string()).collect()
}

fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_row_is_read_exactly() {
    let market = market();
    let option = market.by_symbol("CDS:USDINR26NOV86.25CE").unwrap();
    assert_eq!(option.instrument_token, 4355);
    assert_eq!(option.exchange_token, Some(17));
    assert_eq!(option.name, "USDINR");
    assert_eq!(option.expiry, Some(Date::new(2026, 11, 26).unwrap()));
    assert_eq!(option.strike, Some("86.25".parse().unwrap()));
    assert_eq!(option.tick_size, Some(Amount::from_units(25_000)));
    assert_eq!(option.lot_size, Some(1));
    assert_eq!(option.instrument_type, InstrumentType::Ce);
    assert_eq!((option.segment, option.exchange), ("CDS-OPT", Exchange::Cds));
    assert_eq!(option.wire_segment(), Segment::Cds);

    let share = market.by_token(2_953_217).unwrap();
    assert_eq!(share.name, "TATA CONSULTANCY, SERVICES");
    assert_eq!((share.last_price, share.expiry), (Some("3500.25".parse().unwrap()), None));
    assert_eq!(share.strike, None, "Kite writes 0");
    assert!(market.by_symbol("NSE:NIFTY 50").unwrap().is_index() && !share.is_index());
}

#[test]
fn columns_are_found_by_name_and_unknown_ones_are_ignored() {
    let csv = "\u{feff}exchange,colour,segment,instrument_type,lot_size,tick_size,strike,expiry,\
               last_price,name,tradingsymbol,exchange_token,Instrument_Token\r\n\
               NSE,red,NSE,EQ,1,0.05,,,,,INFY,1594,408065\r\n\r\n\
               BSE,,BSE,EQ,1,0.05,,,,\"A \"\"B\"\", C\",ABC,2,516";
    let loaded = Instruments::from_csv(csv).unwrap();
    assert_eq!(problems(&loaded), [""; 0]);
    let infosys = loaded.instruments.by_symbol("NSE:INFY").unwrap();
    assert_eq!((infosys.instrument_token, infosys.name, infosys.strike), (408_065, "", None));
    assert_eq!(loaded.instruments.by_symbol("BSE:ABC").unwrap().name, "A \"B\", C");
}

#[test]
fn input_that_is_not_a_list_is_rejected_with_what_it_lacks() {
    let error = Instruments::from_csv("instrument_token,name\n1,a\n").unwrap_err();
    let LoadError::MissingColumns { missing, header } = &error else { panic!("{error}") };
    assert_eq!(missing, &[Column::Tradingsymbol, Column::Exchange]);
    assert_eq!(header, "instrument_token,name");
    assert!(error.to_string().contains("lacks the columns tradingsymbol, exchange;"), "{error}");

    let page = "<html><title>503</title>\n";
    let error = Instruments::from_csv(page).unwrap_err().to_string();
    assert!(error.contains("<html><title>503</title>"), "{error}");

    let twice = HEADER.replace("exchange\n", "exchange,strike\n");
    let error = Instruments::from_csv(twice).unwrap_err();
    assert!(matches!(error, LoadError::RepeatedColumn { column: Column::Strike }), "{error}");

    for empty in ["", "\n\r\n", "\u{feff}"] {
        assert!(matches!(Instruments::from_csv(empty), Err(LoadError::Empty)), "{empty:?}");
    }
    assert!(load("").instruments.is_empty(), "a header alone is an empty list");
}

#[test]
fn invalid_rows_are_reported_by_line_and_the_others_load() {
    let loaded = load(
        "1,1,A,,0,,0,0.05,1,EQ,NSE,NSE\n\
         x,1,B,,0,,0,0.05,1,EQ,NSE,NSE\n\
         4294967296,1,B,,0,,0,0.05,1,EQ,NSE,NSE\n\
         2,x,B,,0,,0,0.05,1,EQ,NSE,NSE\n\
         2,2,,,0,,0,0.05,1,EQ,NSE,NSE\n\
         \n\
         2,2,B,,1e3,,0,0.05,1,EQ,NSE,NSE\n\
         2,2,B,,0,31-11-2026,0,0.05,1,EQ,NSE,NSE\n\
         2,2,B,,0,,0,0.05,1.5,EQ,NSE,NSE\n\
         2,2,B,,0,,0,0.05,1,EQ,NSE,\n\
         2,2,B,,0,,0,0.05,1,EQ,NSE,N:SE\n\
         2,2,B,BAD, COMMA,0,,0,0.05,1,EQ,NSE,NSE\n\
         2,2,B\n\
         2,2,B,\"never closed,0,,0,0.05,1,EQ,NSE,NSE\n\
         3,3,C,,0,,0,0.05,50.0,EQ,NSE,NSE",
    );
    let whole = "expected an integer up to 4,294,967,295";
    let exchange = "expected an exchange such as NSE, at most 15 bytes, without a colon";
    assert_eq!(
        problems(&loaded),
        [
            &format!("line 3: instrument_token is \"x\"; {whole}"),
            &format!("line 4: instrument_token is \"4294967296\"; {whole}"),
            &format!("line 5: exchange_token is \"x\"; {whole}, or an empty field"),
            "line 6: tradingsymbol is \"\"; expected a symbol",
            "line 8: last_price is \"1e3\"; expected a number up to 922 billion with at most 7 decimals, such as 105.25, or an empty field",
            "line 9: expiry is \"31-11-2026\"; expected a date such as 2026-11-26 or 26-11-2026, or an empty field",
            &format!("line 10: lot_size is \"1.5\"; {whole}, or an empty field"),
            &format!("line 11: exchange is \"\"; {exchange}"),
            &format!("line 12: exchange is \"N:SE\"; {exchange}"),
            "line 13: 13 fields; expected 12 as in the header",
            "line 14: 3 fields; expected 12 as in the header",
            "line 15: a quoted field does not end on its line, which begins \
             \"2,2,B,\\\"never closed,0,,0,0.05,1,EQ,NSE,NSE\"",
        ]
    );
    assert_eq!(symbols(loaded.instruments.iter()), ["NSE:A", "NSE:C"]);
    assert_eq!(loaded.instruments.by_token(3).unwrap().lot_size, Some(50));
    assert_eq!(loaded.row_count(), 14);
}

#[test]
fn strings_that_are_not_utf8_are_reported() {
    let csv = [HEADER.as_bytes(), b"1,1,\xff,,0,,0,0.05,1,EQ,NSE,NSE\n"].concat();
    let loaded = Instruments::from_csv(csv).unwrap();
    let Fault::Value { column: Column::Tradingsymbol, .. } = loaded.problems[0].fault else {
        panic!("{:?}", loaded.problems)
    };
}

#[test]
fn both_symbols_of_one_token_are_found_and_the_one_without_a_series_names_it() {
    for rows in ["1,1,INFY", "1,1,INFY-BE"].map(|first| {
        let row = |start: &str| format!("{start},INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n");
        let second = if first.ends_with("BE") { "1,1,INFY" } else { "1,1,INFY-BE" };
        row(first) + &row(second)
    }) {
        let loaded = load(&rows);
        assert_eq!(problems(&loaded), [""; 0]);
        let list = loaded.instruments;
        assert_eq!(list.by_token(1).unwrap().to_string(), "NSE:INFY");
        for symbol in ["NSE:INFY", "NSE:INFY-BE"] {
            let found = list.by_symbol(symbol).unwrap();
            assert_eq!((found.instrument_token, found.to_string().as_str()), (1, symbol));
        }
    }
    let other = load("1,1,A,,0,,0,0.05,1,EQ,NSE,NSE\n1,1,B,,0,,0,0.05,1,EQ,NSE,NSE\n").instruments;
    assert_eq!(other.by_token(1).unwrap().to_string(), "NSE:A", "the first in the list");
    assert_eq!(other.by_symbol("NSE:B").unwrap().instrument_token, 1);
}

#[test]
fn both_tokens_of_one_symbol_are_found_and_the_symbol_is_that_of_the_first() {
    let loaded = load(
        "2,2,A,later,0,,0,0.05,1,EQ,NSE,NSE\n\
         1,1,A,first,0,,0,0.05,1,EQ,NSE,NSE\n\
         2,2,a,lower,0,,0,0.05,1,EQ,NSE,NSE\n\
         3,3,A,elsewhere,0,,0,0.05,1,EQ,BSE,BSE\n\
         1,1,A,again,0,,0,0.05,1,EQ,NSE,NSE\n",
    );
    assert_eq!(
        problems(&loaded),
        ["line 6: NSE:A with the instrument_token 1 is already on line 3"]
    );
    let list = loaded.instruments;
    for token in [1, 2] {
        assert_eq!(list.by_token(token).unwrap().to_string(), "NSE:A");
    }
    assert_eq!(list.by_symbol("NSE:A").unwrap().instrument_token, 2);
    let tokens = |symbol| {
        let all = list.all_by_symbol(symbol);
        all.iter().map(|one| (one.instrument_token, one.name)).collect::<Vec<_>>()
    };
    assert_eq!(tokens("nse:A"), [(2, "later"), (1, "first")]);
    assert_eq!(tokens("NSE:a"), [(2, "lower")]);
    assert_eq!((tokens("BSE:a"), tokens("NSE:B")), (vec![(3, "elsewhere")], Vec::new()));
}

#[test]
fn token_exchange_and_symbol_are_enough_in_any_order() {
    for (header, rows) in [
        ("tradingsymbol,exchange,instrument_token", "INFY,NSE,408065"),
        ("note,Exchange, Symbol ,TOKEN", "\"mine, too\",NSE,INFY,408065"),
        ("exchange,token,trading_symbol,expiry", "NSE,408065.0,INFY,"),
    ] {
        let loaded = Instruments::from_csv(format!("{header}\n{rows}\n")).unwrap();
        assert_eq!(problems(&loaded), [""; 0], "{header}");
        let infosys = loaded.instruments.by_symbol("NSE:INFY").unwrap();
        assert_eq!(loaded.instruments.by_token(408_065), Some(infosys));
        assert_eq!((infosys.exchange_token, infosys.lot_size, infosys.expiry), (None, None, None));
        assert_eq!((infosys.last_price, infosys.strike, infosys.tick_size), (None, None, None));
        assert_eq!((infosys.name, infosys.segment), ("", ""));
        assert_eq!(infosys.instrument_type.as_str(), "");
    }
    let both = "token,instrument_token,symbol,tradingsymbol,exchange\n1,2,a,A,NSE\n";
    let list = Instruments::from_csv(both).unwrap().instruments;
    assert_eq!(list.by_symbol("NSE:A").unwrap().instrument_token, 2, "Kite's names come first");
    let error = Instruments::from_csv("token,Token,symbol,exchange\n").unwrap_err();
    assert!(matches!(error, LoadError::RepeatedColumn { column: Column::InstrumentToken }));
    let error = Instruments::from_csv("token,symbol\n").unwrap_err().to_string();
    assert!(error.starts_with("the list lacks the column exchange;"), "{error}");
}

#[test]
fn lists_load_as_spreadsheets_and_shells_write_them() {
    let csv = "instrument_token , tradingsymbol,name, expiry,exchange\r\n \
               2818 ,\u{a0}NIFTY24APRFUT\t, \"A, B\" , 25-04-2024 , NFO \r\n   \r\n";
    let with_mark = format!("\u{feff}{csv}");
    let utf16: Vec<u8> = with_mark.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [csv.as_bytes(), with_mark.as_bytes(), &utf16] {
        let loaded = Instruments::from_csv(bytes).unwrap();
        assert_eq!(problems(&loaded), [""; 0]);
        let future = loaded.instruments.by_symbol("NFO:NIFTY24APRFUT").unwrap();
        assert_eq!((future.instrument_token, future.name), (2818, "A, B"));
        assert_eq!(future.expiry, Some(Date::new(2024, 4, 25).unwrap()));
        assert_eq!(symbols(loaded.instruments.search("25-04-2024", 5)), ["NFO:NIFTY24APRFUT"]);
    }
}

#[test]
fn problems_beyond_the_limit_are_counted() {
    let rows: String = (0..MAX_PROBLEMS + 7).map(|_| "bad\n").collect();
    let loaded = load(&rows);
    assert_eq!(loaded.problems.len(), MAX_PROBLEMS);
    assert_eq!(loaded.problem_count, MAX_PROBLEMS as u64 + 7);
    assert_eq!(loaded.row_count(), MAX_PROBLEMS as u64 + 7);
}

#[test]
fn symbols_are_found_ignoring_case_exact_matches_first() {
    let loaded = load(
        "1,1,abc,lower,0,,0,0.05,1,EQ,NSE,NSE\n\
         2,2,ABC,upper,0,,0,0.05,1,EQ,NSE,NSE\n",
    );
    let name = |symbol| loaded.instruments.by_symbol(symbol).map(|found| found.name);
    assert_eq!(name("NSE:abc"), Some("lower"));
    assert_eq!(name("NSE:ABC"), Some("upper"));
    assert_eq!(name("nse:ABC"), Some("upper"));
    assert_eq!(name("nse:Abc"), Some("lower"), "the first of both");
    assert_eq!((name("ABC"), name("BSE:ABC"), name("NSE:"), name("")), (None, None, None, None));
}

#[test]
fn search_puts_exact_matches_first() {
    let market = market();
    let found = |words| symbols(market.search(words, 3));
    assert_eq!(found("infy"), ["NSE:INFY", "BSE:INFY"]);
    assert_eq!(found("BSE:infy"), ["BSE:INFY"]);
    // The strikes of options contain a 50 too.
    assert_eq!(found("nifty 50")[0], "NSE:NIFTY 50");
    assert_eq!(
        found("nifty 24500 ce"),
        ["NFO:NIFTY26NOV24500CE", "NFO:NIFTY26DEC24500CE", "NFO:BANKNIFTY26NOV24500CE"]
    );
    assert_eq!(found("dec nifty"), ["NFO:NIFTY26DEC24500CE"]);
    assert_eq!(found("nifty fut 26nov"), ["NFO:NIFTY26NOVFUT"]);
    assert_eq!(found("2026-12 ce"), ["NFO:NIFTY26DEC24500CE"]);
    assert_eq!(found("consultancy tata"), ["NSE:TCS"]);
    assert_eq!(found("etf"), ["NSE:NIFTYBEES"]);
    assert_eq!(found("86.25"), ["CDS:USDINR26NOV86.25CE"]);
    assert_eq!(found("nothing like it"), [""; 0]);
    assert_eq!(found(" : "), [""; 0]);
    assert_eq!(market.search("nifty", 0), []);
    let all = symbols(market.search("nifty", 100));
    assert_eq!(all.len(), 8);
    assert_eq!(all[..2], ["NSE:NIFTY 50", "NSE:NIFTYBEES"]);
    assert_eq!(found("nifty"), all[..3], "the best matches do not depend on the limit");
}

#[test]
fn all_criteria_of_a_filter_must_hold() {
    let market = market();
    let found = |filter: Filter| symbols(market.filter(&filter));
    let november = Date::new(2026, 11, 26).unwrap();
    assert_eq!(found(Filter::new()).len(), market.len());
    assert_eq!(found(Filter::new().exchange(Exchange::Bse)), ["BSE:INFY"]);
    assert_eq!(found(Filter::new().segment("indices")), ["NSE:NIFTY 50"]);
    assert_eq!(
        found(Filter::new().name("nifty").instrument_type(InstrumentType::Pe)),
        ["NFO:NIFTY26NOV24500PE", "NFO:NIFTY26NOV25000PE"]
    );
    assert_eq!(
        found(Filter::new().name("NIFTY").expiry_from(Date::new(2026, 11, 27).unwrap())),
        ["NFO:NIFTY26DEC24500CE"]
    );
    assert_eq!(found(Filter::new().expiry(november)).len(), 6);
    assert_eq!(found(Filter::new().expiry_until(november)).len(), 6);
    assert_eq!(found(Filter::new().strikes(Amount::from(24_501)..)), ["NFO:NIFTY26NOV25000PE"]);
    // A range that includes 0 does not select instruments that are not options.
    assert_eq!(found(Filter::new().strikes(..Amount::from(100))), ["CDS:USDINR26NOV86.25CE"]);
}

#[test]
fn the_nearest_expiry_respects_the_other_criteria() {
    let market = market();
    let nearest = |filter: Filter, day: u8, month: u8| {
        let day = Date::new(2026, month, day).unwrap();
        symbols(market.filter(&filter.nearest_expiry(day)))
    };
    let calls = || Filter::new().name("NIFTY").instrument_type(InstrumentType::Ce);
    assert_eq!(nearest(calls(), 26, 11), ["NFO:NIFTY26NOV24500CE"]);
    assert_eq!(nearest(calls(), 27, 11), ["NFO:NIFTY26DEC24500CE"]);
    assert_eq!(nearest(Filter::new().name("NIFTY"), 1, 1).len(), 4);
    assert_eq!(nearest(Filter::new(), 1, 12), ["NFO:NIFTY26DEC24500CE"]);
    // Shares never expire, and no instrument expires after the last expiry.
    assert_eq!(nearest(Filter::new(), 31, 12), ["NFO:NIFTY26DEC24500CE"]);
    let late = Filter::new().nearest_expiry(Date::new(2027, 1, 1).unwrap());
    assert_eq!(symbols(market.filter(&late)), [""; 0]);
    let expiries: Vec<String> = market.expiries("nifty").iter().map(Date::to_string).collect();
    assert_eq!(expiries, ["2026-11-26", "2026-12-31"]);
    assert_eq!(market.expiries("INFOSYS"), []);
}

#[test]
fn many_symbols_resolve_in_order_or_all_unknown_are_named() {
    let market = market();
    let found = market.resolve(["BSE:INFY", "nse:infy", "256265"]).unwrap();
    assert_eq!(symbols(found), ["BSE:INFY", "NSE:INFY", "NSE:NIFTY 50"]);

    let asked =
        ["NSE:INFI", "NSE:INFY", "INFY", "NSE:NIFTY50", "BSE:TCS", "NSE:QQQQ", "999", "NSE:"];
    let error = market.resolve(asked).unwrap_err();
    assert_eq!(
        error.to_string(),
        "7 of 8 symbols are not in the list: NSE:INFI (did you mean NSE:INFY?), \
         INFY (did you mean NSE:INFY or BSE:INFY?), NSE:NIFTY50 (did you mean NSE:NIFTY 50?), \
         BSE:TCS (did you mean NSE:TCS?), NSE:QQQQ, 999 (symbols are written as NSE:INFY), NSE:"
    );
    let error = market.resolve((0..30).map(|number| format!("NSE:?{number}"))).unwrap_err();
    assert_eq!(error.unknown.len(), 30);
    assert!(error.to_string().ends_with(" and 20 more"), "{error}");
}

#[test]
fn files_are_read_plain_or_gzip_and_errors_name_the_file() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("list.csv");
    std::fs::write(&plain, format!("{HEADER}{MARKET}")).unwrap();
    assert_eq!(Instruments::from_file(&plain).unwrap().instruments.len(), 12);

    let packed = folder.path().join("list.csv.gz");
    let file = std::fs::File::create(&packed).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(format!("{HEADER}{MARKET}").as_bytes()).unwrap();
    encoder.finish().unwrap();
    assert_eq!(Instruments::from_file(&packed).unwrap().instruments.len(), 12);

    let cut = std::fs::read(&packed).unwrap();
    std::fs::write(&packed, &cut[..cut.len() / 2]).unwrap();
    let error = Instruments::from_file(&packed).unwrap_err();
    let text = error.to_string();
    let (file, why) = text.split_once(" is not a valid instrument list: ").unwrap();
    assert!(file.ends_with("list.csv.gz"), "{text}");
    assert!(why.starts_with("the gzip data is damaged or truncated after"), "{why}");

    let error = Instruments::from_file(folder.path().join("none.csv")).unwrap_err().to_string();
    assert!(error.contains("none.csv cannot be read: "), "{error}");
}

#[test]
fn a_full_list_loads_and_every_row_is_found_by_token_and_symbol() {
    let loaded = Instruments::from_csv(dump::dump(90_000)).unwrap();
    assert_eq!((loaded.instruments.len(), problems(&loaded)), (90_000, Vec::new()));
    let list = loaded.instruments;
    for instrument in list.iter() {
        assert_eq!(list.by_token(instrument.instrument_token), Some(instrument));
        assert_eq!(list.by_symbol(&instrument.to_string()), Some(instrument));
    }
    assert!(list.expiries("NIFTY").len() == 8 && list.expiries("GOLD").len() == 3);
}

#[test]
fn the_published_lists_load_without_a_problem() {
    for name in ["instruments_all.csv", "instruments_nse.csv"] {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
        let path = vectors.join(name);
        if !path.exists() {
            println!("skipped: {} does not exist", path.display());
            continue;
        }
        let loaded = Instruments::from_file(path).unwrap();
        assert_eq!((problems(&loaded), loaded.instruments.len()), (Vec::new(), 99), "{name}");
        for instrument in loaded.instruments.iter() {
            assert!(!matches!(instrument.exchange, Exchange::Other(_)), "{instrument}");
            assert!(!matches!(instrument.instrument_type, InstrumentType::Other(_)));
            let wire = instrument.instrument_token >> 8;
            assert_eq!(Some(wire), instrument.exchange_token, "{instrument}");
        }
    }
}
