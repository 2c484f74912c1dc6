"""The loop that calls the callbacks of a ticker, from a connect to a stop."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
import time
import weakref
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ._events import ConnectResponse, Gap
from ._native import Feed

if TYPE_CHECKING:
    from ._ticker import KiteTicker

log = logging.getLogger("kiteticker")

# The main thread looks for signals this often: Ctrl-C does not end a native wait.
SIGNALS_EVERY_S = 0.05
# Other threads are woken when there is something to do.
WAIT_S = 10.0
# Time for a loop to end when the interpreter does, and for a recording to be written.
EXIT_S, FINISH_S = 1.0, 5.0
# Ticks left out are logged at most this often, if there is no on_lag.
LAG_LOGGED_EVERY_S = 10.0

UNCLEAN = 1006
DROPPED = "peer dropped the TCP connection without previous WebSocket closing handshake"
# So in the client that programs are written for.
UNANSWERED = (
    "WebSocket closing handshake timeout (peer did not finish the opening handshake in time)"
)
GAVE_UP = "I dropped the WebSocket TCP connection"


class Session:
    """A loop; its thread calls the callbacks, and any thread the other methods."""

    def __init__(self, ticker: KiteTicker) -> None:
        self.ticker = ticker
        self.process = os.getpid()
        self.thread: threading.Thread | None = None
        self.feed: Feed | None = None
        # Numbers of the sockets that are open, and of those that were lost and are not open again.
        self.up: set[int] = set()
        self.lost: set[int] = set()
        self.is_stopping = False
        self.is_exiting = False
        # False once the program wants no further attempts.
        self.retries = True
        # Whether there are no further attempts, and on_noreconnect was called.
        self.gave_up = False
        self.closing: tuple[int | None, str | None] = (None, None)
        # Failures in a row of each socket.
        self.failures: dict[int, int] = {}
        self.unreached: set[int] = set()
        self.lag_logged_at = float("-inf")
        self.lag = 0
        self._changed = threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether the first socket is open, and each further one that has been open."""
        return 0 in self.up and not self.lost

    def begin(self, feed: Feed) -> None:
        """Goes on with the sockets of this feed."""
        self.retries, self.gave_up, self.closing = True, False, (None, None)
        self.failures, self.unreached = {}, set()
        self.up, self.lost = set(), set()
        self.feed = feed
        self._changed.set()

    def stop(self) -> None:
        """Ends the loop after the current callback."""
        self.is_stopping = True
        self.wake()

    def stop_from_signal(self) -> None:
        """Ends the loop likewise, from a signal handler on its thread. A wait is over within
        `SIGNALS_EVERY_S`; to wake it would take a lock that this thread may hold."""
        self.is_stopping = True

    def wake(self) -> None:
        self._changed.set()
        feed = self.feed
        if feed is not None:
            feed.wake()

    def give_up(self) -> None:
        """Ends the sockets without waiting for them."""
        feed, self.feed = self.feed, None
        if feed is not None:
            feed.close()

    def run(self) -> None:
        self.thread = threading.current_thread()
        is_main = self.thread is threading.main_thread()
        wait = SIGNALS_EVERY_S if is_main else WAIT_S
        ticker = self.ticker
        _SESSIONS.add(self)
        try:
            while not self.is_stopping:
                feed = self.feed
                if feed is None:
                    self._changed.wait(wait)
                    self._changed.clear()
                    continue
                event = feed.next(
                    wait, ticker.on_ticks is not None, ticker.on_message is not None
                )
                if event is not None:
                    getattr(self, "_" + event[0])(*event[1:])
                    # Its ticks are freed before the next are made, which then use the same memory,
                    # while it is in the processor's caches.
                    event = None
        finally:
            self._end()

    def _end(self) -> None:
        self.is_stopping = True
        was_open, self.up = bool(self.up), set()
        feed = self.feed
        if feed is not None:
            feed.close()
        self.ticker._ended(self)
        if was_open and not self.is_exiting:
            self._unclean(DROPPED)
        if feed is not None and self.ticker.record_to is not None:
            feed.wait_closed(FINISH_S)
        _SESSIONS.discard(self)

    def _call(self, name: str, *arguments: Any) -> None:
        callback = getattr(self.ticker, name)
        if callback is None:
            return
        try:
            callback(self.ticker, *arguments)
        except Exception as error:
            log.exception("%s raised; the feed goes on", name)
            if sys.unraisablehook is not sys.__unraisablehook__:
                unraisable: Any = SimpleNamespace(
                    exc_type=type(error),
                    exc_value=error,
                    exc_traceback=error.__traceback__,
                    err_msg=f"Exception ignored in {name}",
                    object=callback,
                )
                sys.unraisablehook(unraisable)

    # Events of the feed, by their kinds.

    def _frame(self, payload: bytes | None, ticks: list[dict[str, Any]] | None) -> None:
        if payload is not None:
            self._call("on_message", payload, True)
        if ticks is not None:
            self._call("on_ticks", ticks)

    def _text(self, payload: bytes) -> None:
        self._call("on_message", payload, False)
        try:
            message = json.loads(payload)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        kind, data = message.get("type"), message.get("data")
        if kind == "order" and data:
            self._call("on_order_update", data)
        if kind == "error":
            self._error(0, data)

    def _up(self, socket: int, peer: str | None, headers: list[tuple[str, str]]) -> None:
        self.failures[socket] = 0
        self.up.add(socket)
        # A further socket is no other connection to the program, unless on_close was called for it.
        if socket != 0 and socket not in self.lost:
            return
        self.lost.discard(socket)
        self._call("on_connect", ConnectResponse.of(peer, headers))
        self._call("on_open")

    def _down(self, socket: int, is_clean: bool, code: int | None, text: str | None) -> None:
        self.up.discard(socket)
        self.lost.add(socket)
        if is_clean:
            self._close(code, text)
        else:
            self._unclean(DROPPED if text is None else f"{GAVE_UP}: {text}")

    def _unreached(self, socket: int, text: str) -> None:
        log.warning("%s", text)
        self.unreached.add(socket)

    def _failed(self, _socket: int, text: str | None) -> None:
        self._unclean(text or DROPPED)

    def _refused(self, _socket: int, status: int) -> None:
        self._unclean(f"WebSocket connection upgrade failed ({_named(status)})")

    def _retry(self, socket: int, delay: float) -> None:
        failures = self.failures.get(socket, 0)
        if failures > 0:
            if socket in self.unreached:
                log.error(
                    "Retrying connection. Retry attempt count: %d. "
                    "Next retry in around: %d seconds",
                    failures,
                    round(delay),
                )
            self._call("on_reconnect", failures)
        self.unreached.discard(socket)
        self.failures[socket] = failures + 1
        if not self.retries:
            self.give_up()
        elif failures + 1 > self.ticker.reconnect_max_tries:
            self.give_up()
            self._parked(socket, False, "the attempts are used up")

    def _parked(self, _socket: int, _is_refused: bool, text: str) -> None:
        # Sockets of one ticker give up for the same reason.
        if self.gave_up:
            return
        self.gave_up = True
        log.error("No further attempts: %s", text)
        self._call("on_noreconnect")

    def _closed(self, socket: int, is_answered: bool) -> None:
        if socket != 0:
            return
        self.feed = None
        was_open, self.up = bool(self.up), set()
        if was_open and is_answered:
            self._close(*self.closing)
        elif was_open:
            self._unclean(UNANSWERED)

    def _gap(self, since: float, until: float | None, missed: dict[int, int | None], text: str) -> None:
        self._call("on_gap", Gap(since, until, missed, text))

    def _lag(self, ticks: int) -> None:
        if self.ticker.on_lag is not None:
            self._call("on_lag", ticks)
            return
        self.lag += ticks
        now = time.monotonic()
        if now - self.lag_logged_at >= LAG_LOGGED_EVERY_S:
            log.warning("callbacks are too slow: %d ticks left out", self.lag)
            self.lag_logged_at, self.lag = now, 0

    def _warning(self, text: str) -> None:
        log.warning("%s", text)

    def _unclean(self, text: str) -> None:
        reason = f"connection was closed uncleanly ({text})"
        self._error(UNCLEAN, reason)
        self._close(UNCLEAN, reason)

    def _error(self, code: int, reason: Any) -> None:
        log.error("Connection error: %s - %s", code, reason)
        self._call("on_error", code, reason)

    def _close(self, code: int | None, reason: str | None) -> None:
        log.error("Connection closed: %s - %s", code, reason)
        self._call("on_close", code, reason)


def _named(status: int) -> str:
    """Returns a status as the client that programs are written for shows it."""
    try:
        return f"{status} - {HTTPStatus(status).phrase.replace(' ', '')}"
    except ValueError:
        return str(status)


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


def _end_all() -> None:
    """Ends all loops. A thread that waited in native code while the interpreter is torn down could
    not return from there."""
    sessions = list(_SESSIONS)
    for session in sessions:
        session.is_exiting = True
        session.stop()
    deadline = time.monotonic() + EXIT_S
    for session in sessions:
        thread = session.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    # Loops do not survive a fork; `Session.process` shows it to their tickers.
    os.register_at_fork(after_in_child=_SESSIONS.clear)
