"""The ticks of several connections as something to iterate over."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, Self, SupportsIndex, TypeAlias, TypeVar

from ._arguments import Mode, Slow, check_slow, check_zone, modes_of, proxy_of, shown, tokens_of
from ._credentials import Credentials
from ._native import Batch, Connections, Listener
from ._native import Instrument as Listed
from ._receiver import Receiver
from ._waiting import Steps, run, run_async

__all__ = ["Event", "Events", "Orders", "Stream", "StreamError", "TokenRefused"]

log = logging.getLogger("kiteticker")

T = TypeVar("T")

Instrument: TypeAlias = str | SupportsIndex
"""A name such as "NSE:INFY", an instrument token, or an `Instrument` of the list."""

PER_CONNECTION, MAX_CONNECTIONS = 3_000, 3
# Time for a recording to be written.
FINISH_S = 5.0


class StreamError(Exception):
    """No connection of a stream makes further attempts, or the stream was closed."""


class TokenRefused(StreamError):
    """The access token was refused. After `set_access_token` the stream can be read on."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a connection, or to the stream."""

    name: str
    """Such as "up", "down", "gap", "open_failed", "parked", "moved", "stopped"."""
    severity: Literal["detail", "notice", "recovery", "warning", "error"]
    connection: int | None
    """The number of the connection, from 0; None if it concerns all."""
    text: str
    """One line in plain English, in which connections count from 1."""

    def __str__(self) -> str:
        return self.text


class Stream(Receiver[Batch]):
    """The ticks of up to 9,000 instruments, over up to three sockets that stay open until the stream
    is closed.

        with Stream(api_key, access_token, {"NSE:INFY": "full", 256265: "ltp"}) as stream:
            for batch in stream:
                for tick in batch:
                    print(tick.symbol, tick.last_price)

    The same with `async with` and `async for` in a coroutine. Instruments are names, which are looked
    up in Kite's list of the day, tokens, or rows of Instruments; each has its mode. A batch is what was received since the
    one before. Nothing is lost unreported: `batch.gaps` are what reconnects missed, `batch.lag` what
    was left out because the program was too slow.

    The connections are opened by `with`, `open()` or the first iteration, and closed by the end of
    `with`, `close()` or when the stream is garbage-collected. Raises TokenRefused, while it is read,
    if the access token was refused; after `set_access_token` it can be read on.

    `connections` is the number of sockets, at most three per api_key, by default as many as the
    instruments need; with more, instruments move to another one when theirs stays down. `slow` is
    what happens when the program is slower than the market: "block" loses nothing and holds the
    server back, "drop_oldest" drops frames, "conflate" keeps the newest tick of each instrument.
    `tz` makes times aware of this zone; without it they are naive, in the process' zone.
    `record_to` is a directory to record everything in, as `kite record` does. `instruments_file` is
    Kite's list as a file. `query` are parameters appended to the URL. `proxy` is an HTTP proxy,
    `{"host": ..., "port": ...}`.
    """

    ROOT_URI: ClassVar[str] = "wss://ws.kite.trade"

    def __init__(
        self,
        api_key: str,
        access_token: str,
        instruments: Mapping[Any, Mode] | None = None,
        *,
        root: str | None = None,
        connections: int | None = None,
        slow: Slow = "block",
        tz: tzinfo | None = None,
        record_to: str | os.PathLike[str] | None = None,
        instruments_file: str | os.PathLike[str] | None = None,
        query: Mapping[str, str] | None = None,
        proxy: Mapping[str, Any] | None = None,
        connect_timeout: float = 30,
        reconnect_max_delay: float = 60,
    ) -> None:
        wanted = {} if instruments is None else modes_of(instruments)
        names, tokens = _divided(wanted)
        credentials = Credentials(api_key, access_token)
        credentials.check_given()
        check_slow(slow)
        check_zone(tz)
        self.root = root or self.ROOT_URI
        settings = SimpleNamespace(
            root=self.root,
            query=[*credentials.parameters(), *(query or {}).items()],
            reconnect=True,
            max_delay=reconnect_max_delay,
            connect_timeout=connect_timeout,
            verify=True,
            proxy=proxy_of(proxy),
            slow=slow,
            record_to=record_to,
        )
        if connections is None:
            connections = min(max(1, -(-len(wanted) // PER_CONNECTION)), MAX_CONNECTIONS)
        self._native = Connections(
            api_key, credentials.token(), connections, tz, instruments_file, settings
        )
        super().__init__(self._native)
        self._native.subscribe([(token, wanted[key]) for key, token in tokens.items()])
        self._native.add_names(_symbols(tokens))
        # Looked up when the stream is opened.
        self._names = {name: wanted[key] for key, name in names.items()}
        self._is_recording = record_to is not None
        self._failure: tuple[bool, str] | None = None
        self._is_open = self._is_closed = False

    def __getstate__(self) -> object:
        raise TypeError(
            "a Stream has sockets and an access token, and is neither pickled nor copied: create another"
        )

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._is_open else "not open"
        return f"<Stream {self.root} {state}>"

    def open(self) -> None:
        """Looks the names up, and begins to open the connections. Does nothing if they are open.

        Returning does not mean that the connections are up: they keep trying until the stream is
        closed. Raises ValueError for names that are not in the list, OSError if there is no list,
        StreamError if the stream was closed.
        """
        self._check_closed()
        run(self._opening())

    def close(self) -> None:
        """Closes the connections; with `record_to`, waits until the recording is written. What was
        received can still be read."""
        try:
            run(self._closing(), FINISH_S)
        except TimeoutError:
            self._is_not_written()

    async def aclose(self) -> None:
        """Does what `close` does, in an event loop."""
        try:
            await asyncio.wait_for(run_async(self._closing()), FINISH_S)
        except TimeoutError:
            self._is_not_written()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._check_closed()
        await run_async(self._opening())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def subscribe(self, instruments: Mapping[Any, Mode]) -> None:
        """Adds instruments, at any time and from any thread; those already subscribed switch to the
        mode given. Raises ValueError for more than the connections can carry; nothing is changed
        then. Raises StreamError if the stream was closed, as the other changes do.

        The first name may have to be looked up in a list that is fetched, which takes seconds; in a
        coroutine, `await asyncio.to_thread(stream.subscribe, ...)`. Tokens never wait.
        """
        self._check_closed()
        self._native.subscribe(run(self._resolved(modes_of(instruments))))

    def unsubscribe(self, instruments: Iterable[Instrument]) -> None:
        """Removes instruments; those that are not subscribed are ignored."""
        self._check_closed()
        if isinstance(instruments, str) or not isinstance(instruments, Iterable):
            raise TypeError(
                f"instruments is {shown(instruments)}; it must be a list of names or tokens, such as "
                '["NSE:INFY"]'
            )
        wanted: dict[Any, Mode] = dict.fromkeys(instruments, "ltp")
        self._native.unsubscribe([token for token, _ in run(self._resolved(wanted))])

    def set_subscriptions(self, instruments: Mapping[Any, Mode]) -> None:
        """Replaces all instruments by these, and sends only the differences."""
        self._check_closed()
        self._native.set_subscriptions(run(self._resolved(modes_of(instruments))))

    @property
    def subscriptions(self) -> dict[int, Mode]:
        """The instruments that are subscribed, with their modes."""
        return self._native.subscriptions()

    def set_access_token(self, access_token: str) -> None:
        """Replaces the access token. Connections that wait or gave up retry immediately with it;
        open ones stay open."""
        credentials = Credentials("unused", access_token)
        credentials.check_given()
        self._failure = None
        self._native.set_access_token(credentials.token())

    def events(self) -> Events:
        """Returns an iterator over what happens to the connections from now on."""
        return Events(self, self._native.events())

    def orders(self) -> Orders:
        """Returns an iterator over the order updates received from now on. Each comes once, although
        every socket receives it."""
        return Orders(self, self._native.orders())

    def status(self) -> dict[str, Any]:
        """Returns the state of the connections: counts, rates, quantiles."""
        status: dict[str, Any] = json.loads(self._native.status())
        return status

    def _take(self) -> Batch | None:
        while (batch := self._native.take()) is None:
            notices = self._native.notices()
            if notices is None:
                self._check_failure()
                return None
            texts, self._failure = notices
            for level, text in texts:
                log.log(level, "%s", text)
        return batch

    def _check_closed(self) -> None:
        if self._is_closed:
            raise StreamError("the stream was closed; create another")

    def _check_failure(self) -> None:
        if self._failure is None:
            return
        is_refused, text = self._failure
        raise (TokenRefused if is_refused else StreamError)(text)

    def _opening(self) -> Steps[None]:
        if self._is_closed:
            if not self._is_open:
                raise EOFError
            return
        if self._names:
            names, self._names = self._names, {}
            try:
                self._native.subscribe((yield from self._resolved(names)))
            except BaseException:
                self._names = {**names, **self._names}
                raise
        if not self._is_open:
            self._native.begin()
            self._is_open = True
            _OPEN.add(self)

    def _closing(self) -> Steps[None]:
        self._is_closed = True
        _OPEN.discard(self)
        if self._native.close() and self._is_recording:
            closing = self._native.closing()
            while closing.take() is None:
                yield closing

    def _is_not_written(self) -> None:
        log.warning("the recording was not finished within %d s", FINISH_S)

    def _resolved(self, instruments: Mapping[Any, Mode]) -> Steps[list[tuple[int, str]]]:
        names, tokens = _divided(instruments)
        self._native.add_names(_symbols(tokens))
        if names:
            lookup = self._native.look_up(list(names.values()))
            while (found := lookup.take()) is None:
                yield lookup
            for warning in found[1]:
                log.warning("%s", warning)
            tokens.update(zip(names, found[0], strict=True))
        return [(tokens[key], mode) for key, mode in instruments.items()]


class _OfStream(Receiver[T]):
    """What a stream delivers besides ticks. Opens the stream."""

    def __init__(self, stream: Stream, native: Listener) -> None:
        super().__init__(native)
        self._stream = stream
        self._listener = native

    def _opening(self) -> Steps[None]:
        return self._stream._opening()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r}>"


class Events(_OfStream[Event]):
    """What happens to the connections of a stream. Ends with the stream, after the event "stopped".

    What a slow program misses is an event too, "lagged".
    """

    def _take(self) -> Event | None:
        taken = self._listener.take_event()
        return None if taken is None else Event(*taken)


class Orders(_OfStream[dict[str, Any]]):
    """Order updates, as `on_order_update` of a KiteTicker receives them. Ends with the stream."""

    def __init__(self, stream: Stream, native: Listener) -> None:
        super().__init__(stream, native)
        self.missed = 0
        """The number of events that this program was too slow for; order updates may be among them,
        so query Kite's order book when it grows."""

    def _take(self) -> dict[str, Any] | None:
        while (taken := self._listener.take_order()) is not None:
            text, missed = taken
            if text is not None:
                message: dict[str, Any] = json.loads(text)
                data = message.get("data")
                return data if isinstance(data, dict) else message
            self.missed += missed
            log.warning("%d events missed: order updates may be among them", missed)
        return None


def _divided(keys: Iterable[Any]) -> tuple[dict[Any, str], dict[Any, int]]:
    """Divides instruments into names and tokens."""
    names: dict[Any, str] = {}
    tokens: dict[Any, int] = {}
    for key in keys:
        if isinstance(key, str) and not key.strip().isdecimal():
            names[key] = key
        else:
            (tokens[key],) = tokens_of([int(key) if isinstance(key, str) else key])
    return names, tokens


def _symbols(tokens: Mapping[Any, int]) -> list[tuple[int, str]]:
    """Returns the names of instruments that are rows of the list."""
    return [(token, key.symbol) for key, token in tokens.items() if isinstance(key, Listed)]


_OPEN: weakref.WeakSet[Stream] = weakref.WeakSet()


def _close_all() -> None:
    """Closes what is open, so that recordings are written when the interpreter ends."""
    for stream in list(_OPEN):
        stream.close()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPEN.clear)
