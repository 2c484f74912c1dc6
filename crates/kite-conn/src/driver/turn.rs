//! Limits how much is read from a socket before other work is done.

/// Frames of one turn.
const FRAMES: usize = 64;

/// Bytes of one turn, few enough to stay in the processor's caches until another task consumes
/// them.
const BYTES: usize = 128 * 1024;

/// The rest of a connection's turn at reading its socket.
///
/// Between two polls a turn is neither spent nor over, and at least half of it is left, so that a
/// late poll reads what has arrived, including ticks after heartbeats, before the session checks
/// for silence. Therefore [`Turn::renew`] is called whenever the socket has no more data, and the
/// driver begins the next turn before it returns, not when it is polled again. A connection that
/// has ended has no turn.
#[derive(Debug)]
pub(super) struct Turn {
    frames_left: usize,
    bytes_left: usize,
    /// Whether the session must be polled before anything else is done.
    is_over: bool,
}

impl Turn {
    /// Creates a turn that is over, so that the session is polled first.
    pub(super) fn new() -> Self {
        Self { frames_left: 0, bytes_left: 0, is_over: true }
    }

    /// Begins a turn, after the session was polled.
    pub(super) fn begin(&mut self) {
        self.renew();
        self.is_over = false;
    }

    /// Restores the full budget of this turn.
    pub(super) fn renew(&mut self) {
        (self.frames_left, self.bytes_left) = (FRAMES, BYTES);
    }

    /// Deducts a message of `bytes`.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        self.frames_left = self.frames_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    /// Ends the turn, so that the session is polled next.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Returns whether the session must be polled.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns whether the budget is used up and other tasks must run.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.frames_left == 0 || self.bytes_left == 0
    }

    /// Returns whether too little is left for a late poll.
    pub(super) fn is_half_spent(&self) -> bool {
        self.frames_left < FRAMES / 2 || self.bytes_left < BYTES / 2
    }
}
