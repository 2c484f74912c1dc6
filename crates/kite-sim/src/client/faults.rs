//! The effects of faults on an open socket, and the timing of random ones.

use std::num::NonZeroU32;

use kite_server::{End, HEARTBEAT, texts};
use tokio::time::Instant;

use super::{Client, GOING_AWAY, Manner, Says};
use crate::fault::{Fault, FaultKind, damage, texts as odd_texts};
use crate::flow::Writing;

impl Client {
    /// Returns when the next random fault or heal is due on this socket.
    pub(super) fn chance_due(&self) -> Option<Instant> {
        let chance_faults = self.chance_faults.as_ref().filter(|_| !self.state.is_calm())?;
        chance_faults.due(self.entry.ticks())
    }

    pub(super) async fn on_chance(&mut self) -> Result<(), End> {
        let ticks = self.entry.ticks();
        let Some(chance_faults) = self.chance_faults.as_mut() else { return Ok(()) };
        if chance_faults.heals() {
            self.behave(Manner::WHOLE);
            return Ok(());
        }
        if self.state.is_calm() || self.state.flow.is_paused() {
            chance_faults.postpone();
            return Ok(());
        }
        let Some(fault) = chance_faults.next(ticks) else { return Ok(()) };
        let writing = self.state.flow.begin();
        self.on_fault(fault, &writing).await
    }

    pub(super) fn behave(&mut self, manner: Manner) {
        self.manner = manner;
        self.socket.stream_mut().mute(manner.says == Says::Nothing);
        self.speed.limit(manner.bytes_per_second);
        let slowest = manner.bytes_per_second.unwrap_or(NonZeroU32::MAX);
        self.socket.expect_speed(slowest);
    }

    /// Applies a fault. It counts once it takes effect. A fault that needs to send, or needs an
    /// instrument, is ignored if the socket is silent or has no subscription.
    pub(super) async fn on_fault(
        &mut self,
        mut fault: Fault,
        writing: &Writing,
    ) -> Result<(), End> {
        let kind = fault.kind();
        self.state.identify(&mut fault);
        let took_effect = match fault {
            Fault::HalfOpen => self.change(Manner { says: Says::Nothing, ..self.manner }),
            Fault::HeartbeatsOnly => self.quieten(Says::Heartbeats),
            Fault::PongsOnly => self.quieten(Says::Pongs),
            Fault::StopsReading => self.change(Manner { reads: false, ..self.manner }),
            Fault::Stalls => {
                self.change(Manner { says: Says::Nothing, reads: false, ..self.manner })
            }
            Fault::SlowLink { bytes_per_second } => {
                let bytes_per_second = Some(bytes_per_second);
                self.change(Manner { bytes_per_second, ..self.manner })
            }
            Fault::TruncatedFrame { cut } => {
                self.send_damaged(|frame| damage::truncate(frame, cut), writing).await?
            }
            Fault::LyingCount { by } => {
                self.send_damaged(|frame| damage::change_count(frame, by), writing).await?
            }
            Fault::UnknownPacket { length } => {
                self.send_damaged(|frame| damage::add_unknown(frame, length), writing).await?
            }
            Fault::OversizedFrame { bytes } => {
                self.send_damaged(|_| Some(vec![0; bytes.max(2)]), writing).await?
            }
            Fault::Burst { frames } => self.send_burst(frames, writing).await?,
            Fault::UnknownText => self.send_texts(&[odd_texts::unknown()]).await?,
            Fault::UnparsableText => self.send_texts(&[odd_texts::unparsable()]).await?,
            Fault::ErrorText { message } => self.send_texts(&[texts::error(&message)]).await?,
            Fault::Order { data } => self.send_texts(&[texts::order(&data)]).await?,
            Fault::DuplicateOrder { data } => {
                let text = texts::order(&data);
                self.send_texts(&[text.clone(), text]).await?
            }
            Fault::InvalidFrame(way) => {
                self.socket.write_raw(damage::invalid_message(way)).await?;
                self.manner.says != Says::Nothing
            }
            ending => return self.on_ending(ending, writing).await,
        };
        if took_effect {
            self.note(kind);
        }
        Ok(())
    }

    /// Applies a fault that ends the socket or does not affect it.
    async fn on_ending(&mut self, fault: Fault, writing: &Writing) -> Result<(), End> {
        let kind = fault.kind();
        match fault {
            Fault::Reset { at } => {
                self.send_part(at, writing).await?;
                self.note(kind);
                Err(End::Reset)
            }
            Fault::EndOfStream { at } => {
                self.send_part(at, writing).await?;
                self.note(kind);
                Err(End::Finish)
            }
            Fault::Close { code, waits } => {
                self.socket.send_close(code, "").await?;
                self.note(kind);
                Err(if waits { End::Closing } else { End::Leaving })
            }
            Fault::LateSlot { held } => {
                self.state.hold_slots(&self.api_key, held);
                self.note(kind);
                self.socket.send_close(GOING_AWAY, "").await?;
                Err(End::Closing)
            }
            Fault::Restart { down } => {
                self.entry.add_fault(kind);
                self.state.restart(down);
                Ok(())
            }
            awaiting => {
                // The fault needs a handshake, so end this socket to make the client reconnect.
                self.state.pending.at_next(&self.api_key, awaiting);
                Err(End::Reset)
            }
        }
    }

    fn note(&self, kind: FaultKind) {
        tracing::debug!(fault = kind.name(), "fault");
        self.entry.add_fault(kind);
        self.state.note_fault(kind);
    }

    /// Changes the manner; returns whether it differs from before.
    fn change(&mut self, manner: Manner) -> bool {
        let is_other = self.manner != manner;
        self.behave(manner);
        is_other
    }

    /// Reduces the messages sent after this call; never increases them.
    fn quieten(&mut self, says: Says) -> bool {
        self.change(Manner { says: self.manner.says.max(says), ..self.manner })
    }

    /// Sends the first bytes of a WebSocket frame of ticks, or of a heartbeat if there are none.
    async fn send_part(&mut self, at: usize, writing: &Writing) -> Result<(), End> {
        let is_talking = self.manner.says == Says::Everything;
        let ticks = is_talking.then(|| self.book.lock().next_some()).flatten();
        let message = damage::binary_message(ticks.as_ref().unwrap_or(&HEARTBEAT));
        let part = &message[..at.min(message.len())];
        self.socket.write_raw(part).await?;
        if let Some(frame) = ticks.filter(|_| part.len() == message.len()) {
            self.count_frame(&frame, writing);
        }
        Ok(())
    }

    /// Damages and sends a frame of ticks, or an empty frame if there are none.
    async fn send_damaged(
        &mut self,
        damage: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
        writing: &Writing,
    ) -> Result<bool, End> {
        if self.manner.says != Says::Everything {
            return Ok(false);
        }
        let good = self.book.lock().next_some().map_or_else(|| vec![0, 0], Vec::from);
        let Some(frame) = damage(good) else { return Ok(false) };
        self.send_frame(Some(frame.into()), writing).await?;
        Ok(true)
    }

    async fn send_burst(&mut self, frames: usize, writing: &Writing) -> Result<bool, End> {
        let mut is_any = false;
        for _ in 0..frames {
            let frame = self.book.lock().next_some();
            is_any |= frame.is_some() && self.manner.says == Says::Everything;
            self.send_frame(frame, writing).await?;
        }
        Ok(is_any)
    }

    async fn send_texts(&mut self, texts: &[String]) -> Result<bool, End> {
        for text in texts {
            self.send_text(text).await?;
        }
        Ok(self.manner.says == Says::Everything)
    }
}
