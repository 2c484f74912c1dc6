"""What callbacks receive besides ticks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Gap:
    """What a reconnect missed, for `on_gap`."""

    since: float
    """When anything was last received on the lost socket, in Unix seconds."""
    until: float | None
    """When the first of the instruments ticked again, in Unix seconds; None if none has."""
    missed: dict[int, int | None]
    """The volume missed of each instrument; None if it is not known."""
    text: str
    """One line in plain English."""

    def __str__(self) -> str:
        return self.text

    @property
    def seconds(self) -> float | None:
        """The time without ticks; None if none of the instruments has ticked."""
        return None if self.until is None else self.until - self.since

    @property
    def since_time(self) -> datetime:
        """`since` in the process' time zone."""
        return datetime.fromtimestamp(self.since)


@dataclass(frozen=True)
class ConnectResponse:
    """The second argument of `on_connect`."""

    peer: str
    """The address that the socket is connected to, such as "tcp4:127.0.0.1:8765"."""
    headers: dict[str, str] = field(default_factory=dict)
    """The headers of the server's answer, with names in lower case."""
    version: int = 18
    protocol: None = None
    extensions: list[object] = field(default_factory=list)

    @classmethod
    def of(cls, peer: str | None, headers: list[tuple[str, str]]) -> ConnectResponse:
        joined: dict[str, str] = {}
        for name, value in headers:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return cls(peer or "", joined)
