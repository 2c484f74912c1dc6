//! What each key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use kite_wire::Mode;

use crate::instruments::names::Named;
use crate::watch::app::{Adding, App, CHOICES, Effect, Focus};
use crate::watch::journal::Weight;
use crate::watch::sort::{Key, Sort, matches};

/// No name of an instrument is as long.
const LONGEST_TEXT: usize = 40;

impl App {
    /// Takes a key; gives what is to be done about it outside.
    pub(crate) fn on_key(&mut self, key: KeyEvent) -> Option<Effect> {
        // Some terminals tell of keys let go, too.
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.is_dirty = true;
        let has = |modifier| key.modifiers.contains(modifier);
        match key.code {
            KeyCode::Char('c') if has(KeyModifiers::CONTROL) => return Some(Effect::Quit),
            // Other keys of control and alt mean nothing, and must not be taken for letters.
            KeyCode::Char(_) if has(KeyModifiers::CONTROL) || has(KeyModifiers::ALT) => {
                return None;
            }
            _ => {}
        }
        match std::mem::replace(&mut self.focus, Focus::Table) {
            Focus::Table => self.on_table_key(key.code),
            Focus::Help => None,
            Focus::Filter => {
                self.on_filter_key(key.code);
                None
            }
            Focus::Add(adding) => self.on_add_key(adding, key.code),
        }
    }

    fn on_table_key(&mut self, code: KeyCode) -> Option<Effect> {
        let at = self.selected_at().unwrap_or(self.top);
        let page = self.page_rows().max(1);
        match code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Esc if self.filter.is_empty() => return Some(Effect::Quit),
            KeyCode::Esc => {
                self.filter.clear();
                self.arrange();
            }
            KeyCode::Up | KeyCode::Char('k') => self.select(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(at.saturating_add(1)),
            KeyCode::PageUp => self.select(at.saturating_sub(page)),
            KeyCode::PageDown => self.select(at.saturating_add(page)),
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX),
            KeyCode::Char('s' | '>') => self.order_by(|sort| sort.step(true)),
            KeyCode::Char('<') => self.order_by(|sort| sort.step(false)),
            KeyCode::Char('r') => self.order_by(|sort| sort.choose(sort.key)),
            KeyCode::Char(digit @ '0'..='9') => {
                let place = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                if let Some(&key) = place.and_then(|place| Key::ALL.get(place)) {
                    self.order_by(|sort| sort.choose(key));
                }
            }
            KeyCode::Char('/') => self.focus = Focus::Filter,
            KeyCode::Char('a') => self.focus = Focus::Add(self.adding(String::new())),
            KeyCode::Char('d' | 'x') | KeyCode::Delete => {
                let token = self.selected?;
                self.remove(token);
                return Some(Effect::Unsubscribe { token });
            }
            KeyCode::Char('m') => return self.change_mode(),
            KeyCode::Char(' ') => self.turn_pause(),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.focus = Focus::Help,
            _ => {}
        }
        None
    }

    fn order_by(&mut self, change: impl FnOnce(&mut Sort)) {
        change(&mut self.sort);
        (self.top, self.is_following) = (0, false);
        self.arrange();
    }

    fn on_filter_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => self.filter.clear(),
            // Erasing nothing leaves, as in an editor.
            KeyCode::Backspace => {
                if self.filter.pop().is_none() {
                    return;
                }
                self.focus = Focus::Filter;
            }
            KeyCode::Char(symbol) => {
                if self.filter.chars().count() < LONGEST_TEXT {
                    self.filter.push(symbol);
                }
                self.focus = Focus::Filter;
            }
            _ => {
                self.focus = Focus::Filter;
                return;
            }
        }
        self.top = 0;
        self.arrange();
    }

    fn adding(&self, text: String) -> Adding {
        let choices = self.directory.complete(&text, CHOICES);
        Adding { text, choices, ..Adding::default() }
    }

    fn on_add_key(&mut self, mut adding: Adding, code: KeyCode) -> Option<Effect> {
        let last = adding.choices.len().checked_sub(1);
        match code {
            KeyCode::Esc => return None,
            KeyCode::Backspace => {
                // Erasing nothing leaves.
                adding.text.pop()?;
                adding = self.adding(adding.text);
            }
            KeyCode::Char(symbol) => {
                if adding.text.chars().count() < LONGEST_TEXT {
                    adding.text.push(symbol);
                }
                adding = self.adding(adding.text);
            }
            KeyCode::Down => {
                adding.chosen = last.map(|last| adding.chosen.map_or(0, |it| (it + 1).min(last)));
            }
            KeyCode::Up => {
                adding.chosen = adding.chosen.and_then(|chosen| chosen.checked_sub(1));
            }
            KeyCode::Tab => {
                if let Some(named) = adding.choices.get(adding.chosen.unwrap_or(0)) {
                    adding = self.adding(named.name.clone());
                }
            }
            KeyCode::Enter => {
                let chosen = adding.chosen.and_then(|chosen| adding.choices.get(chosen)).cloned();
                let named = chosen.map_or_else(|| self.directory.resolve(&adding.text), Ok);
                match named {
                    Ok(named) => return self.add(named),
                    Err(why) => adding.refusal = Some(why),
                }
            }
            _ => {}
        }
        self.focus = Focus::Add(adding);
        None
    }

    fn add(&mut self, Named { token, name }: Named) -> Option<Effect> {
        let is_new = self.insert(token, name.clone());
        (self.selected, self.is_following) = (Some(token), true);
        if !self.row(token).is_some_and(|row| matches(row, &self.filter)) {
            // Who adds an instrument wants to see it.
            self.filter.clear();
        }
        self.arrange();
        if is_new {
            return Some(Effect::Subscribe { token, mode: self.mode });
        }
        self.tell(Weight::Plain, format!("{name} is in the table"));
        None
    }

    fn change_mode(&mut self) -> Option<Effect> {
        let token = self.selected?;
        let place = *self.places.get(&token)?;
        let row = self.rows.get_mut(place)?;
        row.mode = match row.mode {
            Mode::Ltp => Mode::Quote,
            Mode::Quote => Mode::Full,
            Mode::Full => Mode::Ltp,
        };
        let (mode, name) = (row.mode, row.name.clone());
        self.tell(Weight::Plain, format!("{name} in {mode} mode from now on"));
        Some(Effect::SetMode { token, mode })
    }

    fn turn_pause(&mut self) {
        self.is_paused = !self.is_paused;
        if !self.is_paused {
            self.held_ticks = 0;
            let released = self.rows.iter_mut().filter_map(|row| row.release().then_some(()));
            if released.count() > 0 {
                self.arrange();
            }
        }
    }
}
