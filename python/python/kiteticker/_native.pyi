import os
import pathlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Literal, Self, TypeVar, final, overload

from ._arguments import Mode
from ._events import Gap

__all__ = [
    "Batch",
    "Closing",
    "Connections",
    "Depth",
    "DepthLevel",
    "Feed",
    "Frames",
    "Instrument",
    "Instruments",
    "Listener",
    "Lookup",
    "RecordedFrame",
    "Recording",
    "Server",
    "Table",
    "TapeTable",
    "TapeWarning",
    "Tick",
    "__version__",
    "parse",
]

_T = TypeVar("_T")

__version__: str

def parse(frame: bytes | bytearray | memoryview, tz: tzinfo | None = None) -> list[dict[str, Any]]:
    """Returns the ticks of a frame as on_ticks receives them. If the frame is damaged, those before
    the damage, where `Batch` raises ValueError."""

@final
class Feed:
    """The sockets of a ticker, from a connect to a close."""

    def __new__(
        cls,
        api_key: str,
        access_token: str,
        subscriptions: list[tuple[int, str]],
        tz: Any,
        settings: Any,
    ) -> Feed: ...
    def next(
        self, timeout: float, wants_ticks: bool, wants_messages: bool
    ) -> tuple[Any, ...] | None: ...
    def wake(self) -> None: ...
    def subscribe(self, tokens: list[int], mode: str | None = None) -> None: ...
    def unsubscribe(self, tokens: list[int]) -> None: ...
    def tokens(self) -> list[int]: ...
    def set_access_token(self, access_token: str) -> None: ...
    def close(self) -> None: ...
    def wait_closed(self, timeout: float) -> bool: ...
    @property
    def sockets(self) -> int: ...

@final
class Server:
    """Kite's ticker server on loopback."""

    @staticmethod
    def market(rate: float, seed: int, faults: list[str]) -> Server: ...
    @staticmethod
    def replay(
        paths: list[str | os.PathLike[str]],
        speed: float | None,
        sockets: int,
        faults: list[str],
    ) -> Server: ...
    @property
    def root(self) -> str: ...
    @property
    def api_key(self) -> str: ...
    @property
    def access_token(self) -> str: ...
    def fault(self, fault: str) -> None: ...
    def heal(self) -> None: ...
    def tick(self, tokens: list[int]) -> None: ...
    def text(self, text: str) -> None: ...
    def set_access_token(self, access_token: str) -> None: ...
    def subscriptions(self) -> list[dict[int, str]]: ...
    def wait_finished(self, timeout: float) -> bool: ...
    def stop(self) -> None: ...

@final
class Connections:
    """The connections of a stream, and what they have delivered."""

    def __new__(
        cls,
        api_key: str,
        access_token: str,
        connections: int,
        tz: tzinfo | None,
        instruments_file: str | os.PathLike[str] | None,
        settings: Any,
    ) -> Connections: ...
    def look_up(self, names: list[str]) -> Lookup: ...
    def add_names(self, named: list[tuple[int, str]]) -> None: ...
    def begin(self) -> None: ...
    def fileno(self) -> int: ...
    def hush(self) -> None: ...
    def take(self) -> Batch | None: ...
    def notices(self) -> tuple[list[tuple[int, str]], tuple[bool, str] | None] | None: ...
    def subscribe(self, wanted: list[tuple[int, str]]) -> None: ...
    def unsubscribe(self, tokens: list[int]) -> None: ...
    def set_subscriptions(self, wanted: list[tuple[int, str]]) -> None: ...
    def subscriptions(self) -> dict[int, Mode]: ...
    def events(self) -> Listener: ...
    def orders(self) -> Listener: ...
    def status(self) -> str: ...
    def set_access_token(self, access_token: str) -> None: ...
    def close(self) -> bool: ...
    def closing(self) -> Closing: ...

@final
class Lookup:
    """A look-up that runs on another thread."""

    def fileno(self) -> int: ...
    def hush(self) -> None: ...
    def take(self) -> tuple[list[int], list[str]] | None: ...

@final
class Listener:
    """Receives events or order updates."""

    def fileno(self) -> int: ...
    def hush(self) -> None: ...
    def take_event(
        self,
    ) -> (
        tuple[str, Literal["detail", "notice", "recovery", "warning", "error"], int | None, str]
        | None
    ): ...
    def take_order(self) -> tuple[bytes | None, int] | None: ...

@final
class Closing:
    """Waits for the end of a close."""

    def fileno(self) -> int: ...
    def hush(self) -> None: ...
    def take(self) -> bool | None: ...

@final
class Batch:
    """What a stream has received since the batch before: ticks, in the order of each connection, and
    what is missing. A batch may have no ticks, if it reports a loss.

    Ticks are decoded where they are read. A batch keeps the memory that the sockets were read into.
    It is a table too: `polars.DataFrame(batch)`, `pyarrow.table(batch)`, with the columns of
    docs/export.md.

    `Batch(frames)` is a batch of frames that a program has kept, received now. Raises ValueError for
    a damaged one.
    """

    def __new__(
        cls, frames: Sequence[bytes | memoryview], tz: tzinfo | None = None
    ) -> Batch: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> Tick: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Tick]: ...
    def __iter__(self) -> Iterator[Tick]: ...
    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns the ticks as `on_ticks` of a KiteTicker receives them."""

    @property
    def gaps(self) -> list[Gap]:
        """What reconnects have missed, each reported once."""

    @property
    def lag(self) -> int:
        """The number of ticks that were left out, because the program is too slow."""

    @property
    def damage(self) -> int:
        """The number of frames with a tail that cannot be read, and of packets of unknown length,
        that were received since the batch before. What can be read of such a frame is delivered; the
        log and `stream.events()` describe the rest."""

    @property
    def lost_notices(self) -> int:
        """The number of gaps and other notices that were left out, because the program is too slow:
        more than 256 waited."""

    @property
    def frames(self) -> list[memoryview]:
        """The frames as received, each as a buffer of its bytes, without a copy: the number of
        packets in two bytes, and before each packet its length in two bytes."""

    @property
    def recv_unix_ns(self) -> list[int]:
        """When each frame was received, in nanoseconds since the Unix epoch."""

    def runs(
        self, kind: Literal["full", "quote", "ltp", "index_full", "index_quote"] = "full"
    ) -> list[memoryview]:
        """Returns the packets of a kind as buffers without a copy, one for each sequence of adjacent
        packets: `numpy.frombuffer(run, kiteticker.FULL_DTYPE)`."""

    def table(
        self,
        columns: str | Sequence[str] | None = None,
        *,
        prices: Literal["decimal", "float"] = "decimal",
    ) -> Table:
        """Returns the ticks with these columns of docs/export.md, by default all."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

@final
class Table:
    """Chosen columns of a batch, for `polars.DataFrame`, `pyarrow.table`, DuckDB and everything else
    that reads Arrow's PyCapsule interface."""

    def __arrow_c_schema__(self) -> Any: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

@final
class Tick:
    """One tick. An attribute has the name and the meaning of its column in docs/export.md; it is None
    if the mode of the tick does not carry it. Prices are in rupees. A tick can be kept: it has its
    own 184 bytes."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def recv_time(self) -> datetime:
        """When the frame was received."""

    @property
    def recv_unix_ns(self) -> int:
        """`recv_time` in nanoseconds since the Unix epoch."""

    @property
    def connection(self) -> int:
        """The number of the connection, from 0."""

    @property
    def is_first(self) -> bool:
        """Whether it is the first of its instrument after a subscribe, a change of the mode or a
        reconnect: the newest values, no matter how old, rather than a trade."""

    @property
    def instrument_token(self) -> int:
        """The number that identifies the instrument."""

    @property
    def symbol(self) -> str | None:
        """The name, if the instrument was subscribed by its name."""

    @property
    def segment(self) -> str:
        """The segment, such as "NSE" or "INDICES"."""

    @property
    def mode(self) -> str:
        """The mode of the tick: "full", "quote" or "ltp"."""

    @property
    def last_price(self) -> float:
        """The price of the last trade; of an index, its value."""

    @property
    def last_quantity(self) -> int | None:
        """The quantity of the last trade."""

    @property
    def average_price(self) -> float | None:
        """The average price of the day, weighted by volume."""

    @property
    def volume(self) -> int | None:
        """The volume of the day."""

    @property
    def total_buy_quantity(self) -> int | None:
        """The quantity of all pending buy orders."""

    @property
    def total_sell_quantity(self) -> int | None:
        """The quantity of all pending sell orders."""

    @property
    def open(self) -> float | None:
        """The first price of the day."""

    @property
    def high(self) -> float | None:
        """The highest price of the day."""

    @property
    def low(self) -> float | None:
        """The lowest price of the day."""

    @property
    def close(self) -> float | None:
        """The close of the day before."""

    @property
    def change(self) -> float | None:
        """The change since the close in points; only an index has it."""

    @property
    def change_percent(self) -> float | None:
        """Last price minus close in percent of the close; None if the close is 0."""

    @property
    def last_trade_time(self) -> datetime | None:
        """When the last trade was made."""

    @property
    def oi(self) -> int | None:
        """The open interest."""

    @property
    def oi_day_high(self) -> int | None:
        """The highest open interest of the day."""

    @property
    def oi_day_low(self) -> int | None:
        """The lowest open interest of the day."""

    @property
    def exchange_time(self) -> datetime | None:
        """When the exchange sent the tick."""

    @property
    def depth(self) -> Depth | None:
        """Five bids and five asks."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the tick as `on_ticks` of a KiteTicker receives it."""

@final
class Depth:
    """Five bids, from the highest price, and five asks, from the lowest."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    @property
    def bids(self) -> tuple[DepthLevel, ...]: ...
    @property
    def asks(self) -> tuple[DepthLevel, ...]: ...

@final
class DepthLevel:
    """One level of market depth; its quantity is 0 if it is empty."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    @property
    def price(self) -> float: ...
    @property
    def quantity(self) -> int: ...
    @property
    def orders(self) -> int: ...

@final
class Instrument:
    """One instrument of Kite's list. What the list lacks is None or empty.

    It stands for its token wherever one is passed, as in `dict.fromkeys(instruments.select(...), "full")`
    for a Stream, or `kws.subscribe(...)`.
    """

    def __index__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def instrument_token(self) -> int:
        """The number that identifies the instrument in subscriptions and ticks."""

    @property
    def exchange_token(self) -> int | None:
        """The number that the exchange assigned."""

    @property
    def symbol(self) -> str:
        """Exchange and symbol, such as "NSE:INFY"."""

    @property
    def tradingsymbol(self) -> str:
        """The symbol, unique within the exchange."""

    @property
    def name(self) -> str:
        """The company's name, or the underlying of a derivative."""

    @property
    def expiry(self) -> date | None:
        """The day on which a derivative expires."""

    @property
    def strike(self) -> float | None:
        """The strike of an option."""

    @property
    def tick_size(self) -> float | None:
        """The smallest price step; an index has none."""

    @property
    def lot_size(self) -> int | None:
        """The number of units in one lot; an index has none."""

    @property
    def instrument_type(self) -> str:
        """EQ, FUT, CE or PE."""

    @property
    def segment(self) -> str:
        """The segment as the list names it: NSE, NFO-OPT, INDICES and others."""

    @property
    def exchange(self) -> str: ...

@final
class Instruments:
    """Kite's instrument list of one day: of a file (`path`), the cached one of a `day`, or today's,
    which is fetched once a day and cached.

        instruments = Instruments()
        instruments["NSE:INFY"].instrument_token
        instruments[408065].symbol
        instruments.select("NIFTY nearest ATM+-5", spot=26000)

    An older list is used, with a warning, if today's cannot be fetched. Raises OSError if there is
    none, and ValueError for a file that is no list.
    """

    def __new__(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        url: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        api_key: str | None = None,
        access_token: str | None = None,
        day: date | str | None = None,
        refresh: bool = False,
    ) -> Self: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Instrument]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: str | int, /) -> Instrument:
        """Returns an instrument by its name or token; KeyError names similar ones."""

    @overload
    def get(self, key: str | int) -> Instrument | None: ...
    @overload
    def get(self, key: str | int, default: _T) -> Instrument | _T: ...
    def search(self, words: str, limit: int = 10) -> list[Instrument]:
        """Returns instruments that the words describe, the best match first."""

    def select(
        self, text: str, spot: float | Decimal | str | None = None, day: date | str | None = None
    ) -> list[Instrument]:
        """Chooses contracts by a text, as the option --select of `kite` does. `spot` is the price of
        the underlying, for ATM; `day` is today if it is not given. Raises ValueError if there is none.
        """

    @property
    def problems(self) -> list[str]:
        """The first invalid rows, which are left out, with their lines."""

    @property
    def problem_count(self) -> int:
        """The number of invalid rows."""

@final
class Recording:
    """Opened tapes."""

    def __new__(
        cls, paths: list[str | os.PathLike[str]], instruments: Instruments | None
    ) -> Self: ...
    @property
    def spans(self) -> list[tuple[int, int]]: ...
    @property
    def files(self) -> list[pathlib.Path]: ...
    def ticks(
        self,
        wanted: list[str | int] | None,
        ranges: list[tuple[int, int]] | None,
        columns: str | Sequence[str] | None,
        prices: str,
        times: str,
        time_zone: str,
    ) -> TapeTable: ...
    def candles(
        self,
        every: list[str],
        wanted: list[str | int] | None,
        ranges: list[tuple[int, int]] | None,
        fill: bool,
        pre_open: bool,
        grace: float,
        sessions: str | None,
        prices: str,
    ) -> TapeTable: ...
    def events(
        self, ranges: list[tuple[int, int]] | None, times: str, time_zone: str
    ) -> TapeTable: ...
    def gaps(
        self, ranges: list[tuple[int, int]] | None
    ) -> list[tuple[int, int, int, str, int | None, int | None, int | None]]: ...
    def frames(self, ranges: list[tuple[int, int]] | None) -> Frames: ...

@final
class TapeTable:
    """A table of a recording for any library that knows Arrow's PyCapsule interface, such as polars,
    pyarrow, DuckDB and pandas. Each of them reads the tapes from the start, on threads of its own, and
    without the interpreter; memory holds a few batches of 16,384 rows.

    If something cannot be read, an instrument has no tick, or no bar was made, a TapeWarning is issued
    at the end.
    """

    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    @property
    def columns(self) -> list[str]:
        """The names of the columns."""

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the last reading that has ended found, with the keys of the option --json of `kite
        export`, or of `kite candles` for bars: rows, gaps, damage and so on; `complete` is whether
        nothing is missing. None before."""

    @property
    def damage(self) -> list[str]:
        """What the last reading that has ended could not read, at most 1,000 parts."""

@final
class RecordedFrame:
    """A frame of a recording."""

    @property
    def recv_unix_ns(self) -> int:
        """When it was received, in nanoseconds since the Unix epoch."""

    @property
    def account(self) -> int:
        """The account that received it, counted from 0."""

    @property
    def connection(self) -> int:
        """The connection within the account, counted from 0."""

    @property
    def data(self) -> memoryview:
        """The bytes as received, without a copy; `kiteticker.parse(frame.data)` decodes them."""

@final
class Frames:
    """Iterates over the frames of a recording."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> RecordedFrame: ...
    @property
    def damage(self) -> list[str]:
        """What could not be read so far, at most 1,000 parts."""

class TapeWarning(UserWarning):
    """Part of a recording cannot be read, an instrument has no tick on it, or no bar was made of it."""
