//! Checks the handshake with credentials, and then heartbeats and ticks.

use std::time::Duration;

use kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Endpoint, Event, EventLane, EventReceiver,
    LossCause, OpenError, OpenStage, Reconnect, Sink, Stamp, Transport,
};
use kite_wire::{Mode, UnixSeconds};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::check::{Check, Finding, Outcome, Sheet};
use super::network::Way;
use crate::exit::CliError;
use crate::feed::refusal;
use crate::format::times::{self, SECOND_NS};

/// Limit from the DNS look-up to the handshake's response.
const OPENING: Duration = Duration::from_secs(10);
/// Kite sends one every couple of seconds.
const HEARTBEAT_WITHIN: Duration = Duration::from_secs(5);
/// Ticks within this time of the first one may all answer the subscribe.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(1);
/// NIFTY 50, which every plan with market data includes and which ticks while the market is open.
const INSTRUMENT: u32 = 256_265;
/// An older exchange timestamp means that the market is closed, not that the local clock is wrong.
const FRESH_NS: u64 = 60 * SECOND_NS;

/// What the socket received.
#[derive(Debug, Clone, Copy)]
enum Message {
    Heartbeat,
    Tick { exchange: Option<UnixSeconds>, received: Stamp },
}

struct Forward(mpsc::UnboundedSender<Message>);

impl Sink for Forward {
    fn on_batch(&mut self, batch: &Batch) {
        let message = match batch.ticks.packets().next() {
            Some(packet) => {
                Message::Tick { exchange: packet.exchange_timestamp(), received: batch.received }
            }
            None if batch.ticks.frame().is_heartbeat() => Message::Heartbeat,
            None => return,
        };
        // The receiver is gone once the checks are done.
        let _ = self.0.send(message);
    }

    fn on_event(&mut self, _: &Event) {}
}

/// Runs the checks starting with the handshake.
pub(super) async fn examine(
    way: &Way<'_>,
    credentials: Credentials,
    sheet: &mut Sheet,
) -> Result<(), CliError> {
    let cannot = |error| CliError::unable("cannot set up a connection").because(error);
    let config = ConnectionConfig {
        endpoint: way.endpoint.clone(),
        transport: Transport { connect_timeout: OPENING, ..way.transport.clone() },
        reconnect: Reconnect { max_attempts: 0, ..Default::default() },
        ..Default::default()
    };
    let (lane, (sender, mut messages)) = (EventLane::default(), mpsc::unbounded_channel());
    let mut events = lane.subscribe();
    let begun = Instant::now();
    let connection =
        Connection::spawn(config, credentials, Forward(sender), &lane, 0).map_err(cannot)?;
    connection
        .subscribe(&[INSTRUMENT], Mode::Full)
        .map_err(|error| CliError::unable("cannot subscribe").because(error))?;

    let opened = opened(&mut events, begun + OPENING + Duration::from_secs(1)).await;
    let took = Some(begun.elapsed());
    match opened {
        Ok(()) => {
            let text = "the server speaks Kite's protocol";
            sheet.add(Check::Handshake, Finding::ok(text), took)?;
            sheet.add(Check::Token, Finding::ok("accepted"), None)?;
            listen(way.endpoint, &mut messages, &mut events, sheet).await?;
        }
        Err(failure) => {
            let is_auth = failure.as_ref().is_some_and(OpenError::is_auth);
            if is_auth {
                let text = "the server answers as Kite does";
                sheet.add(Check::Handshake, Finding::ok(text), took)?;
            }
            let check = if is_auth { Check::Token } else { Check::Handshake };
            sheet.add(check, failed(failure.as_ref()), took)?;
            let later = [Check::Token, Check::Heartbeat, Check::Ticks];
            for check in later.into_iter().skip(usize::from(is_auth)) {
                sheet.skip::<()>(check)?;
            }
        }
    }
    connection.close().await;
    Ok(())
}

/// Waits until the socket is open; the error is the cause of the failure, if known.
async fn opened(events: &mut EventReceiver, deadline: Instant) -> Result<(), Option<OpenError>> {
    loop {
        match timeout_at(deadline, events.recv()).await {
            Ok(Ok(tagged)) => match tagged.event {
                Event::Up { .. } => return Ok(()),
                Event::OpenFailed { error, .. } => return Err(Some(error)),
                Event::Closed { .. } => return Err(None),
                _ => {}
            },
            Ok(Err(broadcast::error::RecvError::Lagged(_))) => {}
            Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => return Err(None),
        }
    }
}

fn failed(failure: Option<&OpenError>) -> Finding {
    let Some(error) = failure else {
        return Finding::fail(
            format!("the server did not respond within {OPENING:?}"),
            "try again; a firewall or a proxy may block WebSockets",
        );
    };
    Finding::fail(error.to_string(), advice(error))
}

fn advice(error: &OpenError) -> String {
    if let Some(advice) = refusal::advice(error, None) {
        return advice;
    }
    match error {
        _ if error.is_invalid_credentials() => {
            "check the api_key, and that the access token was created for it; if in doubt, create \
            a new one"
                .to_owned()
        }
        _ if error.is_auth() => {
            "create a new access token, by kite login: tokens expire every morning (06:00 to 07:35 IST) and when \
            a new one is created for the same api_key; check that the token belongs to the \
            api_key, and that its plan includes market data"
                .to_owned()
        }
        OpenError::Refused(refusal) => match refusal.status {
            500.. => "the server has a problem: try again later".to_owned(),
            400 | 401 | 403 => "this response is not Kite's: a firewall, a proxy or a load \
            balancer refused the request"
                .to_owned(),
            _ => "check the endpoint: another service may be listening there".to_owned(),
        },
        OpenError::Handshake(_) => {
            "the server is not a WebSocket server, or a proxy interferes".to_owned()
        }
        OpenError::Timeout { stage: OpenStage::Handshake, .. } => {
            "the server accepted the connection but does not respond: a proxy may block WebSockets"
                .to_owned()
        }
        _ => "the network changed in between: try again".to_owned(),
    }
}

/// What was received from the feed.
#[derive(Debug, Default)]
struct Received {
    /// The first one after the first tick, because a feed may fall silent after the packets that
    /// answer a subscribe; until there is a tick, the first one at all.
    heartbeat: Option<Duration>,
    /// When the last tick arrived.
    last_tick: Option<Duration>,
    /// The first tick, or the first with an exchange timestamp, and how long it took to arrive.
    tick: Option<(Option<UnixSeconds>, Stamp, Duration)>,
    lost: Option<LossCause>,
}

impl Received {
    fn is_complete(&self) -> bool {
        // The first packet after a bare subscribe is a quote, which has no time.
        let has_time = self.tick.is_some_and(|(exchange, ..)| exchange.is_some());
        self.lost.is_some() || self.heartbeat.is_some() && has_time
    }

    /// Returns whether ticks arrived after those that answered the subscribe.
    fn has_flow(&self) -> bool {
        let begun = self.tick.map(|(.., after)| after);
        begun.zip(self.last_tick).is_some_and(|(begun, last)| last > begun + SNAPSHOT_WITHIN)
    }

    fn take(&mut self, message: Message, after: Duration) {
        match message {
            Message::Heartbeat => {
                self.heartbeat.get_or_insert(after);
            }
            Message::Tick { exchange, received } => {
                if self.tick.is_none() {
                    self.heartbeat = None;
                }
                self.last_tick = Some(after);
                let tick = self.tick.get_or_insert((exchange, received, after));
                if tick.0.is_none() && exchange.is_some() {
                    (tick.0, tick.1) = (exchange, received);
                }
            }
        }
    }
}

/// Waits for a heartbeat and a tick.
async fn listen(
    endpoint: &Endpoint,
    messages: &mut mpsc::UnboundedReceiver<Message>,
    events: &mut EventReceiver,
    sheet: &mut Sheet,
) -> Result<(), CliError> {
    let begun = Instant::now();
    let deadline = begun + HEARTBEAT_WITHIN;
    let mut received = Received::default();
    while !received.is_complete() {
        tokio::select! {
            biased;
            message = messages.recv() => match message {
            Some(message) => received.take(message, begun.elapsed()),
                None => break,
            },
            event = events.recv() => match event.map(|tagged| tagged.event) {
                Ok(Event::Down { cause, .. }) => received.lost = Some(cause),
                Err(broadcast::error::RecvError::Closed) => break,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            },
            () = sleep_until(deadline) => break,
        }
    }
    let alive = alive(&received);
    let ticks = ticks(endpoint, &received, alive.outcome);
    sheet.add(Check::Heartbeat, alive, received.heartbeat)?;
    sheet.add(Check::Ticks, ticks, received.tick.map(|(.., took)| took))
}

/// Judges the ticks, given the outcome of the check for heartbeats.
fn ticks(endpoint: &Endpoint, received: &Received, heartbeat: Outcome) -> Finding {
    match received.tick {
        Some((exchange, stamp, _)) => fresh(endpoint, exchange, stamp),
        None if heartbeat == Outcome::Fail => Finding::skipped("because of the failure above"),
        None => Finding::warn(
            format!("no tick for NIFTY 50 within {HEARTBEAT_WITHIN:?}"),
            "the exchange may be closed, or the plan may not include market data",
        ),
    }
}

/// Judges whether the feed is alive.
fn alive(received: &Received) -> Finding {
    let silent = format!("no heartbeat within {HEARTBEAT_WITHIN:?}");
    match received {
        Received { lost: Some(cause), .. } => Finding::fail(
            format!("the connection was lost: {cause}"),
            "try again; if this repeats, something on the path breaks long connections",
        ),
        Received { heartbeat: Some(_), .. } => Finding::ok("the feed is alive"),
        _ if received.has_flow() => Finding::warn(
            silent,
            "ticks arrive, so the feed is alive; programs that wait for heartbeats will reconnect",
        ),
        Received { tick: Some(_), .. } => Finding::fail(
            format!("silence after the first ticks: {silent}"),
            "the socket is open but the feed has stopped: try again; if this repeats, something on \
             the path drops the packets, or ask Kite",
        ),
        _ => Finding::fail(
            silent,
            "the socket is open but the feed is silent: try again; if this repeats, ask Kite",
        ),
    }
}

/// Judges a tick's age by the exchange's clock.
fn fresh(endpoint: &Endpoint, exchange: Option<UnixSeconds>, received: Stamp) -> Finding {
    let Some(exchange) = exchange else {
        return Finding::ok("received, without an exchange timestamp");
    };
    let exchange_ns = exchange.unix_ns();
    let shown = times::ist(exchange_ns);
    if is_loopback(endpoint) {
        return Finding::ok(format!(
            "received; the exchange timestamp is {} {}",
            shown.date(),
            shown.clock()
        ));
    }
    let age_ns = i128::from(received.to_unix_ns()) - i128::from(exchange_ns);
    let age_s = age_ns as f64 / SECOND_NS as f64;
    if age_ns > i128::from(FRESH_NS) {
        let text = format!("received; the last trade was on {} {}", shown.date(), shown.clock());
        return Finding::ok(text);
    }
    let advice = "this machine's clock is behind: synchronise it, preferably by NTP";
    match age_s {
        // Exchange timestamps have whole seconds.
        ..-2.0 => Finding::warn(format!("{:.1} s before the exchange timestamp", -age_s), advice),
        _ => Finding::ok(format!("{:.1} s after the exchange timestamp", age_s.max(0.0))),
    }
}

pub(super) fn is_loopback(endpoint: &Endpoint) -> bool {
    endpoint.host() == "localhost"
        || endpoint.host().parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Judges a feed from what arrived, at milliseconds: a heartbeat, or a tick.
    fn judged(arrived: &[(char, u32)]) -> (Outcome, bool) {
        let (mut received, at) = (Received::default(), Stamp::now());
        for (what, ms) in arrived {
            let message = match what {
                'h' => Message::Heartbeat,
                _ => Message::Tick { exchange: UnixSeconds::from_wire(1), received: at },
            };
            received.take(message, MS * *ms);
        }
        (alive(&received).outcome, received.is_complete())
    }

    #[test]
    fn a_feed_is_alive_if_something_follows_its_snapshot() {
        use Outcome::{Fail, Ok, Warn};
        for (arrived, expected) in [
            (&[][..], (Fail, false)),
            (&[('h', 1)], (Ok, false)),
            (&[('t', 2)], (Fail, false)),
            (&[('h', 1), ('t', 2)], (Fail, false)),
            (&[('h', 1), ('t', 2), ('t', 300)], (Fail, false)),
            (&[('h', 1), ('t', 2), ('t', 2_500)], (Warn, false)),
            (&[('h', 1), ('t', 2), ('h', 3)], (Ok, true)),
            (&[('t', 2), ('h', 900)], (Ok, true)),
        ] {
            assert_eq!(judged(arrived), expected, "{arrived:?}");
        }
    }

    #[test]
    fn ticks_that_cannot_come_after_a_failure_are_skipped() {
        let judged = |arrived: &[Message], lost| {
            let mut received = Received { lost, ..Received::default() };
            arrived.iter().for_each(|message| received.take(*message, MS));
            ticks(&Endpoint::default(), &received, alive(&received).outcome).outcome
        };
        assert_eq!(judged(&[], None), Outcome::Skipped);
        assert_eq!(judged(&[Message::Heartbeat], Some(LossCause::Eof)), Outcome::Skipped);
        assert_eq!(judged(&[Message::Heartbeat], None), Outcome::Warn);
    }
}
