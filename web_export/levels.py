"""Levels of detail: in which order Gaussians are stored, and where a prefix of them is enough.

Neighbours along the Morton curve are paired; the one that covers more (opacity times cross section) goes on, the other
stays behind; again and again. The winners of the last round come first in the file, then those whom they beat, and so
on: every prefix that ends after a round is spread evenly over the person, and each block is in Morton order.

A level is enough in a picture if its error is no larger than that of all Gaussians, or if it has 40 dB. Error to what?
From the picture at the training pictures' size, averaged down: what an ideal camera would see. (Of 200,000 Gaussians
some hundred lie behind one pixel of a small picture; blending them all is neither fast nor right.)
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nerfstudio_mobavatar.sampling import morton_order

from .arrays import SHAPES, AvatarArrays
from .cameras import DISTANCE, FILLED, look_at
from .detail import Level
from .evaluate import Pose, PosedArrays, evaluate
from .reference import at_level, draw

ROUNDS = 5
"""The coarsest level has 1/32 of all Gaussians."""
MIN_COUNT = 1000
"""No level has fewer."""
GATE_DB = 40.0
"""On the person's box; a level that has less must still have as much as all Gaussians."""
FACTORS = (24, 16, 12, 8, 6, 4, 3, 2)
"""How much coarser than the training pictures the tried pictures are."""
ENLARGE = (0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 1.0)
"""Tried factors of the standard deviations, times that which keeps the area: sqrt(all / drawn)."""
TRIED = 4
"""Of these for each level, from one below what the coarser level took."""
SIZE_STEP = 48
"""Pixels of the largest pictures are a multiple of this, so that every factor divides them."""
MAX_SIDE = 2304
"""Pixels along the largest pictures that are drawn; finer training pictures count as so large."""
BACKGROUND = np.full(3, 0.94)

Shot = tuple[Pose, np.ndarray]
"""A pose, and the direction from the person's middle to the camera [3]."""


def views_of(poses: Sequence[Pose], meta: dict[str, Any]) -> list[Shot]:
    """Each pose from another side: the first from the front, the second half from behind, and so on."""
    front, up = (np.array(meta.get(key, other), float) for key, other in (("front", (0, 0, 1)), ("up", (0, 1, 0))))
    side = np.cross(up, front)
    directions = (front + 0.2 * up, 0.8 * side - 0.6 * front)
    return [(pose, directions[i % 2]) for i, pose in enumerate(poses)]


def tournament(position: np.ndarray, strength: np.ndarray, rounds: int = ROUNDS) -> tuple[np.ndarray, list[int]]:
    """A permutation of [N] Gaussians, and the length of each prefix that is a level, ascending, without the whole."""
    left, blocks = morton_order(position), []
    while len(blocks) < rounds and len(left) >= 2 * MIN_COUNT:
        pairs = left[: len(left) // 2 * 2].reshape(-1, 2)
        is_first = strength[pairs[:, 0]] >= strength[pairs[:, 1]]
        blocks.insert(0, np.where(is_first, pairs[:, 1], pairs[:, 0]))
        left = np.concatenate([np.where(is_first, pairs[:, 0], pairs[:, 1]), left[2 * len(pairs) :]])
    counts = np.cumsum([len(left), *map(len, blocks)])[:-1]
    return np.concatenate([left, *blocks]), counts.tolist()


def reordered(a: AvatarArrays, permutation: np.ndarray) -> AvatarArrays:
    """The same avatar with Gaussian `permutation[i]` in place `i`; what keeps a corrective goes along."""
    changes = {name: getattr(a, name)[permutation] for name, shape in SHAPES.items() if shape[0] == "n"}
    place = np.empty(len(permutation), np.int64)
    place[permutation] = np.arange(len(permutation))
    for kind in ("rotation", "scale", "color"):
        index = place[getattr(a, f"{kind}_index")]
        order = np.argsort(index)
        changes |= {f"{kind}_index": index[order], f"{kind}_basis": getattr(a, f"{kind}_basis")[order]}
    return replace(a, **changes, levels=())


def with_levels(
    a: AvatarArrays, shots: Sequence[Shot], pixels_per_metre: float, device: torch.device | str = "cpu"
) -> AvatarArrays:
    """The avatar in the order of its levels, with what they are good for by the worst of these shots.

    `pixels_per_metre` is that of the training pictures.
    """
    extent = np.sort(np.exp(a.log_scale), 1)
    permutation, counts = tournament(a.position, a.opacity * extent[:, 1] * extent[:, 2])
    a = replace(a, pixels_per_metre=pixels_per_metre)
    if not counts:
        return replace(a, levels=())
    a = reordered(a, permutation)
    trials = [Trial(a, pose, direction, device) for pose, direction in shots]
    levels: list[Level] = []
    first = 0
    for count in counts:
        area = np.sqrt(len(a.position) / count)
        found = [_reach(trials, Level(count, float(share * area), 0.0)) for share in ENLARGE[first : first + TRIED]]
        best = max(range(len(found)), key=lambda i: (found[i][0].pixels_per_metre, found[i][1]))
        first = max(0, first + best - 1)  # finer levels want shares that are no smaller, or hardly
        reached = max([found[best][0].pixels_per_metre, *(level.pixels_per_metre for level in levels)])
        levels.append(replace(found[best][0], pixels_per_metre=reached))
    return replace(a, levels=tuple(levels))


def describe_levels(a: AvatarArrays) -> list[str]:
    """One line for each level, for people."""
    assert a.pixels_per_metre is not None
    whole = f"Training pictures had {a.pixels_per_metre:.0f} pixels per metre; {len(a.position):,} Gaussians"
    return [whole] + [
        f"  level of {level.count:>9,}, {level.enlarge:.2f} times as large: enough up to "
        f"{level.pixels_per_metre:.0f} pixels per metre"
        for level in a.levels
    ]


def _reach(trials: Sequence["Trial"], level: Level) -> tuple[Level, float]:
    """The level with what it is good for, and its least decibels in the finest picture tried."""
    psnr = 0.0
    for factor in FACTORS:
        found = [(trial.psnr(factor, level), trial.whole(factor)) for trial in trials]
        psnr = min(mine for mine, _ in found)
        if any(mine < min(GATE_DB, whole) for mine, whole in found):
            break
        level = replace(level, pixels_per_metre=min(t.pixels_per_metre for t in trials) / factor)
    return level, psnr


class Trial:
    """One pose and camera in which levels are compared."""

    def __init__(self, a: AvatarArrays, pose: Pose, direction: np.ndarray, device: torch.device | str):
        assert a.pixels_per_metre is not None
        self.posed = evaluate(a, pose)
        self.device = device
        self.trained: float | None = a.pixels_per_metre
        middle = 0.5 * (self.posed.mean.min(0) + self.posed.mean.max(0))
        radius = float(np.linalg.norm(self.posed.mean - middle, axis=1).max())
        side = min(MAX_SIDE, 2 * FILLED * radius * a.pixels_per_metre)
        self.side = max(1, round(side / SIZE_STEP)) * SIZE_STEP
        self.distance = DISTANCE * radius
        self.pixels_per_metre = self.side / (2 * FILLED * radius)
        """At the person's middle, in the largest picture."""
        eye = middle + self.distance * direction / np.linalg.norm(direction)
        self.T = look_at(eye, middle, np.array(a.meta.get("up", (0, 1, 0)), float))
        self._ideal: dict[int, np.ndarray] = {}
        self._whole: dict[int, float] = {}
        fine, alpha = self._picture(1, self.posed)
        rows, columns = (np.flatnonzero(alpha.max(axis) > 1 / 255) for axis in (1, 0))
        self.box = [(int(x[0]), int(x[-1]) + 1) for x in (rows, columns)]
        for f in FACTORS:
            self._ideal[f] = fine.reshape(self.side // f, f, self.side // f, f, 3).mean((1, 3))

    def psnr(self, factor: int, level: Level | None = None) -> float:
        """Decibels on the person's box of a level, or of all Gaussians, against the averaged fine picture."""
        posed = self.posed if level is None else at_level(self.posed, level)
        crop = tuple(slice(low // factor, -(-high // factor)) for low, high in self.box)
        error = self._picture(factor, posed)[0][crop].astype(np.float64) - self._ideal[factor][crop]
        return float(-10 * np.log10(max((error**2).mean(), 1e-12)))

    def whole(self, factor: int) -> float:
        """`psnr` of all Gaussians, drawn once."""
        if factor not in self._whole:
            self._whole[factor] = self.psnr(factor)
        return self._whole[factor]

    def _picture(self, factor: int, posed: PosedArrays) -> tuple[np.ndarray, np.ndarray]:
        size = self.side // factor
        focal = self.pixels_per_metre * self.distance / factor
        K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
        return draw(posed, self.T, K, size, size, BACKGROUND, self.trained, self.device)
