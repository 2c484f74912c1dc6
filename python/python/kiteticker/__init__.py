"""Kite Connect's live market data.

`KiteTicker` is used like the class of the same name in kiteconnect:

    from kiteticker import KiteTicker

`Stream` has the same ticks as something to iterate over, by `for` or `async for`.

`Tape` has recorded ticks as tables for polars, DuckDB and other libraries.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ._arguments import Mode
from ._install import install
from ._native import (
    Batch,
    Depth,
    DepthLevel,
    Frames,
    Instrument,
    Instruments,
    RecordedFrame,
    Table,
    TapeTable,
    TapeWarning,
    Tick,
    __version__,
    parse,
)
from ._sim import Replay, Sim
from ._stream import Event, Events, Orders, Stream, StreamError, TokenRefused
from ._tape import RecordedGap, Tape, candles
from ._ticker import ConnectResponse, Gap, KiteTicker

__all__ = [
    "Batch",
    "ConnectResponse",
    "Depth",
    "DepthLevel",
    "Event",
    "Events",
    "Frames",
    "Gap",
    "Instrument",
    "Instruments",
    "KiteTicker",
    "Mode",
    "Orders",
    "RecordedFrame",
    "RecordedGap",
    "Replay",
    "Sim",
    "Stream",
    "StreamError",
    "Table",
    "Tape",
    "TapeTable",
    "TapeWarning",
    "Tick",
    "TokenRefused",
    "__version__",
    "candles",
    "install",
    "parse",
]

if _TYPE_CHECKING:
    from ._dtypes import FULL_DTYPE as FULL_DTYPE
    from ._dtypes import INDEX_FULL_DTYPE as INDEX_FULL_DTYPE
    from ._dtypes import INDEX_QUOTE_DTYPE as INDEX_QUOTE_DTYPE
    from ._dtypes import LTP_DTYPE as LTP_DTYPE
    from ._dtypes import QUOTE_DTYPE as QUOTE_DTYPE
else:

    _DTYPES = ["FULL_DTYPE", "INDEX_FULL_DTYPE", "INDEX_QUOTE_DTYPE", "LTP_DTYPE", "QUOTE_DTYPE"]

    def __dir__() -> list[str]:
        return sorted([*__all__, *_DTYPES, "__doc__", "__file__", "__name__", "__path__"])

    def __getattr__(name: str) -> object:
        # Imported when it is used, because this package does not need numpy.
        if name in _DTYPES:
            from . import _dtypes

            return getattr(_dtypes, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
