//! The task that receives messages and delivers them.

use std::future::poll_fn;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::stream::{SelectAll, select_all};
use futures_util::{FutureExt as _, StreamExt as _};
use kite_manager::{Delivery, DeliverySink, Severity, Sink as _};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::inbound::{Inbound, Output};
use super::{Choice, ConsumerError};
use crate::link::LinkState;
use crate::server::ServerError;
use crate::subject::Subjects;

/// How often the newest packets are asked for until they are answered.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Messages after which what they amount to is delivered, even if more wait.
const MAX_MESSAGES: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Task {
    client: Client,
    inbound: Inbound,
    sinks: Vec<DeliverySink>,
    delivery: Delivery,
    messages: SelectAll<Subscriber>,
    link: watch::Receiver<LinkState>,
    /// The state of the socket that was reported.
    seen: LinkState,
    /// How often messages were read too slowly, as reported.
    slow: u64,
    timer: Interval,
    stopping: watch::Receiver<bool>,
}

enum Input {
    Message(Message),
    Link,
    Timer,
    /// No message has arrived.
    Quiet,
    End,
}

impl Task {
    /// Subscribes.
    pub(super) async fn new(
        client: Client,
        mut inbound: Inbound,
        sinks: Vec<DeliverySink>,
        delivery: Delivery,
        mut link: watch::Receiver<LinkState>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, ConsumerError> {
        let choice = inbound.choice().clone();
        let mut subscribers = Vec::new();
        for account in inbound.accounts_mut() {
            account.inbox = client.new_inbox();
            let subjects = &account.subjects;
            let notices = [subjects.event(), subjects.gap(), subjects.order()];
            let inbox = account.inbox.clone();
            for subject in choice.subjects(subjects).into_iter().chain(notices).chain([inbox]) {
                let subscribed = client.subscribe(subject).await;
                subscribers.push(
                    subscribed
                        .map_err(|error| ServerError::Settings { reason: error.to_string() })?,
                );
            }
        }
        let mut timer = interval(ASK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The socket may be open already.
        link.mark_changed();
        let (messages, seen) = (select_all(subscribers), LinkState::default());
        Ok(Self {
            client,
            inbound,
            sinks,
            delivery,
            messages,
            link,
            seen,
            slow: 0,
            timer,
            stopping,
        })
    }

    /// Delivers until the consumer stops.
    pub(super) async fn run(mut self) {
        let mut messages = 0;
        loop {
            match self.input().await {
                Input::Message(message) => {
                    self.inbound.accept(message);
                    messages += 1;
                    if messages == MAX_MESSAGES {
                        messages = 0;
                        self.deliver().await;
                    }
                }
                Input::Quiet => {
                    self.inbound.flush();
                    self.deliver().await;
                }
                Input::Link => self.on_link(),
                Input::Timer => {
                    self.report_slow();
                    self.ask().await;
                }
                Input::End => break,
            }
        }
        self.deliver_rest().await;
        self.delivery.end();
    }

    /// Delivers what has arrived.
    async fn deliver_rest(&mut self) {
        // Unconstrained by the task's coop budget, so that a message that has arrived is found.
        while let Some(Some(message)) = unconstrained(self.messages.next()).now_or_never() {
            self.inbound.accept(message);
            self.deliver().await;
        }
        self.inbound.flush();
        self.deliver().await;
    }

    /// Waits for something to happen, or only looks whether it has if something is to be delivered.
    async fn input(&mut self) -> Input {
        let is_waiting = self.inbound.is_waiting();
        tokio::select! {
            biased;
            _ = self.stopping.changed() => Input::End,
            changed = self.link.changed() => if changed.is_ok() { Input::Link } else { Input::End },
            _ = self.timer.tick() => Input::Timer,
            message = self.messages.next() => message.map_or(Input::End, Input::Message),
            () = std::future::ready(()), if is_waiting => Input::Quiet,
        }
    }

    async fn deliver(&mut self) {
        for output in self.inbound.take() {
            match output {
                Output::Batch(slot, batch) => {
                    let sink = &mut self.sinks[slot];
                    poll_fn(|cx| sink.poll_ready(cx)).await;
                    sink.on_batch(&batch);
                }
                Output::Snapshot(slot, batch) => {
                    let sink = &mut self.sinks[slot];
                    poll_fn(|cx| sink.poll_ready(cx)).await;
                    sink.on_snapshot(&batch);
                }
                Output::Lost(slot, frames, ticks) => self.sinks[slot].on_lost(frames, ticks),
                Output::Event(slot, event) => self.sinks[slot].on_event(&event),
                Output::Notify(event) => self.delivery.notify(event),
            }
        }
    }

    /// Reports what has changed of the socket.
    fn on_link(&mut self) {
        let now = self.link.borrow_and_update().clone();
        let (seen, inbound) = (&mut self.seen, &mut self.inbound);
        // Sockets are opened and lost in turn, and several changes may arrive as one.
        while seen.connects + seen.losses < now.connects + now.losses {
            if seen.connects > seen.losses {
                seen.losses += 1;
                let error = now.last_error.as_deref().unwrap_or("the socket ended");
                let text = format!("the connection to NATS is lost: {error}");
                inbound.notify_all("nats_down", Severity::Error, &text);
            } else {
                let severity =
                    if seen.connects == 0 { Severity::Notice } else { Severity::Recovery };
                seen.connects += 1;
                inbound.notify_all("nats_up", severity, "the connection to NATS is open");
                inbound.await_newest();
                self.timer.reset_immediately();
            }
        }
    }

    /// Reports, at most once a second, that messages were read too slowly. The newest packets show
    /// what is missing.
    fn report_slow(&mut self) {
        let slow = self.link.borrow().slow;
        if slow > self.slow {
            self.slow = slow;
            tracing::warn!(times = slow, "NATS: messages dropped, read too slowly");
            let text = "read too slowly: NATS has dropped messages";
            self.inbound.notify_all("nats_slow", Severity::Warning, text);
            self.inbound.await_newest();
        }
    }

    /// Asks for the newest packets of accounts that await them.
    async fn ask(&mut self) {
        if !self.link.borrow().is_up {
            return;
        }
        let payload = self.inbound.choice().request();
        for account in self.inbound.accounts_mut() {
            if account.awaits_newest {
                let (subject, inbox) = (account.subjects.latest(), account.inbox.clone());
                // Fails only if the client has ended, which ends the messages too.
                let _ =
                    self.client.publish_with_reply(subject, inbox, payload.clone().into()).await;
            }
        }
    }
}

impl Choice {
    /// Returns the subjects of an account that carry the chosen instruments.
    fn subjects(&self, subjects: &Subjects) -> Vec<String> {
        match self {
            Self::All => vec![subjects.ticks()],
            Self::Segments(segments) => segments.iter().map(|it| subjects.ticks_of(*it)).collect(),
            Self::Tokens(tokens) => tokens.iter().map(|&token| subjects.tick(token)).collect(),
            Self::Frames => vec![subjects.frames()],
        }
    }

    /// Returns the request for the newest packets.
    fn request(&self) -> String {
        match self {
            Self::Tokens(tokens) => format!("{:?}", Vec::from_iter(tokens)),
            _ => String::new(),
        }
    }

    /// Returns whether an instrument is chosen.
    pub(super) fn contains(&self, token: u32) -> bool {
        match self {
            Self::All | Self::Frames => true,
            Self::Segments(segments) => segments.contains(&kite_manager::Segment::of_token(token)),
            Self::Tokens(tokens) => tokens.contains(&token),
        }
    }
}
