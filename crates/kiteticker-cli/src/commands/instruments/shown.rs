//! Instruments as a table and as JSON.

use kite_conn::OneLine;
use kite_instruments::{Amount, Instrument};
use serde_json::json;

use crate::console::output::{self, Output};

/// Returns a table with a heading; empty without instruments.
pub(super) fn table(found: &[Instrument<'_>], output: Output) -> String {
    if found.is_empty() {
        return String::new();
    }
    let symbol = |one: &Instrument<'_>| format!("{}:{}", one.exchange, one.tradingsymbol);
    let width = found.iter().map(|one| symbol(one).chars().count()).max().unwrap_or(0).max(6);
    let head = format!(
        "{:>10}  {:<width$}  {:<4} {:<10} {:>9} {:>6} {:>6}  {}",
        "TOKEN", "SYMBOL", "KIND", "EXPIRY", "STRIKE", "LOT", "TICK", "NAME"
    );
    let mut text = output.paint(output::BOLD, head) + "\n";
    for one in found {
        let price = |price: Option<Amount>| price.map(|it| it.to_string()).unwrap_or_default();
        let line = format!(
            "{:>10}  {:<width$}  {:<4} {:<10} {:>9} {:>6} {:>6}  {}",
            one.instrument_token,
            symbol(one),
            one.instrument_type.as_str(),
            one.expiry.map(|day| day.to_string()).unwrap_or_default(),
            price(one.strike),
            one.lot_size.map(|lot| lot.to_string()).unwrap_or_default(),
            price(one.tick_size),
            one.name
        );
        text += &OneLine(line.trim_end()).to_string();
        text.push('\n');
    }
    text
}

/// Returns the columns of an instrument; `null` for what the list lacks.
pub(super) fn as_json(one: &Instrument<'_>) -> serde_json::Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "instrument_token": one.instrument_token,
        "exchange_token": one.exchange_token,
        "tradingsymbol": one.tradingsymbol,
        "name": known(one.name),
        "last_price": one.last_price.map(Amount::to_f64),
        "expiry": one.expiry.map(|day| day.to_string()),
        "strike": one.strike.map(Amount::to_f64),
        "tick_size": one.tick_size.map(Amount::to_f64),
        "lot_size": one.lot_size,
        "instrument_type": known(one.instrument_type.as_str()),
        "segment": known(one.segment),
        "exchange": one.exchange.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use kite_instruments::Instruments;

    use super::*;

    #[test]
    fn a_name_of_a_list_cannot_control_a_terminal() {
        let header = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange";
        let row = "408065,1594,INFY,\u{1b}[2J\u{202e}INFOSYS,0,,0,0.05,1,EQ,NSE,NSE";
        let loaded = Instruments::from_csv(format!("{header}\n{row}\n")).unwrap();
        let found: Vec<_> = loaded.instruments.by_token(408_065).into_iter().collect();
        let output = Output::new(output::ColorChoice::Never, false, true);
        let text = table(&found, output);
        assert!(text.ends_with("  [2J INFOSYS\n"), "{text:?}");
    }
}
