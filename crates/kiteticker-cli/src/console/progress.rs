//! Progress bars on standard error, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::output::Output;

/// A progress bar; hidden without a terminal.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Creates a bar for `total` bytes.
    pub(crate) fn bytes(output: Output, total: u64, what: &'static str) -> Self {
        let target = match output.is_live {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template =
            "{msg} {wide_bar} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars(if output.ascii {
                "#> "
            } else {
                "█▉▊▋▌▍▎▏ "
            }));
        }
        bar.set_message(what);
        Self { bar }
    }

    /// Sets the position.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Sets the position and the total, which grows if the tapes are read several times.
    pub(crate) fn of(&self, position: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(position);
    }

    /// Runs `write` with the bar hidden, so that its output appears above the bar.
    pub(crate) fn above(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Removes the bar.
    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}
