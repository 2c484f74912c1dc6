"""Replaces the class of kiteconnect in programs that import it from there."""

import importlib

from ._ticker import KiteTicker


def install() -> None:
    """Makes `kiteconnect.KiteTicker` this package's class, for programs whose imports cannot be
    changed. Call it before they import the class.

    Raises ImportError if kiteconnect is not installed.
    """
    for name in ("kiteconnect", "kiteconnect.ticker"):
        vars(importlib.import_module(name))["KiteTicker"] = KiteTicker
