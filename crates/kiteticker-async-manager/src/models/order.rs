//! An order update, under its old field names.
//!
//! `kite_wire::order` reads it and never fails on an object; only names and types differ here.

use std::sync::Arc;

use kite_wire::order::IstDateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::models::{Exchange, OrderStatus, OrderTransactionType, OrderValidity};

/// An order, as described by an order update or postback.
///
/// Any field may be missing, null or of an unexpected type on the wire. An `Option` is then `None`,
/// a string empty, a number 0, an exchange [`Exchange::Unknown`], and a status, side or validity
/// `Other` with an empty string. If the value was present but unreadable,
/// [`unreadable`](Self::unreadable) names the field.
///
/// Serde writes the JSON object as received, regardless of later assignments to fields, and reads
/// any JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Kite's identifier of the order.
    pub order_id: String,
    /// The exchange's identifier; `None` until the order reaches the exchange.
    pub exchange_order_id: Option<String>,
    /// The order of which this one is the second leg.
    pub parent_order_id: Option<String>,
    /// The user who placed the order; may differ from `user_id`.
    pub placed_by: String,
    /// The user for whom the order was placed.
    pub user_id: String,
    /// The number of the app that placed the order.
    pub app_id: u64,
    /// The order's status.
    pub status: OrderStatus,
    /// The status in readable form, usually why an order was rejected.
    pub status_message: Option<String>,
    /// The same in the exchange's or the order system's words.
    pub status_message_raw: Option<String>,
    /// The exchange's symbol of the instrument.
    pub tradingsymbol: String,
    /// The instrument token.
    pub instrument_token: u32,
    /// The exchange.
    pub exchange: Exchange,
    /// `MARKET`, `LIMIT`, `SL`, `SL-M` and others.
    pub order_type: String,
    /// The order's side.
    pub transaction_type: OrderTransactionType,
    /// The order's validity.
    pub validity: OrderValidity,
    /// `regular`, `amo`, `co`, `iceberg`, `auction` and others.
    pub variety: String,
    /// `CNC`, `NRML`, `MIS`, `MTF` and others.
    pub product: Option<String>,
    /// Average fill price in rupees; 0 before the first fill.
    pub average_price: f64,
    /// Quantity disclosed to the market.
    pub disclosed_quantity: f64,
    /// Limit price in rupees; 0 for market orders.
    pub price: f64,
    /// Trigger price in rupees; 0 without a trigger.
    pub trigger_price: f64,
    /// Quantity ordered.
    pub quantity: u64,
    /// Quantity filled so far.
    pub filled_quantity: u64,
    /// Quantity not filled.
    pub unfilled_quantity: u64,
    /// Quantity still to be filled.
    pub pending_quantity: u64,
    /// Quantity cancelled.
    pub cancelled_quantity: u64,
    /// When Kite registered the order, in Indian Standard Time.
    pub order_timestamp: Option<IstDateTime>,
    /// When the exchange registered the order, in Indian Standard Time.
    pub exchange_timestamp: Option<IstDateTime>,
    /// When the exchange last changed the order's state, in Indian Standard Time.
    pub exchange_update_timestamp: Option<IstDateTime>,
    /// Details by variety, for example the legs of an iceberg order; null if absent.
    pub meta: Value,
    /// The caller's tag.
    pub tag: Option<String>,
    /// Hexadecimal SHA-256 of order id, order timestamp and API secret, to verify the sender.
    pub checksum: String,
    // Shared, because every receiver of a channel gets a clone.
    wire: Arc<kite_wire::order::Order>,
}

impl Order {
    /// Returns the JSON object as received, including unknown and unreadable fields.
    #[must_use]
    pub fn raw(&self) -> &Map<String, Value> {
        self.wire.raw()
    }

    /// Returns the names of the fields that are present but unreadable.
    #[must_use]
    pub fn unreadable(&self) -> &[&'static str] {
        self.wire.unreadable()
    }

    /// Returns the order with every field optional, and with the fields that this type lacks:
    /// `tags`, `guid`, `account_id`, `modified`, `validity_ttl`, `auction_number` and
    /// `market_protection`.
    #[must_use]
    pub fn as_wire(&self) -> &kite_wire::order::Order {
        &self.wire
    }
}

impl From<kite_wire::order::Order> for Order {
    fn from(wire: kite_wire::order::Order) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            order_id: text(&wire.order_id),
            exchange_order_id: wire.exchange_order_id.clone(),
            parent_order_id: wire.parent_order_id.clone(),
            placed_by: text(&wire.placed_by),
            user_id: text(&wire.user_id),
            app_id: wire.app_id.unwrap_or_default(),
            status: wire.status.as_ref().map_or_else(|| "".into(), OrderStatus::from),
            status_message: wire.status_message.clone(),
            status_message_raw: wire.status_message_raw.clone(),
            tradingsymbol: text(&wire.tradingsymbol),
            instrument_token: wire.instrument_token.unwrap_or_default(),
            exchange: wire.exchange.as_deref().map(Exchange::from_name).unwrap_or_default(),
            order_type: text(&wire.order_type),
            transaction_type: wire
                .transaction_type
                .as_ref()
                .map_or_else(|| "".into(), OrderTransactionType::from),
            validity: wire.validity.as_ref().map_or_else(|| "".into(), OrderValidity::from),
            variety: text(&wire.variety),
            product: wire.product.clone(),
            average_price: wire.average_price.unwrap_or_default(),
            disclosed_quantity: wire.disclosed_quantity.unwrap_or_default() as f64,
            price: wire.price.unwrap_or_default(),
            trigger_price: wire.trigger_price.unwrap_or_default(),
            quantity: wire.quantity.unwrap_or_default(),
            filled_quantity: wire.filled_quantity.unwrap_or_default(),
            unfilled_quantity: wire.unfilled_quantity.unwrap_or_default(),
            pending_quantity: wire.pending_quantity.unwrap_or_default(),
            cancelled_quantity: wire.cancelled_quantity.unwrap_or_default(),
            order_timestamp: wire.order_timestamp,
            exchange_timestamp: wire.exchange_timestamp,
            exchange_update_timestamp: wire.exchange_update_timestamp,
            meta: wire.meta().cloned().unwrap_or_default(),
            tag: wire.tag.clone(),
            checksum: text(&wire.checksum),
            wire: Arc::new(wire),
        }
    }
}

impl From<Map<String, Value>> for Order {
    /// Reads the fields of a JSON object and keeps the object.
    fn from(raw: Map<String, Value>) -> Self {
        kite_wire::order::Order::from(raw).into()
    }
}

impl Serialize for Order {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(json: Value) -> Order {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_field_is_read_under_its_old_name() {
        let json = json!({
            "order_id": 220_303, "exchange_order_id": "11", "parent_order_id": "22",
            "placed_by": "AB", "user_id": "CD", "app_id": "1234", "status": "TRIGGER PENDING",
            "status_message": "m", "status_message_raw": "r", "tradingsymbol": "SBIN",
            "instrument_token": 779_521, "exchange": "NCO", "order_type": "SL",
            "transaction_type": "SELL", "validity": "GTT", "variety": "iceberg",
            "product": "MIS", "average_price": "470.05", "disclosed_quantity": 5, "price": 471,
            "trigger_price": 469.5, "quantity": 10, "filled_quantity": 4,
            "unfilled_quantity": 6, "pending_quantity": "5", "cancelled_quantity": 1.0,
            "order_timestamp": "2022-03-03 09:24:25", "exchange_timestamp": null,
            "exchange_update_timestamp": "2022-03-03 09:24:26",
            "meta": {"iceberg": {"leg": 1}}, "tag": "t", "checksum": "c0ffee",
            "guid": "g", "surprise": [true],
        });
        let order = order(json.clone());
        assert_eq!(order.order_id, "220303");
        assert_eq!(order.exchange_order_id.as_deref(), Some("11"));
        assert_eq!(order.parent_order_id.as_deref(), Some("22"));
        assert_eq!((&*order.placed_by, &*order.user_id, order.app_id), ("AB", "CD", 1234));
        assert_eq!(order.status, OrderStatus::Other("TRIGGER PENDING".into()));
        assert_eq!(order.status_message.as_deref(), Some("m"));
        assert_eq!(order.status_message_raw.as_deref(), Some("r"));
        assert_eq!((&*order.tradingsymbol, order.instrument_token), ("SBIN", 779_521));
        assert_eq!((order.exchange, &*order.order_type), (Exchange::NCO, "SL"));
        assert_eq!(order.transaction_type, OrderTransactionType::Sell);
        assert_eq!(order.validity, OrderValidity::Other("GTT".into()));
        assert_eq!((&*order.variety, order.product.as_deref()), ("iceberg", Some("MIS")));
        assert_eq!((order.average_price, order.disclosed_quantity), (470.05, 5.0));
        assert_eq!((order.price, order.trigger_price), (471.0, 469.5));
        assert_eq!((order.quantity, order.filled_quantity, order.unfilled_quantity), (10, 4, 6));
        assert_eq!((order.pending_quantity, order.cancelled_quantity), (5, 1));
        let text = |at: Option<IstDateTime>| at.map(|at| at.to_string());
        assert_eq!(text(order.order_timestamp).as_deref(), Some("2022-03-03 09:24:25"));
        assert_eq!(order.exchange_timestamp, None);
        assert_eq!(text(order.exchange_update_timestamp).as_deref(), Some("2022-03-03 09:24:26"));
        assert_eq!(order.meta["iceberg"]["leg"], 1);
        assert_eq!((order.tag.as_deref(), &*order.checksum), (Some("t"), "c0ffee"));
        assert_eq!(order.as_wire().guid.as_deref(), Some("g"));
        assert!(order.unreadable().is_empty());
        assert_eq!(serde_json::to_value(&order).unwrap(), json);
    }

    #[test]
    fn an_empty_object_is_an_order_of_defaults() {
        let order = order(json!({}));
        assert_eq!((&*order.order_id, order.quantity, order.price), ("", 0, 0.0));
        assert_eq!(order.exchange, Exchange::Unknown);
        assert_eq!(order.status, OrderStatus::Other(String::new()));
        assert_eq!(order.transaction_type, OrderTransactionType::Other(String::new()));
        assert_eq!((order.order_timestamp, &order.meta), (None, &Value::Null));
        assert_eq!(serde_json::to_value(&order).unwrap(), json!({}));
    }

    #[test]
    fn an_unreadable_field_does_not_affect_the_others_and_is_kept() {
        let json = json!({
            "order_id": "1", "quantity": -5, "exchange_timestamp": "yesterday", "status": 7,
            "exchange": "MARS", "filled_quantity": 3,
        });
        let order = order(json.clone());
        assert_eq!(order.unreadable(), ["status", "exchange_timestamp", "quantity"]);
        assert_eq!((&*order.order_id, order.quantity, order.filled_quantity), ("1", 0, 3));
        assert_eq!((order.exchange_timestamp, order.exchange), (None, Exchange::Unknown));
        assert_eq!(Value::Object(order.raw().clone()), json);
    }

    #[test]
    fn a_clone_shares_the_raw_object() {
        let order = order(json!({"order_id": "1"}));
        assert!(std::ptr::eq(order.clone().raw(), order.raw()));
    }

    #[test]
    fn only_objects_deserialise() {
        for json in ["[]", "null", "5", r#""order""#] {
            assert!(serde_json::from_str::<Order>(json).is_err(), "{json}");
        }
    }
}
