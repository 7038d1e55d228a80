"""Pictures from the loading processes to the device, through memory that both see: nothing is copied in between.

torch's loader has a thread in the training process that receives each tensor over a socket and copies it to pinned
memory. It takes Python's lock from the loop that launches the kernels: a step of 19 ms took 27 to 30 with it, though
data was always there. Here the loading processes write to slots of shared memory that is pinned once.
"""

from collections.abc import Mapping
from mmap import PAGESIZE, mmap
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

LARGE = "image", "mask"
"""What goes through a slot; the rest of a sample is small."""
Sample = TypeVar("Sample")


class Ring:
    """Slots of shared memory. A slot takes memory only as far as it was written to."""

    def __init__(self, slots: int, slot_bytes: int):
        slot_bytes = -(-slot_bytes // PAGESIZE) * PAGESIZE
        self._slots = torch.frombuffer(mmap(-1, slots * slot_bytes), dtype=torch.uint8).view(slots, slot_bytes)
        self._pinned = [0] * slots
        self._copied: Any = None

    def write(self, slot: int, tensors: list[Tensor]) -> None:
        """Bytes of the tensors, one after the other. Called in a loading process."""
        at = 0
        for tensor in tensors:
            self._slots[slot, at : at + tensor.numel()] = tensor.flatten()
            at += tensor.numel()

    def read(self, slot: int, shapes: list[tuple[int, ...]], device: torch.device) -> list[Tensor]:
        """Copies of the uint8 tensors on the device; a GPU makes them while the program goes on (`wait`)."""
        sizes = [torch.Size(shape).numel() for shape in shapes]
        if device.type == "cuda":
            self._pin(slot, sum(sizes))
        parts = self._slots[slot, : sum(sizes)].split(sizes)
        copies = [p.view(shape).to(device, non_blocking=True, copy=True) for p, shape in zip(parts, shapes)]
        if device.type == "cuda":
            self._copied = torch.cuda.current_stream(device).record_event()
        return copies

    def wait(self) -> None:
        """Until the copies are made: the slot may be written to again."""
        if self._copied is not None:
            self._copied.synchronize()

    def _pin(self, slot: int, size: int) -> None:
        """Raises `torch.cuda.CudaError` where the driver does not pin memory."""
        if size <= self._pinned[slot]:
            return
        runtime: Any = torch.cuda.cudart()
        place = self._slots[slot].data_ptr()
        if self._pinned[slot]:
            self.wait()
            torch.cuda.check_error(runtime.cudaHostUnregister(place))
        whole = min(size + size // 4, self._slots.shape[1])  # the next pictures may be a little larger
        torch.cuda.check_error(runtime.cudaHostRegister(place, whole, 0))
        self._pinned[slot] = whole

    def close(self) -> None:
        """Give pinned memory back before it goes."""
        self.wait()
        runtime: Any = torch.cuda.cudart() if any(self._pinned) else None
        for slot, size in enumerate(self._pinned):
            if size:
                torch.cuda.check_error(runtime.cudaHostUnregister(self._slots[slot].data_ptr()))
        self._pinned = [0] * len(self._pinned)


def unchanged(sample: Sample) -> Sample:
    """For the loader, which would make tensors of arrays, each of which goes over a socket."""
    return sample


class ThroughSlots(Dataset):
    """Samples whose large tensors go through a ring, for `DataLoader` with `fork`.

    The loader hands a process its next step when a sample of the same process that is `prefetch` of its steps older is
    taken. So with `prefetch + 1` slots for each process, in turn, one is written to again only when the sample after
    the one that was in it, of the same process, has been asked for.
    """

    def __init__(self, samples: Dataset[dict[str, Any]], workers: int, prefetch: int, slot_bytes: int):
        self.samples, self.slots_each = samples, prefetch + 1
        self.ring = Ring(workers * self.slots_each, slot_bytes)
        self._written = 0

    def __getitem__(self, step: int) -> dict[str, Any]:
        """In a loading process: the sample, its large tensors replaced by `slot` and `shapes`, the others by arrays,
        which take no sockets."""
        worker = get_worker_info()
        assert worker is not None
        sample = dict(self.samples[step])
        large = [sample.pop(name) for name in LARGE]
        slot = worker.id * self.slots_each + self._written % self.slots_each
        self._written += 1
        self.ring.write(slot, large)
        small = {key: value.numpy() if isinstance(value, Tensor) else value for key, value in sample.items()}
        return small | {"slot": slot, "shapes": [tuple(tensor.shape) for tensor in large]}

    def receive(self, sample: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
        """In the training process: the sample as it was, large tensors on the device."""
        large = self.ring.read(sample["slot"], sample["shapes"], device)
        small = {k: v for k, v in sample.items() if k not in ("slot", "shapes")}
        rest = {k: torch.from_numpy(v) if hasattr(v, "__array_interface__") else v for k, v in small.items()}
        return rest | dict(zip(LARGE, large))
