//! The log below the table: sockets lost and up, gaps, damage, errors, orders.

use std::collections::VecDeque;

use kite_conn::{OneLine, Severity};
use kite_manager::OrderItem;
use kite_wire::order::Order;
use kite_wire::text::TextMessage;

use crate::format::numbers::grouped;

/// Number of lines kept.
const KEPT: usize = 100;

/// Number of characters of a line, more than a terminal shows. A text from a server may be as long
/// as a message.
const LONGEST: usize = 500;

/// The importance of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A recovery.
    Good,
    Plain,
    /// Data may be missing.
    Warning,
    /// Data is missing.
    Bad,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The local clock.
    pub(crate) unix_s: u64,
    pub(crate) weight: Weight,
    pub(crate) text: String,
}

/// The newest lines, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: VecDeque<Line>,
}

impl Journal {
    pub(crate) fn add(&mut self, unix_s: u64, weight: Weight, text: impl Into<String>) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        // Text from a server may contain control characters.
        let text = OneLine(text.into()).to_string().chars().take(LONGEST).collect();
        self.lines.push_back(Line { unix_s, weight, text });
    }

    /// Returns the newest lines, up to this number, the oldest of them first.
    pub(crate) fn last(&self, lines: usize) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter().skip(self.lines.len().saturating_sub(lines))
    }
}

impl Weight {
    /// Returns the weight of a severity; `None` for details, which the header shows.
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

/// Describes an order update as a line.
pub(crate) fn describe_order_item(item: &OrderItem) -> Option<(Weight, String)> {
    match item {
        OrderItem::Update(update) => match &*update.message {
            TextMessage::Order(order) => Some((Weight::Plain, describe_order(order))),
            _ => Some((Weight::Warning, "unreadable order update".to_owned())),
        },
        OrderItem::Lagged { missed } => {
            let missed = grouped(*missed);
            Some((
                Weight::Warning,
                format!("{missed} events missed, order updates may be among them"),
            ))
        }
        _ => None,
    }
}

/// Describes an order in words.
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
    fn losses_are_bad_recoveries_good_and_details_not_logged() {
        let down = Event::Down { epoch: 1, cause: LossCause::Eof, last_heard: Stamp::now() };
        for (event, weight) in [
            (down, Some(Weight::Bad)),
            (Event::Up { epoch: 2, instruments: 3_000 }, Some(Weight::Good)),
            (Event::Retry { attempt: 1, delay: Duration::ZERO }, None),
            (text(r#"{"type":"error","data":"too much"}"#), Some(Weight::Bad)),
            (text(r#"{"type":"message","data":"hello"}"#), Some(Weight::Plain)),
            (text(r#"{"type":"app_code","timestamp":"x"}"#), None),
            // Orders arrive on their own stream, each once.
            (text(r#"{"type":"order","data":{}}"#), None),
        ] {
            assert_eq!(Weight::of(event.severity()), weight, "{event}");
        }
    }

    #[test]
    fn an_order_is_described_on_one_line() {
        let json = r#"{"type":"order","data":{"order_id":"77","transaction_type":"BUY",
            "quantity":1500,"filled_quantity":500,"tradingsymbol":"INFY","average_price":1573.7,
            "status":"OPEN"}}"#;
        let TextMessage::Order(order) = TextMessage::parse(json).unwrap() else { panic!() };
        assert_eq!(describe_order(&order), "order 77 BUY 500/1,500 INFY at 1573.70 OPEN");
    }

    #[test]
    fn the_oldest_lines_are_dropped_and_control_characters_replaced() {
        let mut journal = Journal::default();
        for number in 0..=KEPT {
            journal.add(0, Weight::Plain, format!("{number}\x1b[2J\n"));
        }
        let kept: Vec<&str> = journal.last(usize::MAX).map(|line| line.text.as_str()).collect();
        assert_eq!((kept.len(), kept[0]), (KEPT, "1 [2J "));
        assert_eq!(journal.last(2).map(|line| &line.text[..3]).collect::<Vec<_>>(), ["99 ", "100"]);
    }
}
