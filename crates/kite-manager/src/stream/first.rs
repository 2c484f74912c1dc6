//! Finds the first packet of each instrument after a command to the server.
//!
//! Fed with the commands and frames of one connection, in order. No socket and no clock here.

use std::collections::HashMap;
use std::sync::Arc;

use kite_wire::{Command, CommandKind, Mode, Packet, TickBatch};

/// The instruments of one connection whose first packet is still to come.
#[derive(Debug, Default)]
pub(crate) struct Firsts {
    /// Empty most of the time, so that frames need not be searched.
    awaited: HashMap<u32, Awaited>,
}

/// The packet awaited of an instrument.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    /// Any, because it was subscribed. A subscription begins in quote mode, so the first packet in
    /// the wanted mode may be a later one.
    Any(Mode),
    /// The first in this mode, because its mode has changed.
    In(Mode),
}

impl Firsts {
    /// Handles a new socket, which starts without subscriptions.
    pub(crate) fn on_up(&mut self) {
        self.awaited.clear();
    }

    pub(crate) fn on_command(&mut self, kind: CommandKind, tokens: &[u32]) {
        for &token in tokens {
            let awaited = match (kind, self.awaited.get(&token)) {
                (CommandKind::Unsubscribe, _) => {
                    self.awaited.remove(&token);
                    continue;
                }
                // The mode of a bare subscribe.
                (CommandKind::Subscribe, _) => Awaited::Any(Mode::Quote),
                (CommandKind::Mode(mode), Some(Awaited::Any(_))) => Awaited::Any(mode),
                (CommandKind::Mode(mode), _) => Awaited::In(mode),
            };
            self.awaited.insert(token, awaited);
        }
    }

    /// Returns the packets of a frame that are the first of their instruments, if any.
    #[inline]
    pub(crate) fn mark(&mut self, ticks: &TickBatch) -> Option<FirstPackets> {
        if self.awaited.is_empty() { None } else { self.mark_awaited(ticks) }
    }

    #[inline(never)]
    fn mark_awaited(&mut self, ticks: &TickBatch) -> Option<FirstPackets> {
        let firsts = ticks.packets().filter_map(|packet| {
            let is_of_subscription = self.first(&packet)?;
            Some(First { address: address(&packet), is_of_subscription })
        });
        let firsts: Arc<[First]> = firsts.collect();
        (!firsts.is_empty()).then_some(FirstPackets(firsts))
    }

    /// Returns whether a first packet is that of a subscription; `None` for any other packet.
    fn first(&mut self, packet: &Packet<'_>) -> Option<bool> {
        let token = packet.instrument_token();
        match self.awaited.get(&token).copied()? {
            Awaited::Any(mode) if mode != packet.mode() => {
                self.awaited.insert(token, Awaited::In(mode));
                Some(true)
            }
            Awaited::In(mode) if mode != packet.mode() => None,
            awaited => {
                self.awaited.remove(&token);
                Some(matches!(awaited, Awaited::Any(_)))
            }
        }
    }
}

/// First packets of a stream in place. Its connection may send a command between the frame that it
/// has passed to its sink and the moment when the stream yields this frame.
#[derive(Debug, Default)]
pub(crate) struct FirstsInPlace {
    firsts: Firsts,
    /// What happened since the last frame, to be handled before the next one; `None` is a new
    /// socket.
    since: Vec<Option<(CommandKind, Vec<u32>)>>,
}

impl FirstsInPlace {
    pub(crate) fn on_up(&mut self) {
        self.since.push(None);
    }

    pub(crate) fn on_command(&mut self, command: Command<'_>) {
        self.since.push(Some((command.kind(), command.tokens().to_vec())));
    }

    /// Handles a frame that the sink receives; the stream yields it next.
    #[inline]
    pub(crate) fn on_frame(&mut self) {
        for change in self.since.drain(..) {
            match change {
                None => self.firsts.on_up(),
                Some((kind, tokens)) => self.firsts.on_command(kind, &tokens),
            }
        }
    }

    /// Returns the first packets of the frame that the stream yields.
    pub(crate) fn mark(&mut self, ticks: &TickBatch) -> Option<FirstPackets> {
        self.firsts.mark(ticks)
    }
}

/// The first packets of a frame, by ascending address. Clones of a frame share its memory, so its
/// packets keep their addresses.
#[derive(Debug, Clone)]
pub(crate) struct FirstPackets(Arc<[First]>);

#[derive(Debug)]
struct First {
    address: usize,
    /// Whether it is the first one of a subscription, rather than of a mode.
    is_of_subscription: bool,
}

impl FirstPackets {
    pub(crate) fn contains(&self, packet: &Packet<'_>) -> bool {
        self.find(packet).is_some()
    }

    pub(crate) fn starts_subscription(&self, packet: &Packet<'_>) -> bool {
        self.find(packet).is_some_and(|first| first.is_of_subscription)
    }

    fn find(&self, packet: &Packet<'_>) -> Option<&First> {
        let at = self.0.binary_search_by_key(&address(packet), |first| first.address).ok()?;
        self.0.get(at)
    }
}

/// Returns the address of a packet's bytes.
fn address(packet: &Packet<'_>) -> usize {
    packet.as_bytes().as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use kite_wire::PacketKind;
    use proptest::prelude::*;

    use super::*;
    use crate::stream::select::tests::frame;

    #[derive(Debug, Clone)]
    enum Op {
        Up,
        Command(CommandKind, Vec<u32>),
        Frame(Vec<(u32, Mode)>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let mode = || prop::sample::select(&Mode::ALL[..]);
        let kind = prop_oneof![
            2 => Just(CommandKind::Subscribe),
            1 => Just(CommandKind::Unsubscribe),
            2 => mode().prop_map(CommandKind::Mode),
        ];
        let tokens = prop::collection::vec(0_u32..6, 0..6);
        prop_oneof![
            1 => Just(Op::Up),
            6 => (kind, tokens).prop_map(|(kind, tokens)| Op::Command(kind, tokens)),
            6 => prop::collection::vec((0_u32..6, mode()), 0..6).prop_map(Op::Frame),
        ]
    }

    /// One instrument's history, newest last: commands, and packets by their mode.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Past {
        Subscribed,
        Mode(Mode),
        Packet(Mode),
    }

    fn after(history: &[Past], found: Option<usize>) -> &[Past] {
        &history[found.map_or(0, |at| at + 1)..]
    }

    fn is_packet(it: &Past) -> bool {
        matches!(it, Past::Packet(_))
    }

    /// Returns whether a packet is the first after a subscribe, by definition.
    fn starts_subscription(history: &[Past]) -> bool {
        let subscribed = history.iter().rposition(|it| *it == Past::Subscribed);
        subscribed.is_some() && !after(history, subscribed).iter().any(is_packet)
    }

    /// Returns whether a packet in `mode` is the first after the history, by definition: the first
    /// since a subscribe, or the first in the mode of the last mode command since that command.
    fn is_first(history: &[Past], mode: Mode) -> bool {
        if starts_subscription(history) {
            return true;
        }
        // A subscribe without a mode command means quote.
        let ordered = history.iter().rposition(|it| !is_packet(it));
        let wanted = match ordered.map(|at| history[at]) {
            Some(Past::Mode(mode)) => mode,
            Some(Past::Subscribed) => Mode::Quote,
            _ => return false,
        };
        mode == wanted && !after(history, ordered).contains(&Past::Packet(mode))
    }

    fn packet_len(mode: Mode) -> usize {
        PacketKind::Full.in_mode(mode).packet_len()
    }

    proptest! {
        #[test]
        fn the_first_packets_are_those_of_the_definition(ops in prop::collection::vec(op(), 0..60)) {
            let mut firsts = Firsts::default();
            let mut histories: HashMap<u32, Vec<Past>> = HashMap::new();
            for op in ops {
                match op {
                    Op::Up => {
                        firsts.on_up();
                        histories.clear();
                    }
                    Op::Command(kind, tokens) => {
                        firsts.on_command(kind, &tokens);
                        for token in tokens {
                            let history = histories.entry(token).or_default();
                            match kind {
                                CommandKind::Subscribe => history.push(Past::Subscribed),
                                CommandKind::Mode(mode) => history.push(Past::Mode(mode)),
                                CommandKind::Unsubscribe => history.clear(),
                            }
                        }
                    }
                    Op::Frame(packets) => {
                        let lengths: Vec<_> =
                            packets.iter().map(|&(token, mode)| (token, packet_len(mode))).collect();
                        let ticks = TickBatch::new(frame(&lengths)).unwrap();
                        let marked = firsts.mark(&ticks);
                        for (packet, (token, mode)) in ticks.packets().zip(packets) {
                            let history = histories.entry(token).or_default();
                            let is_marked = marked.as_ref().is_some_and(|it| it.contains(&packet));
                            prop_assert_eq!(is_marked, is_first(history, mode), "{}", token);
                            let starts = marked.as_ref().is_some_and(|it| it.starts_subscription(&packet));
                            prop_assert_eq!(starts, starts_subscription(history), "{}", token);
                            history.push(Past::Packet(mode));
                        }
                    }
                }
            }
        }
    }
}
