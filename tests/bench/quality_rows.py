"""What the rows of the quality benchmark are: a capture, a model, a schedule, a pruning and a seed."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal

from nerfstudio_mobavatar.demo.folds import Folds
from nerfstudio_mobavatar.demo.shading import Lighting

Features = Literal["local", "global16", "global64", "none"]
BLOCK, HELD = 20, 3
"""Of every 20 frames the last 3 are held out: near poses, inside the trained motion."""
HELD_CAMERAS = (3, 8)
"""Held out, and what settings were chosen by."""
TEST = ("test_view", "test_near", "test_far")


@dataclass(frozen=True)
class CaptureSpec:
    """Which pictures. The defaults are the headline point, fixed before anything was measured."""

    frames: int = 1200
    """Of the procedural motion; 17 of 20 are trained on, so 1,020."""
    frame_step: int = 5
    """At 30 fps: 200 s of motion."""
    far_frames: int = 48
    cameras: int = 12
    side: int = 1024
    lighting: Lighting = "dome"
    folds: Folds = "plain"


@dataclass(frozen=True)
class ModelSpec:
    """Which avatar and which regularisation."""

    features: Features = "local"
    gaussians: int = 200_000
    nodes: int = 10_000
    sparsity: bool = True
    mlp_rate: float = 0.0
    """0: 5e-4."""
    input_noise: float = 0.0
    """Radians added to every pose input in training."""
    input_reach: int = 0
    """Each part's network sees only joints so many bones from those it follows; 0: all."""
    weight_decay: float = 0.0
    """Of the part networks (decoupled)."""
    parts: int = 0
    """0: the product's number of parts."""
    basis_size: int = 0
    """Local features per part; 0: the product's."""
    mask_weight: float = 0.0
    """Of the difference between opacity and mask."""
    edge_band_px: int = 0
    """Pixels on either side of the mask's edge that do not count."""


@dataclass(frozen=True)
class Schedule:
    """How it is trained. The defaults are the paper's, as far as rates in short runs can be."""

    pose_rate: float = 1.0
    """Multiple of the product's rates of everything that answers to the pose: networks, bases, node bases."""
    static_rate: float = 1.0
    """Multiple of the other rates."""
    decay: Literal["exponential", "cosine"] = "exponential"
    cameras: int = 4
    """Pictures per step, all of one pose."""
    prune_at: float = 5 / 7
    """Share of the steps before pruning."""
    rounds: int = 1
    """Prunings from `prune_at` to 5/7 of the steps, each keeping the same share of what is left."""
    tune_rate: float = 1.0
    """Multiple of all rates after pruning."""
    keep_features: int = 0
    """Features per part that stay at the first pruning; 0: as many as were trained."""
    by_part: bool = False
    """They are the mean: parts whose features are worth more keep more."""
    probes: int = 0
    """Pictures that the score looks at; 0: the product's."""
    warm_up: float = 0.0
    """Share of the steps before correctives; 0: the product's."""
    coarse_until: float = 0.0
    """Share of the steps at half the resolution."""
    sparsity_from: float = 0.0
    """Share of the steps from which the L1 terms count."""
    curve_every: int = 0
    """Evaluate views every so many steps; 0: at the end only."""


@dataclass(frozen=True)
class Row:
    """One line of the table and seed."""

    capture: CaptureSpec = field(default_factory=CaptureSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    steps: int = 4500
    pruning: str = "none"
    """"none", "top-N" per cent pruned for each attribute ("top-90"), "+nofold", "bytes-90": score "image" and as many
    bytes as top-90, "bytesvar-90": the same bytes by variance, "file-90": score "image", file as large as top-90's."""
    seed: int = 0
    schedule: Schedule = field(default_factory=Schedule)

    def trunk(self) -> "Row":
        """What is shared by rows that differ in pruning only."""
        plain = replace(
            self.schedule, prune_at=Schedule.prune_at, rounds=1, tune_rate=1.0, keep_features=0, by_part=False, probes=0
        )
        return replace(self, pruning="", schedule=plain)

    def is_pruned(self) -> bool:
        """Pruning ends the L1 terms even where it keeps everything."""
        return self.model.features != "none" and (self.pruning != "none" or self.model.sparsity)

    def prune_steps(self) -> list[int]:
        """Steps before which a pruning takes place."""
        first, last = (round(share * self.steps) for share in (self.schedule.prune_at, Schedule.prune_at))
        n = self.schedule.rounds
        return [first] if n == 1 else [round(first + (last - first) * i / (n - 1)) for i in range(n)]


LATER = ("parts", "basis_size", "mask_weight", "edge_band_px")
"""Fields of the model that the first rows did not have, like the schedule: they are left out of the key where they are
at their defaults."""
LATER_SCHEDULE = ("keep_features", "by_part", "probes", "warm_up", "coarse_until")
"""The same of the schedule."""


def key(row: Row) -> str:
    """Name of the row's file: a hash of everything that decides its figures."""
    content: dict[str, Any] = asdict(row)
    if row.schedule == Schedule():
        del content["schedule"]
    for group, names, plain in (("model", LATER, ModelSpec()), ("schedule", LATER_SCHEDULE, Schedule())):
        for name in names if group in content else ():
            if content[group][name] == getattr(plain, name):
                del content[group][name]
    return name_of(content)


def name_of(content: dict[str, Any]) -> str:
    """A hash of it."""
    return hashlib.sha1(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def some(rows: list[int], count: int = 32, first: int = 0) -> list[int]:
    """At most `count` of them, evenly spread."""
    every = max(1, len(rows) // count)
    return rows[min(first, every - 1) :: every][:count]


@cache
def frames_of(spec: CaptureSpec) -> dict[str, list[int]]:
    """ "train", and for validation "view" (a part of them, for held-out cameras), "near", "far"."""
    train = [i for i in range(spec.frames) if i % BLOCK < BLOCK - HELD]
    near = [i for i in range(spec.frames) if i % BLOCK == BLOCK - 2]
    far = list(range(spec.frames, spec.frames + spec.far_frames))
    return {"train": train, "view": some(train), "near": some(near), "far": some(far)}


def frames_of_test(spec: CaptureSpec) -> dict[str, list[int]]:
    """Frames of the trained motion for "test_view" and "test_near": none that validation looks at."""
    near = [i for i in range(spec.frames) if i % BLOCK in (BLOCK - HELD, BLOCK - 1)]
    return {"test_view": some(frames_of(spec)["train"], first=15), "test_near": some(near)}


@cache
def cameras_of(spec: CaptureSpec) -> tuple[list[int], list[int]]:
    """Trained on, and held out."""
    held = [k for k in HELD_CAMERAS if k < spec.cameras]
    return [k for k in range(spec.cameras) if k not in held], held
