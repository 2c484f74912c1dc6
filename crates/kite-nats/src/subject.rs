//! Names of subjects.

use kite_manager::{AccountId, OneLine};
use kite_wire::Segment;

/// The first part of all subjects unless another one is chosen.
pub const DEFAULT_PREFIX: &str = "kite";

/// Writes the subjects of one account.
///
/// ```
/// use kite_manager::AccountId;
/// use kite_nats::{DEFAULT_PREFIX, Subjects};
///
/// let subjects = Subjects::new(DEFAULT_PREFIX, &AccountId::from("mine"))?;
/// assert_eq!(subjects.tick(408_065), "kite.mine.tick.NSE.408065");
/// # Ok::<(), kite_nats::SubjectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    /// Prefix and account, with the dot after them.
    base: String,
    prefix: String,
}

/// What the messages of a subject are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// Packets of the instrument with this token.
    Tick(u32),
    /// Frames of the connection with this number, from 0.
    Frame(usize),
    /// Order updates.
    Order,
    /// Events of the connections.
    Event,
    /// What was missed.
    Gap,
    /// Requests for newest packets.
    Latest,
}

/// Why a subject cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// The prefix is not one or more names of `[A-Za-z0-9_-]` with dots between them.
    #[error("the prefix {:?} may have letters, digits, _ and - only, and dots between them", OneLine(prefix).to_string())]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// The account's name cannot be part of a subject.
    #[error("the account {:?} needs a name of letters, digits, _ and - to be part of a subject", OneLine(account).to_string())]
    Account {
        /// The account.
        account: AccountId,
    },
    /// The subject is not one of those that [`Subjects`] writes.
    #[error("not a subject of a feed: {:?}", OneLine(subject).to_string())]
    Unknown {
        /// The subject.
        subject: String,
    },
}

impl Subjects {
    /// Creates the subjects of an account below a prefix.
    ///
    /// # Errors
    /// Returns [`SubjectError::Prefix`] or [`SubjectError::Account`] if one of them has characters
    /// other than `[A-Za-z0-9_-]`, apart from the dots of a prefix, or is empty.
    pub fn new(prefix: &str, account: &AccountId) -> Result<Self, SubjectError> {
        if !prefix.split('.').all(is_name) {
            return Err(SubjectError::Prefix { prefix: prefix.to_owned() });
        }
        if !is_name(account.as_str()) {
            return Err(SubjectError::Account { account: account.clone() });
        }
        Ok(Self { base: format!("{prefix}.{account}."), prefix: prefix.to_owned() })
    }

    /// Returns the prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the subject of an instrument's packets. A segment without a name has its number
    /// there.
    #[must_use]
    pub fn tick(&self, token: u32) -> String {
        format!("{}tick.{}.{token}", self.base, Segment::of_token(token))
    }

    /// Returns the subjects of all instruments' packets.
    #[must_use]
    pub fn ticks(&self) -> String {
        format!("{}tick.>", self.base)
    }

    /// Returns the subjects of the packets of a segment's instruments.
    #[must_use]
    pub fn ticks_of(&self, segment: Segment) -> String {
        format!("{}tick.{segment}.*", self.base)
    }

    /// Returns the subjects of all connections' frames.
    #[must_use]
    pub fn frames(&self) -> String {
        format!("{}frame.*", self.base)
    }

    /// Returns the subject of a connection's frames. Connections count from 0.
    #[must_use]
    pub fn frame(&self, connection: usize) -> String {
        format!("{}frame.{connection}", self.base)
    }

    /// Returns the subject of order updates.
    #[must_use]
    pub fn order(&self) -> String {
        format!("{}order", self.base)
    }

    /// Returns the subject of events.
    #[must_use]
    pub fn event(&self) -> String {
        format!("{}event", self.base)
    }

    /// Returns the subject of gaps.
    #[must_use]
    pub fn gap(&self) -> String {
        format!("{}gap", self.base)
    }

    /// Returns the subject of requests for newest packets.
    #[must_use]
    pub fn latest(&self) -> String {
        format!("{}latest", self.base)
    }
}

impl Topic {
    /// Reads a subject below a prefix.
    ///
    /// The segment of a tick is not compared with its token, because a publisher of a later version
    /// may have a name for a segment that has none here.
    ///
    /// # Errors
    /// Returns [`SubjectError::Unknown`] if it is none of the subjects that [`Subjects`] writes
    /// below this prefix.
    pub fn parse(prefix: &str, subject: &str) -> Result<(AccountId, Self), SubjectError> {
        let unknown = || SubjectError::Unknown { subject: subject.to_owned() };
        let rest = subject.strip_prefix(prefix).and_then(|it| it.strip_prefix('.'));
        let (account, topic) = rest.and_then(|it| it.split_once('.')).ok_or_else(unknown)?;
        if !is_name(account) {
            return Err(unknown());
        }
        let parts: Vec<&str> = topic.splitn(4, '.').collect();
        let topic = match parts[..] {
            ["tick", segment, token] if is_name(segment) => number(token).map(Self::Tick),
            ["frame", connection] => number(connection).map(Self::Frame),
            ["order"] => Some(Self::Order),
            ["event"] => Some(Self::Event),
            ["gap"] => Some(Self::Gap),
            ["latest"] => Some(Self::Latest),
            _ => None,
        };
        Ok((AccountId::from(account), topic.ok_or_else(unknown)?))
    }
}

/// Returns whether a text can be one part of a subject here.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
}

/// Returns the number that is written like this: without a sign or leading zeros.
pub(crate) fn number<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse().ok().filter(|number: &N| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subjects_select_a_segment_or_an_instrument_with_wildcards() {
        let subjects = Subjects::new("kite", &AccountId::default()).unwrap();
        let tick = |token| subjects.tick(token);
        assert_eq!(tick(408_065), "kite.main.tick.NSE.408065");
        assert_eq!(tick(0x0102), "kite.main.tick.NFO.258");
        assert_eq!(tick(256_265), "kite.main.tick.INDICES.256265");
        assert_eq!(tick(0x010a), "kite.main.tick.10.266", "a segment without a name");
        assert_eq!(subjects.frame(2), "kite.main.frame.2");
        let many = [subjects.ticks(), subjects.ticks_of(Segment::Nfo), subjects.frames()];
        assert_eq!(many, ["tick.>", "tick.NFO.*", "frame.*"].map(|it| format!("kite.main.{it}")));
        let others = [subjects.order(), subjects.event(), subjects.gap(), subjects.latest()];
        assert_eq!(others, ["order", "event", "gap", "latest"].map(|it| format!("kite.main.{it}")));
    }

    #[test]
    fn names_that_would_change_the_parts_of_a_subject_are_refused() {
        for name in ["", "a.b", "a b", "*", ">", "a\n", "é", "a*"] {
            let account = AccountId::from(name);
            let error = Subjects::new("kite", &account).unwrap_err();
            assert_eq!(error, SubjectError::Account { account });
        }
        for prefix in ["", ".", "kite.", ".kite", "a..b", "a b", "kite.>", "kite\r\n"] {
            let error = Subjects::new(prefix, &AccountId::default()).unwrap_err();
            assert_eq!(error, SubjectError::Prefix { prefix: prefix.to_owned() });
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        assert!(Subjects::new("live.kite-1", &"A_1-b".into()).is_ok());
    }

    #[test]
    fn other_subjects_are_errors() {
        for subject in [
            "kite",
            "kite.",
            "kite.main",
            "kite.main.",
            "kitemain.order",
            "other.main.order",
            "kite..order",
            "kite.main.orders",
            "kite.main.order.1",
            "kite.main.tick",
            "kite.main.tick.NSE",
            "kite.main.tick.NSE.",
            "kite.main.tick..1",
            "kite.main.tick.NSE.-1",
            "kite.main.tick.NSE.+1",
            "kite.main.tick.NSE.01",
            "kite.main.tick.NSE.4294967296",
            "kite.main.tick.NSE.1.2",
            "kite.main.frame.x",
        ] {
            let error = Topic::parse("kite", subject).unwrap_err();
            assert_eq!(error, SubjectError::Unknown { subject: subject.to_owned() });
        }
    }

    proptest! {
        #[test]
        fn every_subject_reads_back(
            prefix in "[A-Za-z0-9_-]{1,8}(\\.[A-Za-z0-9_-]{1,8}){0,2}",
            account in "[A-Za-z0-9_-]{1,12}",
            token in any::<u32>(),
            connection in 0_usize..9,
        ) {
            let account = AccountId::from(account);
            let subjects = Subjects::new(&prefix, &account).unwrap();
            for (subject, topic) in [
                (subjects.tick(token), Topic::Tick(token)),
                (subjects.frame(connection), Topic::Frame(connection)),
                (subjects.order(), Topic::Order),
                (subjects.event(), Topic::Event),
                (subjects.gap(), Topic::Gap),
                (subjects.latest(), Topic::Latest),
            ] {
                prop_assert_eq!(Topic::parse(&prefix, &subject), Ok((account.clone(), topic)));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
            let _ = Topic::parse("kite", &text);
            let _ = Topic::parse(&text, &format!("{text}.main.order"));
        }
    }
}
