//! Sends the pieces that a replay has dealt to a socket.

use bytes::Bytes;
use kite_server::{End, HEARTBEAT, Message};

use super::{Client, Says};
use crate::replay::{Piece, Queued};

impl Client {
    /// Sends a dealt piece; it counts as sent before the queue's guard is dropped.
    pub(crate) async fn send_queued(&mut self, queued: Queued) -> Result<(), End> {
        match &queued.piece {
            Piece::Frame(frame) => self.send_recorded(frame).await,
            Piece::Text(text) => self.send_text(text).await,
        }
    }

    /// Sends a frame of a tape, regardless of the current subscriptions.
    async fn send_recorded(&mut self, frame: &Bytes) -> Result<(), End> {
        let is_heartbeat = frame.len() == HEARTBEAT.len();
        let needed = if is_heartbeat { Says::Heartbeats } else { Says::Everything };
        if self.manner.says > needed {
            return Ok(());
        }
        self.socket.write(Message::Binary(frame.clone())).await?;
        if is_heartbeat {
            self.state.counters.heartbeats.add(1);
            return Ok(());
        }
        let packets = self.state.exchange.confirm(frame);
        self.count(frame, packets);
        Ok(())
    }
}
