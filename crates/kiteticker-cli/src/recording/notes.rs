//! Notes on the tapes which instruments are subscribed, in which mode and under which names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kite_conn::{Batch, Event, Sink};
use kite_tape::Recorder;
use kite_wire::{Command, CommandKind, Mode};

use crate::instruments::names::Names;
use crate::instruments::rows;

/// Number of instruments that are noted, which is twice as many as Kite lists. Clients may ask for
/// any token, and each file repeats all notes.
const MOST: usize = 200_000;

/// The notes of a recording. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    recorder: Recorder,
    noted: Arc<Mutex<Noted>>,
}

impl Notes {
    /// Creates the notes of a recorder, which has none yet.
    pub(crate) fn new(recorder: Recorder, names: Names) -> Self {
        let noted = Noted { names, instruments: BTreeMap::new(), left_out: 0 };
        Self { recorder, noted: Arc::new(Mutex::new(noted)) }
    }

    /// Notes that instruments are subscribed in a mode.
    pub(crate) fn add(&self, tokens: &[u32], mode: Mode) {
        let mut noted = self.lock();
        let added = noted.add(tokens, mode);
        self.recorder.instruments(rows::to_note(added, &noted.names));
    }

    /// Adopts the names of a new day and notes all instruments again. Returns a warning for each
    /// instrument with another name.
    pub(crate) fn rename(&self, names: Names) -> Vec<String> {
        let mut noted = self.lock();
        let warnings = noted.rename(names);
        let all: Vec<(u32, Mode)> =
            noted.instruments.iter().map(|(&token, (_, mode))| (token, *mode)).collect();
        self.recorder.instruments(rows::to_note(all, &noted.names));
        warnings
    }

    /// Returns a sink that notes what its connection subscribes.
    pub(crate) fn sink(&self) -> NotesSink {
        NotesSink(self.clone())
    }

    /// Returns how many instruments were recorded without a note, because there were too many.
    pub(crate) fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what a connection subscribes, when it does.
#[derive(Debug)]
pub(crate) struct NotesSink(Notes);

impl Sink for NotesSink {
    fn on_batch(&mut self, _: &Batch) {}

    fn on_event(&mut self, _: &Event) {}

    fn on_command(&mut self, command: Command<'_>) {
        match command.kind() {
            // What a subscribe without a mode means.
            CommandKind::Subscribe => self.0.add(command.tokens(), Mode::Quote),
            CommandKind::Mode(mode) => self.0.add(command.tokens(), mode),
            // Its packets stay on the tape.
            CommandKind::Unsubscribe => {}
        }
    }
}

#[derive(Debug)]
struct Noted {
    names: Names,
    /// The name and the mode of each instrument.
    instruments: BTreeMap<u32, (String, Mode)>,
    left_out: u64,
}

impl Noted {
    /// Adds instruments; returns those that are to be noted.
    fn add(&mut self, tokens: &[u32], mode: Mode) -> Vec<(u32, Mode)> {
        let mut added = Vec::with_capacity(tokens.len());
        for &token in tokens {
            if let Some((_, noted)) = self.instruments.get_mut(&token) {
                *noted = mode;
            } else if self.instruments.len() < MOST {
                self.instruments.insert(token, (self.names.named(token).name, mode));
            } else {
                self.left_out += 1;
                continue;
            }
            added.push((token, mode));
        }
        added
    }

    /// Adopts the names of a new list. Returns a warning for each instrument with another name.
    fn rename(&mut self, names: Names) -> Vec<String> {
        let mut warnings = Vec::new();
        for (token, (before, _)) in &mut self.instruments {
            let Some(name) = names.known(*token).filter(|name| name != before) else { continue };
            if *before != token.to_string() {
                warnings.push(format!("the token {token} is now {name}, no longer {before}"));
            }
            *before = name;
        }
        self.names = names;
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(names: &[(u32, &str)]) -> Noted {
        let instruments =
            names.iter().map(|&(token, name)| (token, (name.to_owned(), Mode::Full))).collect();
        Noted { names: Names::built_in(), instruments, left_out: 0 }
    }

    #[test]
    fn another_name_of_a_token_is_reported_once() {
        let mut noted =
            noted(&[(408_065, "NFO:NIFTY26OCTFUT"), (738_561, "738561"), (999_424, "999424")]);
        assert_eq!(
            noted.rename(Names::built_in()),
            ["the token 408065 is now NSE:INFY, no longer NFO:NIFTY26OCTFUT"]
        );
        let now_named = &noted.instruments[&738_561].0;
        assert_eq!(now_named, "NSE:RELIANCE", "named now, which is no other instrument");
        assert_eq!(noted.rename(Names::built_in()), Vec::<String>::new());
    }

    #[test]
    fn an_instrument_is_noted_in_its_latest_mode() {
        let mut noted = noted(&[]);
        assert_eq!(noted.add(&[408_065], Mode::Quote), [(408_065, Mode::Quote)]);
        assert_eq!(noted.add(&[408_065], Mode::Full), [(408_065, Mode::Full)]);
        assert_eq!(noted.instruments[&408_065], ("NSE:INFY".to_owned(), Mode::Full));
    }

    #[test]
    fn what_clients_ask_for_takes_a_bounded_amount_of_memory() {
        let mut noted = noted(&[]);
        let tokens: Vec<u32> = (1_000..1_000 + MOST as u32 + 5).collect();
        assert_eq!(noted.add(&tokens, Mode::Ltp).len(), MOST);
        assert_eq!((noted.instruments.len(), noted.left_out), (MOST, 5));
        assert_eq!(noted.add(&[1_000], Mode::Full).len(), 1, "known ones still change");
    }
}
