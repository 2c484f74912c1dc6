"""Waits for something native, in a thread or in an event loop.

A native object has a file descriptor that is readable once there may be something new. It is the
same for threads, which wait with `poll`, so that Ctrl-C ends the wait, and for event loops, which
watch it like that of a socket. A generator of steps yields the object that it waits for, and
returns a result; `run` and `run_async` drive it.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Generator
from typing import Protocol, TypeVar

T = TypeVar("T")

# Event loops without file descriptors, such as Windows' default, look this often.
LOOKS_EVERY_S = 0.005


class Waitable(Protocol):
    """What steps wait for."""

    def fileno(self) -> int: ...
    def hush(self) -> None: ...


Steps = Generator[Waitable, None, T]


def run(steps: Steps[T], timeout: float | None = None) -> T:
    """Takes the steps on this thread. Raises TimeoutError if they take longer."""
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            native = next(steps)
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not _is_readable(native.fileno(), rest):
                raise TimeoutError
            native.hush()
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


async def run_async(steps: Steps[T]) -> T:
    """Takes the steps in the running event loop. A cancellation ends them between two."""
    try:
        while True:
            native = next(steps)
            await _readable(native.fileno())
            native.hush()
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


async def _readable(fileno: int) -> None:
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    try:
        loop.add_reader(fileno, _wake, woken)
    except NotImplementedError:
        await asyncio.sleep(LOOKS_EVERY_S)
        return
    try:
        await woken
    finally:
        # A coroutine may be collected when its loop is closed.
        if not loop.is_closed():
            loop.remove_reader(fileno)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


if hasattr(select, "poll"):

    def _is_readable(fileno: int, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

else:

    def _is_readable(fileno: int, timeout: float | None) -> bool:
        return bool(select.select([fileno], [], [], timeout)[0])
