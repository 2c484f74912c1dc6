"""Instrument tokens as programs have them."""

import operator
from collections.abc import Iterable
from typing import SupportsIndex


def tokens_of(tokens: Iterable[SupportsIndex]) -> list[int]:
    """Returns instrument tokens as ints, each once. Raises ValueError for one that is out of range, and
    TypeError for what is no integer."""
    found = list(dict.fromkeys(operator.index(token) for token in tokens))
    for token in found:
        if not 0 <= token < 1 << 32:
            raise ValueError(f"instrument token {token} is not from 0 to 4294967295")
    return found
