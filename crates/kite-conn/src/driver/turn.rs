//! How much is read from a socket before everything else has its turn.

/// Frames of one turn.
const FRAMES: usize = 64;

/// Bytes of one turn: what another task is to take from us still fits into the processor's caches.
const BYTES: usize = 128 * 1024;

/// What is left of a connection's turn at reading its socket.
///
/// Between two polls a turn is neither spent nor over, and at least half of it is left: a poll that
/// comes late reads what has arrived, ticks after heartbeats included, before the session checks for
/// silence. So [`Turn::renew`] is called when the socket has no more, and the driver begins the next
/// turn before it returns, not when it is polled again. Only a connection that has ended has none.
#[derive(Debug)]
pub(super) struct Turn {
    frames_left: usize,
    bytes_left: usize,
    /// Whether the session is to be asked before anything else is done.
    is_over: bool,
}

impl Turn {
    /// Makes a turn that is over: first the session is asked.
    pub(super) fn new() -> Self {
        Self { frames_left: 0, bytes_left: 0, is_over: true }
    }

    /// Begins a turn, after the session has been asked.
    pub(super) fn begin(&mut self) {
        self.renew();
        self.is_over = false;
    }

    /// Restores what may be read in this turn.
    pub(super) fn renew(&mut self) {
        (self.frames_left, self.bytes_left) = (FRAMES, BYTES);
    }

    /// Takes a message of so many bytes off.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        self.frames_left = self.frames_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    /// Ends the turn: there is something that the session has to look at.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Returns whether the session is to be asked.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns whether so much has been read that others are to have their turn.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.frames_left == 0 || self.bytes_left == 0
    }

    /// Returns whether too little is left for a poll that comes late.
    pub(super) fn is_half_spent(&self) -> bool {
        self.frames_left < FRAMES / 2 || self.bytes_left < BYTES / 2
    }
}
