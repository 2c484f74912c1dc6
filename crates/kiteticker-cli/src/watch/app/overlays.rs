//! The help and the watch lists: what is open over the table, and its keys.

use ratatui::crossterm::event::KeyCode;

use crate::instruments::names::Named;
use crate::watch::app::keys::push;
use crate::watch::app::{App, Effect, Focus};
use crate::watch::help;
use crate::watch::journal::Weight;
use crate::watch::watchlists::Name;

/// The watch lists to choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// In the order of their names.
    pub(crate) names: Vec<Name>,
    pub(crate) chosen: usize,
}

/// The input of the name under which the instruments are saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Saving {
    pub(crate) text: String,
    /// Whether the text is the name of the open list, which the first symbol typed replaces.
    pub(crate) is_selected: bool,
    /// The lists that exist.
    pub(crate) names: Vec<Name>,
    /// Why the list cannot be saved.
    pub(crate) refusal: Option<String>,
}

impl Saving {
    /// Returns whether a list of this name exists.
    pub(crate) fn replaces(&self) -> bool {
        self.names.iter().any(|name| name.as_str() == self.text)
    }
}

impl App {
    /// Returns the columns and lines of the help's text.
    pub(crate) fn help_size(&self) -> (usize, usize) {
        let area = self.page().below_header();
        // The border takes two lines and two columns, and a space is left on each side.
        (
            usize::from(area.width).saturating_sub(4),
            usize::from(area.height).saturating_sub(2).max(1),
        )
    }

    /// Returns the first line of the help that is shown, given the one asked for.
    pub(crate) fn help_top(&self, top: usize) -> usize {
        let (width, height) = self.help_size();
        top.min(help::lines(width).len().saturating_sub(height))
    }

    pub(super) fn on_help_key(&mut self, top: usize, code: KeyCode) {
        let (_, page) = self.help_size();
        let to = match code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | 'h') | KeyCode::F(1) => {
                return;
            }
            KeyCode::Up | KeyCode::Char('k') => top.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => top + 1,
            KeyCode::PageUp => top.saturating_sub(page),
            KeyCode::PageDown | KeyCode::Char(' ') => top + page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX,
            _ => top,
        };
        self.focus = Focus::Help { top: self.help_top(to) };
    }

    /// Opens the choice of watch lists.
    pub(crate) fn choose_list(&mut self, names: Vec<Name>) {
        self.redraw.request();
        if names.is_empty() {
            return self.log(Weight::Plain, "no watch list is saved yet: W saves one");
        }
        let chosen = names.iter().position(|name| Some(name) == self.list.as_ref());
        self.focus = Focus::Choose(Choice { names, chosen: chosen.unwrap_or_default() });
    }

    pub(super) fn on_choice_key(&mut self, mut choice: Choice, code: KeyCode) -> Option<Effect> {
        let last = choice.names.len().saturating_sub(1);
        match code {
            KeyCode::Esc | KeyCode::Char('q') => return None,
            KeyCode::Enter => return choice.names.get(choice.chosen).cloned().map(Effect::Load),
            KeyCode::Up | KeyCode::Char('k') => choice.chosen = choice.chosen.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => choice.chosen = (choice.chosen + 1).min(last),
            KeyCode::Home | KeyCode::Char('g') => choice.chosen = 0,
            KeyCode::End | KeyCode::Char('G') => choice.chosen = last,
            _ => {}
        }
        self.focus = Focus::Choose(choice);
        None
    }

    /// Opens the prompt for a watch list's name.
    pub(crate) fn name_list(&mut self, names: Vec<Name>) {
        self.redraw.request();
        let text = self.list.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let is_selected = !text.is_empty();
        self.focus = Focus::Save(Saving { text, is_selected, names, refusal: None });
    }

    pub(super) fn on_saving_key(&mut self, mut saving: Saving, code: KeyCode) -> Option<Effect> {
        saving.refusal = None;
        let is_selected = std::mem::take(&mut saving.is_selected);
        match code {
            KeyCode::Esc => return None,
            KeyCode::Backspace if is_selected => saving.text.clear(),
            KeyCode::Backspace => drop(saving.text.pop()?),
            KeyCode::Char(symbol) => {
                if is_selected {
                    saving.text.clear();
                }
                push(&mut saving.text, symbol);
            }
            KeyCode::Enter => match saving.text.parse() {
                Ok(name) => {
                    let listed = self.table.rows.iter().map(|row| row.name.clone()).collect();
                    return Some(Effect::Save { name, listed });
                }
                Err(error) => saving.refusal = Some(error.to_string()),
            },
            _ => {}
        }
        self.focus = Focus::Save(saving);
        None
    }

    /// Reports that the instruments were saved.
    pub(crate) fn on_saved(&mut self, name: Name) {
        self.log(Weight::Good, format!("saved as {name}: kite watch --watchlist {name}"));
        self.list = Some(name);
    }

    /// Shows the instruments of a watch list instead of the present ones; returns the effect to
    /// apply outside. Reports names that are unknown.
    pub(crate) fn on_loaded(&mut self, name: Name, listed: &[String]) -> Option<Effect> {
        let mut found: Vec<Named> = Vec::new();
        let mut unknown: Vec<&str> = Vec::new();
        for text in listed {
            match self.directory.resolve(text) {
                Ok(named) => found.push(named),
                Err(_) => unknown.push(text),
            }
        }
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            self.log(Weight::Warning, format!("left out of {name}, as unknown: {unknown}"));
        }
        if found.is_empty() {
            self.log(Weight::Bad, format!("{name} names no known instrument"));
            return None;
        }
        let (removed, added) = self.table.replace(found, self.mode, self.moment.now);
        self.log(Weight::Good, format!("watching {name}"));
        self.list = Some(name);
        Some(Effect::Replace { removed, added, mode: self.mode })
    }
}
