//! A survey as text.

use std::fmt::Write as _;
use std::time::Duration;

use kite_conn::OneLine;
use kite_tape::{Damage, Gap, Source};
use kite_wire::tape::Ending;

use super::chart;
use super::instruments::{MOST_OTHERS, busiest};
use super::survey::{self, FileFacts, Survey};
use crate::console::output::{self, Output};
use crate::console::paths;
use crate::format::numbers::{counted, grouped, lost_records};
use crate::format::silences;
use crate::format::sizes::bytes;
use crate::format::times::{self, ist, utc};
use crate::instruments::names::Names;
use crate::instruments::unseen;

/// Number of damaged places shown, and of gaps without `--gaps`.
const MOST_SHOWN: usize = 10;

/// Returns the report on the tapes.
pub(super) fn survey(
    survey: &Survey,
    names: &Names,
    top: usize,
    all_gaps: bool,
    output: Output,
) -> String {
    let mut page = Page { text: String::new(), output };
    span(&mut page, survey);
    files(&mut page, survey);
    records(&mut page, survey);
    instruments(&mut page, survey, names, top);
    gaps(&mut page, survey, all_gaps);
    quiet(&mut page, survey);
    let chart = chart::ticks(&survey.seconds, output.columns(), output.ascii);
    if !chart.is_empty() {
        let _ = write!(page.text, "\n{}\n{chart}", output.paint(output::BOLD, "ticks per second"));
    }
    page.text.push('\n');
    page.text
}

/// Reports whether everything could be read, and if not, what and where.
pub(super) fn verdict(survey: &Survey, output: Output) -> String {
    let mut text = String::new();
    for damage in survey.listed_damages.iter().take(MOST_SHOWN) {
        let mark = output.paint(output::RED, "damaged");
        let _ = writeln!(text, "{mark} {}{}", OneLine(damage), between(damage));
    }
    for file in survey.files.iter().filter(|file| file.is_cut_off) {
        let mark = output.paint(output::RED, "damaged");
        let path = paths::shown(&file.path);
        let _ = writeln!(text, "{mark} {path}: {}", file.ending);
    }
    for file in survey.passed_over.iter().filter(|file| file.is_loss) {
        let mark = output.paint(output::RED, "damaged");
        let _ = writeln!(text, "{mark} {}", OneLine(&file.reason));
    }
    let more = survey.damages.saturating_sub(MOST_SHOWN as u64);
    if more > 0 {
        let _ = writeln!(text, "and {}", counted(more, "more damaged place"));
    }
    if survey.unknown_kinds > 0 {
        let records = counted(survey.unknown_kinds, "record");
        let _ = writeln!(text, "{records} of kinds from a later version");
    }
    let read = counted(survey.kinds.iter().sum(), "record");
    let mut lost = lost_records(survey.records_lost, survey.damages_of_unknown_size);
    let skipped = survey.passed_over.iter().filter(|file| file.is_loss).count() as u64;
    if skipped > 0 {
        lost += &format!(", {} skipped", counted(skipped, "file"));
    }
    let _ = match (survey.is_read_to_end, survey.has_damage()) {
        (true, false) => {
            writeln!(text, "{} all {read} can be read", output.paint(output::GREEN, "complete"))
        }
        (true, true) => writeln!(text, "{read} read, {lost}"),
        (false, _) => {
            let mark = output.paint(output::YELLOW, "stopped");
            writeln!(text, "{mark} after {read}, {lost}; the rest was not checked")
        }
    };
    text
}

/// Returns from when to when the records lost with damage were received, as far as known.
fn between(damage: &Damage) -> String {
    let at = |unix_ns| stamp(ist(unix_ns));
    match (damage.from_unix_ns, damage.to_unix_ns) {
        (Some(from), Some(to)) => format!("; between {} and {} IST", at(from), at(to)),
        (Some(from), None) => format!("; after {} IST", at(from)),
        (None, Some(to)) => format!("; before {} IST", at(to)),
        (None, None) => String::new(),
    }
}

/// Lines with names in a column on the left.
struct Page {
    text: String,
    output: Output,
}

impl Page {
    // Writing to a `String` cannot fail.
    fn line(&mut self, name: &str, text: impl std::fmt::Display) {
        let name = self.output.paint(output::BOLD, format_args!("{name:<12}"));
        let _ = writeln!(self.text, "{name}{}", OneLine(text));
    }

    fn more(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{:12}{}", "", OneLine(text));
    }
}

fn span(page: &mut Page, survey: &Survey) {
    let Some((from, to)) = survey.span else {
        page.line("span", "nothing was recorded");
        return;
    };
    let lasts = times::span(survey.lasts());
    page.line("span", format_args!("{} to {} IST, {lasts}", stamp(ist(from)), stamp(ist(to))));
    page.more(format_args!("{} to {} UTC", stamp(utc(from)), stamp(utc(to))));
}

/// Formats a date and a time without `T` and offset; the line names the zone.
fn stamp(shown: times::Shown) -> String {
    format!("{} {}", shown.date(), shown.clock_millis())
}

fn files(page: &mut Page, survey: &Survey) {
    let (disk, raw) = (survey.len_bytes(), survey.raw_bytes());
    let ratio = match disk {
        0 => String::new(),
        _ => format!(", {:.1} to 1", raw as f64 / disk as f64),
    };
    let files = counted(survey.files.len() as u64, "file");
    page.line("files", format_args!("{files}, {} on disk, {} raw{ratio}", bytes(disk), bytes(raw)));
    for file in &survey.files {
        page.more(format_args!(
            "{:>9}  {}  {}",
            bytes(file.len_bytes),
            paths::shown(&file.path),
            ending(file)
        ));
    }
}

fn ending(file: &FileFacts) -> String {
    let blocks = counted(file.blocks, "block");
    match file.ending {
        Ending::Clean { .. } => blocks,
        _ if !file.is_cut_off => format!("{blocks}, still being recorded"),
        ending => format!("{blocks}, {ending}"),
    }
}

fn records(page: &mut Page, survey: &Survey) {
    page.line(
        "frames",
        format_args!("{}, and {}", grouped(survey.frames), counted(survey.heartbeats, "heartbeat")),
    );
    let rate = match survey.lasts().as_secs_f64() {
        seconds if seconds > 0.0 => format!(", {} per second", rate(survey.ticks as f64 / seconds)),
        _ => String::new(),
    };
    page.line("ticks", format_args!("{}{rate}", grouped(survey.ticks)));
    if survey.unknown_packets + survey.damaged_frames > 0 {
        page.more(format_args!(
            "{} of unknown length, {} with an unreadable end, recorded as received",
            counted(survey.unknown_packets, "packet"),
            counted(survey.damaged_frames, "frame")
        ));
    }
    let [binary, texts, gaps, events] = survey.kinds.map(grouped);
    page.line("records", format_args!("{binary} binary, {texts} text, {gaps} gap, {events} event"));
    for (place, (source, facts)) in survey.sources.iter().enumerate() {
        let name = if place == 0 { "sources" } else { "" };
        page.line(
            name,
            format_args!(
                "{}: {}, {}, {}, {}",
                origin(*source),
                counted(facts.frames, "frame"),
                counted(facts.ticks, "tick"),
                counted(facts.texts, "text frame"),
                counted(facts.gaps, "gap")
            ),
        );
    }
}

fn origin(source: Source) -> String {
    match source {
        Source::RECORDER => "the recorder".to_owned(),
        // The second recorder of merged tapes.
        Source { account, connection: 255 } => {
            format!("the recorder of account {}", u32::from(account) + 1)
        }
        // Counted from 1 for people; JSON and exports keep the tape's numbers.
        Source { account, connection } => {
            format!("account {} connection {}", u32::from(account) + 1, u32::from(connection) + 1)
        }
    }
}

fn instruments(page: &mut Page, survey: &Survey, names: &Names, top: usize) {
    let instruments = survey.instruments.named(names);
    page.line("instruments", grouped(instruments.len() as u64));
    let seconds = survey.lasts().as_secs_f64();
    for one in busiest(instruments, top) {
        let each = if seconds > 0.0 { one.ticks as f64 / seconds } else { 0.0 };
        page.more(format_args!(
            "{:>11} ticks  {:>7} per second  {}",
            grouped(one.ticks),
            rate(each),
            unseen::labelled(one.name.as_deref(), one.token)
        ));
    }
    let left_out = survey.instruments.ticks_left_out();
    if left_out > 0 {
        page.more(format_args!(
            "{} left out: of a connection and day, {} instruments not noted as subscribed are counted",
            counted(left_out, "tick"),
            grouped(MOST_OTHERS as u64)
        ));
    }
}

/// Formats a rate, with one decimal below 1,000.
fn rate(rate: f64) -> String {
    if rate < 1_000.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}

fn gaps(page: &mut Page, survey: &Survey, all: bool) {
    if survey.gaps == 0 {
        page.line("gaps", "none");
        return;
    }
    let total: Duration =
        survey.listed_gaps.iter().filter_map(|(_, gap)| survey::length(gap)).sum();
    page.line("gaps", format_args!("{}, {} in total", grouped(survey.gaps), times::span(total)));
    let mut listed: Vec<&(Source, Gap)> = survey.listed_gaps.iter().collect();
    if !all && listed.len() > MOST_SHOWN {
        listed.sort_by_key(|(_, gap)| std::cmp::Reverse(survey::length(gap)));
        listed.truncate(MOST_SHOWN);
        page.more(format_args!("the longest {MOST_SHOWN} (--gaps lists all):"));
    }
    for (source, gap) in listed {
        let frames = match gap.frames {
            Some(frames) => counted(frames, "frame"),
            None => "unknown number of frames".to_owned(),
        };
        page.more(format_args!(
            "{} to {} IST  {:>12}  {}, {}: {frames}",
            moment(gap.from_unix_ns),
            moment(gap.to_unix_ns),
            survey::length(gap).map_or_else(|| "?".to_owned(), times::span),
            origin(*source),
            survey::reason(gap.reason)
        ));
    }
}

fn quiet(page: &mut Page, survey: &Survey) {
    let found = &survey.silences;
    page.line("silences", silences::total(found).unwrap_or_else(|| "none".to_owned()));
    silences::longest(found).iter().for_each(|line| page.more(line));
    for (place, line) in silences::clock_steps(found).iter().enumerate() {
        page.line(if place == 0 { "clock" } else { "" }, line);
    }
}

/// Formats one end of a gap, which may be unknown.
fn moment(unix_ns: u64) -> String {
    if unix_ns == 0 { "?".to_owned() } else { ist(unix_ns).clock_millis() }
}
