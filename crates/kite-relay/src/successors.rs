//! Guesses the row of a packet from the row of the packet before it.
//!
//! A feed sends its instruments in much the same order again and again. A hash table spreads
//! neighbours over all of its memory, which is rarely in the cache between two frames, so that
//! looking up each packet there takes longer than anything else the relay does with it.

/// The row that followed each row last time. Only a guess: rows may change in any way between two
/// calls.
#[derive(Debug, Default)]
pub(crate) struct Successors {
    next: Vec<u32>,
    last: u32,
}

impl Successors {
    /// Returns the row of the next packet: the one that followed last time if that is the row of
    /// `token` in `tokens`, otherwise the one that is looked up.
    #[inline]
    pub(crate) fn find(
        &mut self,
        token: u32,
        tokens: &[u32],
        look_up: impl FnOnce() -> Option<u32>,
    ) -> Option<u32> {
        if let Some(&guess) = self.next.get(self.last as usize)
            && tokens.get(guess as usize) == Some(&token)
        {
            self.last = guess;
            return Some(guess);
        }
        let row = look_up()?;
        if self.next.len() < tokens.len() {
            self.next.resize(tokens.len(), 0);
        }
        if let Some(next) = self.next.get_mut(self.last as usize) {
            *next = row;
        }
        self.last = row;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_guess_is_never_another_row_than_that_of_the_token(
            tables in prop::collection::vec(prop::sample::subsequence((1..9).collect::<Vec<u32>>(), 0..8), 1..4),
            packets in prop::collection::vec((0_usize..4, 0_u32..9), 0..200),
        ) {
            let mut successors = Successors::default();
            for (table, token) in packets {
                let tokens = &tables[table % tables.len()];
                let row = tokens.iter().position(|&it| it == token).map(|row| row as u32);
                prop_assert_eq!(successors.find(token, tokens, || row), row);
            }
        }
    }

    #[test]
    fn an_order_that_repeats_is_looked_up_once() {
        let (tokens, mut successors) = ([7, 8, 9, 10], Successors::default());
        let mut look_ups = 0;
        for round in 0..3 {
            for (row, token) in [(2, 9), (1, 8), (3, 10)] {
                let found = successors.find(token, &tokens, || {
                    look_ups += 1;
                    Some(row)
                });
                assert_eq!(found, Some(row));
            }
            // The first packet of all has none before it to be guessed from.
            assert_eq!(look_ups, if round == 0 { 3 } else { 4 });
        }
    }
}
