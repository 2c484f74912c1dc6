//! The published order payloads, compared with their documented values.
//!
//! The vectors are not part of this repository; if they are absent, the tests print that and pass.
#![cfg(feature = "text")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests count as tests")]

use std::{fs, io::ErrorKind, path::Path};

use kite_wire::{
    order::{Order, OrderStatus, TransactionType, Validity},
    text::TextMessage,
};
use serde_json::{Value, json};

/// Reads a vector; prints a message if it is absent.
fn vector(name: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: {} does not exist", path.display());
            None
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Parses `data` as the ticker would send it, and asserts that every field was read.
fn order(data: &Value) -> Order {
    let frame = json!({"type": "order", "data": data});
    let TextMessage::Order(order) = TextMessage::parse(&frame.to_string()).unwrap() else {
        panic!("no order: {frame}");
    };
    assert_eq!(order.unreadable(), &[] as &[&str], "{data}");
    assert_eq!(&serde_json::to_value(&order).unwrap(), data);
    *order
}

#[test]
fn the_published_postback_is_an_order() {
    let Some(postback) = vector("postback.json") else { return };
    let order = order(&postback);

    assert_eq!(order.unknown_fields().next(), None);
    assert_eq!(order.user_id.as_deref(), Some("AB1234"));
    assert_eq!(order.app_id, Some(1234));
    assert_eq!(
        order.checksum.as_deref(),
        Some("2011845d9348bd6795151bf4258102a03431e3bb12a79c0df73fcb4b7fde4b5d")
    );
    assert_eq!(order.placed_by.as_deref(), Some("AB1234"));
    assert_eq!(order.order_id.as_deref(), Some("220303000308932"));
    assert_eq!(order.exchange_order_id.as_deref(), Some("1000000001482421"));
    assert_eq!(order.parent_order_id, None);
    assert_eq!(order.status, Some(OrderStatus::Complete));
    assert_eq!((order.status_message, order.status_message_raw), (None, None));
    for timestamp in
        [order.order_timestamp, order.exchange_timestamp, order.exchange_update_timestamp]
    {
        let timestamp = timestamp.unwrap();
        assert_eq!(timestamp.to_string(), "2022-03-03 09:24:25");
        assert_eq!(timestamp.unix_seconds(), 1_646_279_665);
    }
    assert_eq!(order.variety.as_deref(), Some("regular"));
    assert_eq!(order.exchange.as_deref(), Some("NSE"));
    assert_eq!(order.tradingsymbol.as_deref(), Some("SBIN"));
    assert_eq!(order.instrument_token, Some(779_521));
    assert_eq!(order.order_type.as_deref(), Some("MARKET"));
    assert_eq!(order.transaction_type, Some(TransactionType::Buy));
    assert_eq!(order.validity, Some(Validity::Day));
    assert_eq!(order.product.as_deref(), Some("CNC"));
    assert_eq!((order.quantity, order.disclosed_quantity), (Some(1), Some(0)));
    assert_eq!((order.filled_quantity, order.unfilled_quantity), (Some(1), Some(0)));
    assert_eq!((order.pending_quantity, order.cancelled_quantity), (Some(0), Some(0)));
    assert_eq!((order.price, order.trigger_price), (Some(0.0), Some(0.0)));
    assert_eq!(order.average_price, Some(470.0));
    assert_eq!(order.market_protection, Some(0.0));
    assert_eq!((order.tag, order.tags), (None, None));
    assert_eq!(order.guid.as_deref(), Some("XXXXXX"));
}

#[test]
fn the_published_order_book_is_read_whole() {
    let Some(book) = vector("orders.json") else { return };
    let orders: Vec<Order> = book["data"].as_array().unwrap().iter().map(order).collect();
    assert_eq!(orders.len(), 10);
    for order in &orders {
        assert!(order.status.as_ref().is_some_and(OrderStatus::is_final), "{:?}", order.status);
        assert!(order.order_id.is_some() && order.order_timestamp.is_some());
        assert!(order.quantity.is_some() && order.price.is_some());
        assert!(!matches!(order.validity, None | Some(Validity::Other(_))));
        assert!(!matches!(order.transaction_type, None | Some(TransactionType::Other(_))));
    }

    assert_eq!(orders[0].status, Some(OrderStatus::Cancelled));
    assert_eq!(orders[0].exchange.as_deref(), Some("CDS"));
    assert_eq!(orders[0].modified, Some(false));
    assert_eq!((orders[0].pending_quantity, orders[0].cancelled_quantity), (Some(1), Some(1)));
    assert_eq!(orders[1].price, Some(109.4));
    assert_eq!(orders[2].transaction_type, Some(TransactionType::Sell));
    assert_eq!(orders[2].average_price, Some(109.35));

    let iceberg = orders.iter().find(|o| o.variety.as_deref() == Some("iceberg")).unwrap();
    assert_eq!(iceberg.status, Some(OrderStatus::Rejected));
    assert!(iceberg.status_message.as_deref().unwrap().starts_with("Insufficient funds."));
    assert_eq!((iceberg.exchange_timestamp, iceberg.exchange_order_id.as_ref()), (None, None));
    assert_eq!((&iceberg.validity, iceberg.validity_ttl), (&Some(Validity::Ttl), Some(2)));
    assert_eq!(iceberg.meta().unwrap()["iceberg"]["remaining_quantity"], 800);
    assert_eq!(iceberg.tags.as_deref(), Some(&["icebergord".to_owned()][..]));

    let auction = orders.iter().find(|o| o.variety.as_deref() == Some("auction")).unwrap();
    assert_eq!(auction.auction_number.as_deref(), Some("22"));

    // One order carries a field that the documentation does not list.
    let unknown: Vec<_> = orders.iter().flat_map(Order::unknown_fields).collect();
    assert_eq!(unknown, [("terminal_id", &json!("111111111111100"))]);
}
