//! Checks the texts of an error and of its sources, for the tests of every crate.

use std::error::Error;

/// Asserts that the text of `error` names `cause` exactly once, and that no text in the chain of
/// sources repeats a text further down.
///
/// # Panics
/// If one of these does not hold: it is an assertion for tests.
pub fn assert_chain(error: &dyn Error, cause: Option<&dyn Error>) {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(next) = source {
        texts.push(next.to_string());
        source = next.source();
    }
    for (at, text) in texts.iter().enumerate() {
        for below in &texts[at + 1..] {
            assert!(!text.contains(below), "{texts:?}");
        }
    }
    if let Some(cause) = cause {
        assert_eq!(texts[0].matches(&cause.to_string()).count(), 1, "{texts:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Failure(&'static str, Option<Box<Failure>>);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as &(dyn Error + 'static))
        }
    }

    #[test]
    fn an_error_that_names_its_cause_passes() {
        let cause = Failure("disk full", None);
        assert_chain(&Failure("cannot write: disk full", None), Some(&cause));
        assert_chain(&Failure("cannot write", Some(Box::new(cause))), None);
    }

    #[test]
    #[should_panic(expected = "disk full")]
    fn a_chain_that_repeats_a_text_fails() {
        let source = Failure("disk full", None);
        assert_chain(&Failure("cannot write: disk full", Some(Box::new(source))), None);
    }

    #[test]
    #[should_panic(expected = "cannot write")]
    fn an_error_that_hides_its_cause_fails() {
        assert_chain(&Failure("cannot write", None), Some(&Failure("disk full", None)));
    }
}
