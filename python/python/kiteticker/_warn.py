"""Warnings that name the line of the program, and not one of a library."""

import sys
import warnings
from types import FrameType

# Libraries that read a table while the program waits for them.
_READERS = frozenset({"kiteticker", "polars", "pyarrow", "pandas", "duckdb"})


def warn(text: str, category: type[Warning]) -> None:
    """Warns at the innermost line that is in none of the libraries; at the innermost of all if there is
    no other."""
    level = 2
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _READERS:
            warnings.warn(text, category, level)
            return
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, 2)
