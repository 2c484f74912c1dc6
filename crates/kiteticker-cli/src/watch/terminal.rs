//! The terminal: the keys, and the screen, which is restored no matter how the program ends.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyEvent, MouseEvent, MouseEventKind,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use tokio::sync::mpsc;

use crate::exit::CliError;
use crate::watch::app::App;
use crate::watch::view;

/// Interval at which the key reader checks whether to stop.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Keys queued while the table is busy.
const QUEUED_KEYS: usize = 64;

/// The alternate screen in raw mode, with the mouse. The terminal is restored on drop and on panic.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Switches the terminal to the alternate screen and raw mode, and asks for the mouse.
    ///
    /// # Errors
    /// Returns an error if the terminal failed; it is restored.
    pub(crate) fn open() -> io::Result<Self> {
        release_mouse_on_panic();
        let open = || {
            let terminal = ratatui::try_init()?;
            execute!(io::stdout(), EnableMouseCapture)?;
            Ok(Self { terminal })
        };
        open().inspect_err(|_| restore())
    }

    /// Restores the terminal for the time in which the process is stopped.
    pub(crate) fn close(&mut self) {
        // The table hides the cursor. A failure means that the terminal is gone.
        let _ = self.terminal.show_cursor();
        restore();
    }

    /// Opens the screen again, so that the next frame is drawn in full.
    ///
    /// # Errors
    /// Returns an error if the terminal failed; it is restored.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        let mut open = || {
            enable_raw_mode()?;
            execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture)?;
            self.terminal.clear()
        };
        open().inspect_err(|_| restore())
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
        self.close();
    }
}

fn restore() {
    // A failure means that the terminal is gone.
    let _ = execute!(io::stdout(), DisableMouseCapture);
    ratatui::restore();
}

/// Releases the mouse before a panic is reported; the rest is done by ratatui's own hook.
fn release_mouse_on_panic() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = execute!(io::stdout(), DisableMouseCapture);
            report(info);
        }));
    });
}

/// Wraps a failure of the terminal.
pub(crate) fn error(error: io::Error) -> CliError {
    CliError::unable("cannot use the terminal").because(error)
}

/// An input from the terminal.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Mouse(MouseEvent),
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
        // Movements are many and change nothing.
        Event::Mouse(mouse) if !matches!(mouse.kind, MouseEventKind::Moved) => {
            Some(Input::Mouse(mouse))
        }
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
