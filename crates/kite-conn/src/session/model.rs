//! The counterparts of a session in its tests: a server that follows its commands and a driver that
//! checks it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kite_wire::{CommandKind, Mode, ParsedCommand};

use super::{Input, LAST_READING, Output, Renews, Session, Why};
use crate::clock::FAR;
use crate::config::{Liveness, Reconnect};
use crate::observe::{Event, LossCause, ParkReason};

/// The server's state for one socket.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) subscriptions: BTreeMap<u32, Mode>,
}

impl Server {
    pub(super) fn obey(&mut self, command: &str) {
        let Ok(command) = ParsedCommand::parse(command) else { panic!("not a command: {command}") };
        for token in command.tokens {
            match command.kind {
                CommandKind::Subscribe => {
                    self.subscriptions.insert(token, Mode::Quote);
                }
                CommandKind::Unsubscribe => {
                    self.subscriptions.remove(&token);
                }
                // Strict on purpose, because a mode for a token that is not subscribed is lost.
                CommandKind::Mode(mode) => {
                    if let Some(known) = self.subscriptions.get_mut(&token) {
                        *known = mode;
                    }
                }
            }
        }
    }
}

/// A socket as the driver knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    None,
    /// No socket yet, because credentials are being requested.
    Renewing,
    Opening,
    Open,
    Closing,
}

/// A session with a driver and a server that follow its outputs. It checks the invariants at each
/// step.
pub(super) struct Rig {
    pub(super) session: Session,
    close_deadline: Duration,
    pub(super) now: Instant,
    pub(super) socket: Socket,
    /// Whether the connection was reported as up.
    up: bool,
    epoch: u32,
    server: Server,
    desired: BTreeMap<u32, Mode>,
    write_blocked: bool,
    reading_paused: bool,
    threshold: Duration,
    /// When the open socket failed.
    broken: Option<Instant>,
    /// When the last byte was read on this socket, or reading resumed.
    last_byte: Instant,
    /// Whether a message has arrived in part.
    in_message: bool,
    /// A loss was reported, but not yet a retry or parking.
    unanswered_loss: bool,
    /// The delay of the last retry reported.
    pub(super) delay: Duration,
    /// Time the session waits, if not for ever.
    pub(super) wait: Option<Duration>,
    /// The reason for the wait.
    pub(super) why: Option<Why>,
    /// The payload of the last ping.
    pub(super) ping: [u8; 8],
    pub(super) done: bool,
    /// When the end is due that was requested first.
    end_due: Option<Instant>,
    /// Whether the session waits for the sink.
    waits: bool,
    /// Whether a socket was dropped, or lost otherwise than by its end, after its close frame.
    cut: bool,
}

/// The settings of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) reconnect: Reconnect,
    pub(super) liveness: Liveness,
    pub(super) renews: Renews,
    pub(super) has_token: bool,
}

impl Rig {
    pub(super) fn new(settings: Settings) -> Self {
        let Settings { reconnect, liveness, renews, has_token } = settings;
        let now = Instant::now();
        Self {
            session: Session::new(reconnect, liveness, renews, has_token),
            close_deadline: liveness.close_deadline.min(FAR),
            now,
            socket: Socket::None,
            up: false,
            epoch: 0,
            server: Server::default(),
            desired: BTreeMap::new(),
            write_blocked: false,
            reading_paused: false,
            threshold: liveness.silence_threshold,
            broken: None,
            last_byte: now,
            in_message: false,
            unanswered_loss: false,
            delay: Duration::ZERO,
            wait: None,
            why: None,
            ping: [0; 8],
            done: false,
            end_due: None,
            waits: true,
            cut: false,
        }
    }

    /// Starts a session that is live, without subscriptions.
    pub(super) fn live(settings: Settings) -> Self {
        let mut rig = Self::new(settings);
        assert_eq!(rig.settle(), ["opening 1", "open"]);
        assert_eq!(rig.on(Input::Opened), ["up 1 with 0"]);
        rig
    }

    pub(super) fn set_mode(&mut self, token: u32, mode: Option<Mode>) {
        match mode {
            Some(mode) => self.desired.insert(token, mode),
            None => self.desired.remove(&token),
        };
        self.session.handle(self.now, Input::SetMode(token, mode));
    }

    /// Records that bytes were read, which complete a message or not.
    pub(super) fn read(&mut self, whole: bool) {
        (self.last_byte, self.in_message) = (self.now, !whole);
    }

    /// Handles an input and carries out the outputs.
    pub(super) fn on(&mut self, input: Input) -> Vec<String> {
        match &input {
            Input::Opened if self.socket == Socket::Opening => {
                self.socket = Socket::Open;
                self.write_blocked = false;
                self.reading_paused = false;
                self.broken = None;
                self.read(true);
            }
            Input::ReadingPaused(paused) if self.session.is_live() => {
                if self.reading_paused && !paused {
                    self.read(true);
                }
                self.reading_paused = *paused;
            }
            Input::OpenFailed(_) if self.socket == Socket::Opening => self.socket = Socket::None,
            Input::Renewed | Input::RenewalFailed(_) if self.socket == Socket::Renewing => {
                self.socket = Socket::None;
            }
            Input::Lost(cause) if matches!(self.socket, Socket::Open | Socket::Closing) => {
                let is_end = matches!(cause, LossCause::Eof | LossCause::CloseFrame { .. });
                self.cut |= self.socket == Socket::Closing && !is_end;
                self.socket = Socket::None;
                self.up = false;
            }
            Input::Broken(_) if self.session.is_live() => self.broken = Some(self.now),
            Input::WriteBlocked(blocked) => self.write_blocked = *blocked,
            Input::Close => self.expect_end(self.now + self.close_deadline),
            Input::Drain(deadline) => self.expect_end(*deadline),
            _ => {}
        }
        // A loss ends its socket, so the session reports the loss when there is no socket.
        let was_up = self.session.is_live();
        self.session.handle(self.now, input);
        if was_up && !self.session.is_live() {
            self.up = false;
        }
        self.settle()
    }

    /// Handles the loss of a closing socket that was cut.
    pub(super) fn cut_by(&mut self, input: Input) -> Vec<String> {
        self.cut = true;
        self.on(input)
    }

    fn expect_end(&mut self, due: Instant) {
        self.end_due = self.end_due.into_iter().chain([due]).min();
    }

    /// Advances time and carries out the outputs.
    pub(super) fn after(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.settle()
    }

    /// Carries out outputs until the session waits or is done; returns them as a transcript.
    pub(super) fn settle(&mut self) -> Vec<String> {
        let mut transcript = Vec::new();
        self.wait = None;
        loop {
            let output = self.session.poll(self.now);
            assert!(!self.done || matches!(output, Output::Done), "after the end: {output:?}");
            let line = match output {
                Output::Wait(until) => {
                    assert!(
                        until.is_none_or(|(until, _)| until > self.now),
                        "a wait that has already ended"
                    );
                    match self.session.poll(self.now) {
                        Output::Wait(again) => assert_eq!(again, until),
                        other => panic!("{other:?} after a wait at the same time"),
                    }
                    self.wait = until.map(|(until, _)| until - self.now);
                    self.why = until.map(|(_, why)| why);
                    break;
                }
                Output::Done => {
                    self.done = true;
                    assert!(matches!(self.session.poll(self.now), Output::Done));
                    break;
                }
                output => self.carry_out(output),
            };
            transcript.push(line);
            assert!(transcript.len() < 1_000, "no end: {transcript:?}");
        }
        assert_eq!(self.session.is_live(), self.socket == Socket::Open);
        if self.session.is_live() && !self.write_blocked && self.broken.is_none() {
            assert_eq!(self.server.subscriptions, self.desired);
        }
        if self.session.is_live()
            && let Some(broken) = self.broken
        {
            assert!(self.now < broken + self.threshold * 2, "a broken socket is live for ever");
        }
        assert!(!self.unanswered_loss, "{transcript:?}");
        // The deadline of a drain may be followed by the reading of what has arrived.
        let is_overdue = self.end_due.is_some_and(|due| self.now >= due + LAST_READING);
        let is_cutting = self.socket == Socket::Closing && self.wait.is_some();
        assert!(!is_overdue || self.done || is_cutting, "still there after the deadline");
        transcript
    }

    fn carry_out(&mut self, output: Output) -> String {
        match output {
            Output::Open => {
                assert_eq!(self.socket, Socket::None, "a second socket");
                self.socket = Socket::Opening;
                "open".to_owned()
            }
            Output::Send(sent) => {
                let text = sent.as_command().to_string();
                assert!(self.up && self.socket == Socket::Open, "sent while not live: {text}");
                assert!(!self.write_blocked, "sent while writing is blocked: {text}");
                assert!(self.broken.is_none(), "sent on a broken socket: {text}");
                self.server.obey(&text);
                text
            }
            Output::Renew => {
                assert_eq!(self.socket, Socket::None, "renewal with a socket open");
                self.socket = Socket::Renewing;
                "renew".to_owned()
            }
            Output::Ping(payload) => {
                assert!(self.up && self.socket == Socket::Open, "a ping while not live");
                self.ping = payload;
                "ping".to_owned()
            }
            Output::Departed(tokens) => {
                assert!(self.up && !tokens.is_empty());
                format!("departed {tokens:?}")
            }
            Output::StopWaiting => {
                assert!(std::mem::take(&mut self.waits), "requested twice");
                assert!(matches!(self.socket, Socket::Open | Socket::Closing));
                "stop waiting".to_owned()
            }
            Output::SendClose => {
                assert_eq!(self.socket, Socket::Open);
                self.socket = Socket::Closing;
                "close".to_owned()
            }
            Output::Abort => {
                assert_ne!(self.socket, Socket::None, "nothing to abort");
                self.cut |= self.socket == Socket::Closing;
                self.socket = Socket::None;
                self.up = false;
                "abort".to_owned()
            }
            Output::Report(event) => self.on_event(event),
            Output::Wait(_) | Output::Done => unreachable!("handled by the caller"),
        }
    }

    fn on_event(&mut self, event: Event) -> String {
        if std::mem::take(&mut self.unanswered_loss) {
            assert!(matches!(event, Event::Retry { .. } | Event::Parked(_)), "{event:?}");
        }
        match event {
            Event::Opening { attempt } => format!("opening {attempt}"),
            Event::Up { epoch, instruments } => {
                assert_eq!(epoch, self.epoch + 1);
                self.epoch = epoch;
                self.up = true;
                self.server = Server::default();
                format!("up {epoch} with {instruments}")
            }
            Event::Down { epoch, cause, .. } => {
                assert_eq!(epoch, self.epoch);
                self.up = false;
                self.unanswered_loss = true;
                match cause {
                    LossCause::Silence { silence } => {
                        assert_eq!(silence, self.now - self.last_byte, "not silent");
                    }
                    LossCause::FeedSilence { .. } => assert!(!self.in_message, "not silent"),
                    _ => {}
                }
                format!("down {epoch}: {cause}")
            }
            Event::OpenFailed { attempt, .. } => format!("failed {attempt}"),
            Event::Renewing { attempt, refused: false } => format!("renewing {attempt}"),
            Event::Renewing { attempt, refused: true } => format!("renewing {attempt}, refused"),
            Event::RenewalFailed { attempt, .. } => format!("not renewed {attempt}"),
            Event::FeedSilent { silence, grace } => {
                assert!(!self.in_message, "silent although a message is arriving");
                format!("feed silent for {silence:?}, {grace:?} left")
            }
            Event::TicksStale { silence, instruments } => {
                assert!(self.up && instruments > 0, "stale although no ticks are expected");
                format!("stale for {silence:?}")
            }
            Event::TicksResumed { silence } => format!("ticks after {silence:?}"),
            Event::Suspended { slept } => format!("slept {slept:?}"),
            Event::LimitRefused { instruments, .. } => format!("{instruments} refused"),
            Event::Retry { attempt, delay } => {
                self.delay = delay;
                format!("retry {attempt}")
            }
            Event::Parked(ParkReason::Authentication(_)) => "parked: authentication".to_owned(),
            Event::Parked(ParkReason::Configuration(_)) => "parked: configuration".to_owned(),
            Event::Parked(ParkReason::AttemptsUsedUp { failures, limit, .. }) => {
                format!("parked: {failures} failures, {limit} allowed")
            }
            Event::Closed { clean } => {
                assert_eq!(self.socket, Socket::None, "closed with a socket left");
                assert_eq!(clean, !self.cut, "clean unless its last socket was cut");
                if clean { "closed" } else { "closed, cut" }.to_owned()
            }
            other => panic!("not a session's event: {other:?}"),
        }
    }
}
