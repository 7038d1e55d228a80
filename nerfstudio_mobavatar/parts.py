"""Local parts: Poisson-disk centres on the template, head parts first (method, notation and step 2)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from .sampling import nearest, poisson_disk

HEAD_JOINTS = (12, 15, 22, 23, 24)
"""Neck, head, jaw, eyes."""


@dataclass(frozen=True)
class Parts:
    """Part centres in canonical space, head parts first."""

    centers: Float[ndarray, "p 3"]
    num_head_parts: int

    def assign(self, points: Float[ndarray, "n 3"]) -> Int[ndarray, " n"]:
        """The part whose centre is nearest."""
        return nearest(points, self.centers, 1)[1][:, 0]


def joints_seen(
    part: Int[Tensor, " n"],
    skin_index: Int[Tensor, "n 4"],
    skin_weight: Float[Tensor, "n 4"],
    parents: tuple[int, ...],
    count: int,
    reach: int,
) -> Bool[Tensor, "p j"]:
    """Which joints are within `reach` bones of one that moves the part (at least 5 % of its Gaussians' weights)."""
    j = len(parents)
    near = torch.eye(j, device=part.device)
    child = torch.tensor([c for c, parent in enumerate(parents) if parent >= 0], device=part.device)
    parent = torch.tensor(parents, device=part.device)[child]
    step = near.clone()
    step[child, parent] = step[parent, child] = 1
    for _ in range(reach):
        near = ((near @ step) > 0).float()
    moved = torch.zeros(count * j, device=part.device)
    moved.index_add_(0, (part[:, None] * j + skin_index).flatten(), skin_weight.flatten())
    share = moved.view(count, j) / moved.view(count, j).sum(1, keepdim=True).clamp_min(1e-9)
    return ((share > 0.05).float() @ near) > 0


def make_parts(points: Float[ndarray, "n 3"], skin_weights: Float[ndarray, "n 55"], count: int) -> Parts:
    """Exactly `count` centres among `points`. A part is on the head when its centre follows mostly head joints."""
    chosen = poisson_disk(points, count)
    on_head = skin_weights[chosen][:, HEAD_JOINTS].sum(1) > 0.5
    order = np.argsort(~on_head, kind="stable")
    return Parts(points[chosen][order], int(on_head.sum()))
