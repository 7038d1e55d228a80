"""Nothing grows while a run goes on: a short one here, `python -m tests.reliability.long` for a longer one."""

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerfstudio_mobavatar.loading import SLOTS
from tests.reliability.long import Usage, growth, run

STEPS, RESTART_EVERY = 20, SLOTS
"""A process that is killed is missed when what it had put into slots is used up."""
MOST_HANDLES, MOST_MB = 3, 8
"""One lost handle or thread a restart would be five, one kept megabyte a step ten."""


def test_restarts_dead_workers_and_a_damaged_picture_leave_nothing_behind(tmp_path: Path, capsys) -> None:
    found = run(tmp_path, STEPS, RESTART_EVERY, with_tabs=False)
    assert found["loader_restarts"] == STEPS // RESTART_EVERY
    assert found["loader_deaths_counted"] == STEPS // RESTART_EVERY // 2
    assert found["unreadable_pictures_counted"] == 1
    grown = found["file_handles_growth"], found["threads_growth"], found["processes_growth"]
    assert max(grown) <= MOST_HANDLES, found
    assert found["growth_mb"] < MOST_MB, found
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("a loading process died") == 5 and said.count("is left out of training (1 so far)") == 1


def leak_a_handle(kept: list[Any], folder: Path) -> None:
    kept.append((folder / "leak").open("w"))


def leak_a_thread(kept: list[Any], folder: Path) -> None:
    stop = threading.Event()
    threading.Thread(target=stop.wait, daemon=True).start()
    kept.append(stop)


def leak_memory(kept: list[Any], folder: Path) -> None:
    kept.append(np.ones(500_000))  # 4 MB


def leak_a_process(kept: list[Any], folder: Path) -> None:
    kept.append(subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE))


@pytest.mark.parametrize(
    ("leak", "what", "each"),
    [
        (leak_a_handle, "handles", 1),
        (leak_a_thread, "threads", 1),
        (leak_a_process, "processes", 1),
        (leak_memory, "memory_mb", 3.8),
    ],
)
def test_a_leak_is_seen(leak: Callable, what: str, each: float, tmp_path: Path) -> None:
    kept: list[Any] = []
    seen = []
    gc.freeze()
    for _ in range(12):
        leak(kept, tmp_path)
        seen.append(Usage.now())
    gc.unfreeze()
    found = growth(seen)
    assert found[what] == pytest.approx(6 * each, abs=0 if what != "memory_mb" else 2)
    others = {"handles", "threads", "processes"} - {what} - ({"handles"} if what == "processes" else set())  # its pipe
    assert all(found[other] == 0 for other in others)
    for thing in kept:
        if isinstance(thing, threading.Event):
            thing.set()
        if isinstance(thing, subprocess.Popen):
            thing.communicate()


def test_growth_needs_enough_counts() -> None:
    with pytest.raises(ValueError, match="at least 8 counts, found 4"):
        growth([Usage(1, 1, 0, 1.0)] * 4)
