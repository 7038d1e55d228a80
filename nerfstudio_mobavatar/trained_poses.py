"""How far a pose is from those that an avatar was trained on, by body region, and what keeps it sane there. numpy only.

The part networks get 63 angles (joints 1..21) and the expression. What they make of inputs unlike any in training is a
guess, so every host draws with `safe_inputs` of a pose: clamped to the range of each input in training, then, region by
region, drawn towards the region's mean the further its joints are from every trained pose:

    d = max(min_k max_j |pose_j - prototype_kj| - radius, 0)        radians, j: joints of the region
    x' = mean + exp(-(d / softness)^2 / 2) (x - mean)

`radius` covers every training pose, so these stay as they are. The skeleton always gets the whole pose.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

REGIONS: dict[str, tuple[int, ...]] = {
    "torso": (3, 6, 9),
    "head": (12, 15),
    "left arm": (13, 16, 18, 20),
    "right arm": (14, 17, 19, 21),
    "left leg": (1, 4, 7, 10),
    "right leg": (2, 5, 8, 11),
}
"""Joints by the names that people are told."""
TOLERANCE = math.radians(5.0)
"""Radians beyond training from which a region counts as outside."""
PROTOTYPES = 16
SOFTNESS = 0.3
"""Radians; measured (tests/bench/pose_safety.py)."""
DECIMALS = 4
MAX_REGIONS, MAX_PROTOTYPES, MAX_ANGLE = 32, 256, 1000000
"""More are taken for damage."""


@dataclass(frozen=True)
class TrainedRegion:
    """What training saw of some joints."""

    name: str
    joints: tuple[int, ...]
    """Of 1..21."""
    mean: np.ndarray
    """[j, 3] axis-angle, radians."""
    poses: np.ndarray
    """[k, j, 3] prototypes."""
    radius: float
    """Radians: every training pose is this close to a prototype."""
    softness: float = SOFTNESS
    """Radians beyond the radius at which 61% of the difference from the mean is left."""

    def excess(self, body: np.ndarray) -> float:
        """Radians by which a pose ([joints from 1 on, 3]) is further than the radius from every prototype."""
        own = body[np.array(self.joints) - 1].astype(np.float64)
        nearest = np.linalg.norm(self.poses - own, axis=2).max(1).min()
        return max(float(nearest) - self.radius, 0.0)


def input_range(inputs: np.ndarray) -> np.ndarray:
    """[2, n] smallest and largest value of each of `inputs` [t, n]."""
    return np.stack([inputs.min(0), inputs.max(0)])


def trained_regions(inputs: np.ndarray, num_pose_inputs: int = 63, prototypes: int = PROTOTYPES) -> list[TrainedRegion]:
    """Every region of `REGIONS` from the network inputs of all training poses [t, n]."""
    body = inputs[:, :num_pose_inputs].reshape(len(inputs), -1, 3).astype(np.float64)
    regions = []
    for name, joints in REGIONS.items():
        own = body[:, np.array(joints) - 1]
        mean = own.mean(0).round(DECIMALS)
        poses = own[_spread(own, prototypes)].round(DECIMALS)
        distance = np.linalg.norm(own[:, None] - poses[None], axis=3).max(2).min(1)
        radius = math.ceil(10**DECIMALS * float(distance.max()) + 1) / 10**DECIMALS  # rounded up: all are inside
        regions.append(TrainedRegion(name, joints, mean, poses, radius))
    return regions


def _spread(poses: np.ndarray, count: int) -> list[int]:
    """Rows of `poses` [t, j, 3] that cover all others closely: the one nearest to the mean, then always the one that is
    furthest from those chosen (distance: the largest over the joints)."""
    distance = np.linalg.norm(poses - poses.mean(0), axis=2).max(1)
    chosen = [int(distance.argmin())]
    nearest = np.full(len(poses), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(poses - poses[chosen[-1]], axis=2).max(1))
        if nearest.max() == 0:
            break
        chosen.append(int(nearest.argmax()))
    return chosen


def safe_inputs(
    x: np.ndarray, limits: np.ndarray | None, regions: Sequence[TrainedRegion], num_pose_inputs: int = 63
) -> np.ndarray:
    """[n] the network inputs `x` as hosts use them. Without limits and regions they are what they were."""
    out = x if limits is None else np.clip(x, *limits.astype(x.dtype))
    if not regions:
        return out
    out = out.copy()
    raw, body = (v[:num_pose_inputs].reshape(-1, 3) for v in (x, out))
    for region in regions:
        beyond = region.excess(raw)
        if beyond > 0:
            index = np.array(region.joints) - 1
            body[index] = region.mean + math.exp(-0.5 * (beyond / region.softness) ** 2) * (body[index] - region.mean)
    return out


def pose_distance(
    x: np.ndarray, limits: np.ndarray | None, regions: Sequence[TrainedRegion], num_pose_inputs: int = 63
) -> dict[str, float]:
    """By region: radians beyond what training saw, 0 inside. The larger of how far its joints are from every trained
    pose together, and of how far one of them is beyond its own range."""
    body = x[:num_pose_inputs].reshape(-1, 3)
    beyond = np.zeros(len(body))
    if limits is not None:
        low, high = (row[:num_pose_inputs] for row in limits)
        past = np.maximum(np.maximum(low - x[:num_pose_inputs], x[:num_pose_inputs] - high), 0)
        beyond = np.linalg.norm(past.reshape(-1, 3), axis=1)
    return {r.name: max(r.excess(body), float(beyond[np.array(r.joints) - 1].max())) for r in regions}


def to_json(regions: Sequence[TrainedRegion]) -> list[dict[str, Any]]:
    """As an avatar file's header has them (FORMAT.md)."""
    return [
        {
            "name": r.name,
            "joints": list(r.joints),
            "mean": r.mean.ravel().tolist(),
            "poses": r.poses.reshape(len(r.poses), -1).tolist(),
            "radius": r.radius,
            "softness": r.softness,
        }
        for r in regions
    ]


def from_json(entries: Any, num_pose_inputs: int) -> tuple[TrainedRegion, ...]:
    """Regions of a header. Raises `ValueError` saying which entry cannot be used, and why."""
    fault = regions_fault(entries, num_pose_inputs)
    if fault:
        raise ValueError(fault)
    return tuple(_region(entry) for entry in entries)


def regions_fault(entries: Any, num_pose_inputs: int) -> str | None:
    """What is wrong with the regions of a header, or None."""
    if not isinstance(entries, list) or len(entries) > MAX_REGIONS:
        return f"trained_regions must be a list of at most {MAX_REGIONS} regions"
    faults = (_region_fault(entry, num_pose_inputs // 3) for entry in entries)
    return next((f"trained_regions[{i}]: {fault}" for i, fault in enumerate(faults) if fault), None)


def _region_fault(entry: Any, joints: int) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return "expected an object with a name"
    own, poses, radius, softness = (entry.get(key) for key in ("joints", "poses", "radius", "softness"))
    if not isinstance(own, list) or len(own) == 0 or not all(type(j) is int and 1 <= j <= joints for j in own):
        return f"joints must be some of 1..{joints}"
    if not isinstance(poses, list) or not 1 <= len(poses) <= MAX_PROTOTYPES:
        return f"poses must be 1..{MAX_PROTOTYPES} rows"
    rows = [entry.get("mean"), *poses]
    if not all(isinstance(row, list) and len(row) == 3 * len(own) for row in rows):
        return f"mean and poses must have {3 * len(own)} numbers"
    if not all(_is_angle(x) for row in (*rows, [radius, softness]) for x in row):
        return f"expected finite numbers of at most {MAX_ANGLE}"
    if entry["radius"] < 0 or entry["softness"] <= 0:
        return "radius must not be negative, softness must be positive"
    return None


def _is_angle(x: Any) -> bool:
    return type(x) in (int, float) and abs(x) <= MAX_ANGLE  # which NaN is not


def _region(entry: dict[str, Any]) -> TrainedRegion:
    own = tuple(entry["joints"])
    numbers = np.array([entry["mean"], *entry["poses"]], np.float64).reshape(-1, len(own), 3)
    return TrainedRegion(entry["name"], own, numbers[0], numbers[1:], float(entry["radius"]), float(entry["softness"]))
