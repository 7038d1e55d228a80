"""Several training processes: they decide alike, and when one fails, the others stop within seconds and say why."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

KEY = "mobavatar/failure"
POLL_S = 1.0


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def take_from_first(values: Iterable[Tensor]) -> None:
    """Overwrite each tensor with rank 0's. Every rank has to call it with tensors of the same shapes.

    Sums by atomics differ in their last bits from GPU to GPU, and what is decided by them must not."""
    if _several():
        for value in values:
            dist.broadcast(value, 0)


def number_of_first(value: float, device: torch.device | str) -> float:
    """Rank 0's number; see `take_from_first`. `device` is the one that the process group works on."""
    if not _several():
        return value
    shared = torch.tensor(value, dtype=torch.float64, device=device)
    take_from_first([shared])
    return float(shared)


def leave(message: str) -> None:
    """End this process at once: its main thread may be inside a collective operation that never returns."""
    print(f"ns-train: {message}", file=sys.stderr, flush=True)
    os._exit(1)


def of_every_rank(own: Any, device: torch.device | str) -> list[Any]:
    """`own` of all processes, in the order of their ranks, on each of them; all must call it."""
    if not _several():
        return [own]
    every: list[Any] = [None] * dist.get_world_size()
    on_gpu = torch.device(device).type == "cuda"
    with torch.cuda.device(device) if on_gpu else nullcontext():  # NCCL sends through the current device
        dist.all_gather_object(every, own)
    return every


class StopTogether:
    """While this context is open, a failure in any process ends all of them.

    The failing process leaves its message in the store that the process group was made with (one for all machines);
    a thread of each other process looks there every second. Does nothing without a process group.
    """

    def __init__(self, stop: Callable[[str], None] = leave) -> None:
        self._stop = stop
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "StopTogether":
        if _several():
            self._rank, self._store = dist.get_rank(), dist.distributed_c10d._get_default_store()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._closed.wait(POLL_S):
            try:
                failed = self._store.check([KEY])
                message = self._store.get(KEY).decode() if failed else ""
            except RuntimeError as error:  # the process that holds the store is gone
                failed, message = True, f"the process of rank 0 is gone ({error})"
            if failed and not self._closed.is_set():
                self._stop(f"rank {self._rank} stops, because {message}")
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        if self._thread is None:
            return
        if error is not None:
            self._store.set(KEY, f"rank {self._rank} failed: {type(error).__name__}: {error}")
            time.sleep(2 * POLL_S)  # rank 0 takes the store with it: the others read first
        self._thread.join(5 * POLL_S)
