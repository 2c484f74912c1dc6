//! Trading hours written as rules, one a line.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use kite_wire::Segment;
use kite_wire::ist::Day;

use crate::session::{Scope, Session, Sessions};

/// A line that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct RuleError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: RuleFault,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// No instrument has this name, in the words of who looked it up.
    #[error("{0}")]
    Instrument(String),
    /// There are no hours.
    #[error("expected hours such as 09:15-15:30, not {}", if found.is_empty() { "nothing" } else { found })]
    Hours {
        /// What is in their place.
        found: String,
    },
    /// There is no start and end.
    #[error("{found} is not 09:15-15:30")]
    Range {
        /// What is in their place.
        found: String,
    },
    /// A time cannot be read.
    #[error("{found} is not a time such as 09:15")]
    Time {
        /// The text of it.
        found: String,
    },
    /// The hours are no session.
    #[error("{found} is no session: it must end after it starts, by 24:00")]
    Session {
        /// The hours.
        found: String,
    },
    /// The pre-open does not start before the session.
    #[error("a pre-open from {found} must start before {hours}")]
    PreOpen {
        /// When the pre-open starts.
        found: String,
        /// The hours.
        hours: String,
    },
    /// A name has no closing quote.
    #[error("{found} is without its closing quote")]
    Quote {
        /// The text from the opening quote on.
        found: String,
    },
    /// An earlier line has a rule for the same instruments and day.
    #[error("a rule for the same instruments and day is in line {first}")]
    Repeated {
        /// The number of that line, from 1.
        first: usize,
    },
    /// There is no rule at all.
    #[error("there is no rule")]
    Empty,
}

impl Sessions {
    /// Parses rules, one a line: all instruments, a segment or an instrument; a day, if any; and the
    /// hours. `#` begins a comment, and a name with blanks is in quotes. `resolve` returns the token
    /// of an instrument's name, or why there is none.
    ///
    /// ```
    /// use kite_candles::Sessions;
    /// use kite_wire::ist::Day;
    ///
    /// let rules = "
    ///     all 2026-11-08 18:00-19:00                      # Muhurat trading
    ///     CDS:EURUSD26NOVFUT 09:00-19:30
    ///     NSE 2026-12-05 09:15-12:30 pre-open 09:00       # a Saturday
    ///     NFO 2026-12-24 closed
    ///     \"NSE:NIFTY 50\" 2026-12-05 09:15-12:30
    /// ";
    /// let sessions = Sessions::from_rules(rules, |_name| Ok(0x0001_2303))?;
    /// let saturday = Day::from_date(2026, 12, 5).unwrap();
    /// assert_eq!(sessions.of(408_065, saturday).unwrap().close_s(), 12 * 3600 + 30 * 60);
    /// # Ok::<(), kite_candles::RuleError>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first line that is no rule or repeats one, or that there is none.
    pub fn from_rules(
        text: &str,
        resolve: impl Fn(&str) -> Result<u32, String>,
    ) -> Result<Self, RuleError> {
        let mut sessions = Self::default();
        let mut rules: Vec<(Scope, Option<Day>, usize)> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let failed = |fault| RuleError { line, fault };
            let rule = text.split('#').next().unwrap_or_default();
            let (who, rest) = name_and_rest(rule.trim()).map_err(failed)?;
            if who.is_empty() {
                continue;
            }
            let words: Vec<&str> = rest.split_whitespace().collect();
            let scope = scope(who, &resolve).map_err(failed)?;
            let (day, hours) = day_and_hours(&words).map_err(failed)?;
            if let Some(&(.., first)) = rules.iter().find(|it| (it.0, it.1) == (scope, day)) {
                return Err(failed(RuleFault::Repeated { first }));
            }
            rules.push((scope, day, line));
            sessions = sessions.with(scope, day, hours);
        }
        if rules.is_empty() {
            return Err(RuleError { line: 1, fault: RuleFault::Empty });
        }
        Ok(sessions)
    }
}

/// Splits off the name, which is in quotes if it has blanks.
fn name_and_rest(rule: &str) -> Result<(&str, &str), RuleFault> {
    match rule.strip_prefix('"') {
        Some(quoted) => {
            quoted.split_once('"').ok_or_else(|| RuleFault::Quote { found: rule.to_owned() })
        }
        None => Ok(rule.split_once(char::is_whitespace).unwrap_or((rule, ""))),
    }
}

fn scope(who: &str, resolve: impl Fn(&str) -> Result<u32, String>) -> Result<Scope, RuleFault> {
    if who.eq_ignore_ascii_case("all") {
        return Ok(Scope::All);
    }
    if let Some(segment) = Segment::from_name(&who.to_ascii_uppercase()) {
        return Ok(Scope::Segment(segment));
    }
    resolve(who).map(Scope::Instrument).map_err(RuleFault::Instrument)
}

/// Reads the day, if there is one, and the hours; `None` if there is no trading.
fn day_and_hours(words: &[&str]) -> Result<(Option<Day>, Option<Session>), RuleFault> {
    let (day, hours) = match words {
        [first, rest @ ..] if let Some(day) = date(first) => (Some(day), rest),
        all => (None, all),
    };
    let session = match hours {
        [closed] if closed.eq_ignore_ascii_case("closed") => None,
        [hours] => Some(session(hours)?),
        [hours, pre_open, from] if pre_open.eq_ignore_ascii_case("pre-open") => {
            let wrong =
                |_| RuleFault::PreOpen { found: (*from).to_owned(), hours: (*hours).to_owned() };
            Some(session(hours)?.with_pre_open(clock(from)?).map_err(wrong)?)
        }
        _ => return Err(RuleFault::Hours { found: hours.join(" ") }),
    };
    Ok((day, session))
}

fn session(hours: &str) -> Result<Session, RuleFault> {
    let range = || RuleFault::Range { found: hours.to_owned() };
    let (open, close) = hours.split_once(['-', '–']).ok_or_else(range)?;
    Session::new(clock(open)?, clock(close)?)
        .map_err(|_| RuleFault::Session { found: hours.to_owned() })
}

/// Reads `2026-11-08`.
fn date(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    Day::from_date(
        u16::try_from(digits(year)?).ok()?,
        two_digits(month)?.try_into().ok()?,
        two_digits(day)?.try_into().ok()?,
    )
}

/// Reads `09:15`; `24:00` is the end of the day.
fn clock(text: &str) -> Result<(u32, u32), RuleFault> {
    let parts = text.split_once(':');
    let parts = parts.and_then(|(hour, minute)| two_digits(hour).zip(two_digits(minute)));
    parts.ok_or_else(|| RuleFault::Time { found: text.to_owned() })
}

fn two_digits(text: &str) -> Option<u32> {
    if text.len() == 2 { digits(text) } else { None }
}

fn digits(text: &str) -> Option<u32> {
    // A number that is parsed may have a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    fn parsed(text: &str) -> Result<Sessions, RuleError> {
        Sessions::from_rules(text, |name| match name {
            "NSE:INFY" => Ok(408_065),
            other => Err(format!("no instrument is named {other}")),
        })
    }

    #[test]
    fn rules_replace_the_usual_hours() {
        let text = "# hours\n\nall 2026-11-08 18:00-19:00 # Muhurat\nNSE:INFY 10:00-11:00\n\
                    nfo 2026-11-23 closed\n\"NSE:INFY\" 2026-11-24 closed\nMCX 2026-12-25 17:00-23:55 pre-open 16:45\n";
        let sessions = parsed(text).unwrap();
        let on = |year, month, day| Day::from_date(year, month, day).unwrap();
        let hours = |token, day| sessions.of(token, day).map(|it| (it.open_s(), it.close_s()));
        assert_eq!(hours(738_561, on(2026, 11, 8)), Some((18 * 3600, 19 * 3600)));
        assert_eq!(hours(408_065, on(2026, 11, 23)), Some((10 * 3600, 11 * 3600)));
        assert_eq!(hours(408_065, on(2026, 11, 24)), None);
        assert_eq!(hours(0x0102, on(2026, 11, 23)), None);
        let mcx = sessions.of(0x0107, on(2026, 12, 25)).unwrap();
        assert_eq!((mcx.pre_open_s(), mcx.open_s()), (16 * 3600 + 45 * 60, 17 * 3600));
    }

    #[test]
    fn a_text_without_rules_is_an_error() {
        assert_eq!(parsed("# no rule\n\n").unwrap_err().fault, RuleFault::Empty);
    }

    #[test]
    fn what_is_no_rule_is_an_error_with_its_line() {
        for (rule, wrong) in [
            ("NSE", "expected hours such as 09:15-15:30, not nothing"),
            ("NSE 2026-02-30 closed", "not 2026-02-30 closed"),
            ("NSE 2026-+2-03 closed", "not 2026-+2-03 closed"),
            ("NSE 9:15-15:30", "9:15 is not a time such as 09:15"),
            ("NSE 15:30-09:15", "15:30-09:15 is no session: it must end after it starts"),
            ("NSE 09:15", "09:15 is not 09:15-15:30"),
            (
                "NSE 09:15-15:30 pre-open 10:00",
                "a pre-open from 10:00 must start before 09:15-15:30",
            ),
            ("NSE:UNKNOWN 09:15-15:30", "no instrument is named NSE:UNKNOWN"),
            ("ALL closed", "a rule for the same instruments and day is in line 1"),
            ("\"NSE:NIFTY 50 09:15-15:30", "without its closing quote"),
        ] {
            let error = parsed(&format!("all closed\n{rule}\n")).unwrap_err();
            assert!(error.line == 2 && error.to_string().contains(wrong), "{rule}: {error}");
        }
    }
}
