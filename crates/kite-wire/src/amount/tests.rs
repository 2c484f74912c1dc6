use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;
use crate::error::PriceError;
use crate::segment::Segment;

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

#[test]
fn numbers_of_the_instrument_list_are_exact() {
    for (text, units, printed) in [
        ("0.0", 0, "0"),
        ("0.05", 500_000, "0.05"),
        ("0.0025", 25_000, "0.0025"),
        ("24500.0", 245_000_000_000, "24500"),
        ("105.25", 1_052_500_000, "105.25"),
        ("1", 10_000_000, "1"),
        ("-0.0000001", -1, "-0.0000001"),
        ("0.12345670000", 1_234_567, "0.1234567"),
    ] {
        let number = amount(text);
        assert_eq!(number.units(), units, "{text}");
        assert_eq!(number.to_string(), printed);
        assert_eq!(number.to_f64(), text.parse::<f64>().unwrap());
    }
    assert_eq!(format!("[{:>7}] {:?}", Amount::from(5), amount("0.5")), "[      5] Amount(0.5)");
}

#[test]
fn strings_that_are_not_exact_numbers_are_rejected() {
    for bad in ["", "-", ".", ".5", "5.", "1e3", "1,000", " 1", "1.2.3", "NaN", "--1", "1\0"] {
        assert_eq!(bad.parse::<Amount>(), Err(AmountError::NotANumber), "{bad}");
    }
    assert_eq!("0.12345678".parse::<Amount>(), Err(AmountError::TooFine));
    let (most, more) = (Amount::MAX.to_string(), "17014118346046923173168730371588.4105728");
    assert_eq!(most.parse(), Ok(Amount::MAX));
    assert_eq!(more.parse::<Amount>(), Err(AmountError::OutOfRange));
    assert_eq!(format!("-{more}").parse(), Ok(Amount::MIN));
    assert_eq!("9".repeat(60).parse::<Amount>(), Err(AmountError::OutOfRange));
}

#[test]
fn a_precision_rounds_half_away_from_zero() {
    for (text, tenths, whole) in [
        ("0.05", "0.1", "0"),
        ("-0.05", "-0.1", "0"),
        ("-0.0499999", "0.0", "0"),
        ("1573.75", "1573.8", "1574"),
        ("-0.5", "-0.5", "-1"),
        ("9.95", "10.0", "10"),
        ("24500", "24500.0", "24500"),
    ] {
        let number = amount(text);
        assert_eq!((format!("{number:.1}"), format!("{number:.0}")), (tenths.into(), whole.into()));
    }
    assert_eq!(
        format!("{:>9.2}|{:+.9}|{:08.1}", amount("1.005"), amount("2"), amount("-3.25")),
        "     1.01|+2.000000000|-00003.3"
    );
    assert_eq!(format!("{:.99}", Amount::from(1)).len(), 32, "at most 30 decimals");
    assert!(
        format!("{:.30}", Amount::MIN).starts_with("-17014118346046923173168730371588.4105728")
    );
}

#[test]
fn sums_of_prices_are_exact_in_any_segments() {
    let share = Price::new(10, Segment::Nse);
    let rupee = Price::new(1, Segment::Cds);
    assert_eq!((share + rupee).to_string(), "0.1000001");
    assert_eq!((rupee - share).to_string(), "-0.0999999");
    assert_eq!([share; 3].into_iter().sum::<Amount>(), amount("0.3"));
    assert_eq!(share * 3 + share - rupee, amount("0.3999999"));
    let mut total = Amount::ZERO;
    total += share * 3_u64;
    total -= share;
    assert_eq!((total, -total, (-total).abs()), (amount("0.2"), amount("-0.2"), total));
}

#[test]
fn sums_and_products_saturate_and_the_checked_forms_report_it() {
    let (most, least) = (Amount::MAX, Amount::MIN);
    let one = Amount::from_units(1);
    assert_eq!((most + one, least - one, most * 2, most * -2), (most, least, most, least));
    assert_eq!((-least, least.abs()), (most, most));
    assert_eq!([most.checked_add(one), least.checked_sub(one), most.checked_mul(2)], [None; 3]);
    assert_eq!([one.checked_div(0), least.checked_div(-1)], [None; 2]);
    assert_eq!(least.checked_div(i128::MIN), Some(one));
    assert_eq!(most.round_to(Amount::from(2), Rounding::Up), None);
    // The largest product of the wire's integers is far from the limit.
    let price = Price::new(i32::MIN, Segment::Nse);
    assert_eq!(Some(price * u64::MAX), price.amount().checked_mul(u64::MAX));
}

#[test]
fn floats_are_rounded_once_and_exactly() {
    for (rupees, text) in [
        (1573.7, "1573.7"),
        (0.1 + 0.2, "0.3"),
        (-86.502_500_1, "-86.5025001"),
        (0.0, "0"),
        (-0.0, "0"),
        (f64::MIN_POSITIVE, "0"),
        // In the middle between two units, which only multiples of 1/256 are.
        (1.0 / 256.0, "0.0039063"),
        (-3.0 / 256.0, "-0.0117188"),
        (0.003_906_249_999, "0.0039062"),
        (1e22, "10000000000000000000000"),
        (-1e30, "-1000000000000000019884624838656"),
    ] {
        assert_eq!(Amount::from_f64(rupees).map(|it| it.to_string()), Ok(text.into()), "{rupees}");
    }
    for rupees in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1.8e31] {
        assert_eq!(Amount::from_f64(rupees), Err(AmountError::OutOfRange), "{rupees}");
    }
    assert_eq!(Amount::from_f64(f64::NAN), Err(AmountError::NotANumber));
}

#[test]
fn a_price_is_only_created_from_an_amount_that_it_holds_exactly() {
    let price = |text, segment| Price::from_amount(amount(text), segment);
    assert_eq!(price("86.5025", Segment::Bcd), Ok(Price::new(865_025, Segment::Bcd)));
    assert_eq!(price("86.5025", Segment::Nse), Err(PriceError::TooFine { decimals: 2 }));
    assert_eq!(price("21474836.47", Segment::Nse).map(Price::raw), Ok(i32::MAX));
    assert_eq!(price("21474836.48", Segment::Nse), Err(PriceError::OutOfRange));
    assert_eq!(price("-21474836.48", Segment::Nse).map(Price::raw), Ok(i32::MIN));
    assert_eq!(Price::from_amount(Amount::MAX, Segment::Cds), Err(PriceError::OutOfRange));
}

#[cfg(feature = "rust_decimal")]
#[test]
fn decimals_convert_exactly_or_not_at_all() {
    use ::rust_decimal::Decimal;

    assert_eq!(Decimal::from(Price::new(-157_370, Segment::Nse)).to_string(), "-1573.70");
    assert_eq!(Decimal::try_from(amount("105.25")).map(|it| it.to_string()), Ok("105.25".into()));
    assert_eq!(Decimal::try_from(Amount::MAX), Err(AmountError::OutOfRange));
    assert_eq!(Amount::try_from(Decimal::new(-105_250_000_000, 9)), Ok(amount("-105.25")));
    assert_eq!(Amount::try_from(Decimal::new(1, 8)), Err(AmountError::TooFine));
    let most = Amount::try_from(Decimal::MAX);
    assert_eq!(most.map(|it| it.to_string()), Ok(Decimal::MAX.to_string()));
}

#[cfg(all(feature = "serde", feature = "text"))]
#[test]
fn serde_uses_the_same_text() {
    assert_eq!(serde_json::to_string(&amount("-0.05")).unwrap(), r#""-0.05""#);
    assert_eq!(serde_json::from_str::<Amount>(r#""105.250""#).unwrap(), amount("105.25"));
    let error = serde_json::from_str::<Amount>(r#""0.12345678""#).unwrap_err();
    assert!(error.to_string().starts_with("more than 7 decimals"), "{error}");
    assert!(serde_json::from_str::<Amount>("105.25").is_err(), "a float is not exact");
}

fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from), -99_i128..100]
        .prop_map(Amount::from_units)
}

fn prices() -> impl Strategy<Value = Price> {
    let segments = prop::sample::select(&[Segment::Nse, Segment::Bcd, Segment::Cds][..]);
    (prop_oneof![any::<i32>(), -999..999], segments).prop_map(|(raw, it)| Price::new(raw, it))
}

fn segment_of(price: Price) -> Segment {
    [Segment::Nse, Segment::Bcd, Segment::Cds]
        .into_iter()
        .find(|segment| segment.decimals() == price.decimals())
        .unwrap()
}

proptest! {
    #[test]
    fn every_amount_and_price_parses_back_as_printed(amount in amounts(), price in prices()) {
        prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        prop_assert_eq!(format!("{amount:.7}").parse::<Amount>(), Ok(amount));
        prop_assert_eq!(format!("{amount:.12}").parse::<Amount>(), Ok(amount));
        let read: Price = price.to_string().parse().unwrap();
        prop_assert_eq!((read.raw(), read.decimals()), (price.raw(), price.decimals()));
    }

    #[test]
    fn every_price_survives_the_way_to_an_amount_and_back(price in prices()) {
        let back = Price::from_amount(price.amount(), segment_of(price)).unwrap();
        prop_assert_eq!((back.raw(), back.decimals()), (price.raw(), price.decimals()));
        let float = Amount::from_f64(price.to_f64());
        prop_assert_eq!(float, Ok(price.amount()), "{}", price);
        prop_assert_eq!(price.to_string().parse::<Amount>(), Ok(price.amount()));
    }

    #[test]
    fn prices_and_amounts_compare_by_value(a in prices(), b in prices()) {
        // The same comparison in the finest unit.
        let units = |price: Price| {
            i64::from(price.raw()) * 10_i64.pow(7 - u32::from(price.decimals()))
        };
        let order = Some(units(a).cmp(&units(b)));
        prop_assert_eq!(a.partial_cmp(&b), order);
        prop_assert_eq!(a.partial_cmp(&b.amount()), order);
        prop_assert_eq!(a.amount().partial_cmp(&b), order);
        prop_assert_eq!(a.amount().partial_cmp(&b.amount()), order);
        prop_assert_eq!((a == b.amount(), a.amount() == b), (a == b, a == b));
    }

    #[test]
    fn rounding_finds_the_multiple_on_the_named_side(
        amount in amounts(),
        tick in (1_i128..1_000_000_000).prop_map(Amount::from_units),
    ) {
        let [nearest, down, up] = [Rounding::Nearest, Rounding::Down, Rounding::Up]
            .map(|rounding| amount.round_to(tick, rounding));
        let (Some(nearest), Some(down), Some(up)) = (nearest, down, up) else {
            // Only at the ends of the range.
            prop_assert!(amount.abs() > Amount::MAX - tick);
            return Ok(());
        };
        for multiple in [nearest, down, up] {
            prop_assert_eq!(multiple.units() % tick.units(), 0);
        }
        prop_assert!(down <= amount && amount - down < tick);
        prop_assert!(up >= amount && up - amount < tick);
        let (below, above) = (amount - down, up - amount);
        let away = if amount < Amount::ZERO { down } else { up };
        let expected = match below.cmp(&above) {
            Ordering::Less => down,
            Ordering::Greater => up,
            Ordering::Equal => away,
        };
        prop_assert_eq!(nearest, expected);
    }

    #[test]
    fn a_precision_prints_what_rounding_to_its_unit_returns(
        units: i64, decimals in 0_usize..8, price in prices(),
    ) {
        let unit = Amount::from_units(10_i128.pow(7 - decimals as u32));
        for (amount, printed) in [
            (Amount::from_units(units.into()), format!("{:.decimals$}", Amount::from_units(units.into()))),
            (price.amount(), format!("{price:.decimals$}")),
        ] {
            let rounded = amount.round_to(unit, Rounding::Nearest).unwrap();
            prop_assert_eq!(printed.parse::<Amount>(), Ok(rounded));
            let digits = printed.split_once('.').map_or(0, |(_, digits)| digits.len());
            prop_assert_eq!(digits, decimals);
        }
    }

    #[test]
    fn sums_and_products_are_those_of_the_units(a: i64, b: i64, quantity: i32, divisor: i32) {
        let [x, y] = [a, b].map(|units| Amount::from_units(units.into()));
        prop_assert_eq!((x + y).units(), i128::from(a) + i128::from(b));
        prop_assert_eq!((x - y).units(), i128::from(a) - i128::from(b));
        prop_assert_eq!((x * quantity).units(), i128::from(a) * i128::from(quantity));
        if let Some(quotient) = x.checked_div(divisor) {
            let twice_off = (quotient.units() * i128::from(divisor) - i128::from(a)).abs() * 2;
            prop_assert!(twice_off <= i128::from(divisor).abs());
        }
    }

    #[test]
    fn floats_of_decimal_text_become_that_number(units in -99_999_999_999_999_i64..=99_999_999_999_999) {
        let exact = Amount::from_units(units.into());
        let float: f64 = exact.to_string().parse().unwrap();
        prop_assert_eq!(Amount::from_f64(float), Ok(exact));
        prop_assert_eq!(exact.to_f64(), float);
    }

    #[test]
    fn arbitrary_text_and_floats_never_panic(text in "[-+.0-9eE ]{0,48}", bits: u64) {
        let _ = text.parse::<Amount>();
        let _ = text.parse::<Price>();
        if let Ok(amount) = Amount::from_f64(f64::from_bits(bits)) {
            let _: String = amount.to_string();
        }
    }
}
