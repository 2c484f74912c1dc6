//! The terminal: taken over to draw on, given back however the program ends, and its keys.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use tokio::sync::mpsc;

use crate::exit::CliError;
use crate::watch::app::App;
use crate::watch::view;

/// How long the reader of keys does not look whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Keys that wait while the table is busy.
const WAITING: usize = 64;

/// The terminal's other screen, in raw mode. Dropping it gives the terminal back; so does a panic.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// What the terminal says; it is given back then.
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        Ok(Self { terminal })
    }

    /// Gives columns and lines.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws what has changed.
    pub(crate) fn draw(&mut self, app: &App) -> io::Result<()> {
        self.terminal.draw(|frame| view::draw(frame, app)).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The cursor is hidden where nothing is typed. A terminal that is gone has none.
        let _ = self.terminal.show_cursor();
        ratatui::restore();
    }
}

/// Says that the terminal has failed.
pub(crate) fn error(error: io::Error) -> CliError {
    CliError::unable("cannot use the terminal").because(error)
}

/// What comes from the terminal.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Resize(u16, u16),
    /// The terminal cannot be read any more.
    Failed(io::Error),
}

/// Reads the terminal on a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Keys {
    inputs: mpsc::Receiver<Input>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    /// Begins to read.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn read() -> io::Result<Self> {
        let (sender, inputs) = mpsc::channel(WAITING);
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let reader = move || {
            while !seen.load(Ordering::Relaxed) {
                let input = match next() {
                    Ok(Some(input)) => input,
                    Ok(None) => continue,
                    Err(error) => {
                        // It is the last, and nobody listens if this fails.
                        let _ = sender.blocking_send(Input::Failed(error));
                        return;
                    }
                };
                if sender.blocking_send(input).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(reader)?;
        Ok(Self { inputs, is_over, thread: Some(thread) })
    }

    /// Gives the next input; `None` after a failure.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        self.inputs.recv().await
    }
}

fn next() -> io::Result<Option<Input>> {
    if !event::poll(LOOK_EVERY)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) => Some(Input::Key(key)),
        Event::Resize(width, height) => Some(Input::Resize(width, height)),
        _ => None,
    })
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Frees a reader that waits for room.
        self.inputs.close();
        if let Some(thread) = self.thread.take() {
            // Keys typed from now on are the shell's. A panic of the reader has been told.
            let _ = thread.join();
        }
    }
}
