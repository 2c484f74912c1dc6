"""Kite's ticker server on this machine: a simulated market, or a replay of tapes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Self, SupportsIndex

from ._arguments import all_tokens_of, shown
from ._native import Server


class _Loopback:
    """What both servers have."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._is_stopped = False
        self.root = server.root
        """The URL for the argument `root` of a KiteTicker."""
        self.api_key = server.api_key
        self.access_token = server.access_token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        stopped = " stopped" if self._is_stopped else ""
        return f"<{type(self).__name__} {self.root}{stopped}>"

    def fault(self, fault: str) -> None:
        """Injects a fault: "reset", "half_open:3s", "close:1001", "order:REJECTED" and so on, as
        `kite sim --list-faults` lists them. "5s=reset" strikes 5 s from now, and
        "handshake1=refusal:503" at the next handshake. Raises ValueError for an unknown one.
        """
        self._server.fault(fault)

    def heal(self) -> None:
        """Ends faults that last, such as "half_open"."""
        self._server.heal()

    def order(self, data: Mapping[str, Any]) -> None:
        """Sends an order update to every socket, for `on_order_update`."""
        if not isinstance(data, Mapping):
            raise TypeError(
                f'data is {shown(data)}; it must be a dict such as {{"order_id": "1", "status": "COMPLETE"}}'
            )
        self.text(json.dumps({"type": "order", "data": dict(data)}))

    def text(self, text: str) -> None:
        """Sends a text frame to every socket."""
        self._server.text(text)

    def tick(self, instrument_tokens: Iterable[SupportsIndex]) -> None:
        """Sends one more tick of each instrument to the sockets that have subscribed it; of one that is
        there several times, as many."""
        self._server.tick(all_tokens_of(instrument_tokens))

    def set_access_token(self, access_token: str) -> None:
        """Accepts this access token from now on, and refuses the one before it."""
        self._server.set_access_token(access_token)
        self.access_token = access_token

    @property
    def subscriptions(self) -> dict[int, str]:
        """The instruments that sockets have subscribed, with their modes."""
        return {token: mode for socket in self._server.subscriptions() for token, mode in socket.items()}

    def stop(self) -> None:
        """Drops all sockets and stops listening. At the end of a `with` block this is called."""
        self._is_stopped = True
        self._server.stop()


class Sim(_Loopback):
    """A simulated market on this machine, over Kite's protocol; needs no account.

    `rate` is the number of ticks per second of each instrument; with 0 only `tick` sends any. The
    same `seed` has the same prices. `faults` are injected at their times or handshakes.
    """

    def __init__(self, rate: float = 2.0, seed: int = 1, faults: Iterable[str] = ()) -> None:
        super().__init__(Server.market(rate, seed, list(faults)))


class Replay(_Loopback):
    """Serves recorded tapes over Kite's protocol, in the instruments and modes that are subscribed.

    `tapes` is a file, a directory, or several. With `speed=None` ticks come as fast as they are
    read. The replay starts once as many sockets as `sockets` have subscribed. Raises OSError if
    there is no tape.
    """

    def __init__(
        self,
        tapes: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        speed: float | None = 1.0,
        sockets: int = 1,
        faults: Iterable[str] = (),
    ) -> None:
        paths = [tapes] if isinstance(tapes, str | os.PathLike) else list(tapes)
        super().__init__(Server.replay(paths, speed, sockets, list(faults)))

    def wait(self, timeout: float) -> bool:
        """Waits until everything on the tapes was sent, closes the sockets with code 1001 and reason
        "the tape has ended", and waits until the clients have read everything. Returns whether they
        had within this many seconds."""
        return self._server.wait_finished(timeout)
