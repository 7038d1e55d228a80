"""Training data loaded ahead by processes of their own, and handed over through memory that both sides see.

torch's loader has threads in the training process that feed queues, receive tensors and copy them to pinned memory;
they take Python's lock from the loop that launches the kernels. Here is no thread: each process knows which steps are
its own, and is only told where to put the next one.
"""

import multiprocessing
import os
import signal
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from mmap import PAGESIZE, mmap
from multiprocessing.connection import Connection
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from .capture import CaptureError
from .cutouts import processes_share
from .device import upload
from .freed_memory import give_memory_back, keep_freed_memory

Sample = dict[str, Any]
"""Arrays and plain values of a step."""
LARGE = "image", "mask"
"""Arrays of bytes that the device needs; the others are small and stay on the host."""
SLOTS = 2
"""For steps that are being copied to the device, or will be next."""
END_S = 5.0
"""Time for a killed process to be gone; one that waits for a broken disk takes longer."""


@runtime_checkable
class Loaded(Protocol):
    """What a step needs, read, but for the arrays of `LARGE`."""

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of those arrays."""
        ...

    def write(self, image: UInt8[np.ndarray, "..."], mask: UInt8[np.ndarray, "..."]) -> Sample:
        """Fills them in; returns the rest of the sample."""
        ...


Load = Callable[[int], Loaded]


class LoaderDiedError(RuntimeError):
    """A loading process ended: killed, mostly because memory was short."""


class Slots:
    """`SLOTS` places of shared memory, anonymous: limits of /dev/shm do not count, and pages are taken when they are
    written to, or all of them by `pin`. Processes that are forked later see them."""

    def __init__(self, slot_bytes: int):
        whole = -(-slot_bytes // PAGESIZE) * PAGESIZE
        memory = torch.frombuffer(mmap(-1, SLOTS * whole), dtype=torch.uint8)
        self._memory = memory.view(SLOTS, whole)
        self._copied: list[torch.Event | None] = [None] * SLOTS
        self._unpin: Callable[[], Any] | None = None

    def arrays(self, slot: int, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """A slot's memory as arrays, one after the other."""
        sizes = [int(np.prod(shape)) for shape in shapes]
        return [part.view(shape) for part, shape in zip(self._memory[slot, : sum(sizes)].split(sizes), shapes)]

    def read(self, slot: int, shapes: Sequence[tuple[int, ...]], device: torch.device) -> list[Tensor]:
        """Copies on the device; a GPU may be making them still (`wait`)."""
        places = self.arrays(slot, shapes)
        if device.type != "cuda":
            return [place.clone() for place in places]
        if self._unpin is None:
            return [upload(place, device) for place in places]
        copies = [place.to(device, non_blocking=True) for place in places]
        self._copied[slot] = torch.cuda.current_stream(device).record_event()
        return copies

    def wait(self, slot: int) -> None:
        """Until the slot may be written to again."""
        copied = self._copied[slot]
        if copied is not None:
            copied.synchronize()

    def pin(self, device: torch.device) -> None:
        """Have the GPU read the slots by itself. Where the driver does not allow it, each picture is copied once more,
        which is said in the log. The memory stays mapped until it is given back: by `close`, or when this object
        goes."""
        error = _register(self._memory, device)
        if error is None:
            self._unpin = weakref.finalize(self, _unregister, self._memory, device, os.getpid())
        else:
            CONSOLE.print(f"Pictures take one more copy on their way to the GPU: no pinned memory ({error})")

    def close(self) -> None:
        """Give pinned memory back. The slots are of no use after this."""
        if self._unpin is not None:
            self._unpin()


def _register(memory: Tensor, device: torch.device) -> str | None:
    """Pin memory. Returns why it could not be done, None where it was."""
    runtime: Any = torch.cuda.cudart()
    with torch.cuda.device(device):
        error = int(runtime.cudaHostRegister(memory.data_ptr(), memory.numel(), 0))
        if error == 0:
            return None
        with suppress(RuntimeError):  # the next kernel would be blamed for it
            torch.zeros(1, device="cuda")
    return str(runtime.cudaGetErrorString(runtime.cudaError(error)))


def _unregister(memory: Tensor, device: torch.device, owner: int) -> None:
    """Once the GPU is done with it. A forked process has the object, too, but not the GPU."""
    if os.getpid() != owner:
        return
    try:
        torch.cuda.synchronize(device)
        runtime: Any = torch.cuda.cudart()
        torch.cuda.check_error(int(runtime.cudaHostUnregister(memory.data_ptr())))
    except RuntimeError as error:  # a GPU that has failed ends the run by its own error
        CONSOLE.print(f"Pinned memory could not be given back: {error}", markup=False)


class Loaders:
    """Steps `first`, `first + 1`, ... of `load`, in order. Process `k` of `n` loads `first + k`, `first + k + n`, ...,
    and holds `ahead` of them until it is their turn. Without processes steps are loaded when they are asked for.

    They end with `close`, or when this object goes. Errors of `load`: see `take`.
    """

    def __init__(
        self,
        load: Load,
        first: int,
        workers: int,
        ahead: int,
        slot_bytes: int,
        device: torch.device | str,
    ):
        """`slot_bytes`: the most that the arrays of `LARGE` take."""
        self.device, self.processes, self._connections = torch.device(device), [], []
        self._load, self._first, self._step = load, first, first
        context: Any = multiprocessing.get_context("fork" if processes_share() else "spawn")
        # without common memory whole samples go through the pipes
        self._slots = Slots(slot_bytes) if workers and processes_share() else None
        self.close = weakref.finalize(self, _end, self.processes, self._connections, self._slots, os.getpid())
        for worker in range(workers):
            here, there = context.Pipe()
            self._connections.append(here)
            inherited = self._connections if processes_share() else []
            steps = count(first + worker, workers)
            arguments = (there, inherited, load, self._slots, steps, ahead)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            there.close()
            self.processes.append(process)
        if self._slots is not None and self.device.type == "cuda":
            self._slots.pin(self.device)
        for step in range(first, first + SLOTS - 1):
            self._ask_for(step)

    def take(self, timeout_s: float) -> Sample:
        """The next step: arrays of `LARGE` on the device, other arrays as tensors on the host.

        Raises what `load` does, if it is a `CaptureError`, else a `RuntimeError` with the process's own words;
        `LoaderDiedError`; `TimeoutError`. After any of them there are no more steps to be had.
        """
        sample = self._receive(timeout_s) if self.processes else _whole(self._load(self._step))
        slot, shapes = self._step % SLOTS, sample.pop("shapes", None)
        if shapes is None:
            large = [upload(torch.from_numpy(sample[name]), self.device) for name in LARGE]
        else:
            assert self._slots is not None
            large = self._slots.read(slot, shapes, self.device)
        self._ask_for(self._step + SLOTS - 1)
        self._step += 1
        small = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in sample.items()}
        return small | dict(zip(LARGE, large))

    def _ask_for(self, step: int) -> None:
        """Have a step put into the slot that the one `SLOTS` before it was in."""
        if not self.processes:
            return
        if self._slots is not None:
            self._slots.wait(step % SLOTS)
        with suppress(ConnectionError):  # a process that died is noticed when its turn comes
            self._connections[(step - self._first) % len(self.processes)].send(step % SLOTS)

    def _receive(self, timeout_s: float) -> Sample:
        worker = (self._step - self._first) % len(self.processes)
        connection, process = self._connections[worker], self.processes[worker]
        try:
            message = connection.recv() if connection.poll(timeout_s) else None
        except (EOFError, OSError) as error:  # the end of the pipe, or of a message
            process.join(END_S)
            raise LoaderDiedError(f"process {process.pid} ended with exit code {process.exitcode}") from error
        if message is None:
            raise TimeoutError(f"timed out after {timeout_s:g} seconds")
        if isinstance(message, Exception):
            raise message
        return message


def _end(processes: list[Any], connections: list[Connection], slots: Slots | None, owner: int) -> None:
    """Nothing that a loading process leaves unfinished is ever found: they are killed."""
    if os.getpid() != owner:
        return
    for process in processes:
        process.kill()
    for process, connection in zip(processes, connections):
        process.join(END_S)
        connection.close()
    if slots is not None:
        slots.close()


def _work(
    connection: Connection,
    inherited: list[Connection],
    load: Load,
    slots: Slots | None,
    steps: Iterable[int],
    ahead: int,
) -> None:
    """A loading process, until the training process is gone: then no one has the other end of its pipe."""
    for end in inherited:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches this one, too, but is the training process's affair
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    keep_freed_memory()
    ready: deque[Loaded | Exception] = deque()
    with suppress(EOFError, ConnectionError):
        for step in steps:
            ready.append(_attempt(partial(load, step)))
            give_memory_back()
            while len(ready) >= ahead or (ready and connection.poll()):
                slot = connection.recv()
                connection.send(_handed_over(ready.popleft(), slot, slots))


def _attempt(load: Callable[[], Loaded]) -> Loaded | Exception:
    """Errors as they can be sent: not every one can."""
    try:
        return load()
    except CaptureError as error:
        return error
    except Exception:
        return RuntimeError(f"a loading process failed: {traceback.format_exc()}")


def _handed_over(loaded: Loaded | Exception, slot: int, slots: Slots | None) -> Sample | Exception:
    """What goes through the pipe."""
    if isinstance(loaded, Exception):
        return loaded
    if slots is None:
        return _whole(loaded)
    arrays = [tensor.numpy() for tensor in slots.arrays(slot, loaded.shapes)]
    return loaded.write(*arrays) | {"shapes": loaded.shapes}


def _whole(loaded: Loaded) -> Sample:
    """With the arrays of `LARGE`."""
    arrays = [np.empty(shape, np.uint8) for shape in loaded.shapes]
    return loaded.write(*arrays) | dict(zip(LARGE, arrays))
