//! Key handling.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use kite_wire::Mode;

use crate::format::times::{SECOND_NS, ist_clock};
use crate::instruments::names::Named;
use crate::watch::app::{Adding, App, CHOICES, Effect, Focus, Saving};
use crate::watch::journal::Weight;
use crate::watch::layout::{Content, Panel};
use crate::watch::playback::{Order, Playback};
use crate::watch::sort::Key;

/// Maximum length of the input; no instrument's name is longer.
const LONGEST_TEXT: usize = 40;

impl App {
    /// Handles a key; returns the effect to apply outside.
    pub(crate) fn on_key(&mut self, key: KeyEvent) -> Option<Effect> {
        // Some terminals also report key releases.
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.redraw.request();
        let has = |modifier| key.modifiers.contains(modifier);
        match key.code {
            KeyCode::Char('c') if has(KeyModifiers::CONTROL) => return Some(Effect::Quit),
            KeyCode::Char('z') if has(KeyModifiers::CONTROL) => return Some(Effect::Suspend),
            KeyCode::Char('u') if has(KeyModifiers::CONTROL) => {
                self.retype(|_| String::new());
                return None;
            }
            KeyCode::Char('w') if has(KeyModifiers::CONTROL) => {
                self.retype(without_last_word);
                return None;
            }
            // Other keys with Ctrl or Alt do nothing, and must not count as letters.
            KeyCode::Char(_) if has(KeyModifiers::CONTROL) || has(KeyModifiers::ALT) => {
                return None;
            }
            _ => {}
        }
        match std::mem::replace(&mut self.focus, Focus::Table) {
            Focus::Table => self.on_table_key(key.code),
            Focus::Help { top } => {
                self.on_help_key(top, key.code);
                None
            }
            Focus::Choose(choice) => self.on_choice_key(choice, key.code),
            Focus::Save(saving) => self.on_saving_key(saving, key.code),
            Focus::Filter => {
                self.on_filter_key(key.code);
                None
            }
            Focus::Add(adding) => self.on_add_key(adding, key.code),
        }
    }

    fn on_table_key(&mut self, code: KeyCode) -> Option<Effect> {
        let (table, now) = (&mut self.table, self.moment.now);
        let (at, page) = (table.selected_at().unwrap_or(table.top), table.page());
        match code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Esc if table.filter.is_empty() => self.close_panel(),
            KeyCode::Esc => {
                table.filter.clear();
                table.arrange(now);
            }
            KeyCode::Enter => self.toggle_panel(),
            KeyCode::Up | KeyCode::Char('k') => table.select(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => table.select(at.saturating_add(1)),
            KeyCode::PageUp => table.select(at.saturating_sub(page)),
            KeyCode::PageDown => table.select(at.saturating_add(page)),
            KeyCode::Home | KeyCode::Char('g') => table.select(0),
            KeyCode::End | KeyCode::Char('G') => table.select(usize::MAX),
            KeyCode::Char('s' | '>') => table.order_by(|sort| sort.step(true), now),
            KeyCode::Char('<') => table.order_by(|sort| sort.step(false), now),
            KeyCode::Char('r') => table.order_by(|sort| sort.choose(sort.key), now),
            KeyCode::Char(digit @ '0'..='9') => {
                let place = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                if let Some(&key) = place.and_then(|place| Key::ALL.get(place)) {
                    table.order_by(|sort| sort.choose(key), now);
                }
            }
            KeyCode::Char('/') => self.focus = Focus::Filter,
            KeyCode::Char('a') => self.focus = Focus::Add(self.adding(String::new())),
            KeyCode::Char('d' | 'x') | KeyCode::Delete => {
                let token = table.selected?;
                table.remove(token, now);
                return Some(Effect::Unsubscribe { token });
            }
            KeyCode::Char('m') => return self.change_mode(),
            KeyCode::Char('w') => return Some(Effect::ChooseList),
            KeyCode::Char('W') => return Some(Effect::NameList),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.focus = Focus::Help { top: 0 },
            KeyCode::Char('c') => self.toggle_chart(),
            KeyCode::Char(' ') if self.playback.is_none() => {
                table.toggle_pause(now);
                self.today.pause(self.table.is_paused);
            }
            code => return self.on_replay_key(code).map(Effect::Replay),
        }
        None
    }

    fn toggle_panel(&mut self) {
        let is_shown = self.page().detail.height > 0;
        self.panel = if is_shown { Panel::Closed } else { Panel::Fitting };
        if !is_shown && self.page().detail.height == 0 {
            self.panel = Panel::Open;
        }
        self.on_panel();
    }

    /// Shows the chart in the panel, which is opened, or the depth again.
    fn toggle_chart(&mut self) {
        let is_shown = self.page().detail.height > 0 && self.content == Content::Chart;
        self.content = if is_shown { Content::Depth } else { Content::Chart };
        if self.page().detail.height == 0 {
            self.panel = Panel::Open;
        }
        self.on_panel();
    }

    fn close_panel(&mut self) {
        if self.page().detail.height > 0 {
            self.panel = Panel::Closed;
            self.on_panel();
        }
    }

    fn on_replay_key(&mut self, code: KeyCode) -> Option<Order> {
        let playback = self.playback.as_mut()?;
        match code {
            KeyCode::Char(' ') => Some(playback.toggle_pause()),
            KeyCode::Char('+' | '=') => playback.change_speed(true),
            KeyCode::Char('-') => playback.change_speed(false),
            KeyCode::Left => self.seek(-1),
            KeyCode::Right => self.seek(1),
            KeyCode::Char('[') => self.seek(-10),
            KeyCode::Char(']') => self.seek(10),
            _ => None,
        }
    }

    fn seek(&mut self, minutes: i64) -> Option<Order> {
        let order = self.playback.as_mut().and_then(|it| Playback::seek(it, minutes))?;
        // The prices are of another time. Those of the new place arrive with its first frame.
        self.table.forget_ticks(self.moment.now);
        self.health.forget_exchange_time();
        if let Order::Seek(unix_ns) = order {
            self.today.restart_at(unix_ns);
            self.log(Weight::Plain, format!("moved to {}", ist_clock(unix_ns / SECOND_NS)));
        }
        Some(order)
    }

    fn on_filter_key(&mut self, code: KeyCode) {
        let (table, now) = (&mut self.table, self.moment.now);
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => return table.filter_by(String::clear, now),
            // Backspace on an empty filter closes it.
            KeyCode::Backspace if table.filter.is_empty() => return,
            KeyCode::Backspace => table.filter_by(|filter| _ = filter.pop(), now),
            KeyCode::Char(symbol) => table.filter_by(|filter| push(filter, symbol), now),
            _ => {}
        }
        self.focus = Focus::Filter;
    }

    /// Replaces the text of the prompt that is open, if one is.
    fn retype(&mut self, changed: impl Fn(&str) -> String) {
        match &mut self.focus {
            Focus::Filter => {
                self.table.filter_by(|filter| *filter = changed(filter), self.moment.now);
            }
            Focus::Save(saving) => {
                let (text, names) = (changed(&saving.text), std::mem::take(&mut saving.names));
                *saving = Saving { text, names, ..Saving::default() };
            }
            Focus::Add(adding) => {
                let text = changed(&adding.text);
                self.focus = Focus::Add(self.adding(text));
            }
            Focus::Table | Focus::Help { .. } | Focus::Choose(_) => {}
        }
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
                // Backspace on an empty text closes the prompt.
                adding.text.pop()?;
                adding = self.adding(adding.text);
            }
            KeyCode::Char(symbol) => {
                push(&mut adding.text, symbol);
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

    fn add(&mut self, named: Named) -> Option<Effect> {
        let (token, mode) = (named.token, self.mode);
        let name = named.name.clone();
        if self.table.add(named, mode, self.moment.now) {
            if let Some(warning) = self.directory.doubt(token) {
                self.log(Weight::Warning, warning);
            }
            return Some(Effect::Subscribe { token, mode });
        }
        self.log(Weight::Plain, format!("{name} is already in the table"));
        None
    }

    fn change_mode(&mut self) -> Option<Effect> {
        let token = self.table.selected?;
        let row = self.table.row_mut(token)?;
        row.mode = match row.mode {
            Mode::Ltp => Mode::Quote,
            Mode::Quote => Mode::Full,
            Mode::Full => Mode::Ltp,
        };
        let (mode, name) = (row.mode, row.name.clone());
        self.log(Weight::Plain, format!("{name} switched to {mode} mode"));
        Some(Effect::SetMode { token, mode })
    }
}

/// Returns a text without its last word and the blanks after it.
fn without_last_word(text: &str) -> String {
    let text = text.trim_end();
    text[..text.rfind(' ').map_or(0, |blank| blank + 1)].to_owned()
}

pub(super) fn push(text: &mut String, symbol: char) {
    if text.chars().count() < LONGEST_TEXT {
        text.push(symbol);
    }
}
