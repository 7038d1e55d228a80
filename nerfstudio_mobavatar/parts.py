"""Local parts: Poisson-disk centres on the template, head parts first (method, notation and step 2)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

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


def make_parts(points: Float[ndarray, "n 3"], skin_weights: Float[ndarray, "n 55"], count: int) -> Parts:
    """Exactly `count` centres among `points`. A part is on the head when its centre follows mostly head joints."""
    chosen = poisson_disk(points, count)
    on_head = skin_weights[chosen][:, HEAD_JOINTS].sum(1) > 0.5
    order = np.argsort(~on_head, kind="stable")
    return Parts(points[chosen][order], int(on_head.sum()))
