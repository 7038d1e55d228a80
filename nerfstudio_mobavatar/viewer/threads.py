"""The viewer's threads end before the program does.

Python cuts off a daemon thread that runs when the program ends. Where that hits one inside torch, its C++ code aborts
the process ("terminate called without an active exception", exit code 134): a failure, though everything is saved.
"""

import atexit
import threading
import time
from collections.abc import Callable

END_SECONDS = 10.0
"""How long a program that ends waits for what they are at, a picture for example."""

_lock = threading.Lock()
_running: dict[threading.Thread, Callable[[], None]] = {}
_is_ending = threading.Event()


def start(thread: threading.Thread, stop: Callable[[], None]) -> None:
    """Start a thread that ends with the program, at the latest: as `stop_at_exit` has it."""
    thread.daemon = True
    thread.start()
    stop_at_exit(thread, stop)


def stop_at_exit(thread: threading.Thread, stop: Callable[[], None]) -> None:
    """Call `stop` when the program ends, and wait for `thread`, which somebody has started."""
    with _lock:
        for ended in [other for other in _running if not other.is_alive()]:
            del _running[ended]
        _running[thread] = stop
    if _is_ending.is_set():
        stop()


@atexit.register
def end_all() -> None:
    """Stop them all, in `END_SECONDS` at most; those that start meanwhile are stopped at once."""
    _is_ending.set()
    with _lock:
        running = dict(_running)
    for stop in running.values():
        stop()
    end = time.monotonic() + END_SECONDS
    for thread in running:
        thread.join(max(0.0, end - time.monotonic()))
