//! What comes from the manager, and what is asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kite_manager::{AccountId, OneLine, Phase, Stamp, StreamItem, TextItem, TextMessage};
use kite_wire::{Mode, TickBatch};
use serde_json::json;
use tokio::time::Instant;

use super::{Hub, Inputs};
use crate::client::ToClient;
use crate::losses::{self, SilenceChange};
use crate::outage::Reason;
use crate::wishes::UpstreamFull;

/// Texts that Kite sends each new socket.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    instruments_meta: Option<Arc<str>>,
    app_code: Option<Arc<str>>,
}

impl Greetings {
    pub(super) fn texts(&self) -> impl Iterator<Item = Arc<str>> {
        self.instruments_meta.iter().chain(&self.app_code).cloned()
    }

    /// Returns the place of a text of this type, if it is a greeting.
    fn place(&mut self, kind: &str) -> Option<&mut Option<Arc<str>>> {
        match kind {
            "instruments_meta" => Some(&mut self.instruments_meta),
            "app_code" => Some(&mut self.app_code),
            _ => None,
        }
    }
}

impl Hub {
    pub(super) fn on_item(&mut self, item: StreamItem) {
        let now = Instant::now().into_std();
        match item {
            StreamItem::Ticks(ticks) => self.on_ticks(&ticks.batch.ticks),
            StreamItem::Conflated { ticks, .. } => self.on_ticks(&ticks.batch.ticks),
            StreamItem::Up { account, connection, .. } => {
                self.losses.on_up(self.slot(&account, connection), now, Stamp::now());
            }
            StreamItem::Down { account, connection, last_heard, .. } => {
                self.losses.on_down(self.slot(&account, connection), now, last_heard);
                self.update_placement();
            }
            StreamItem::Gap { account, connection, gap } => {
                // Without instruments nothing was missed.
                if !gap.instruments.is_empty() {
                    self.figures.hub.gaps.fetch_add(1, Ordering::Relaxed);
                }
                self.send_notices(losses::gap(&gap, &self.groups));
                self.losses.on_gap(self.slot(&account, connection), &gap, now);
            }
            StreamItem::Dropped { account, connection, frames, ticks, .. } => {
                self.figures.hub.ticks_missed.fetch_add(ticks, Ordering::Relaxed);
                let slot = self.slot(&account, connection);
                let dropped = self.dropped.entry(slot).or_default();
                *dropped = (dropped.0 + frames, dropped.1 + ticks);
            }
            // Streams deliver nothing else.
            _ => {}
        }
    }

    fn on_ticks(&mut self, ticks: &TickBatch) {
        let frame = ticks.frame();
        self.table.update(&frame);
        let mut shares = std::mem::take(&mut self.shares);
        let undelivered =
            self.dispatcher.dispatch(&self.groups, ticks.as_bytes(), &frame, &mut shares);
        for share in shares.drain(..) {
            for &id in self.groups.members(share.group) {
                let frame = ToClient::Frame(share.frame.clone(), share.packets);
                self.send_frame(id, share.frame.len(), frame);
            }
        }
        self.shares = shares;
        let figures = &self.figures.hub;
        figures.ticks_in.fetch_add(ticks.len() as u64, Ordering::Relaxed);
        figures.ticks_leaner.fetch_add(undelivered.leaner, Ordering::Relaxed);
    }

    pub(super) fn on_text(&mut self, item: TextItem) {
        let update = match item {
            TextItem::Update(update) => update,
            TextItem::Lagged { missed } => {
                tracing::warn!(missed, "events missed, possibly including texts for clients");
                return self.send_message(&json!({ "missed": { "events": missed } }));
            }
            _ => return,
        };
        let Ok(text) = std::str::from_utf8(&update.text) else { return };
        match &*update.message {
            TextMessage::Order(_) | TextMessage::UnreadableOrder { .. } => {
                let text = Arc::from(text);
                for client in self.clients.values().filter(|client| client.listed.has_orders()) {
                    client.send(ToClient::Text(Arc::clone(&text)));
                }
            }
            TextMessage::Error(error) => {
                tracing::warn!(error = %OneLine(error), "Kite reports an error");
            }
            TextMessage::Other { kind: Some(kind), .. }
                if let Some(greeting) = self.greetings.place(kind) =>
            {
                *greeting = Some(text.into());
            }
            _ => {
                let (text, now) = (Arc::from(text), Instant::now().into_std());
                if self.broadcasts.is_new(&update.account, &text, now) {
                    self.send_to_all(&text);
                }
            }
        }
    }

    /// Continues with the manager's next run.
    pub(super) fn on_stream_end(&mut self, inputs: &mut Inputs) {
        self.losses.on_stopped(Instant::now().into_std(), Stamp::now());
        // The settings were valid at the start.
        if let Ok(stream) = self.manager.stream(self.stream_config.clone()) {
            inputs.stream = stream;
        }
        self.mark_live_connections();
        self.update_placement();
    }

    /// Records which connections opened their socket before the stream was created.
    pub(super) fn mark_live_connections(&mut self) {
        let (now, at) = (Instant::now().into_std(), Stamp::now());
        for connection in self.manager.snapshot().connections {
            if connection.phase == Phase::Live {
                let slot = self.slot(&connection.account, connection.connection);
                self.losses.on_up(slot, now, at);
            }
        }
    }

    /// Replaces the instruments that are always subscribed.
    pub(super) fn set_instruments(
        &mut self,
        instruments: Vec<(u32, Mode)>,
    ) -> Result<(), UpstreamFull> {
        self.wishes.set_fixed(instruments, Instant::now().into_std())?;
        self.update_upstream();
        Ok(())
    }

    /// Asks the manager for what has changed in the clients' wishes.
    pub(super) fn update_upstream(&mut self) {
        let upstream = self.wishes.poll(Instant::now().into_std());
        if upstream.is_empty() {
            return;
        }
        if !upstream.unsubscribe.is_empty() {
            self.manager.unsubscribe(&upstream.unsubscribe);
            upstream.unsubscribe.iter().for_each(|&token| self.table.remove(token));
        }
        for (&mode, tokens) in &upstream.subscribe {
            tokens.iter().for_each(|&token| self.table.add(token));
            self.subscribe(tokens, mode);
        }
        for (&mode, tokens) in &upstream.set_mode {
            self.manager.set_mode(tokens, mode);
        }
        self.update_placement();
    }

    fn subscribe(&self, tokens: &[u32], mode: Mode) {
        // The wishes fit, unless the application has subscribed other instruments itself.
        if let Err(error) = self.manager.subscribe(tokens, mode) {
            tracing::error!(%error, "instruments of clients not subscribed");
            self.send_notices(losses::not_subscribed(tokens, &self.groups));
        }
    }

    /// Updates why connections are down, and which are silent.
    pub(super) fn update_statuses(&mut self) {
        let (now, at) = (Instant::now().into_std(), Stamp::now());
        for (slot, (status, stats)) in self.manager.statuses().into_iter().enumerate() {
            if let Some(reason) = Reason::of(&status) {
                self.losses.set_reason(slot, reason, now);
            }
            // A hub that waits for a client reads nothing either, no matter what Kite sends.
            if self.block.is_none()
                && let Some(heard) = stats.last_message.max(stats.up_since)
                && let Some(change) = self.losses.on_silence(slot, heard, at, now)
            {
                self.note_silence(slot, change);
            }
        }
    }

    fn note_silence(&self, slot: usize, change: SilenceChange) {
        match change {
            SilenceChange::Began => {
                self.figures.hub.silences.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(slot, "connection silent: nothing received from Kite for 5 s");
            }
            SilenceChange::Ended(after) => {
                tracing::info!(slot, ?after, "connection no longer silent");
            }
        }
    }

    /// Updates which instruments are on connections that are down or silent.
    pub(super) fn update_placement(&mut self) {
        if self.losses.needs_placement() {
            let (now, at) = (Instant::now().into_std(), Stamp::now());
            self.losses.set_placement(&self.manager.distribution(), now, at);
        }
    }

    /// Informs clients of frames that were dropped before the relay received them.
    pub(super) fn report_dropped(&mut self) {
        if self.dropped.is_empty() {
            return;
        }
        let placement = self.manager.distribution();
        for (slot, (frames, ticks)) in std::mem::take(&mut self.dropped) {
            tracing::warn!(slot, frames, ticks, "frames dropped: the relay is too slow");
            let instruments = placement.get(slot).map(BTreeMap::keys).into_iter().flatten();
            self.send_notices(losses::dropped(frames, ticks, instruments.copied(), &self.groups));
        }
    }

    /// Returns how many damaged frames each connection has received since this was last called, by
    /// slot, if any. Not counted as they pass, because the stream leaves out frames without a tick.
    pub(super) fn take_damaged(&mut self) -> Vec<(usize, u64)> {
        let mut new = Vec::new();
        for connection in self.manager.snapshot().connections {
            let slot = self.slot(&connection.account, connection.connection);
            let now = connection.figures.damaged_frames;
            let before = self.damaged.insert(slot, now).unwrap_or_default();
            // Each run of the manager counts from zero.
            let frames = now.checked_sub(before).unwrap_or(now);
            new.extend((frames > 0).then_some((slot, frames)));
        }
        new
    }

    /// Informs clients of frames of which a part was unreadable.
    pub(super) fn report_damaged(&mut self) {
        let damaged = self.take_damaged();
        if damaged.is_empty() {
            return;
        }
        let placement = self.manager.distribution();
        for (slot, frames) in damaged {
            self.figures.hub.damaged_frames.fetch_add(frames, Ordering::Relaxed);
            tracing::warn!(slot, frames, "frames damaged: what was unreadable is lost");
            let instruments = placement.get(slot).map(BTreeMap::keys).into_iter().flatten();
            self.send_notices(losses::damaged(frames, instruments.copied(), &self.groups));
        }
    }

    /// Returns the number of a connection across all accounts.
    fn slot(&self, account: &AccountId, connection: usize) -> usize {
        let accounts = self.manager.accounts();
        let account = accounts.iter().position(|it| it == account).unwrap_or(accounts.len());
        account * self.connections + connection
    }
}
