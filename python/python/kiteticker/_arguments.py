"""Checks of arguments, so that a wrong one is an exception where it is passed."""

from __future__ import annotations

import difflib
import operator
import reprlib
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any, Literal, SupportsIndex, TypeAlias

# Unions, since stubtest takes a Literal of several values for one and then misses it.
Mode: TypeAlias = Literal["full"] | Literal["quote"] | Literal["ltp"]
"""What the ticks of an instrument carry."""

Slow: TypeAlias = Literal["block"] | Literal["drop_oldest"] | Literal["conflate"]
"""What happens when the program is slower than the market."""


def tokens_of(tokens: Iterable[SupportsIndex]) -> list[int]:
    """Returns instrument tokens as ints, each once, with the errors of `all_tokens_of`."""
    return list(dict.fromkeys(all_tokens_of(tokens)))


def all_tokens_of(tokens: Iterable[SupportsIndex]) -> list[int]:
    """Returns instrument tokens as ints. Raises ValueError for one that is out of range, and TypeError
    for what is no integer."""
    if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
        raise TypeError(
            f"instrument_tokens is {shown(tokens)}; it must be a list of tokens, such as [408065]"
        )
    found = [_token(token) for token in tokens]
    for token in found:
        if not 0 <= token < 1 << 32:
            raise ValueError(f"instrument token {token} is not from 0 to 4294967295")
    return found


def modes_of(instruments: Mapping[Any, Mode]) -> dict[Any, Mode]:
    """Returns instruments and their modes as a dict. Raises TypeError for anything but a mapping, and
    ValueError for a mode that does not exist."""
    if not isinstance(instruments, Mapping):
        raise TypeError(
            f"instruments is {shown(instruments)}; it must be a dict of name or token to mode, such as "
            '{"NSE:INFY": "full"}'
        )
    for mode in instruments.values():
        check_mode(mode)
    return dict(instruments)


def check_mode(mode: object) -> None:
    """Raises ValueError for a mode that does not exist."""
    _check_one_of("mode", mode, ("full", "quote", "ltp"))


def check_slow(slow: object) -> None:
    """Raises ValueError for a value of `slow` that does not exist."""
    _check_one_of("slow", slow, ("block", "drop_oldest", "conflate"))


def check_zone(tz: object) -> None:
    """Raises TypeError for what is no time zone. The native part calls this too."""
    if tz is not None and not isinstance(tz, tzinfo):
        raise TypeError(
            f'tz is {shown(tz)}; it must be a tzinfo, such as zoneinfo.ZoneInfo("Asia/Kolkata")'
        )


def proxy_of(proxy: Mapping[str, Any] | None) -> tuple[str, int] | None:
    """Returns host and port of a proxy. Raises TypeError for what is no mapping that has them; its text
    does not show them, since the URL of a proxy may have a password."""
    if proxy is None:
        return None
    if not isinstance(proxy, Mapping) or not {"host", "port"} <= proxy.keys():
        raise TypeError(
            f"proxy is a {type(proxy).__name__} without host and port; it must be such as "
            '{"host": "127.0.0.1", "port": 3128}'
        )
    return proxy["host"], int(proxy["port"])


def choice(name: str, known: list[str]) -> str:
    """Returns what an error adds about a name that is unknown: similar ones, else all."""
    found = difflib.get_close_matches(name, known, n=3)
    found = found or [one for one in known if name and name in one][:5]
    if found:
        return f"; did you mean {' or '.join(found)}?"
    return f"; it must be one of {', '.join(known)}"


def shown(value: object) -> str:
    """Returns the repr of a value, shortened."""
    return reprlib.repr(value)


def _token(token: SupportsIndex) -> int:
    if isinstance(token, bool) or not isinstance(token, SupportsIndex):
        advice = "; Instruments()[name] finds the one of a name" if isinstance(token, str) else ""
        raise TypeError(
            f"{shown(token)} is a {type(token).__name__}; an instrument token is an int such as "
            f"408065{advice}"
        )
    return operator.index(token)


def _check_one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        *others, last = (f'"{one}"' for one in known)
        raise ValueError(f"{name} is {shown(value)}; it must be {', '.join(others)} or {last}")
