"""What callbacks receive besides ticks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit


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
    """The server, such as "tcp4:127.0.0.1:8765"."""
    headers: dict[str, str] = field(default_factory=dict)
    """Always empty: headers are checked and not kept."""
    version: int = 18
    protocol: None = None
    extensions: list[object] = field(default_factory=list)

    @classmethod
    def of(cls, root: str) -> ConnectResponse:
        url = urlsplit(root)
        host = url.hostname or ""
        port = url.port or (443 if url.scheme == "wss" else 80)
        try:
            family = ipaddress.ip_address(host).version
        except ValueError:
            family = 4
        return cls(f"tcp{family}:{host}:{port}")
