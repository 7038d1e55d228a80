"""Pictures through shared slots: as they were sent, and never written over while they are needed."""

import time
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from nerfstudio_mobavatar.handover import Ring, ThroughSlots, unchanged


class Pictures(Dataset):
    """Sizes and values that tell the step."""

    def __getitem__(self, step: int) -> dict[str, Any]:
        shape = (2, 5 + step % 3, 7)
        image = torch.full((*shape, 3), step, dtype=torch.uint8)
        return {"image": image, "mask": image[..., :1] + 100, "K": torch.full((2, 3, 3), 0.5 * step), "pose_row": step}


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 1), (1, 2), (3, 1)])
def test_a_slot_is_not_written_to_before_the_next_sample_is_asked_for(workers: int, prefetch: int) -> None:
    """However long the program takes with a sample: the loading processes do all that they may meanwhile."""
    through = ThroughSlots(Pictures(), workers, prefetch, slot_bytes=2 * 7 * 7 * 4)
    loader = DataLoader(
        through,
        batch_size=None,
        collate_fn=unchanged,
        sampler=range(100),
        num_workers=workers,
        prefetch_factor=prefetch,
    )
    steps = iter(loader)
    for step in range(8):
        sample = next(steps)
        assert "image" not in sample and isinstance(sample["K"], np.ndarray)  # nothing that needs a socket
        time.sleep(0.05)
        got, wanted = through.receive(sample, torch.device("cpu")), Pictures()[step]
        assert got.keys() == wanted.keys() and got["pose_row"] == step
        for key in ("image", "mask", "K"):
            torch.testing.assert_close(got[key], wanted[key])


def test_what_was_read_stays_when_the_slot_is_used_again() -> None:
    ring = Ring(2, 12)
    first, second = torch.arange(12, dtype=torch.uint8).view(3, 4), torch.full((5,), 9, dtype=torch.uint8)
    ring.write(1, [first])
    (copy,) = ring.read(1, [(3, 4)], torch.device("cpu"))
    ring.write(1, [second, second[:2]])
    assert torch.equal(copy, first)
    assert [t.tolist() for t in ring.read(1, [(5,), (2,)], torch.device("cpu"))] == [[9] * 5, [9] * 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: pinned memory")
def test_slots_are_pinned_as_far_as_they_are_used_and_given_back() -> None:
    ring, device = Ring(2, 2**22), torch.device("cuda")
    for size in (10_000, 12_000, 2_000_000, 5_000):
        sent = torch.randint(0, 256, (size,), dtype=torch.uint8)
        ring.write(0, [sent])
        (got,) = ring.read(0, [(size,)], device)
        ring.wait()
        assert torch.equal(got.cpu(), sent)
        assert ring._slots[0, :size].is_pinned() and not ring._slots[1].is_pinned()
    assert ring._pinned == [2_500_000, 0]
    ring.close()
    assert ring._pinned == [0, 0] and not ring._slots[0, :100].is_pinned()
