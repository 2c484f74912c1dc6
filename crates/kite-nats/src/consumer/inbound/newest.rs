//! Answers to requests for newest packets.

use std::sync::atomic::Ordering::Relaxed;

use async_nats::{Message, StatusCode};
use kite_manager::{Batch, MAX_CONNECTIONS, Severity, TickBatch};
use kite_wire::FrameBuilder;

use super::message::{Invalid, header};
use super::{Inbound, Output};
use crate::consumer::Choice;
use crate::consumer::notices::{reported, stamp};
use crate::headers::{HeaderError, Headers, PacketPlace, names};
use crate::subject::number;

impl Inbound {
    /// Handles a part of the answer to a request for newest packets.
    pub(super) fn on_answer(&mut self, at: usize, message: &Message) -> Result<(), Invalid> {
        let account = &mut self.accounts[at];
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            if !std::mem::replace(&mut account.has_reported_silence, true) {
                let text = format!("no publisher of {} answers", account.id);
                let event = reported(&account.id, None, "no_publisher", Severity::Warning, &text);
                self.outputs.push(Output::Notify(event));
            }
            return Ok(());
        }
        account.has_reported_silence = false;
        if let Some(error) = message.headers.as_ref().and_then(|it| it.get(names::ERROR)) {
            account.awaits_newest = false;
            return Err(Invalid::Refused(error.as_str().to_owned()));
        }
        let (part, parts): (u64, u64) =
            (header(message, names::PART)?, header(message, names::PARTS)?);
        if part + 1 == parts {
            account.awaits_newest = false;
        }
        let name = names::CONNECTION;
        let connection: usize = header(message, name)?;
        if connection >= MAX_CONNECTIONS {
            return Err(HeaderError::Invalid { name, value: connection.to_string() }.into());
        }
        let (epoch, sequence) = account.places[connection];
        let of = Headers {
            term: header(message, names::TERM)?,
            account: account.id.clone(),
            connection,
            epoch,
            sequence,
            received_unix_ns: header(message, names::TIME)?,
            packet: None,
        };
        self.on_newest(at, message, &of)
    }

    fn on_newest(&mut self, at: usize, message: &Message, of: &Headers) -> Result<(), Invalid> {
        let ticks = TickBatch::new(message.payload.clone()).map_err(|_| Invalid::Frame)?;
        let name = names::TICKS;
        let numbers = message.headers.as_ref().and_then(|it| it.get(name));
        let numbers = numbers.ok_or(HeaderError::Missing { name })?.as_str().split(',');
        let (mut frame, mut missed) = (FrameBuilder::new(), 0);
        let are_frames = self.choice == Choice::Frames;
        for (packet, text) in ticks.packets().zip(numbers) {
            let token = packet.instrument_token();
            let invalid = || HeaderError::Invalid { name, value: text.to_owned() };
            let tick = number(text).ok_or_else(invalid)?;
            if !self.choice.contains(token) {
                continue;
            }
            let place = PacketPlace { index: 0, count: 1, tick };
            let standing = self.accounts[at].follower.on_packet(of, place, token);
            if standing.is_new() {
                // Whole frames are not followed by the numbers of their packets.
                missed += if are_frames { 0 } else { standing.missed() };
                let _ = frame.push(packet);
            }
        }
        let slot = at * MAX_CONNECTIONS + of.connection;
        self.on_missed(slot, true, missed);
        if frame.packets() > 0 {
            self.figures.snapshot_ticks.fetch_add(u64::from(frame.packets()), Relaxed);
            let received = stamp(of.received_unix_ns);
            let batch = Batch::new(frame.finish_batch(), received, of.epoch, of.sequence);
            self.outputs.push(Output::Snapshot(slot, batch));
        }
        Ok(())
    }
}
