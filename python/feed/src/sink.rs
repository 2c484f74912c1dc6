//! The sink of a socket: frames go into a lane, everything else into the notices.

use std::sync::Arc;
use std::task::{Context, Poll};

use kite_conn::{Batch, Event, LaneSink, Sink, Stamp, Unread};
use kite_wire::text::TextMessage;

use crate::last_accepted::LastAccepted;
use crate::notice::{Notice, Notices};

/// The sink of a socket. The lane bounds the frames and applies the policy for slow callbacks;
/// notices are few and are never dropped with frames.
#[derive(Debug)]
pub struct FeedSink {
    lane: LaneSink,
    notices: Arc<Notices>,
    accepted: Arc<LastAccepted>,
    /// Number of the last frame.
    sequence: u64,
}

impl FeedSink {
    /// Creates the sink of a connection.
    pub fn new(lane: LaneSink, notices: Arc<Notices>, accepted: Arc<LastAccepted>) -> Self {
        Self { lane, notices, accepted, sequence: 0 }
    }
}

impl Sink for FeedSink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.lane.poll_ready(cx)
    }

    fn on_batch(&mut self, batch: &Batch) {
        self.sequence = batch.sequence;
        if !batch.ticks.frame().is_heartbeat() {
            self.lane.on_batch(batch);
        } else if self.notices.wants_heartbeats() {
            self.notices.push(self.sequence, Notice::Heartbeat(batch.frame().clone()));
        }
    }

    fn on_event(&mut self, event: &Event) {
        let notice = match event {
            Event::Up { epoch, .. } => {
                let accepted = self.accepted.take();
                Notice::Up { epoch: *epoch, at: Stamp::now(), accepted }
            }
            Event::Down { cause, .. } => Notice::Down(cause.clone()),
            Event::OpenFailed { error, .. } => Notice::OpenFailed(error.clone()),
            Event::Retry { delay, .. } => Notice::Retry(*delay),
            Event::Parked(reason) => Notice::Parked(reason.clone()),
            Event::Gap(gap) => Notice::Gap(Arc::clone(gap)),
            // An error answers a request of this socket; everything else is for the account.
            Event::Text { text, message, received } => Notice::Text {
                text: text.clone(),
                is_on_every_socket: !matches!(**message, TextMessage::Error(_)),
                received: *received,
            },
            Event::TextUnreadable { text, received, .. } => {
                Notice::Text { text: text.clone(), is_on_every_socket: true, received: *received }
            }
            // What the callbacks have not taken is no fault of the server's.
            Event::Closed { clean } => {
                Notice::Closed(*clean || self.lane.unread().discarded_frames > 0)
            }
            Event::FrameDamaged { .. }
            | Event::PacketsSkipped { .. }
            | Event::LimitRefused { .. }
            | Event::FeedSilent { .. } => Notice::Warning(event.to_string()),
            _ => return,
        };
        self.notices.push(self.sequence, notice);
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.lane.poll_drained(cx)
    }

    fn stop_waiting(&mut self) {
        self.lane.stop_waiting();
    }

    fn unread(&self) -> Unread {
        self.lane.unread()
    }
}
