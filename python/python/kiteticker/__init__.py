"""Kite Connect's live market data.

`KiteTicker` is used like the class of the same name in kiteconnect:

    from kiteticker import KiteTicker
"""

from ._install import install
from ._native import __version__, parse
from ._sim import Replay, Sim
from ._ticker import ConnectResponse, Gap, KiteTicker

__all__ = ["ConnectResponse", "Gap", "KiteTicker", "Replay", "Sim", "__version__", "install", "parse"]
