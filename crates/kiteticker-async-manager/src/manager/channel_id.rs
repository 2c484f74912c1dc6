//! The connection that a channel belongs to.

/// Identifies one of up to three connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelId {
    /// The first connection.
    Connection1 = 0,
    /// The second connection.
    Connection2 = 1,
    /// The third connection.
    Connection3 = 2,
}

impl ChannelId {
    const ALL: [Self; 3] = [Self::Connection1, Self::Connection2, Self::Connection3];

    /// Returns the channel with this index, from 0 to 2.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// Returns the index, from 0 to 2.
    #[must_use]
    pub fn to_index(self) -> usize {
        self as usize
    }

    /// Returns all channels in order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}
