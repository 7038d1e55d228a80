"""The pose that the viewer shows instead of a frame's: one value, edited from many threads, read by the renderer.

Viewer callbacks run on a pool of threads, renders on one more per browser tab, and a render may be interrupted at any
line. So a pose is immutable and lies behind one reference: writers take a lock and exchange it when it is whole, the
renderer reads it once and holds no lock.
"""

import threading
import time
from collections.abc import Callable

import numpy as np

from nerfstudio_mobavatar.posing.edit import EditedPose, History

GESTURE_SECONDS = 0.6
"""Moves of one handle that follow each other within this time are one drag, and one step of undo, where no pointer is
down (a slider that is moved by keys)."""


class PoseSession:
    """The pose made by hand, with undo and redo."""

    def __init__(self, frame_pose: Callable[[], EditedPose]) -> None:
        """`frame_pose` gives what the viewer shows while nothing is posed by hand; an edit starts there."""
        self._frame_pose = frame_pose
        self._lock = threading.RLock()
        self._history: History | None = None
        self._shown: EditedPose | None = None
        self._last: tuple[object, float, int] = (None, 0.0, 0)
        """Handle, time and press of the last move."""
        self._number, self._presses = 0, 0
        self._down: set[int] = set()
        self._listeners: list[Callable[[], None]] = []

    @property
    def shown(self) -> EditedPose | None:
        """The pose made by hand, None while frames are followed. Never waits."""
        return self._shown

    def now(self) -> EditedPose:
        """What is to be seen: the pose made by hand, else the frame's."""
        shown = self._shown
        return self._frame_pose() if shown is None else shown

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, in the thread that made it, outside the lock."""
        self._listeners.append(listener)

    def edit(self, change: Callable[[EditedPose], EditedPose], handle: object = None, gesture: object = None) -> None:
        """Replace the pose by `change` of it. Edits of one `gesture`, and moves of the same `handle` shortly after one
        another, are one step of undo; without either an edit is a step of its own. An edit of a pose made by hand
        that changes nothing is none. Where `change` raises, nothing has changed."""
        with self._lock:
            before = self.now()
            after = change(before)
            if self._shown is not None and same(before, after):
                return
            if self._shown is None and self._history is None:
                self._history = History(before)
            elif self._shown is None and self._history is not None:
                self._history.record(before)  # frames were followed in between: undo comes back to this one
                self._last = (None, 0.0, self._presses)
            assert self._history is not None
            self._history.record(after, self.gesture(handle) if gesture is None else gesture)
            self._shown = after
        self._tell()

    def press(self, tab: int, is_down: bool) -> None:
        """A pointer goes down or up in a tab: the moves of a handle in between are one step of undo, whatever pauses
        there are."""
        with self._lock:
            if is_down:
                self._down.add(tab)
                self._presses += 1
            elif tab in self._down:
                self._down.discard(tab)
                handle, _, press = self._last
                self._last = (handle, time.monotonic(), press)  # its newest move may come after it on a busy machine

    @property
    def is_pressed(self) -> bool:
        """Whether a pointer is down in some tab."""
        return bool(self._down)

    def follow_frames(self) -> None:
        """Show frames again. What was posed by hand stays behind undo."""
        with self._lock:
            self._shown = None
        self._tell()

    def undo(self) -> bool:
        """One step back; while frames are followed, back to the pose that was left. False where there is none."""
        with self._lock:
            if self._history is None:
                return False
            moved = self._shown is None or self._history.undo()
            self._shown = self._history.now
        self._tell()
        return moved

    def redo(self) -> bool:
        """One step forward again; False where there is none."""
        with self._lock:
            if self._history is None or self._shown is None or not self._history.redo():
                return False
            self._shown = self._history.now
        self._tell()
        return True

    def gesture(self, handle: object) -> object:
        """Names what a move of `handle` belongs to: the same as the one before it where both are one step of undo."""
        with self._lock:
            return self._gesture_of(handle)

    def _gesture_of(self, handle: object) -> object:
        if handle is None:
            self._last = (None, 0.0, self._presses)
            return None
        last, when, press = self._last
        moment = time.monotonic()
        is_late = not self._down and moment - when > GESTURE_SECONDS
        if handle != last or press != self._presses or is_late:
            self._number += 1
        self._last = (handle, moment, self._presses)
        return (handle, self._number)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def same(a: EditedPose, b: EditedPose) -> bool:
    """Whether two poses are equal but for what float32 would lose."""
    pairs = ((a.pose, b.pose), (a.transl, b.transl), (a.expression, b.expression))
    return all(np.allclose(x, y, rtol=0, atol=1e-7) for x, y in pairs)
