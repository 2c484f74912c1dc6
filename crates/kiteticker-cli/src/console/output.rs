//! Results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use kite_conn::{ErrorChain, Severity};

use super::clean;
use super::log_line::{self, LogFormat, shown};
use crate::exit::CliError;
use crate::plain_text;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// Writes results, notes, warnings and errors. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether results may be coloured.
    pub(crate) color: bool,
    /// Whether only ASCII may be drawn.
    pub(crate) ascii: bool,
    /// Whether to print only results, warnings and errors.
    pub(crate) quiet: bool,
    /// Whether to draw progress: standard error is a terminal, and not quiet.
    pub(crate) is_live: bool,
    color_err: bool,
    log: LogFormat,
    /// The width of the terminal on standard output, if it is one.
    width: Option<usize>,
}

impl Output {
    /// Chooses colours and characters by the arguments, the environment and the terminal.
    pub(crate) fn new(color: ColorChoice, ascii: bool, quiet: bool) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let use_color = |is_terminal| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && environment_allows_color(),
        };
        Self {
            color: use_color(out),
            color_err: use_color(err),
            ascii: ascii || !is_utf8_locale(),
            quiet,
            is_live: err && !quiet,
            log: LogFormat::default(),
            width: if out { terminal_width() } else { None },
        }
    }

    /// Writes what goes to standard error in this form.
    pub(crate) fn with_log(self, log: LogFormat) -> Self {
        Self { log, is_live: self.is_live && log == LogFormat::Text, ..self }
    }

    /// Writes a line of a result.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), CliError> {
        self.text(&format!("{text}\n"))
    }

    /// Writes a whole result, which includes its line ends. Names of files and texts from a tape, a
    /// list or a server cannot control the terminal.
    pub(crate) fn text(&self, text: &str) -> Result<(), CliError> {
        self.exactly(clean::lines(text, self.color).as_bytes())
    }

    /// Writes bytes as they are, for what has no text from outside.
    pub(crate) fn exactly(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        written(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Writes a JSON result on one line. Its texts are cleaned, because programs print them.
    pub(crate) fn json(&self, value: &serde_json::Value) -> Result<(), CliError> {
        self.exactly(format!("{}\n", clean::json(value)).as_bytes())
    }

    /// Writes a note to standard error, on one line, unless quiet. On a terminal it wraps between
    /// words.
    pub(crate) fn note(&self, text: impl Display) {
        match self.log {
            _ if self.quiet => {}
            LogFormat::Json => log_line::write("info", text, None),
            // If standard error is closed, the failure cannot be reported anywhere.
            LogFormat::Text => {
                let text = shown(text).to_string();
                let text = if self.is_live { indented(&text, self.columns_err()) } else { text };
                drop(writeln!(io::stderr().lock(), "{text}"));
            }
        }
    }

    /// Writes a warning to standard error, on one line, also when quiet.
    pub(crate) fn warn(&self, text: impl Display) {
        if self.log == LogFormat::Json {
            return log_line::write("warn", text, None);
        }
        let mark = self.paint_err(YELLOW, "warning:");
        let _ = writeln!(io::stderr().lock(), "{mark} {}", shown(text));
    }

    /// Writes an event of the feed to standard error, on one line: what is missing or was rejected as
    /// an error, what may be missing as a warning, both also when quiet; everything else as a note.
    pub(crate) fn event(&self, severity: Severity, text: impl Display) {
        match severity {
            Severity::Error if self.log == LogFormat::Json => log_line::write("error", text, None),
            Severity::Error => {
                let mark = self.paint_err(RED, "error:");
                let _ = writeln!(io::stderr().lock(), "{mark} {}", shown(text));
            }
            Severity::Warning => self.warn(text),
            _ => self.note(text),
        }
    }

    /// Wraps text that starts at column `indent` to the terminal's width, and indents the lines
    /// that follow. Without a terminal it stays one line, for programs to read.
    pub(crate) fn wrapped(&self, text: &str, indent: usize) -> String {
        match self.width {
            Some(width) if width >= indent + 20 => wrap(text, width - indent, indent),
            _ => text.to_owned(),
        }
    }

    /// Returns whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Returns the width for charts on standard output.
    pub(crate) fn columns(&self) -> usize {
        self.width.unwrap_or(80)
    }

    /// Returns the width and the height for charts as large as the terminal on standard output;
    /// 80 by 24 without one.
    pub(crate) fn screen(&self) -> (usize, usize) {
        let size = self.width.and_then(|_| terminal_size()).filter(|size| size.0 > 0 && size.1 > 0);
        size.unwrap_or((80, 24))
    }

    /// Returns the width of the terminal on standard output at present; without one, lines may have
    /// any length.
    pub(crate) fn room(&self) -> usize {
        if self.is_terminal() { self.screen().0 } else { usize::MAX }
    }

    /// Returns the width for lines on standard error.
    pub(crate) fn columns_err(&self) -> usize {
        terminal_width().unwrap_or(80).max(20)
    }

    /// Writes an error with its causes on one line, and the advice on another.
    pub(crate) fn error(&self, error: &CliError) {
        if self.log == LogFormat::Json {
            return log_line::write("error", ErrorChain(error), error.advice());
        }
        let mark = self.paint_err(RED, "error:");
        let _ = writeln!(io::stderr().lock(), "{mark} {}", shown(ErrorChain(error)));
        if let Some(advice) = error.advice() {
            let mark = self.paint_err(GREEN, "help:");
            let _ = writeln!(io::stderr().lock(), "{mark} {}", shown(advice));
        }
    }

    /// Returns the text in a style if standard output is coloured.
    pub(crate) fn paint(&self, style: Style, text: impl Display) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Returns the text in a style if standard error is coloured.
    pub(crate) fn paint_err(&self, style: Style, text: impl Display) -> String {
        if self.color_err { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();

/// Turns a failed write to standard output into an error of the command.
pub(crate) fn written(result: io::Result<()>) -> Result<(), CliError> {
    result.map_err(|error| CliError::unable("cannot write to standard output").because(error))
}

/// Returns false if `NO_COLOR` is set and not empty (no-color.org), or for a dumb terminal.
fn environment_allows_color() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Returns whether the locale is UTF-8, by the first variable that is set.
fn is_utf8_locale() -> bool {
    if cfg!(windows) {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(plain_text::variable);
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn terminal_width() -> Option<usize> {
    terminal_size().map(|(columns, _)| columns)
}

fn terminal_size() -> Option<(usize, usize)> {
    let size = ratatui::crossterm::terminal::size().ok();
    size.map(|(columns, lines)| (usize::from(columns), usize::from(lines)))
}

/// Wraps a line between words; what follows is indented by two more blanks than its start.
fn indented(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let text = line.trim_start_matches(' ');
    let blanks = line.len() - text.len();
    let indent = blanks + 2;
    format!("{:blanks$}{}", "", wrap(text, width.saturating_sub(indent), indent))
}

fn wrap(text: &str, width: usize, indent: usize) -> String {
    let (mut wrapped, mut column) = (String::with_capacity(text.len()), 0);
    for word in text.split(' ') {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > width {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += len;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_wraps_between_words() {
        assert_eq!(wrap("one two three", 7, 2), "one two\n  three");
        assert_eq!(wrap("far-too-long-a-word for it", 5, 1), "far-too-long-a-word\n for\n it");
        assert_eq!(wrap("", 5, 1), "");
    }

    #[test]
    fn a_note_wraps_between_words_with_its_indent() {
        assert_eq!(indented("  one two", 9), "  one two");
        assert_eq!(indented("  one two three", 11), "  one two\n    three");
        assert_eq!(indented("3 bars: NSE:INFY", 12), "3 bars:\n  NSE:INFY");
    }
}
