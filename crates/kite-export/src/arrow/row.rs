//! One packet, with the layouts that it can be read as.

use kite_wire::tape::Received;
use kite_wire::{FullPacket, IndexQuotePacket, Ohlc, Packet, QuotePacket, UnixSeconds};

/// A packet whose layout is determined once for all columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) received: Received,
    pub(super) packet: Packet<'a>,
    pub(super) quote: Option<&'a QuotePacket>,
    pub(super) full: Option<&'a FullPacket>,
    pub(super) index: Option<&'a IndexQuotePacket>,
}

impl<'a> Row<'a> {
    #[inline]
    pub(super) fn new(received: Received, packet: Packet<'a>) -> Self {
        let (quote, full, index) = (packet.quote(), packet.full(), packet.index());
        Self { received, packet, quote, full, index }
    }

    #[inline]
    pub(super) fn ohlc(&self) -> Option<Ohlc> {
        match self.quote {
            Some(quote) => Some(quote.ohlc()),
            None => self.index.map(IndexQuotePacket::ohlc),
        }
    }

    #[inline]
    pub(super) fn last_trade_time(&self) -> Option<UnixSeconds> {
        self.full.and_then(FullPacket::last_trade_timestamp)
    }

    #[inline]
    pub(super) fn exchange_time(&self) -> Option<UnixSeconds> {
        match self.full {
            Some(full) => full.exchange_timestamp(),
            None => self.index.and_then(|_| self.packet.exchange_timestamp()),
        }
    }
}
