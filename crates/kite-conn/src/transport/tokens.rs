//! The access tokens that a connection has used, because a server may echo an old one.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::credentials::Secret;

/// Tokens live for at most a day, so older ones have long expired.
const REMEMBERED: usize = 8;

/// The tokens used last, without repetition.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<VecDeque<Secret>>);

impl Tokens {
    /// Records a token in use; returns it and those before it.
    pub(super) fn remember(&self, token: &Secret) -> Vec<Secret> {
        let mut tokens = self.0.lock();
        tokens.retain(|it| it != token);
        tokens.push_front(token.clone());
        tokens.truncate(REMEMBERED);
        tokens.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_tokens_are_remembered_newest_first() {
        let tokens = Tokens::default();
        let remember = |text: String| -> Vec<String> {
            let known = tokens.remember(&Secret::from(text));
            known.iter().map(|token| token.expose().to_owned()).collect()
        };
        assert_eq!(remember("t0".into()), ["t0"]);
        assert_eq!(remember("t1".into()), ["t1", "t0"]);
        assert_eq!(remember("t0".into()), ["t0", "t1"]);
        for n in 2..8 {
            remember(format!("t{n}"));
        }
        assert_eq!(remember("t8".into()), ["t8", "t7", "t6", "t5", "t4", "t3", "t2", "t0"]);
        assert!(!format!("{tokens:?}").contains("t8"));
    }
}
