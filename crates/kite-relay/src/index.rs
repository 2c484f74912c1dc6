//! Which groups want an instrument, for a look-up per packet.

use kite_wire::{Mode, TokenMap};

use crate::groups::GroupId;
use crate::successors::Successors;

/// Rows that may stay empty before the index is rebuilt without them.
const MAX_EMPTY: usize = 1_024;

/// A group that wants an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) group: GroupId,
    pub(crate) mode: Mode,
}

/// The groups that want one instrument. One group is kept in place, because that is the usual number
/// and saves a look-up elsewhere for each packet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wants {
    None,
    One(Want),
    /// Ordered by group, so that a change does not pass over all of them.
    Many(Vec<Want>),
}

impl Wants {
    #[inline]
    fn as_slice(&self) -> &[Want] {
        match self {
            Self::None => &[],
            Self::One(want) => std::slice::from_ref(want),
            Self::Many(wants) => wants,
        }
    }

    fn set(&mut self, group: GroupId, mode: Option<Mode>) {
        let place = self.as_slice().binary_search_by_key(&group, |want| want.group);
        let want = mode.map(|mode| Want { group, mode });
        match (&mut *self, place, want) {
            (Self::Many(wants), Ok(place), Some(want)) => wants[place] = want,
            (Self::Many(wants), Ok(place), None) => {
                wants.remove(place);
                if let [last] = wants[..] {
                    *self = Self::One(last);
                }
            }
            (Self::Many(wants), Err(place), Some(want)) => wants.insert(place, want),
            (Self::One(other), Err(place), Some(want)) => {
                let mut wants = vec![*other];
                wants.insert(place, want);
                *self = Self::Many(wants);
            }
            (_, Ok(_), None) => *self = Self::None,
            (_, _, Some(want)) => *self = Self::One(want),
            (_, Err(_), None) => {}
        }
    }
}

/// The groups of each instrument. Tokens cannot be removed from a [`TokenMap`], so an instrument
/// that no group wants keeps an empty row until there are too many of them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    row_by_token: TokenMap<u32>,
    rows: Vec<Wants>,
    /// The token of each row.
    tokens: Vec<u32>,
    empty: usize,
}

impl Index {
    /// Returns the groups that want an instrument.
    #[inline]
    pub(crate) fn wants(&self, token: u32) -> &[Want] {
        match self.row_by_token.get(token) {
            Some(&row) => self.rows[row as usize].as_slice(),
            None => &[],
        }
    }

    /// Returns the groups that want the instrument of the next packet.
    #[inline]
    pub(crate) fn wants_next(&self, token: u32, successors: &mut Successors) -> &[Want] {
        let row = successors.find(token, &self.tokens, || self.row_by_token.get(token).copied());
        row.map_or(&[], |row| self.rows[row as usize].as_slice())
    }

    /// Sets the mode in which a group wants an instrument; with `None` it no longer wants it.
    pub(crate) fn set(&mut self, token: u32, group: GroupId, mode: Option<Mode>) {
        let row = match self.row_by_token.get(token) {
            Some(&row) => row as usize,
            None if mode.is_none() => return,
            None => self.add(token),
        };
        let wants = &mut self.rows[row];
        let was_empty = wants.as_slice().is_empty();
        wants.set(group, mode);
        match (was_empty, wants.as_slice().is_empty()) {
            (true, false) => self.empty -= 1,
            (false, true) => self.on_empty(),
            _ => {}
        }
    }

    /// Adds an empty row.
    fn add(&mut self, token: u32) -> usize {
        let row = self.rows.len();
        self.row_by_token.insert(token, row as u32);
        self.rows.push(Wants::None);
        self.tokens.push(token);
        self.empty += 1;
        row
    }

    fn on_empty(&mut self) {
        self.empty += 1;
        if self.empty > MAX_EMPTY && self.empty > self.rows.len() / 2 {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        let rows = std::mem::take(&mut self.rows).into_iter().zip(std::mem::take(&mut self.tokens));
        let (rows, tokens) = rows.filter(|(wants, _)| !wants.as_slice().is_empty()).unzip();
        (self.rows, self.tokens, self.empty) = (rows, tokens, 0);
        self.row_by_token = (0_u32..).zip(&self.tokens).map(|(row, &token)| (token, row)).collect();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_as_a_map_of_maps(
            sets in prop::collection::vec(
                (0_u32..12, 0_u32..4, prop::option::of(prop::sample::select(&Mode::ALL[..]))),
                0..200,
            ),
            rebuild_at in 0_usize..200,
        ) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (at, (token, group, mode)) in sets.into_iter().enumerate() {
                index.set(token, GroupId(group), mode);
                let of_token: &mut BTreeMap<u32, Mode> = model.entry(token).or_default();
                match mode {
                    Some(mode) => of_token.insert(group, mode),
                    None => of_token.remove(&group),
                };
                if at == rebuild_at {
                    index.rebuild();
                }
            }
            for token in 0..13 {
                let wants = index.wants(token).iter().map(|want| (want.group.0, want.mode));
                prop_assert_eq!(wants.collect::<BTreeMap<_, _>>(), model.remove(&token).unwrap_or_default());
            }
            prop_assert_eq!(index.empty, index.rows.iter().filter(|wants| wants.as_slice().is_empty()).count());
        }
    }

    #[test]
    fn instruments_that_no_group_wants_do_not_add_up() {
        let mut index = Index::default();
        index.set(7, GroupId(1), Some(Mode::Full));
        for token in 0..50_000 {
            index.set(token << 8 | 1, GroupId(0), Some(Mode::Quote));
            index.set(token << 8 | 1, GroupId(0), None);
        }
        assert!(index.len() <= MAX_EMPTY + 2, "{}", index.len());
        assert_eq!(index.wants(7), [Want { group: GroupId(1), mode: Mode::Full }]);
    }
}
