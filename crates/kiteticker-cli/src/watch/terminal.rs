//! The terminal: the keys, and the screen, which is restored no matter how the program ends.

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

/// Interval at which the key reader checks whether to stop.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Keys queued while the table is busy.
const QUEUED_KEYS: usize = 64;

/// The alternate screen in raw mode. The terminal is restored on drop and on panic.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Switches the terminal to the alternate screen and raw mode.
    ///
    /// # Errors
    /// Returns an error if the terminal failed; it is restored.
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        Ok(Self { terminal })
    }

    /// Returns columns and lines.
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
        // The table hides the cursor. A failure means that the terminal is gone.
        let _ = self.terminal.show_cursor();
        ratatui::restore();
    }
}

/// Wraps a failure of the terminal.
pub(crate) fn error(error: io::Error) -> CliError {
    CliError::unable("cannot use the terminal").because(error)
}

/// An input from the terminal.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Resize(u16, u16),
    /// The terminal can no longer be read.
    Failed(io::Error),
}

/// Reads the terminal on a separate thread, which stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Keys {
    inputs: mpsc::Receiver<Input>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    /// Starts the reader.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(crate) fn read() -> io::Result<Self> {
        let (sender, inputs) = mpsc::channel(QUEUED_KEYS);
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let reader = move || {
            while !seen.load(Ordering::Relaxed) {
                let input = match next() {
                    Ok(Some(input)) => input,
                    Ok(None) => continue,
                    Err(error) => {
                        // The last input; if sending fails, the receiver is gone.
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

    /// Returns the next input; `None` after a failure.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        self.inputs.recv().await
    }
}

fn next() -> io::Result<Option<Input>> {
    if !event::poll(POLL_EVERY)? {
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
        // Wakes a reader blocked on a full channel.
        self.inputs.close();
        if let Some(thread) = self.thread.take() {
            // Joined so that later keys go to the shell. A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}
