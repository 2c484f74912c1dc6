//! Prints order updates. Kite sends each on every socket of the account; `orders()` yields it once.
//!
//! `cargo run --example orders -- 3` exits after three updates.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;

use examples::Market;
use kite_manager::order::Order;
use kite_manager::{Manager, OrderItem, TextMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut left: usize = std::env::args().nth(1).map_or(Ok(3), |count| count.parse())?;
    let market = Market::open().await?;
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .connections(1)
        .build()?;
    // Order updates need no subscription, because every socket of the account receives them.
    let mut orders = manager.orders();
    manager.start().await?;

    while left > 0 {
        match orders.recv().await {
            Some(OrderItem::Update(update)) => {
                left -= 1;
                match &*update.message {
                    TextMessage::Order(order) => print(order),
                    // A message that does not match Kite's documentation is passed on as received.
                    _ => println!("{}", String::from_utf8_lossy(&update.text)),
                }
            }
            Some(OrderItem::Lagged { missed }) => {
                eprintln!("missed {missed} updates: fetch the order book from Kite");
            }
            Some(_) => {}
            None => break,
        }
    }
    manager.stop().await;
    Ok(())
}

fn print(order: &Order) {
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".into());
    println!(
        "{} {} {} of {}: {}",
        text(&order.order_id),
        text(&order.tradingsymbol),
        order.filled_quantity.unwrap_or_default(),
        order.quantity.unwrap_or_default(),
        order.status.as_ref().map_or("-".into(), ToString::to_string),
    );
}
