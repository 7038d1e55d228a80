"""Plays a motion into the session: a thread that lives while it plays."""

import threading
import time
from collections.abc import Callable

from nerfstudio_mobavatar.motion import Motion

from .files import frame_of
from .session import PoseSession
from .threads import start

MAX_UPDATES_PER_SECOND = 30.0


class MotionPlayer:
    """One motion, where it stands, and whether it runs. `watched` says whether anybody looks: when the last browser
    tab is closed (or the server has stopped) the thread ends and the motion is paused."""

    def __init__(self, session: PoseSession, watched: Callable[[], bool], moved: Callable[[int], None]) -> None:
        """`moved` is called with the row after every step, in the player's thread."""
        self._session, self._watched, self._moved = session, watched, moved
        self._lock = threading.Lock()
        self._motion: Motion | None = None
        self._row, self.speed, self.loop = 0.0, 1.0, True
        self._thread: threading.Thread | None = None
        self._run: object = None

    @property
    def motion(self) -> Motion | None:
        return self._motion

    @property
    def row(self) -> int:
        return int(self._row)

    @property
    def playing(self) -> bool:
        return self._run is not None

    def load(self, motion: Motion) -> None:
        """Take another motion, standing at its start."""
        self.pause()
        with self._lock:
            self._motion, self._row = motion, 0.0

    def seek(self, row: int) -> None:
        """Show one frame of the motion; playing goes on from there."""
        with self._lock:
            if self._motion is None:
                return
            self._row = float(min(max(row, 0), len(self._motion) - 1))
        self._show(self._motion, self.row, ("seek",))

    def play(self) -> None:
        """Start; nothing where there is no motion, or where it plays already."""
        with self._lock:
            if self._motion is None or self._run is not None:
                return
            if not self.loop and self.row >= len(self._motion) - 1:
                self._row = 0.0
            self._run = run = object()
            self._thread = threading.Thread(target=self._play, args=(run, self._motion), name="motion player")
        start(self._thread, self.pause)

    def pause(self) -> None:
        """Stop after the step that is being taken."""
        with self._lock:
            self._run = None

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end; whether it has."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _play(self, run: object, motion: Motion) -> None:
        last = time.monotonic()
        try:
            while self._run is run and self._watched():
                time.sleep(1 / MAX_UPDATES_PER_SECOND)
                now = time.monotonic()
                with self._lock:
                    if self._run is not run:  # paused meanwhile: the row is what is shown
                        break
                    step = (now - last) * motion.fps * self.speed
                    self._row, ended = advanced(self._row, step, len(motion), self.loop)
                last = now
                self._show(motion, self.row, run)
                if ended:
                    break
        finally:
            with self._lock:
                if self._run is run:
                    self._run = None
        self._moved(self.row)

    def _show(self, motion: Motion, row: int, gesture: object) -> None:
        self._session.edit(lambda edited: frame_of(motion, row, edited), gesture=gesture)
        self._moved(row)


def advanced(row: float, step: float, frames: int, loop: bool) -> tuple[float, bool]:
    """The row after `step` frames (backwards where negative), and whether the motion has come to its end."""
    row += step
    if loop:
        return row % frames, False
    return min(max(row, 0.0), frames - 1.0), row >= frames - 1 or row < 0
