//! What happened, in lines: sockets lost and up, gaps, damage, errors, orders.

use std::collections::VecDeque;

use kite_conn::Severity;
use kite_manager::OrderItem;
use kite_wire::order::Order;
use kite_wire::text::TextMessage;

use crate::format::numbers::grouped;

/// Lines kept.
const KEPT: usize = 100;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Something is as it should be again.
    Good,
    Plain,
    /// Something may be missing.
    Warning,
    /// Something is missing.
    Bad,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// By the machine's clock.
    pub(crate) unix_s: u64,
    pub(crate) weight: Weight,
    pub(crate) text: String,
}

/// The last things that happened, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: VecDeque<Line>,
}

impl Journal {
    pub(crate) fn add(&mut self, unix_s: u64, weight: Weight, text: impl Into<String>) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        // What comes from a server may hold anything.
        let text = text.into().replace(char::is_control, " ");
        self.lines.push_back(Line { unix_s, weight, text });
    }

    /// Gives the last so many lines, the oldest of them first.
    pub(crate) fn last(&self, lines: usize) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(self.lines.len().saturating_sub(lines))
    }
}

impl Weight {
    /// Returns how much something of this severity matters here; `None` for a step on the way, which
    /// the header shows.
    pub(crate) fn of(severity: Severity) -> Option<Self> {
        match severity {
            Severity::Detail => None,
            Severity::Recovery => Some(Self::Good),
            Severity::Warning => Some(Self::Warning),
            Severity::Error => Some(Self::Bad),
            _ => Some(Self::Plain),
        }
    }
}

/// Says what came of orders.
pub(crate) fn describe_order_item(item: &OrderItem) -> Option<(Weight, String)> {
    match item {
        OrderItem::Update(update) => match &*update.message {
            TextMessage::Order(order) => Some((Weight::Plain, describe_order(order))),
            _ => Some((Weight::Warning, "an order update that cannot be read".to_owned())),
        },
        OrderItem::Lagged { missed } => {
            let missed = grouped(*missed);
            Some((Weight::Warning, format!("order updates may be among {missed} missed")))
        }
        _ => None,
    }
}

/// Says what an order update says.
fn describe_order(order: &Order) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut words = vec![
        "order".to_owned(),
        text(&order.order_id),
        order.transaction_type.as_ref().map(ToString::to_string).unwrap_or_default(),
    ];
    if let Some(quantity) = order.quantity {
        words.push(format!(
            "{}/{}",
            grouped(order.filled_quantity.unwrap_or(0)),
            grouped(quantity)
        ));
    }
    words.push(text(&order.tradingsymbol));
    if let Some(price) = order.average_price.filter(|price| *price > 0.0).or(order.price) {
        words.push(format!("at {price:.2}"));
    }
    words.push(order.status.as_ref().map(ToString::to_string).unwrap_or_default());
    words.push(text(&order.status_message));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use kite_conn::{Event, LossCause, Stamp};

    use super::*;

    fn text(text: &'static str) -> Event {
        let message = Arc::new(TextMessage::parse(text).unwrap());
        Event::Text { text: Bytes::from_static(text.as_bytes()), message, received: Stamp::now() }
    }

    #[test]
    fn losses_are_bad_returns_good_and_steps_on_the_way_are_no_lines() {
        let down = Event::Down { epoch: 1, cause: LossCause::Eof, last_heard: Stamp::now() };
        for (event, weight) in [
            (down, Some(Weight::Bad)),
            (Event::Up { epoch: 2, instruments: 3_000 }, Some(Weight::Good)),
            (Event::Retry { attempt: 1, delay: Duration::ZERO }, None),
            (text(r#"{"type":"error","data":"too much"}"#), Some(Weight::Bad)),
            (text(r#"{"type":"message","data":"hello"}"#), Some(Weight::Plain)),
            (text(r#"{"type":"app_code","timestamp":"x"}"#), None),
            // Orders have a stream of their own, each once.
            (text(r#"{"type":"order","data":{}}"#), None),
        ] {
            assert_eq!(Weight::of(event.severity()), weight, "{event}");
        }
    }

    #[test]
    fn an_order_is_a_line() {
        let json = r#"{"type":"order","data":{"order_id":"77","transaction_type":"BUY",
            "quantity":1500,"filled_quantity":500,"tradingsymbol":"INFY","average_price":1573.7,
            "status":"OPEN"}}"#;
        let TextMessage::Order(order) = TextMessage::parse(json).unwrap() else { panic!() };
        assert_eq!(describe_order(&order), "order 77 BUY 500/1,500 INFY at 1573.70 OPEN");
    }

    #[test]
    fn the_oldest_lines_go_and_no_line_can_steer_the_terminal() {
        let mut journal = Journal::default();
        for number in 0..=KEPT {
            journal.add(0, Weight::Plain, format!("{number}\x1b[2J\n"));
        }
        let kept: Vec<&str> = journal.last(usize::MAX).map(|line| line.text.as_str()).collect();
        assert_eq!((kept.len(), kept[0]), (KEPT, "1 [2J "));
        assert_eq!(journal.last(2).map(|line| &line.text[..3]).collect::<Vec<_>>(), ["99 ", "100"]);
    }
}
