//! A file of trading hours that replace the usual ones.
//!
//! One rule a line: who, on which day, when. `#` begins a comment.
//!
//! ```text
//! all 2026-11-08 18:00-19:00                      # Muhurat trading
//! CDS:EURUSD26NOVFUT 09:00-19:30
//! MCX 2026-12-25 17:00-23:55
//! NSE 2026-12-05 09:15-12:30 pre-open 09:00       # a Saturday
//! NFO 2026-12-24 closed
//! "NSE:NIFTY 50" 09:15-15:30                      # names with blanks are in quotes
//! ```

use std::fs;
use std::path::Path;

use kite_candles::{Scope, Session, Sessions};
use kite_instruments::Date;
use kite_wire::Segment;
use kite_wire::ist::Day;

use crate::console::paths;
use crate::exit::CliError;
use crate::instruments::names::Names;

/// Reads a file of rules; an instrument has the token that `names` has for it, of tapes the last one.
pub(crate) fn read(path: &Path, names: &Names) -> Result<Sessions, CliError> {
    parse(&text(path)?, names).map_err(|(line, error)| {
        CliError::usage(error).at(format_args!("{}, line {line}", paths::shown(path))).help(
            "write: all, a segment or an instrument; a date, if any; and 09:15-15:30 or closed",
        )
    })
}

/// Reads the text of a file of rules, which may name instruments that are not known yet.
pub(crate) fn text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|error| {
        CliError::unable(format!("cannot read {}", paths::shown(path))).because(error)
    })
}

/// Parses the rules. An error has the number of its line.
fn parse(text: &str, names: &Names) -> Result<Sessions, (usize, String)> {
    let mut sessions = Sessions::default();
    let mut rules: Vec<(Scope, Option<Day>, usize)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let failed = |error| (line, error);
        let rule = text.split('#').next().unwrap_or_default();
        let Some((who, rest)) = name_of(rule.trim()).map_err(failed)? else { continue };
        let scope = scope(who, names).map_err(failed)?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (day, hours) = rule_of(&words).map_err(failed)?;
        if let Some((.., first)) = rules.iter().find(|it| (it.0, it.1) == (scope, day)) {
            let error = format!("a rule for the same instruments and day is in line {first}");
            return Err(failed(error));
        }
        rules.push((scope, day, line));
        sessions = sessions.with(scope, day, hours);
    }
    match rules.is_empty() {
        true => Err((1, "there is no rule in the file".to_owned())),
        false => Ok(sessions),
    }
}

/// Splits off the name, in quotes if it has blanks; `None` of an empty line.
fn name_of(rule: &str) -> Result<Option<(&str, &str)>, String> {
    if let Some(quoted) = rule.strip_prefix('"') {
        let parts = quoted.split_once('"');
        return parts.map(Some).ok_or_else(|| format!("{rule} is without its closing quote"));
    }
    let parts = rule.split_once(char::is_whitespace).unwrap_or((rule, ""));
    Ok(Some(parts).filter(|(who, _)| !who.is_empty()))
}

fn scope(who: &str, names: &Names) -> Result<Scope, String> {
    if who.eq_ignore_ascii_case("all") {
        return Ok(Scope::All);
    }
    if let Some(segment) = Segment::from_name(&who.to_ascii_uppercase()) {
        return Ok(Scope::Segment(segment));
    }
    names.resolve(who).map(|named| Scope::Instrument(named.token)).map_err(|it| it.to_string())
}

/// Reads the day, if there is one, and the hours; `None` if there is no trading.
fn rule_of(words: &[&str]) -> Result<(Option<Day>, Option<Session>), String> {
    let (day, hours) = match words {
        [first, rest @ ..] if first.parse::<Date>().is_ok() => {
            let days = first.parse::<Date>().ok().map(|date| i64::from(date.days()));
            (days.and_then(Day::from_unix_days), rest)
        }
        all => (None, all),
    };
    let session = match hours {
        [closed] if closed.eq_ignore_ascii_case("closed") => None,
        [hours] => Some(session(hours)?),
        [hours, pre_open, from] if pre_open.eq_ignore_ascii_case("pre-open") => {
            let (at, from) = (from, clock(from)?);
            let wrong = |_| format!("a pre-open from {at} must start before {hours}");
            Some(session(hours)?.with_pre_open(from).map_err(wrong)?)
        }
        _ => return Err(format!("expected hours such as 09:15-15:30, not {}", quoted(hours))),
    };
    Ok((day, session))
}

fn session(hours: &str) -> Result<Session, String> {
    let (open, close) =
        hours.split_once(['-', '–']).ok_or_else(|| format!("{hours} is not 09:15-15:30"))?;
    Session::new(clock(open)?, clock(close)?)
        .map_err(|_| format!("{hours} is no session: it must end after it starts, by 24:00"))
}

/// Reads `09:15`; `24:00` is the end of the day.
fn clock(text: &str) -> Result<(u32, u32), String> {
    let digits = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let parts = text.split_once(':').and_then(|(hour, minute)| digits(hour).zip(digits(minute)));
    parts.ok_or_else(|| format!("{text} is not a time such as 09:15"))
}

fn quoted(words: &[&str]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Sessions, (usize, String)> {
        parse(text, &Names::built_in())
    }

    #[test]
    fn rules_replace_the_usual_hours() {
        let text = "# hours\n\nall 2026-11-08 18:00-19:00 # Muhurat\nNSE:INFY 10:00-11:00\n\
                    nfo 2026-11-23 closed\n\"NSE:NIFTY 50\" 11:00-12:00\nMCX 2026-12-25 17:00-23:55 pre-open 16:45\n";
        let sessions = parsed(text).unwrap();
        let on = |year, month, day| Day::from_date(year, month, day).unwrap();
        let hours = |token, day| sessions.of(token, day).map(|it| (it.open_s(), it.close_s()));
        assert_eq!(hours(738_561, on(2026, 11, 8)), Some((18 * 3600, 19 * 3600)));
        assert_eq!(hours(408_065, on(2026, 11, 23)), Some((10 * 3600, 11 * 3600)));
        assert_eq!(hours(0x0102, on(2026, 11, 23)), None);
        let index = (11 * 3600, 12 * 3600);
        assert_eq!(hours(256_265, on(2026, 11, 23)), Some(index));
        let mcx = sessions.of(0x0107, on(2026, 12, 25)).unwrap();
        assert_eq!((mcx.pre_open_s(), mcx.open_s()), (16 * 3600 + 45 * 60, 17 * 3600));
    }

    #[test]
    fn a_file_without_rules_is_an_error() {
        assert!(parsed("# no rule\n\n").unwrap_err().1.contains("no rule"));
    }

    #[test]
    fn what_is_no_rule_is_an_error_with_its_line() {
        for (rule, wrong) in [
            ("NSE", "expected hours such as 09:15-15:30, not nothing"),
            ("NSE 2026-02-30 closed", "not 2026-02-30 closed"),
            ("NSE 9:15-15:30", "9:15 is not a time such as 09:15"),
            ("NSE 15:30-09:15", "15:30-09:15 is no session: it must end after it starts"),
            ("NSE 09:15", "09:15 is not 09:15-15:30"),
            (
                "NSE 09:15-15:30 pre-open 10:00",
                "a pre-open from 10:00 must start before 09:15-15:30",
            ),
            ("NSE:UNHEARD 09:15-15:30", "NSE:UNHEARD"),
            ("ALL closed", "a rule for the same instruments and day is in line 1"),
            ("\"NSE:NIFTY 50 09:15-15:30", "without its closing quote"),
        ] {
            let (line, error) = parsed(&format!("all closed\n{rule}\n")).unwrap_err();
            assert!(line == 2 && error.contains(wrong), "{rule}: {line}, {error}");
        }
    }
}
