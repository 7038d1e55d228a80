"""Sliders show what the server holds, once a change rests; also where a hand moved one while the server's value was on
its way to the page. Written for viser 0.2.7."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from .threads import start

SETTLE_SECONDS, HELD_SECONDS = 0.3, 0.25
CROSSING_SECONDS = 1.0
"""A hand's move so shortly after the server set its slider may come from a page that had not heard of it."""


@dataclass
class Slider:
    """One of them."""

    handle: Any
    held: Callable[[], int | float]
    """The value that it stands for, as the server holds it."""
    told: float = 0.0
    """When it was last set here, as viser counts (`handle.update_timestamp`, which a hand sets, too)."""

    def tell(self, value: int | float) -> None:
        """Set it in every page."""
        self.handle.value = value
        self.told = self.handle.update_timestamp

    def sync(self) -> bool:
        """Show what is held. False where a hand may be at it, which would lose it."""
        value, moved = self.held(), self.handle.update_timestamp
        # a page that is set after its own hand's move shows what it was set to, and viser does not tell it its move
        crossed = 0 < moved - self.told < CROSSING_SECONDS
        if not crossed and abs(value - float(self.handle.value)) <= 0.006:
            return True
        if time.time() - moved < HELD_SECONDS:
            return False
        self.tell(value)
        return True


class Sliders:
    """All of a panel's."""

    def __init__(self, settled: Callable[[], None]) -> None:
        """`settled` is called after each time when they were brought up to date."""
        self.lock = threading.RLock()
        self._settled = settled
        self._all: list[Slider] = []
        self._waiting: threading.Timer | None = None

    @property
    def handles(self) -> list[Any]:
        """viser's, in the order in which they were added."""
        with self.lock:
            return [slider.handle for slider in self._all]

    def add(self, handle: Any, held: Callable[[], int | float]) -> Slider:
        """Keep one of viser's sliders at what `held` says."""
        slider = Slider(handle, held)
        with self.lock:
            self._all.append(slider)
        return slider

    def remove(self, handles: Collection[Any]) -> None:
        """Take some out of the panel."""
        with self.lock:
            self._all = [slider for slider in self._all if slider.handle not in handles]
            for handle in handles:
                handle.remove()

    def settle(self) -> None:
        """Something that they show may be another one: they follow in a moment."""
        with self.lock:
            if self._waiting is None:
                self._waiting = threading.Timer(SETTLE_SECONDS, self._sync)
                start(self._waiting, self._waiting.cancel)

    def _sync(self) -> None:
        with self.lock:
            self._waiting = None  # what changes from here on is another one's
            synced = [slider.sync() for slider in self._all]
        if not all(synced):
            self.settle()
        self._settled()
