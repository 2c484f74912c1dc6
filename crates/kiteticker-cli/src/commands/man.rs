//! `kite man`: manual pages, made from the definition of the command line.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::args;
use crate::console::output::Output;
use crate::console::paths;
use crate::exit::CliError;

const EXAMPLES: &str = "\
Examples:
  kite man | man -l -
  kite man ~/.local/share/man/man1
  man kite-record              (if ~/.local/share/man is in MANPATH)";

/// Print the manual page, or write those of all commands
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// Directory for kite.1, kite-record.1 …; created if necessary [print kite.1]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints the page of the command itself, or writes the pages of all commands to a directory.
pub(crate) fn run(args: &ManArgs, output: Output) -> Result<(), CliError> {
    let pages =
        pages().map_err(|error| CliError::unable("cannot make the pages").because(error))?;
    let Some(directory) = &args.directory else {
        return pages.first().map_or(Ok(()), |(_, page)| output.exactly(page));
    };
    let cannot = |path: &Path, error| {
        CliError::unable(format!("cannot write {}", paths::shown(path))).because(error)
    };
    std::fs::create_dir_all(directory).map_err(|error| cannot(directory, error))?;
    for (name, page) in &pages {
        let path = directory.join(name);
        std::fs::write(&path, page).map_err(|error| cannot(&path, error))?;
    }
    output.note(format_args!("{} pages in {}", pages.len(), paths::shown(directory)));
    Ok(())
}

/// Returns the file name and the text of each page, that of the command itself first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut kite = args::command().disable_help_subcommand(true);
    kite.build();
    let commands = kite.get_subcommands().filter(|it| !it.is_hide_set()).cloned();
    let all = std::iter::once(kite.clone()).chain(commands);
    all.map(|command| {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        Ok((format!("{name}.1"), page(command.clone())?))
    })
    .collect()
}

/// Returns a page. What follows the options in the help, such as the examples, has its own sections.
fn page(mut command: Command) -> io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_commands = command.has_subcommands();
    let usage = command.render_usage().to_string();
    let (man, mut page) = (Man::new(command).manual("Kite Connect tools"), Vec::new());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let usage = escaped(usage.trim_start_matches("Usage: "));
    page.extend(format!(".SH SYNOPSIS\n{usage}\n").into_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(sections(&after).into_bytes());
    Ok(page)
}

/// Returns the text after the options as sections: a paragraph that begins with a heading starts one.
fn sections(text: &str) -> String {
    let mut roff = String::new();
    for paragraph in text.split("\n\n").filter(|it| !it.trim().is_empty()) {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let lines = match first.strip_suffix(':').filter(|it| !it.starts_with(' ')) {
            Some(heading) if !rest.is_empty() => {
                roff += &format!(".SH {}\n", escaped(&heading.to_uppercase()));
                rest
            }
            _ => {
                roff += ".PP\n";
                paragraph
            }
        };
        // Examples and tables keep their lines; sentences are filled.
        let keeps_lines = lines.lines().any(|line| line.starts_with(' '));
        roff += if keeps_lines { ".nf\n" } else { "" };
        for line in lines.lines() {
            roff += &escaped(line.strip_prefix("  ").unwrap_or(line));
            roff.push('\n');
        }
        roff += if keeps_lines { ".fi\n" } else { "" };
    }
    roff
}

/// Escapes a line of text: hyphens stay ASCII, and no text is a request.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let pages = pages().unwrap();
        assert_eq!(pages[0].0, "kite.1");
        assert!(pages.iter().any(|(name, _)| name == "kite-record.1"));
        for (name, page) in pages {
            let page = String::from_utf8(page).unwrap();
            for part in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXIT STATUS"] {
                assert_eq!(page.matches(part).count(), 1, "{name}: {part}");
            }
            assert!(page.contains(".SH EXAMPLES") || page.contains(".SH START HERE"), "{name}");
            assert!(!page.contains(".SH EXTRA"), "{name}");
        }
    }

    #[test]
    fn sentences_are_filled_and_examples_keep_their_lines() {
        let text = "Examples:\n  kite a --b 'c\\d'\n  .x\n\nOne two\nthree.";
        let roff = ".SH EXAMPLES\n.nf\nkite a \\-\\-b 'c\\ed'\n\\&.x\n.fi\n.PP\nOne two\nthree.\n";
        assert_eq!(sections(text), roff);
    }
}
