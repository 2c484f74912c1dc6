//! Order updates with all documented fields.

use serde_json::{Value, json};

use kite_wire::UnixSeconds;
use kite_wire::ist::IstDateTime;

use crate::hash::noise;

const QUANTITY: u32 = 10;
const PRICE: f64 = 1_500.5;

/// Returns the payload of an update of an order for ten shares of INFY, with this status and
/// without the fields that [`identify`] adds.
pub(crate) fn payload(status: &str) -> Value {
    let reason = (status == "REJECTED").then_some("Rejected by kite-sim");
    let (filled, cancelled) = match status {
        "COMPLETE" => (QUANTITY, 0),
        "CANCELLED" | "REJECTED" => (0, QUANTITY),
        _ => (0, 0),
    };
    let pending = QUANTITY - filled - cancelled;
    json!({
        "user_id": "SIM001", "account_id": "SIM001", "placed_by": "SIM001", "app_id": 1,
        "parent_order_id": null, "tag": "sim", "tags": ["sim"], "auction_number": null, "meta": {},
        "status": status, "status_message": reason, "status_message_raw": reason, "modified": false,
        "exchange": "NSE", "tradingsymbol": "INFY", "instrument_token": 408_065,
        "variety": "regular", "order_type": "LIMIT", "transaction_type": "BUY",
        "validity": "DAY", "validity_ttl": 0, "product": "CNC", "market_protection": 0,
        "quantity": QUANTITY, "disclosed_quantity": 0, "filled_quantity": filled,
        "pending_quantity": pending, "cancelled_quantity": cancelled, "unfilled_quantity": pending,
        "price": PRICE, "trigger_price": 0, "average_price": if filled > 0 { PRICE } else { 0.0 },
    })
}

/// Adds the fields that identify and date an update, unless it has an `order_id`. `number` is its
/// own in the simulator.
pub(crate) fn identify(data: &mut Value, number: u64, now_unix_s: u32) {
    let Some(fields) = data.as_object_mut().filter(|fields| !fields.contains_key("order_id"))
    else {
        return;
    };
    let now = IstDateTime::from(UnixSeconds(now_unix_s)).to_string();
    let day = now.get(2..10).unwrap_or_default().replace('-', "");
    // There is no secret that a checksum could be computed from.
    let checksum =
        (0..4).map(|lane| format!("{:016x}", noise(number, 0, lane))).collect::<String>();
    fields.insert("order_id".into(), format!("{day}{number:09}").into());
    for (name, value) in [
        ("exchange_order_id", format!("1{number:015}")),
        ("guid", format!("sim{number}")),
        ("checksum", checksum),
        ("order_timestamp", now.clone()),
        ("exchange_timestamp", now.clone()),
        ("exchange_update_timestamp", now),
    ] {
        fields.entry(name).or_insert(value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kite_wire::order::Order;

    use super::*;

    /// The table of order updates in `docs/protocol.md`.
    const DOCUMENTED: &str = "user_id account_id placed_by app_id guid checksum order_id \
        exchange_order_id parent_order_id tag tags auction_number meta status status_message \
        status_message_raw modified order_timestamp exchange_timestamp exchange_update_timestamp \
        exchange tradingsymbol instrument_token variety order_type transaction_type validity \
        validity_ttl product market_protection quantity disclosed_quantity filled_quantity \
        pending_quantity cancelled_quantity unfilled_quantity price trigger_price average_price";

    #[test]
    fn every_documented_field_is_there_and_readable() {
        for status in
            ["COMPLETE", "REJECTED", "CANCELLED", "UPDATE", "OPEN", "PUT ORDER REQ RECEIVED"]
        {
            let mut data = payload(status);
            identify(&mut data, 7, 1_754_295_628);
            let fields: BTreeSet<_> =
                data.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, DOCUMENTED.split_whitespace().collect());
            let order: Order = serde_json::from_value(data.clone()).unwrap();
            assert!(order.unreadable().is_empty(), "{:?}", order.unreadable());
            assert_eq!(data["order_id"], "250804000000007");
            assert_eq!(data["order_timestamp"], "2025-08-04 13:50:28");
            let sum = ["filled_quantity", "pending_quantity", "cancelled_quantity"]
                .map(|name| data[name].as_u64().unwrap());
            assert_eq!(sum.iter().sum::<u64>(), 10, "{status}");
        }
    }

    #[test]
    fn an_update_with_an_identity_keeps_it() {
        let mut data = json!({"order_id": "1"});
        identify(&mut data, 7, 0);
        assert_eq!(data, json!({"order_id": "1"}));
    }
}
