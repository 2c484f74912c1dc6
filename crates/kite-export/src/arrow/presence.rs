//! Which rows have the fields of a mode. The columns of one group share their nulls.

use arrow_buffer::{NullBuffer, NullBufferBuilder};

use super::row::Row;

/// Groups of columns that are null in the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// In every packet.
    Always,
    /// Quote and full packets of tradable instruments.
    Quote,
    /// All packets but LTP.
    Ohlc,
    /// Indices in quote and full mode.
    Index,
    /// Full packets of tradable instruments.
    Full,
    /// Full packets of instruments that were traded.
    LastTrade,
    /// Full packets with an exchange timestamp.
    ExchangeTime,
}

impl Group {
    const COUNT: usize = Self::ExchangeTime as usize + 1;

    #[inline]
    fn has(self, row: &Row<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Quote => row.quote.is_some(),
            Self::Ohlc => row.quote.is_some() || row.index.is_some(),
            Self::Index => row.index.is_some(),
            Self::Full => row.full.is_some(),
            Self::LastTrade => row.last_trade_time().is_some(),
            Self::ExchangeTime => row.exchange_time().is_some(),
        }
    }
}

/// The rows that have each group of the chosen columns.
pub(super) struct Presence {
    groups: Vec<(Group, NullBufferBuilder)>,
}

/// The nulls of each group of one batch.
pub(super) struct Nulls([Option<NullBuffer>; Group::COUNT]);

impl Presence {
    /// Keeps track of these groups.
    pub(super) fn new(groups: impl IntoIterator<Item = Group>) -> Self {
        let mut kept: Vec<(Group, NullBufferBuilder)> = Vec::new();
        for group in groups {
            if group != Group::Always && kept.iter().all(|(known, _)| *known != group) {
                kept.push((group, NullBufferBuilder::new(0)));
            }
        }
        Self { groups: kept }
    }

    pub(super) fn extend(&mut self, rows: &[Row<'_>]) {
        for (group, present) in &mut self.groups {
            // Mostly all rows have a group or none does, and such a stretch is added as one.
            let mut rest = rows;
            while let Some((first, _)) = rest.split_first() {
                let has = group.has(first);
                let run = rest.iter().take_while(|row| group.has(row) == has).count();
                match has {
                    true => present.append_n_non_nulls(run),
                    false => present.append_n_nulls(run),
                }
                rest = &rest[run..];
            }
        }
    }

    /// Returns the nulls of the rows so far, and starts new ones.
    pub(super) fn take(&mut self) -> Nulls {
        let mut nulls = [const { None }; Group::COUNT];
        for (group, present) in &mut self.groups {
            nulls[*group as usize] = present.finish();
        }
        Nulls(nulls)
    }
}

impl Nulls {
    pub(super) fn of(&self, group: Group) -> Option<NullBuffer> {
        self.0[group as usize].clone()
    }
}
