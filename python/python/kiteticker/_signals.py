"""Ends a blocking connect on Ctrl-C and SIGTERM, as the client that programs are written for does.

`connect()` returns after `on_close`, so that the lines after it run, which may save positions.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Those that a program has not replaced. SIGBREAK is Ctrl-Break, on Windows.
_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")
_DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)


@contextmanager
def ending(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` when a signal asks the process to end, if this is the main thread; any number of
    times. A callback that is running is not interrupted. Handlers of the program are kept, and the
    defaults are in place again afterwards.

    `stop` must take no lock: it interrupts this thread, which may hold any.
    """
    replaced = {}
    if threading.current_thread() is threading.main_thread():

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            stop()

        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in _DEFAULTS:
                replaced[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, default in replaced.items():
            signal.signal(number, default)
