//! What happened, in lines: sockets lost and up, gaps, damage, errors, orders.

use std::collections::VecDeque;
use std::time::Duration;

use kite_conn::{ErrorChain, Event, Gap};
use kite_manager::{ManagerEvent, OrderItem};
use kite_wire::order::Order;
use kite_wire::text::TextMessage;

use crate::format::numbers::{duration, grouped};

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

/// Says what happened to a connection; nothing where the header tells it or another line will.
pub(crate) fn describe(socket: usize, event: &Event) -> Option<(Weight, String)> {
    let (weight, text) = match event {
        // Its count of instruments is of the moment: what is subscribed meanwhile is not in it.
        Event::Up { epoch: 1, .. } => (Weight::Good, "up".to_owned()),
        Event::Up { .. } => (Weight::Good, "up again".to_owned()),
        Event::Down { cause, .. } => (Weight::Bad, format!("lost: {cause}")),
        Event::Gap(gap) => (Weight::Warning, missed(gap)),
        Event::OpenFailed { attempt, error } => {
            (Weight::Bad, format!("try {attempt} failed: {}", ErrorChain(error)))
        }
        Event::RenewalFailed { error, .. } => {
            (Weight::Bad, format!("no new credentials: {}", ErrorChain(error)))
        }
        Event::Parked(reason) => (Weight::Bad, format!("parked: {}", ErrorChain(reason))),
        Event::FeedSilent { silence, .. } => {
            (Weight::Warning, format!("answers, but sent nothing for {}", duration(*silence)))
        }
        Event::TicksStale { silence, .. } => {
            (Weight::Warning, format!("no ticks for {}: is the market open?", duration(*silence)))
        }
        Event::TicksResumed { silence } => {
            (Weight::Good, format!("ticks again after {}", duration(*silence)))
        }
        Event::Suspended { slept } => {
            (Weight::Warning, format!("the machine slept for {}", duration(*slept)))
        }
        Event::LimitRefused { message, instruments } => {
            let instruments = grouped(*instruments as u64);
            (Weight::Bad, format!("{instruments} instruments refused: {message}"))
        }
        Event::DeliveryFailed => (Weight::Bad, "delivery failed".to_owned()),
        Event::FrameDamaged { fault, bytes_left, untold } => (
            Weight::Bad,
            format!("{fault}, {bytes_left} bytes cut off{}", more(*untold, "damaged frame")),
        ),
        Event::PacketsSkipped { length, packets, untold } => (
            Weight::Bad,
            format!(
                "{packets} packets of unknown length ({length} bytes) skipped{}",
                more(*untold, "such frame")
            ),
        ),
        Event::TextUnreadable { error, untold, .. } => {
            (Weight::Warning, format!("unreadable text: {error}{}", more(*untold, "such text")))
        }
        Event::Text { message, .. } => match &**message {
            TextMessage::Error(error) => (Weight::Bad, format!("the server says: {error}")),
            TextMessage::Message(data) => match data.as_str() {
                Some(text) => (Weight::Plain, format!("broker: {text}")),
                None => (Weight::Plain, format!("broker: {data}")),
            },
            // Orders have a stream of their own, each once; greetings say nothing.
            _ => return None,
        },
        _ => return None,
    };
    Some((weight, format!("socket {socket} {text}")))
}

/// Says what the manager did with the connections; nothing where another line tells it.
pub(crate) fn describe_manager(event: &ManagerEvent) -> Option<(Weight, String)> {
    match event {
        ManagerEvent::Moved { moves, back, .. } => {
            let moved = grouped(moves.len() as u64);
            let text = match back {
                true => format!("{moved} instruments returned to their socket"),
                false => format!("{moved} instruments went to other sockets"),
            };
            Some((Weight::Plain, text))
        }
        ManagerEvent::Dark { connection, tokens, .. } => {
            let (socket, dark) = (connection + 1, grouped(tokens.len() as u64));
            let text =
                format!("socket {socket} is down and no other has room for {dark} instruments");
            Some((Weight::Bad, text))
        }
        _ => None,
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

fn missed(gap: &Gap) -> String {
    let time = |time: Duration| format!("no ticks for {}", duration(time));
    let lasted = gap.without_ticks().map_or_else(|| "no ticks yet".to_owned(), time);
    let volume = match gap.known_volume() {
        0 => String::new(),
        volume => format!(", volume {} traded unseen", grouped(volume)),
    };
    format!("gap: {lasted} of {} instruments{volume}", grouped(gap.instruments.len() as u64))
}

fn more(untold: u64, noun: &str) -> String {
    match untold {
        0 => String::new(),
        1 => format!(", and 1 more {noun}"),
        more => format!(", and {} more {noun}s", grouped(more)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use kite_conn::{LossCause, Stamp};

    use super::*;

    fn text(text: &'static str) -> Event {
        let message = Arc::new(TextMessage::parse(text).unwrap());
        Event::Text { text: Bytes::from_static(text.as_bytes()), message, received: Stamp::now() }
    }

    #[test]
    fn losses_and_returns_are_told() {
        let down = Event::Down { epoch: 1, cause: LossCause::Eof, last_heard: Stamp::now() };
        let (weight, line) = describe(2, &down).unwrap();
        assert_eq!(weight, Weight::Bad);
        assert_eq!(line, "socket 2 lost: the server ended the stream without a close frame");
        let up = |epoch| describe(2, &Event::Up { epoch, instruments: 3_000 }).unwrap().1;
        assert_eq!(up(1), "socket 2 up");
        assert_eq!(up(2), "socket 2 up again");
        assert_eq!(describe(2, &Event::Retry { attempt: 1, delay: Duration::ZERO }), None);
    }

    #[test]
    fn words_of_the_server_are_told_and_greetings_are_not() {
        let told = |json| describe(1, &text(json)).map(|(_, line)| line);
        let error = told(r#"{"type":"error","data":"too much"}"#);
        assert_eq!(error.as_deref(), Some("socket 1 the server says: too much"));
        let broker = told(r#"{"type":"message","data":"hello"}"#);
        assert_eq!(broker.as_deref(), Some("socket 1 broker: hello"));
        assert_eq!(told(r#"{"type":"app_code","timestamp":"x"}"#), None);
        assert_eq!(told(r#"{"type":"order","data":{}}"#), None);
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
