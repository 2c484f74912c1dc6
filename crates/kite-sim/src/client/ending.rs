//! How a socket ends.

use futures_util::FutureExt;
use kite_server::End;
use kite_server::handshake::discard;

use super::ledger::SocketEnd;
use super::{Client, Says};
use kite_server::Connection;

impl Client {
    /// Reads on until the client has closed its side; returns how it ended.
    pub(super) async fn finish(&mut self) -> End {
        if let Err(end) = self.socket.finish().await {
            return end;
        }
        // It has read everything, so that nothing else matters.
        self.entry.end(SocketEnd::Closed);
        self.state.changes.notify();
        let _ = discard(self.socket.stream_mut()).await;
        End::Finishing
    }

    /// Ends the socket.
    pub(super) async fn end(mut self, end: End) {
        match end {
            End::ClientGone | End::ClientReset | End::ClientStuck | End::Finishing => {}
            End::ClientClosed | End::Closing => {
                self.socket.close().await;
                self.vanish().await;
            }
            End::Violation(violation) => {
                self.vanish().await;
                self.socket.reject(violation).await;
            }
            End::Dropped => {
                // The operating system resets a socket that is closed with unread bytes, and the
                // client may then lose what it has not read yet.
                let _ = discard(self.socket.stream_mut()).now_or_never();
            }
            End::Reset => self.socket.stream_mut().transport().reset_on_drop(),
            End::Leaving => {
                self.vanish().await;
                self.socket.leave(false).await;
            }
            End::Finish => self.socket.leave(true).await,
        }
    }

    /// If the socket is muted, keeps TCP open until the client closes it.
    async fn vanish(&mut self) {
        if self.manner.says == Says::Nothing {
            let _ = discard(self.socket.stream_mut()).await;
        }
    }
}
