"""What all that a program iterates over has in common."""

from __future__ import annotations

import asyncio
from typing import Generic, Self, TypeVar

from ._waiting import Steps, Waitable, run, run_async

T = TypeVar("T")


class Receiver(Generic[T]):
    """Iterated by `for` in a thread, or by `async for` in any event loop.

    No item is lost by a cancelled `async for` or a timeout: it is taken only when it is returned.
    One thread or task at a time may wait.
    """

    def __init__(self, waited_for: Waitable) -> None:
        self._waited_for = waited_for
        self._is_waiting = False
        # Whether the last item was returned without waiting.
        self._is_ahead = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return run(self._receiving())
        except EOFError:
            raise StopIteration from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._is_ahead:
            # Other tasks get their turn, and a cancellation arrives, although this never waits.
            await asyncio.sleep(0)
        try:
            return await run_async(self._receiving())
        except EOFError:
            raise StopAsyncIteration from None

    def receive(self, timeout: float | None = None) -> T | None:
        """Waits for the next item on this thread; returns None if there is none within `timeout`
        seconds. Raises EOFError at the end."""
        try:
            return run(self._receiving(), timeout)
        except TimeoutError:
            return None

    def queued(self) -> list[T]:
        """Returns what is queued, without waiting."""
        items = []
        try:
            while (item := self._take()) is not None:
                items.append(item)
        except EOFError:
            pass
        return items

    def _receiving(self) -> Steps[T]:
        if self._is_waiting:
            raise RuntimeError(f"another thread or task is waiting for this {type(self).__name__}")
        self._is_waiting = True
        try:
            yield from self._opening()
            self._is_ahead = True
            while (item := self._take()) is None:
                self._is_ahead = False
                yield self._waited_for
            return item
        finally:
            self._is_waiting = False

    def _opening(self) -> Steps[None]:
        """Takes what has to be done before the first item."""
        raise NotImplementedError

    def _take(self) -> T | None:
        """Returns an item that is queued. Raises EOFError at the end."""
        raise NotImplementedError
