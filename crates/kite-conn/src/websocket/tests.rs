mod agreement;
mod memory;
mod reading;
mod writing;

use std::future::poll_fn;

use super::*;

impl<W: AsyncRead + AsyncWrite + Unpin> WebSocket<W> {
    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Sends a message and waits until it is written.
    pub(crate) async fn deliver(&mut self, message: Message) -> Result<(), Error> {
        self.send(message)?;
        poll_fn(|cx| self.poll_flush(cx)).await
    }
}
