//! Adding instruments.

use kite_instruments::Instruments;

use super::*;
use crate::instruments::names::Names;

#[test]
fn an_exchange_token_is_added_with_a_warning() {
    let csv = "token,exchange_token,exchange,symbol\n408065,1594,NSE,INFY\n";
    let list = Instruments::from_csv(csv).unwrap().instruments;
    let mut app = app();
    app.directory = Box::new(Names::of_today(Some(list)));
    type_text(&mut app, "a1594");
    let effect = press(&mut app, KeyCode::Enter);
    assert_eq!(effect, Some(Effect::Subscribe { token: 1_594, mode: Mode::Full }));
    let line = app.journal.last(1).next().unwrap();
    assert_eq!(line.text, "1594 is the exchange token of NSE:INFY: use 408065");
}
