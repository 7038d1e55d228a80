"""Nothing grows while a run goes on: a short one here, `python -m tests.reliability.long` for a longer one."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.reliability.long import Usage, growth, run

STEPS = 48


def test_a_run_with_restarts_and_tabs_does_not_grow(tmp_path: Path) -> None:
    found = run(tmp_path, STEPS, 6)
    assert found["loader_restarts"] >= 7 and found["tabs_opened"] >= 2 and found["pictures_to_tabs"] >= 1
    grown = found["growth"]
    assert max(grown["handles"], grown["threads"], grown["processes"]) <= 2, found  # one leak a restart would be 4
    assert grown["tensors"] <= 8, found  # one leak a step would be 24
    assert grown["memory_mb"] < 40, found


def leak_a_handle(kept: list[Any], folder: Path) -> None:
    kept.append((folder / "leak").open("w"))


def leak_a_thread(kept: list[Any], folder: Path) -> None:
    stop = threading.Event()
    threading.Thread(target=stop.wait, daemon=True).start()
    kept.append(stop)


def leak_a_tensor(kept: list[Any], folder: Path) -> None:
    kept.append(torch.zeros(250_000))


@pytest.mark.parametrize(
    ("leak", "what"), [(leak_a_handle, "handles"), (leak_a_thread, "threads"), (leak_a_tensor, "tensors")]
)
def test_a_leak_is_seen(leak, what, tmp_path: Path) -> None:
    kept: list[Any] = []
    seen = []
    for _ in range(12):
        leak(kept, tmp_path)
        seen.append(Usage.now())
    found = growth(seen)
    assert found[what] == 6 and all(found[other] == 0 for other in {"handles", "threads", "processes"} - {what})
    for x in kept:
        if isinstance(x, threading.Event):
            x.set()
    assert growth([Usage.now() for _ in range(8)])["tensors"] == 0
