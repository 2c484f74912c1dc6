"""The class that replaces kiteconnect's."""

from __future__ import annotations

import logging
import operator
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, SupportsIndex

from ._arguments import Mode, Slow, check_mode, check_slow, check_zone, proxy_of, tokens_of
from ._credentials import Credentials
from ._events import ConnectResponse, Gap
from ._native import Feed
from ._session import FINISH_S, Session
from ._signals import ending

__all__ = ["ConnectResponse", "Gap", "KiteTicker"]

log = logging.getLogger("kiteticker")

Callback = Callable[..., Any]


class KiteTicker:
    """Kite Connect's live market data, used like `kiteconnect.KiteTicker`.

    Set the callbacks `on_ticks`, `on_connect` and so on, call `connect()`, and subscribe in
    `on_connect`, or at any time and from any thread. Subscriptions and their modes are kept, before
    a connect and across reconnects.

    An exception in a callback is logged, and the feed goes on. After `on_noreconnect`,
    `set_access_token` makes it go on with a new token. `stop()` ends this ticker alone, and
    `connect()` works again after it.

    Further arguments: `query` are parameters that are appended to the URL. `slow` is what happens
    when callbacks are slower than the market: "block" loses nothing and holds the server back,
    "drop_oldest" drops frames, "conflate" keeps the newest tick of each instrument; `on_lag(ws, n)`
    is called with the number of ticks left out. `tz` makes the times of ticks aware of this zone.
    `record_to` is a directory to record everything in, as `kite record` does.
    """

    EXCHANGE_MAP: ClassVar[dict[str, int]] = {
        "nse": 1,
        "nfo": 2,
        "cds": 3,
        "bse": 4,
        "bfo": 5,
        "bcd": 6,
        "mcx": 7,
        "mcxsx": 8,
        "indices": 9,
        "nco": 12,
        "bsecds": 6,
    }
    CONNECT_TIMEOUT: ClassVar[int] = 30
    RECONNECT_MAX_DELAY: ClassVar[int] = 60
    RECONNECT_MAX_TRIES: ClassVar[int] = 50
    ROOT_URI: ClassVar[str] = "wss://ws.kite.trade"
    MODE_FULL: ClassVar[Literal["full"]] = "full"
    MODE_QUOTE: ClassVar[Literal["quote"]] = "quote"
    MODE_LTP: ClassVar[Literal["ltp"]] = "ltp"

    _LEAST_MAX_DELAY: ClassVar[int] = 5
    _MOST_MAX_TRIES: ClassVar[int] = 300

    def __init__(
        self,
        api_key: str,
        access_token: str,
        debug: bool = False,
        root: str | None = None,
        reconnect: bool = True,
        reconnect_max_tries: int = RECONNECT_MAX_TRIES,
        reconnect_max_delay: float = RECONNECT_MAX_DELAY,
        connect_timeout: float = CONNECT_TIMEOUT,
        *,
        query: Mapping[str, str] | None = None,
        slow: Slow = "block",
        tz: tzinfo | None = None,
        record_to: str | os.PathLike[str] | None = None,
    ) -> None:
        check_slow(slow)
        check_zone(tz)
        self.root = root or self.ROOT_URI
        self.debug = debug
        self.reconnect = reconnect
        self.reconnect_max_tries = reconnect_max_tries
        if reconnect_max_tries > self._MOST_MAX_TRIES:
            self.reconnect_max_tries = self._MOST_MAX_TRIES
            log.warning(
                "`reconnect_max_tries` can not be more than %d. Setting to highest possible "
                "value - %d.",
                self._MOST_MAX_TRIES,
                self._MOST_MAX_TRIES,
            )
        self.reconnect_max_delay = reconnect_max_delay
        if reconnect_max_delay < self._LEAST_MAX_DELAY:
            self.reconnect_max_delay = self._LEAST_MAX_DELAY
            log.warning(
                "`reconnect_max_delay` can not be less than %d. Setting to lowest possible "
                "value - %d.",
                self._LEAST_MAX_DELAY,
                self._LEAST_MAX_DELAY,
            )
        self.connect_timeout = connect_timeout
        self.socket_url = f"{self.root}?api_key={api_key}&access_token=***"
        self.query: dict[str, str] = dict(query or {})
        self.slow: Slow = slow
        self.tz = tz
        self.record_to = record_to

        self.on_ticks: Callback | None = None
        self.on_open: Callback | None = None
        self.on_close: Callback | None = None
        self.on_error: Callback | None = None
        self.on_connect: Callback | None = None
        self.on_message: Callback | None = None
        self.on_reconnect: Callback | None = None
        self.on_noreconnect: Callback | None = None
        self.on_order_update: Callback | None = None
        self.on_gap: Callback | None = None
        self.on_lag: Callback | None = None

        self.subscribed_tokens: dict[int, str] = {}
        self.ws: Any = None
        self.factory: Any = None
        self.websocket_thread: threading.Thread | None = None

        self._credentials = Credentials(api_key, access_token)
        self._session: Session | None = None
        self._opened: Feed | None = None
        self._lock = threading.RLock()
        # The arguments of the last connect, for a token that is set later.
        self._disable_ssl_verification = False
        self._proxy: Mapping[str, Any] | None = None

    def __getstate__(self) -> object:
        raise TypeError(
            "a KiteTicker has a socket and an access token, and is neither pickled nor copied: "
            "create another"
        )

    def __repr__(self) -> str:
        state = "connected" if self.is_connected() else "not connected"
        return f"<KiteTicker {self.root} {state}>"

    def connect(
        self,
        threaded: bool = False,
        disable_ssl_verification: bool = False,
        proxy: Mapping[str, Any] | None = None,
    ) -> None:
        """Connects, and calls the callbacks on this thread until `stop()` is called; with `threaded`
        on a daemon thread, and returns immediately.

        On Ctrl-C and SIGTERM a `connect()` of the main thread calls `on_close` and returns, as after
        `stop()`, unless the program has set a handler of its own. If another thread calls the
        callbacks of this ticker already, it goes on to do so, and this returns immediately. `proxy`
        is an HTTP proxy, `{"host": ..., "port": ...}`. Raises ValueError for settings that cannot
        work, such as `disable_ssl_verification` with a server that is not on this machine, and
        TypeError for an `api_key` or `access_token` that is no text.
        """
        session = Session(self)
        if threaded:
            thread = threading.Thread(target=session.run, name="kiteticker", daemon=True)
            session.thread = thread
            if self._begin(session, disable_ssl_verification, proxy):
                self.websocket_thread = thread
                thread.start()
            return
        with ending(session.stop_from_signal):
            if self._begin(session, disable_ssl_verification, proxy):
                session.run()

    def _begin(
        self, new: Session, disable_ssl_verification: bool, proxy: Mapping[str, Any] | None
    ) -> bool:
        """Connects; returns whether the new session is to be run, since there is none that runs."""
        with self._lock:
            self._disable_ssl_verification = disable_ssl_verification
            self._proxy = proxy
            session = self._running()
            if session is not None:
                if session.feed is None:
                    session.begin(self._open())
                return False
            new.begin(self._open())
            self._session = new
            self.ws = _WebSocket(self)
            self.factory = SimpleNamespace(ws=self.ws, stopTrying=self.stop_retry)
            return True

    def is_connected(self) -> bool:
        """Returns whether the socket is open; of several, whether none is lost."""
        session = self._session
        return session is not None and session.is_open and session.process == os.getpid()

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Closes the sockets and does not reconnect. The loop goes on, until `stop()`, so that
        `connect()` connects again."""
        with self._lock:
            session = self._running()
            if session is None:
                return
            session.retries = False
            session.closing = code, reason
            if session.feed is not None:
                session.feed.close()

    def stop(self) -> None:
        """Ends this ticker: closes the sockets and lets `connect()` return, after the current
        callback. Other tickers go on."""
        with self._lock:
            session = self._running()
        if session is not None:
            session.stop()

    def stop_retry(self) -> None:
        """Makes no further attempts to connect. An open socket stays open until it is lost."""
        with self._lock:
            session = self._running()
            if session is None:
                return
            session.retries = False
            if not session.up and session.feed is not None:
                session.feed.close()

    def set_access_token(self, access_token: str) -> None:
        """Replaces the access token, from the next handshake on. A ticker that gave up connects
        again with it."""
        credentials = Credentials(self._credentials.api_key, access_token)
        credentials.check()
        with self._lock:
            self._credentials = credentials
            session = self._running()
            if session is None:
                return
            gave_up, session.gave_up = session.gave_up, False
            if gave_up:
                session.failures.clear()
            if session.feed is not None:
                session.feed.set_access_token(self._credentials.token())
            elif gave_up:
                session.begin(self._open())

    def subscribe(self, instrument_tokens: Iterable[SupportsIndex]) -> bool:
        """Subscribes instruments, in quote mode. Those that are subscribed already keep their mode.

        Returns True: the request was accepted and is sent once connected. Raises ValueError for
        more than 9,000 instruments.
        """
        tokens = tokens_of(instrument_tokens)
        with self._lock:
            feed = self._feed()
            if feed is not None:
                feed.subscribe(tokens)
            for token in tokens:
                self.subscribed_tokens.setdefault(token, self.MODE_QUOTE)
        return True

    def unsubscribe(self, instrument_tokens: Iterable[SupportsIndex]) -> bool:
        """Unsubscribes instruments; those that are not subscribed are ignored. Returns True."""
        tokens = tokens_of(instrument_tokens)
        with self._lock:
            feed = self._feed()
            if feed is not None:
                feed.unsubscribe(tokens)
            for token in tokens:
                self.subscribed_tokens.pop(token, None)
        return True

    def set_mode(self, mode: Mode, instrument_tokens: Iterable[SupportsIndex]) -> bool:
        """Sets the mode of instruments, and subscribes those that are not. Returns True."""
        check_mode(mode)
        tokens = tokens_of(instrument_tokens)
        with self._lock:
            feed = self._feed()
            if feed is not None:
                feed.subscribe(tokens, mode)
            for token in tokens:
                self.subscribed_tokens[token] = mode
        return True

    def resubscribe(self) -> None:
        """Makes the subscriptions equal to `subscribed_tokens`, if a program has changed it. After a
        reconnect this is not needed."""
        with self._lock:
            feed = self._feed()
            if feed is None:
                return
            wanted = self._wanted()
            feed.unsubscribe([it for it in feed.tokens() if it not in self.subscribed_tokens])
            for mode in (self.MODE_LTP, self.MODE_QUOTE, self.MODE_FULL):
                feed.subscribe([token for token, its in wanted if its == mode], mode)

    def _running(self) -> Session | None:
        session = self._session
        if session is None:
            return None
        if session.process != os.getpid():
            raise RuntimeError(
                "this ticker was connected before the process forked, and its socket is the "
                "parent's: create a KiteTicker in this process"
            )
        return None if session.is_stopping else session

    def _feed(self) -> Feed | None:
        session = self._running()
        return None if session is None else session.feed

    def _ended(self, session: Session) -> None:
        with self._lock:
            if self._session is session:
                self._session = None

    def _wanted(self) -> list[tuple[int, str]]:
        return [(operator.index(token), mode) for token, mode in self.subscribed_tokens.items()]

    def _open(self) -> Feed:
        self._credentials.check()
        check_zone(self.tz)
        if self._opened is not None and self.record_to is not None:
            # The directory is free once the recording before is written.
            self._opened.wait_closed(FINISH_S)
        settings = SimpleNamespace(
            root=self.root,
            query=[*self._credentials.parameters(), *self.query.items()],
            reconnect=self.reconnect,
            max_delay=self.reconnect_max_delay,
            connect_timeout=self.connect_timeout,
            verify=not self._disable_ssl_verification,
            proxy=proxy_of(self._proxy),
            slow=self.slow,
            record_to=self.record_to,
        )
        # The token is in no local variable, since tools print those of tracebacks.
        self._opened = Feed(
            self._credentials.api_key,
            self._credentials.token(),
            self._wanted(),
            self.tz,
            settings,
        )
        return self._opened


class _WebSocket:
    """Stands for the socket, for programs that look at its state."""

    STATE_CLOSED = 0
    STATE_CONNECTING = 1
    STATE_CLOSING = 2
    STATE_OPEN = 3

    def __init__(self, ticker: KiteTicker) -> None:
        self._ticker = ticker

    @property
    def state(self) -> int:
        return self.STATE_OPEN if self._ticker.is_connected() else self.STATE_CLOSED

    def sendClose(self, code: int | None = None, reason: str | None = None) -> None:  # noqa: N802
        self._ticker.close(code, reason)
