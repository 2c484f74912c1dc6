//! Rows of the instrument list, as tapes note them.

use kite_instruments::Instrument;
use kite_tape::{InstrumentRow, Listing};
use kite_wire::Mode;
use kite_wire::ist::Day;

use crate::instruments::names::Names;

/// Returns what a recorder notes of subscribed instruments.
pub(crate) fn to_note(instruments: Vec<(u32, Mode)>, names: &Names) -> Vec<InstrumentRow> {
    let row = |(token, mode)| {
        let mut row = InstrumentRow::new(token);
        row.mode = Some(mode);
        row.listing = names.instrument(token).map(|one| listing(&one));
        row
    };
    instruments.into_iter().map(row).collect()
}

/// Returns the columns of an instrument. Missing numbers are 0, as in Kite's list.
fn listing(one: &Instrument<'_>) -> Listing {
    Listing {
        exchange_token: one.exchange_token.unwrap_or(0),
        tradingsymbol: one.tradingsymbol.to_owned(),
        name: one.name.to_owned(),
        last_price: one.last_price.unwrap_or_default(),
        expiry: one.expiry.and_then(|date| Day::from_unix_days(date.days().into())),
        strike: one.strike.unwrap_or_default(),
        tick_size: one.tick_size.unwrap_or_default(),
        lot_size: one.lot_size.unwrap_or(0),
        instrument_type: one.instrument_type.to_string(),
        segment: one.segment.to_owned(),
        exchange: one.exchange.to_string(),
    }
}

/// The header of Kite's CSV.
#[cfg(test)]
pub(super) const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

#[cfg(test)]
mod tests {
    use kite_instruments::Instruments;

    use super::*;

    #[test]
    fn a_note_has_the_columns_of_the_list_for_names_that_are_known() {
        let csv = format!(
            "{HEADER}9604354,37517,NIFTY26DEC24500CE,\"A \"\"B\"\", C\",0.05,2026-12-29,24500.5,\
             0.05,75,CE,NFO-OPT,NFO\n408065,1594,INFY,,0,,0,0,0,EQ,NSE,NSE\n"
        );
        let names = Names::of_today(Some(Instruments::from_csv(csv).unwrap().instruments));
        let subscribed = [9_604_354, 408_065, 999_424].map(|token| (token, Mode::Quote));
        let noted = to_note(subscribed.to_vec(), &names);
        assert!(noted.iter().all(|row| row.mode == Some(Mode::Quote)));
        assert_eq!(noted[2].listing, None);
        let call = Listing {
            exchange_token: 37_517,
            tradingsymbol: "NIFTY26DEC24500CE".into(),
            name: "A \"B\", C".into(),
            last_price: "0.05".parse().unwrap(),
            expiry: Day::from_date(2026, 12, 29),
            strike: "24500.5".parse().unwrap(),
            tick_size: "0.05".parse().unwrap(),
            lot_size: 75,
            instrument_type: "CE".into(),
            segment: "NFO-OPT".into(),
            exchange: "NFO".into(),
        };
        assert_eq!(noted[0].listing, Some(call));
        assert_eq!(noted[1].symbol().as_deref(), Some("NSE:INFY"));
    }
}
