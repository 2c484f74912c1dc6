//! The handshake with credentials, and what comes after it: heartbeats and ticks.

use std::time::Duration;

use kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Endpoint, ErrorChain, Event, EventLane,
    LossCause, OpenError, OpenStage, Reconnect, Sink, Stamp, Tagged, Transport,
};
use kite_wire::{Mode, UnixSeconds};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::check::{Check, Finding, Sheet};
use crate::exit::CliError;
use crate::format::times::{self, SECOND_NS};

/// For the whole way from the look-up to the answer.
const OPENING: Duration = Duration::from_secs(10);
/// Kite sends one every couple of seconds.
const HEARTBEAT_WITHIN: Duration = Duration::from_secs(5);
/// NIFTY 50: an index that every plan with market data has, and that ticks whenever the market does.
const INSTRUMENT: u32 = 256_265;
/// Older than this, the exchange's time says that the market rests and nothing about our clock.
const FRESH_NS: u64 = 60 * SECOND_NS;

/// What is heard of the feed.
#[derive(Debug, Clone, Copy)]
enum Heard {
    Heartbeat,
    Tick { exchange: Option<UnixSeconds>, received: Stamp },
}

struct Ear(mpsc::UnboundedSender<Heard>);

impl Sink for Ear {
    fn on_batch(&mut self, batch: &Batch) {
        let heard = match batch.ticks.packets().next() {
            Some(packet) => {
                Heard::Tick { exchange: packet.exchange_timestamp(), received: batch.received }
            }
            None if batch.ticks.frame().is_heartbeat() => Heard::Heartbeat,
            None => return,
        };
        // Nobody listens any more once all is known.
        let _ = self.0.send(heard);
    }

    fn on_event(&mut self, _: &Event) {}
}

/// Makes the checks from the handshake on.
pub(super) async fn examine(
    endpoint: &Endpoint,
    credentials: Credentials,
    sheet: &mut Sheet,
) -> Result<(), CliError> {
    let cannot = |error| CliError::unable("cannot set up a connection").because(error);
    let config = ConnectionConfig {
        endpoint: endpoint.clone(),
        transport: Transport { connect_timeout: OPENING, ..Default::default() },
        reconnect: Reconnect { max_attempts: 0, ..Default::default() },
        ..Default::default()
    };
    let (lane, (tell, mut heard)) = (EventLane::default(), mpsc::unbounded_channel());
    let mut events = lane.subscribe();
    let begun = Instant::now();
    let connection = Connection::spawn(config, credentials, Ear(tell), &lane, 0).map_err(cannot)?;
    connection
        .subscribe(&[INSTRUMENT], Mode::Full)
        .map_err(|error| CliError::unable("cannot subscribe").because(error))?;

    let opened = opened(&mut events, begun + OPENING + Duration::from_secs(1)).await;
    let took = Some(begun.elapsed());
    match opened {
        Ok(()) => {
            let says = "the server speaks Kite's protocol";
            sheet.add(Check::Handshake, Finding::ok(says), took)?;
            sheet.add(Check::Token, Finding::ok("accepted"), None)?;
            listen(endpoint, &mut heard, &mut events, sheet).await?;
        }
        Err(failure) => {
            let is_auth = failure.as_ref().is_some_and(OpenError::is_auth);
            if is_auth {
                let says = "the server answers as Kite does";
                sheet.add(Check::Handshake, Finding::ok(says), took)?;
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

/// Waits until the socket is open; an error says why it is not, as far as is known.
async fn opened(
    events: &mut broadcast::Receiver<Tagged>,
    deadline: Instant,
) -> Result<(), Option<OpenError>> {
    loop {
        match timeout_at(deadline, events.recv()).await {
            Ok(Ok(tagged)) => match tagged.event {
                Event::Up { .. } => return Ok(()),
                Event::OpenFailed { error, .. } => return Err(Some(error)),
                Event::Closed => return Err(None),
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
            format!("the server did not answer within {OPENING:?}"),
            "try again; something on the way may hold WebSockets up: a firewall or a proxy",
        );
    };
    Finding::fail(ErrorChain(error).to_string(), advice(error))
}

fn advice(error: &OpenError) -> String {
    match error {
        OpenError::Refused(refusal) if refusal.is_auth() => {
            "make a new access token: tokens die every morning (06:00 to 07:35 IST) and when a \
             new one is made for the same api_key; check that the api_key is the token's, and \
             that its plan has market data"
                .to_owned()
        }
        OpenError::Refused(refusal) => match refusal.status {
            429 => "the api_key has its three sockets open already, or one has just been closed: \
                    end other programs, wait some seconds"
                .to_owned(),
            500.. => "the server has trouble of its own: try again in a while".to_owned(),
            400 | 401 | 403 => "this is not Kite's answer: a firewall, a proxy or a load \
                                balancer says no"
                .to_owned(),
            _ => "check the endpoint: another service may answer there".to_owned(),
        },
        OpenError::Handshake(_) => {
            "something other than a WebSocket server answers, or a proxy interferes".to_owned()
        }
        OpenError::Timeout { stage: OpenStage::Handshake, .. } => {
            "the server took the connection and does not answer: a proxy may hold WebSockets up"
                .to_owned()
        }
        _ => "the network has just changed: try again".to_owned(),
    }
}

/// What came of the feed while it was listened to.
#[derive(Debug, Default)]
struct Came {
    heartbeat: Option<Duration>,
    /// The first tick, or the first with the exchange's time, and when it came.
    tick: Option<(Option<UnixSeconds>, Stamp, Duration)>,
    lost: Option<LossCause>,
}

impl Came {
    fn is_all(&self) -> bool {
        // The first packet after a bare subscribe is a quote, which has no time.
        let has_time = self.tick.is_some_and(|(exchange, ..)| exchange.is_some());
        self.lost.is_some() || self.heartbeat.is_some() && has_time
    }

    fn take(&mut self, heard: Heard, after: Duration) {
        match heard {
            Heard::Heartbeat => {
                self.heartbeat.get_or_insert(after);
            }
            Heard::Tick { exchange, received } => {
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
    heard: &mut mpsc::UnboundedReceiver<Heard>,
    events: &mut broadcast::Receiver<Tagged>,
    sheet: &mut Sheet,
) -> Result<(), CliError> {
    let begun = Instant::now();
    let deadline = begun + HEARTBEAT_WITHIN;
    let mut came = Came::default();
    while !came.is_all() {
        tokio::select! {
            biased;
            one = heard.recv() => match one {
                Some(one) => came.take(one, begun.elapsed()),
                None => break,
            },
            event = events.recv() => match event.map(|tagged| tagged.event) {
                Ok(Event::Down { cause, .. }) => came.lost = Some(cause),
                Err(broadcast::error::RecvError::Closed) => break,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            },
            () = sleep_until(deadline) => break,
        }
    }
    sheet.add(Check::Heartbeat, alive(&came), came.heartbeat)?;
    let (finding, took) = match (came.tick, &came.lost) {
        (Some((exchange, received, took)), _) => (fresh(endpoint, exchange, received), Some(took)),
        (None, Some(_)) => (Finding::skipped("after the failure above"), None),
        (None, None) => {
            let says = format!("none of NIFTY 50 within {HEARTBEAT_WITHIN:?}");
            let advice = "a plan without market data gets none; else the exchange may be closed";
            (Finding::warn(says, advice), None)
        }
    };
    sheet.add(Check::Ticks, finding, took)
}

/// Judges whether the feed lives.
fn alive(came: &Came) -> Finding {
    let silent = format!("none within {HEARTBEAT_WITHIN:?}");
    match came {
        Came { lost: Some(cause), .. } => Finding::fail(
            format!("the connection was lost: {cause}"),
            "try again; if it stays so, something on the way breaks long connections",
        ),
        Came { heartbeat: Some(_), .. } => Finding::ok("the feed is alive"),
        Came { tick: Some(_), .. } => Finding::warn(
            silent,
            "ticks come, so the feed lives; programs that wait for heartbeats will reconnect",
        ),
        _ => Finding::fail(
            silent,
            "the socket is open and the feed is dead: try again; if it stays so, ask Kite",
        ),
    }
}

/// Judges a tick's age by the exchange's clock.
fn fresh(endpoint: &Endpoint, exchange: Option<UnixSeconds>, received: Stamp) -> Finding {
    let Some(exchange) = exchange else {
        return Finding::ok("they come, without the exchange's time");
    };
    let exchange_ns = u64::from(exchange.0) * SECOND_NS;
    let shown = times::ist(exchange_ns);
    if is_loopback(endpoint) {
        return Finding::ok(format!("they come; it is {} {} there", shown.date(), shown.clock()));
    }
    let received = received.to_system_time().duration_since(std::time::UNIX_EPOCH);
    let received_ns = received.map_or(0, |since| since.as_nanos() as u64);
    let age_ns = i128::from(received_ns) - i128::from(exchange_ns);
    let age_s = age_ns as f64 / SECOND_NS as f64;
    if age_ns > i128::from(FRESH_NS) {
        let says = format!("they come; the last trade was on {} {}", shown.date(), shown.clock());
        return Finding::ok(says);
    }
    let advice = "this machine's clock is behind: set it, best by NTP";
    match age_s {
        // The exchange's time has whole seconds.
        ..-2.0 => Finding::warn(format!("{:.1} s from the future", -age_s), advice),
        _ => Finding::ok(format!("{:.1} s after the exchange's time", age_s.max(0.0))),
    }
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    endpoint.host() == "localhost"
        || endpoint.host().parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
