//! Reads one socket of a client that keeps the rules, and checks everything that arrives.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kite_wire::{Command, CommandKind, Mode};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::book::{self, Book};
use crate::clients::{Common, PATIENCE};
use crate::socket::{Incoming, Socket};

/// Time in which what a relay has received is known here too.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// What was received on one socket.
#[derive(Debug)]
pub(crate) struct Reader {
    name: String,
    common: Common,
    pub(crate) socket: Socket,
    pub(crate) book: Book,
    has_orders: bool,
    heartbeats: Vec<Instant>,
    /// When errors about losses upstream arrived.
    errors: Vec<Instant>,
    /// Messages to all.
    messages: u64,
    last_message: u64,
    /// Ticks that the relay reported as dropped.
    dropped: u64,
    /// The limit named by the last refusal of a command.
    pub(crate) refusal: Option<usize>,
    marker_mode: Mode,
    /// The code of the relay's close frame.
    pub(crate) closed: Option<Option<u16>>,
    /// Whether the relay has the values of the fixed instruments.
    pub(crate) are_values_known: bool,
}

/// What is left of a reader at its end.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) packets: u64,
    pub(crate) tokens: BTreeSet<u32>,
    pub(crate) heartbeats: Vec<Instant>,
    pub(crate) errors: Vec<Instant>,
    pub(crate) messages: u64,
    pub(crate) dropped: u64,
}

impl Reader {
    pub(crate) fn new(name: &str, common: &Common, socket: Socket) -> Self {
        Self {
            name: name.to_owned(),
            common: common.clone(),
            socket,
            book: Book::new(Arc::clone(&common.market)),
            has_orders: name.contains("orders"),
            heartbeats: Vec::new(),
            errors: Vec::new(),
            messages: 0,
            last_message: 0,
            dropped: 0,
            refusal: None,
            marker_mode: Mode::Quote,
            closed: None,
            are_values_known: true,
        }
    }

    pub(crate) fn wrong(&self, what: impl std::fmt::Display) {
        self.common.wrong(&self.name, what);
    }

    /// Sends a command and, after it, one that marks when it is applied. The mode of the marker
    /// changes each time.
    pub(crate) async fn command(&mut self, kind: CommandKind, tokens: &[u32]) -> io::Result<()> {
        let plan = Arc::clone(&self.common.plan);
        let mode = if self.marker_mode == Mode::Ltp { Mode::Quote } else { Mode::Ltp };
        self.marker_mode = mode;
        self.refusal = None;
        let is_known = |token| self.are_values_known && plan.is_fixed(token);
        self.book.send((kind, tokens), (plan.marker, mode), is_known);
        let (command, marker) =
            (Command::new(kind, tokens), Command::Mode(mode, &[plan.marker]).to_string());
        self.socket.text(&command.to_string()).await?;
        self.socket.text(&marker).await
    }

    /// Reads until the last command is applied.
    pub(crate) async fn until_applied(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.book.is_pending() && self.closed.is_none() {
            match tokio::time::timeout_at(deadline, self.read()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    self.wrong("a command was not applied in time");
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
        self.check_lacking().await
    }

    /// Checks that the relay may have had no packets of the snapshots in full mode that did not come.
    async fn check_lacking(&mut self) -> io::Result<()> {
        let lacking = self.book.take_lacking();
        if lacking.is_empty() {
            return Ok(());
        }
        self.read_for(KNOWN_WITHIN).await?;
        for it in lacking {
            if self.common.lean.may_lack(it.token, it.since) {
                self.common.did("asked for full before a full packet");
            } else {
                self.wrong(book::no_snapshot(it.token));
            }
        }
        Ok(())
    }

    /// Reads for some time; returns whether the socket is still open.
    pub(crate) async fn read_for(&mut self, time: Duration) -> io::Result<bool> {
        let reading = async {
            while self.read().await? && self.closed.is_none() {}
            Ok(())
        };
        match timeout(time, reading).await {
            Ok(ended) => ended.map(|()| false),
            Err(_) => Ok(true),
        }
    }

    /// Reads a message; returns whether the stream goes on.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn read(&mut self) -> io::Result<bool> {
        let message = self.socket.next().await?;
        if self.closed.is_some() && message.is_some() {
            self.wrong("something follows the close frame");
        }
        match message {
            None => return Ok(false),
            Some(Incoming::Binary(frame)) if frame.len() == 1 => {
                self.heartbeats.push(Instant::now());
            }
            Some(Incoming::Binary(frame)) => {
                self.book.on_frame(&frame);
            }
            Some(Incoming::Text(text)) => self.on_text(&text),
            Some(Incoming::Ping) => self.socket.pong().await?,
            Some(Incoming::Pong) => {}
            Some(Incoming::Close(code)) => self.closed = Some(code),
        }
        for what in self.book.take_wrong() {
            self.wrong(what);
        }
        Ok(true)
    }

    /// Adds the counts of the socket to those of all.
    /// `reports_late` is how long a gap may take to be received after its ticks, if the client left
    /// by itself.
    pub(crate) fn finish(mut self, reports_late: Duration) -> (Received, Socket) {
        let texts = {
            let has_all = self.closed == Some(Some(1_001));
            self.book.count_unexplained(if has_all { Duration::ZERO } else { reports_late })
        };
        let mut notes = self.common.notes.lock();
        notes.packets += self.book.packets;
        notes.snapshots += self.book.snapshots;
        notes.explained += self.book.explained;
        let unexplained = notes.unexplained.entry(self.name.clone()).or_default();
        unexplained.0 += self.book.unexplained;
        unexplained.1.extend(texts);
        unexplained.1.truncate(5);
        drop(notes);
        let received = Received {
            packets: self.book.packets,
            tokens: self.book.tokens().into_iter().collect(),
            heartbeats: self.heartbeats,
            errors: self.errors,
            messages: self.messages,
            dropped: self.dropped,
        };
        (received, self.socket)
    }

    fn on_text(&mut self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return self.wrong(format_args!("a text that is not JSON: {text}"));
        };
        let data = &message["data"];
        match message["type"].as_str() {
            Some("instruments_meta" | "app_code" | "sim_unknown") => {}
            Some("order") if self.has_orders => {}
            Some("message") if data["gap"].is_object() => self.book.on_gap(&data["gap"]),
            Some("message") if data["resumed"].is_object() => self.on_resumed(&data["resumed"]),
            Some("message") if data["damaged"].is_object() => {
                let frames = data["damaged"]["frames"].as_u64().unwrap_or_default();
                self.book.on_damaged(frames);
            }
            Some("message") if data["dropped"].is_object() => {
                self.dropped += data["dropped"]["ticks"].as_u64().unwrap_or_default();
            }
            Some("message") if data["number"].is_u64() => {
                let number = data["number"].as_u64().unwrap_or_default();
                if number <= self.last_message {
                    self.wrong(format_args!("message {number} after {}", self.last_message));
                }
                self.messages += 1;
                self.last_message = number;
            }
            Some("error") => self.on_error(data.as_str().unwrap_or_default()),
            _ => self.wrong(format_args!("a text for others: {text}")),
        }
    }

    /// Checks that the end of an outage is reported for instruments of the client.
    fn on_resumed(&self, resumed: &Value) {
        let tokens = resumed["instruments"].as_array().into_iter().flatten();
        let tokens = tokens.map(|token| token.as_u64().unwrap_or_default() as u32);
        // Texts are sent before the frames that wait, and so before a marker that waits.
        let is_own = |token| self.book.is_pending() || self.book.mode(token).is_some();
        if tokens.clone().count() == 0 || !tokens.clone().all(is_own) {
            self.wrong(format_args!("the end of an outage of others: {resumed}"));
        }
    }

    fn on_error(&mut self, error: &str) {
        let limit = error.strip_prefix("Can't subscribe to more than ");
        let limit = limit.and_then(|rest| rest.strip_suffix(" instruments.")?.parse().ok());
        if let Some(limit) = limit
            && self.book.is_pending()
        {
            self.refusal = Some(limit);
            self.book.refused();
        } else if error.starts_with("No ticks from ") {
            self.errors.push(Instant::now());
        } else {
            self.wrong(format_args!("an error for others: {error}"));
        }
    }
}
