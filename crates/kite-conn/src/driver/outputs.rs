//! Carries out the session's outputs.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tracing::trace;

use super::clock::now;
use super::link::Link;
use super::network::Network;
use super::{Driver, Pause};
use crate::clock::Stamp;
use crate::config::TokenRequest;
use crate::credentials::Credentials;
use crate::deliver::{Notice, Sink};
use crate::observe::{Event, Stopped};
use crate::session::{Input, Output};
use crate::websocket::Wire;

impl<S: Sink, N: Network> Driver<S, N> {
    /// Passes the handles' requests to the session and carries out its outputs until it waits; then
    /// a turn begins.
    pub(super) fn ask_session(&mut self) -> Option<Pause> {
        let now = now();
        self.collect_mail(now);
        loop {
            match self.session.poll(now) {
                Output::Open => self.open(),
                Output::Renew => self.renew(),
                Output::Send(sent) => {
                    let command = sent.as_command();
                    self.send(Message::text(command.to_string()));
                    self.intake.on_command(command);
                }
                Output::Ping(payload) => {
                    self.send(Message::Ping(Bytes::copy_from_slice(&payload)));
                }
                Output::Departed(tokens) => self.intake.on_departed(&tokens),
                Output::StopWaiting => self.intake.stop_waiting(),
                Output::SendClose => {
                    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    self.send(Message::Close(Some(frame)));
                }
                Output::Abort => self.abort(),
                Output::Report(event) => self.report(event),
                Output::Wait(wait) => {
                    trace!(conn = self.reporter.events.connection(), ?wait, "waiting");
                    let deadline = wait.map(|(deadline, _)| deadline);
                    self.clock.arm(now, deadline, self.session.suspension_matters());
                    self.turn.begin();
                    return None;
                }
                Output::Done => {
                    // Makes the next poll return this again, if the caller ignores it now.
                    self.turn.end();
                    return Some(Pause::Over);
                }
            }
        }
    }

    pub(super) fn collect_mail(&mut self, now: Instant) {
        let Some(mail) = self.reporter.mailbox.collect() else { return };
        let mut removed = Vec::new();
        for (token, mode) in mail.changes {
            self.session.handle(now, Input::SetMode(token, mode));
            removed.extend(mode.is_none().then_some(token));
        }
        if !removed.is_empty() {
            self.intake.on_unsubscribed(&removed);
            if !self.session.is_live() {
                self.intake.on_departed(&removed);
            }
        }
        for handover in mail.taken_over {
            let epoch = self.session.is_live().then(|| self.session.epoch());
            let desired = self.session.desired();
            self.intake.on_taken_over(handover, Stamp::at(now), epoch, desired);
        }
        // An attempt that already uses them continues.
        let is_in_use =
            |it: &Credentials| matches!(self.link, Link::Opening(_)) && *it == self.credentials;
        if let Some(credentials) = mail.credentials.filter(|it| !is_in_use(it)) {
            self.take_credentials(credentials);
            self.session.handle(now, Input::CredentialsChanged);
        }
        if mail.ping {
            self.session.handle(now, Input::Ping);
        }
        if let Some(deadline) = mail.drain {
            self.session.handle(now, Input::Drain(deadline));
        }
        if mail.close {
            self.session.handle(now, Input::Close);
        }
    }

    pub(super) fn take_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
        self.refusal = None;
    }

    fn open(&mut self) {
        let secrets = self.secrets.remember(self.credentials.access_token());
        let opening = self.network.open(&self.credentials, secrets);
        self.link = Link::open(opening, self.config.pacer.as_ref());
    }

    fn renew(&mut self) {
        let Some(source) = &self.config.token_source else { return };
        let (current, refusal) = (self.credentials.clone(), self.refusal.clone());
        let limit = self.config.transport.connect_timeout;
        let answer = source.ask(TokenRequest { current, refusal }, limit);
        self.link = Link::Renewing(Box::pin(answer));
    }

    fn send(&mut self, message: Message) {
        if let Link::Open(socket) = &mut self.link {
            // Fails only after a close frame, and the session sends nothing after one.
            let _ = socket.websocket.send(message);
        }
    }

    fn abort(&mut self) {
        if let Link::Open(socket) = &self.link {
            socket.websocket.get_ref().reset_on_drop();
        }
        self.hang_up();
    }

    pub(super) fn hang_up(&mut self) {
        self.link = Link::None;
        self.reading_paused = false;
    }

    /// Reports an event and passes it to the sink.
    pub(super) fn report(&mut self, event: Event) {
        let Event::Closed { clean } = event else {
            self.reporter.report(&event, self.session.epoch());
            return self.deliver(event, Stamp::at(now()));
        };
        // The end is reported after the sink has received everything and is gone.
        let stopped = Stopped::new(clean, self.intake.unread());
        let event = Event::Closed { clean: stopped.clean };
        self.reporter.stopped = stopped;
        self.deliver(event, Stamp::at(now()));
    }

    /// Reports a step of the wall clock: to the sink always, and to the subscribers unless another
    /// connection has.
    pub(super) fn report_step(&mut self, number: u64, by_ns: i64) {
        let event = Event::ClockStepped { by_ns };
        if self.reporter.events.admits_step(number) {
            self.report(event);
        } else {
            self.deliver(event, Stamp::at(now()));
        }
    }

    /// Passes an event to the sink, in order with the frames.
    pub(super) fn deliver(&mut self, event: Event, at: Stamp) {
        let instruments = match &event {
            Event::Down { .. } => self.session.announced().clone(),
            Event::Up { .. } => self.session.desired().clone(),
            _ => BTreeMap::new(),
        };
        self.intake.on_notice(Notice { event, at, instruments });
    }
}
