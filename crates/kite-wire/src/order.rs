//! Order updates, read field by field.
//!
//! An order update is the postback payload, and the order book of the HTTP API has the same shape.
//! Any field may be missing, null or of another JSON type than documented, and new ones appear.
//! Reading an [`Order`] therefore never fails: values that fit their field are read, the others are
//! listed in [`Order::unreadable`], and the JSON object itself is kept. Values are not checked
//! against each other, for instance whether filled and pending quantities add up.
//!
//! ```
//! use kite_wire::order::{Order, OrderStatus};
//!
//! let order: Order = serde_json::from_str(
//!     r#"{"order_id": 220303000308932, "status": "COMPLETE", "quantity": "1", "price": "market",
//!         "order_timestamp": "2022-03-03 09:24:25", "surprise": true}"#,
//! )?;
//! assert_eq!(order.order_id.as_deref(), Some("220303000308932"));
//! assert_eq!(order.status, Some(OrderStatus::Complete));
//! assert_eq!(order.quantity, Some(1));
//! assert_eq!(order.order_timestamp.map(|at| at.unix_seconds()), Some(1_646_279_665));
//! assert_eq!((order.price, order.unreadable()), (None, &["price"][..]));
//! assert_eq!(order.raw()["price"], "market");
//! assert_eq!(order.unknown_fields().next(), Some(("surprise", &true.into())));
//! # Ok::<(), serde_json::Error>(())
//! ```

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

mod field;
mod words;

pub use crate::ist::{IstDateTime, TimestampError, TimestampPart};
pub use words::{OrderStatus, TransactionType, Validity};

macro_rules! order {
    ($(#[$meta:meta])* Order { $($(#[$doc:meta])* $name:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Order {
            $($(#[$doc])* pub $name: Option<$type>,)+
            unreadable: Vec<&'static str>,
            raw: Map<String, Value>,
        }

        /// The names of all fields that are read. `meta` is not among them, because it stays JSON.
        const READ_FIELDS: &[&str] = &[$(stringify!($name)),+];

        impl From<Map<String, Value>> for Order {
            /// Reads the fields of a JSON object and keeps the object.
            fn from(raw: Map<String, Value>) -> Self {
                let mut unreadable = Vec::new();
                $(let $name = field::read(&raw, stringify!($name), &mut unreadable);)+
                Self { $($name,)+ unreadable, raw }
            }
        }
    };
}

order! {
    /// An order as an order update, a postback or the order book describes it.
    ///
    /// A field is `None` if it is missing, null, a blank string (a text field keeps it) or
    /// unreadable; only unreadable ones are listed in [`unreadable`](Self::unreadable). Numbers are
    /// read from JSON integers, floats and strings. A quantity must be a whole number and not
    /// negative. A text field accepts a number too and keeps its digits. The forms of a timestamp
    /// are listed at [`IstDateTime`]; 0 and the zero times of Go and MySQL mean that it is not set.
    /// The set of fields comes from the documented postback payload, the published order book and
    /// what the official clients read.
    ///
    /// The fields are read from [`raw`](Self::raw). `Serialize` writes that object, even if fields
    /// have been assigned since; `Deserialize` accepts any JSON object. If a key occurs twice, the
    /// last value counts.
    Order {
        /// The user for whom the order was placed.
        user_id: String,
        /// The account of the order, if it is distinguished from the user.
        account_id: String,
        /// The number of the app that placed the order.
        app_id: u64,
        /// Kite's own unique identifier of the request.
        guid: String,
        /// The user who placed the order; may differ from `user_id`.
        placed_by: String,
        /// Hexadecimal SHA-256 of order id, order timestamp and API secret, to prove the sender.
        checksum: String,
        /// Kite's identifier of the order.
        order_id: String,
        /// The exchange's identifier; absent before the order has reached the exchange.
        exchange_order_id: String,
        /// The order of which this one is the second leg.
        parent_order_id: String,
        /// The order's status.
        status: OrderStatus,
        /// The status as a message for the user, mostly the reason for a rejection.
        status_message: String,
        /// The same message as worded by the exchange or the order system.
        status_message_raw: String,
        /// When Kite registered the order.
        order_timestamp: IstDateTime,
        /// When the exchange registered the order.
        exchange_timestamp: IstDateTime,
        /// When the exchange last changed the order's state.
        exchange_update_timestamp: IstDateTime,
        /// `regular`, `amo`, `co`, `iceberg`, `auction` and others.
        variety: String,
        /// Whether the order was modified since it was placed.
        modified: bool,
        /// `NSE`, `NFO`, `MCX` and others.
        exchange: String,
        /// The exchange's symbol of the instrument.
        tradingsymbol: String,
        /// The instrument's token on the ticker. Tokens are reissued, so store symbols instead.
        instrument_token: u32,
        /// `MARKET`, `LIMIT`, `SL`, `SL-M` and others.
        order_type: String,
        /// The side.
        transaction_type: TransactionType,
        /// Validity of the order.
        validity: Validity,
        /// Minutes of validity, for [`Validity::Ttl`].
        validity_ttl: u64,
        /// `CNC`, `NRML`, `MIS`, `MTF` and others.
        product: String,
        /// Quantity ordered.
        quantity: u64,
        /// Quantity shown to the market.
        disclosed_quantity: u64,
        /// Quantity filled so far.
        filled_quantity: u64,
        /// Quantity still to be filled.
        pending_quantity: u64,
        /// Quantity cancelled.
        cancelled_quantity: u64,
        /// Quantity not filled, in postbacks.
        unfilled_quantity: u64,
        /// Limit price in rupees; 0 for market orders.
        price: f64,
        /// Trigger price in rupees; 0 without a trigger.
        trigger_price: f64,
        /// Average price in rupees of the filled quantity; 0 before the first fill.
        average_price: f64,
        /// The number of the auction, for orders of variety `auction`.
        auction_number: String,
        /// Protection of a market order in percent; -1 leaves it to the broker.
        market_protection: f64,
        /// The caller's tag.
        tag: String,
        /// The caller's tags, if there may be several.
        tags: Vec<String>,
    }
}

impl Order {
    /// Returns the names of the fields that are present but could not be read, in the order of
    /// their declaration.
    ///
    /// Their values are in [`raw`](Self::raw).
    #[must_use]
    pub fn unreadable(&self) -> &[&'static str] {
        &self.unreadable
    }

    /// Returns the JSON object as received, including unknown and unreadable fields.
    #[must_use]
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// Converts the order into its JSON object.
    #[must_use]
    pub fn into_raw(self) -> Map<String, Value> {
        self.raw
    }

    /// Returns the field `meta`, of any JSON type except null: details that depend on the variety,
    /// for instance the legs of an iceberg order.
    #[must_use]
    pub fn meta(&self) -> Option<&Value> {
        self.raw.get("meta").filter(|meta| !meta.is_null())
    }

    /// Iterates over the fields that [`Order`] has no member for, with their values.
    pub fn unknown_fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.raw
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| *name != "meta" && !READ_FIELDS.contains(name))
    }
}

impl Serialize for Order {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        string::{String, ToString},
        vec,
        vec::Vec,
    };

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::text::arbitrary::any_json;

    fn order(json: Value) -> Order {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_empty_object_is_an_order_without_fields() {
        let order = order(json!({}));
        assert_eq!(order, Order::default());
        assert!(order.unreadable().is_empty());
        assert_eq!(serde_json::to_string(&order).unwrap(), "{}");
    }

    #[test]
    fn every_field_of_the_protocol_is_read() {
        let names = "user_id account_id app_id guid placed_by checksum order_id exchange_order_id \
            parent_order_id status status_message status_message_raw order_timestamp \
            exchange_timestamp exchange_update_timestamp variety modified exchange tradingsymbol \
            instrument_token order_type transaction_type validity validity_ttl product quantity \
            disclosed_quantity filled_quantity pending_quantity cancelled_quantity \
            unfilled_quantity price trigger_price average_price auction_number market_protection \
            tag tags";
        assert_eq!(READ_FIELDS, names.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn null_and_missing_fields_are_absent_and_not_unreadable() {
        let raw: Map<String, Value> =
            READ_FIELDS.iter().map(|name| (name.to_string(), Value::Null)).collect();
        let order = Order::from(raw.clone());
        assert_eq!(order.unreadable(), &[] as &[&str]);
        assert_eq!(order, Order { raw, ..Order::default() });
    }

    #[test]
    fn fields_of_a_wrong_type_are_none_listed_and_kept() {
        let raw: Map<String, Value> =
            READ_FIELDS.iter().map(|name| (name.to_string(), json!({"odd": 1}))).collect();
        let order = Order::from(raw.clone());
        assert_eq!(order.unreadable(), READ_FIELDS);
        assert_eq!(order.raw(), &raw);
        assert_eq!(order, Order { raw, unreadable: READ_FIELDS.to_vec(), ..Order::default() });
    }

    #[test]
    fn one_unreadable_field_does_not_affect_others() {
        let order = order(json!({
            "order_id": "1",
            "quantity": -5,
            "pending_quantity": 2.5,
            "filled_quantity": "5.0",
            "price": "470.05",
            "exchange_timestamp": "2022-02-30 09:00:00",
            "order_timestamp": "2022-03-03 09:24:25",
        }));
        assert_eq!(order.unreadable(), ["exchange_timestamp", "quantity", "pending_quantity"]);
        assert_eq!(order.order_id.as_deref(), Some("1"));
        assert_eq!((order.quantity, order.pending_quantity), (None, None));
        assert_eq!(order.filled_quantity, Some(5));
        assert_eq!(order.price, Some(470.05));
        assert_eq!(order.exchange_timestamp, None);
        assert_eq!(order.order_timestamp, "2022-03-03 09:24:25".parse().ok());
        assert_eq!(order.raw()["exchange_timestamp"], "2022-02-30 09:00:00");
    }

    #[test]
    fn blank_strings_are_absent_except_in_text_fields() {
        let order = order(json!({
            "exchange_timestamp": "", "price": " ", "status": "", "quantity": "", "tag": "",
        }));
        assert!(order.unreadable().is_empty());
        assert_eq!(order.exchange_timestamp, None);
        assert_eq!((order.price, order.quantity), (None, None));
        assert_eq!(order.status, None);
        assert_eq!(order.tag.as_deref(), Some(""));
    }

    #[test]
    fn unknown_words_and_fields_are_kept() {
        let json = json!({
            "status": "PARTLY FROZEN", "transaction_type": "SHORT", "validity": "GTD",
            "novelty": [1, {"deep": null}],
        });
        let order = order(json.clone());
        assert_eq!(order.status, Some(OrderStatus::Other("PARTLY FROZEN".into())));
        assert_eq!(order.transaction_type, Some(TransactionType::Other("SHORT".into())));
        assert_eq!(order.validity, Some(Validity::Other("GTD".into())));
        let unknown: Vec<_> = order.unknown_fields().collect();
        assert_eq!(unknown, vec![("novelty", &json["novelty"])]);
        assert_eq!(serde_json::to_value(&order).unwrap(), json);
    }

    #[test]
    fn meta_may_be_anything() {
        for meta in [json!({"iceberg": {"leg": 1}}), json!("text"), json!([1]), json!(0)] {
            let order = order(json!({ "meta": meta.clone() }));
            assert_eq!(order.meta(), Some(&meta));
            assert_eq!(order.unknown_fields().count(), 0);
            assert!(order.unreadable().is_empty());
        }
        assert_eq!(order(json!({"meta": null})).meta(), None);
        assert_eq!(order(json!({})).meta(), None);
    }

    #[test]
    fn only_objects_deserialise() {
        for json in ["[]", "null", "5", r#""order""#] {
            assert!(serde_json::from_str::<Order>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_values_in_the_known_fields_are_read_or_listed_and_kept(
            members in prop::collection::btree_map(
                prop::sample::select(READ_FIELDS), any_json(), 0..6,
            ),
        ) {
            let raw: Map<String, Value> =
                members.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
            let order = Order::from(raw.clone());
            prop_assert_eq!(order.raw(), &raw);
            prop_assert!(order.unreadable().iter().all(|name| !raw[*name].is_null()));
            let json = Value::Object(raw);
            prop_assert_eq!(&serde_json::to_value(&order).unwrap(), &json);
            let again: Order = serde_json::from_value(json).unwrap();
            prop_assert_eq!(&again, &order);
            prop_assert_eq!(order.into_raw(), again.into_raw());
        }
    }
}
