"""Cloth folds driven by single joints: displacement along the rest normal, non-linear in their angles."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

Folds = Literal["plain", "rich"]


@dataclass(frozen=True)
class Sector:
    """A further fold on one side of the joint, driven by the rotation about one axis only."""

    axis: Float[Tensor, " 3"]
    """Unit axis in the joint's frame."""
    around: float
    """Where on the way around the bone it lies, radians."""
    wavelength: float
    """Metres."""
    phase: float


@dataclass(frozen=True)
class FoldGenerator:
    """What one joint does to the cloth around it; everything that does not depend on the pose is computed once."""

    joint: int
    sigma: float
    """Reach along the bone, metres."""
    wavelength: float
    """Metres from fold to fold."""
    amplitude: float
    """Metres."""
    phases: tuple[float, ...]
    bone: Float[Tensor, " 3"]
    """Unit direction to the child joint."""
    points: Int[Tensor, " n"]
    """Cloth points within reach."""
    along: Float[Tensor, " n"]
    """Signed distance from the joint along the bone, metres."""
    outward: Float[Tensor, "n 3"]
    """Unit direction away from the bone."""
    around: Float[Tensor, " n"]
    """Angle around the bone, radians."""
    strength: Float[Tensor, " n"]
    """Skin weight of the joint and its parent, 0..1."""
    sectors: tuple[Sector, ...] = ()


# joint, child, sigma, wavelength, amplitude (metres): shoulders, elbows, hips, knees, spine
_LAYOUT = (
    (16, 18, 0.11, 0.030, 0.011), (17, 19, 0.11, 0.030, 0.011), (18, 20, 0.085, 0.024, 0.011),
    (19, 21, 0.085, 0.024, 0.011), (1, 4, 0.13, 0.040, 0.013), (2, 5, 0.13, 0.040, 0.013), (4, 7, 0.10, 0.030, 0.013),
    (5, 8, 0.10, 0.030, 0.013), (3, 6, 0.14, 0.038, 0.011), (6, 9, 0.14, 0.036, 0.010), (9, 12, 0.15, 0.042, 0.008),
)  # fmt: skip
_TWO_PI = 2 * math.pi
_GOLDEN = 0.6180339887


def build_folds(
    rest: Float[Tensor, "v 3"],
    weights: Float[Tensor, "v 55"],
    joints: Float[Tensor, "55 3"],
    parents: tuple[int, ...],
    cloth: Tensor,
    kind: Folds = "plain",
) -> list[FoldGenerator]:
    """Fold generators of all cloth-bearing joints; `cloth` says which points may fold. "rich" adds six folds to each
    joint, every one driven by an angle of its own, so that far more moves independently."""
    folds = []
    for k, (joint, child, sigma, wavelength, amplitude) in enumerate(_LAYOUT):
        strength = weights[:, [joint, parents[joint]]].sum(1).clamp(0, 1) * cloth
        points = torch.nonzero(strength > 1e-3)[:, 0]
        bone = normalize(joints[child] - joints[joint], dim=0)
        offset = rest[points] - joints[joint]
        along = offset @ bone
        outward = normalize(offset - along[:, None] * bone, dim=1)
        e1 = normalize(torch.linalg.cross(bone, torch.tensor([0.31, 0.2, 0.93], device=bone.device)), dim=0)
        around = torch.atan2(outward @ torch.linalg.cross(bone, e1), outward @ e1)
        phases = tuple(_TWO_PI * math.fmod(_GOLDEN * (4 * k + i + 1), 1.0) for i in range(4))
        sectors = _sectors(k, wavelength, bone) if kind == "rich" else ()
        place = (points, along, outward, around, strength[points])
        folds.append(FoldGenerator(joint, sigma, wavelength, amplitude, phases, bone, *place, sectors))
    return folds


def _sectors(number: int, wavelength: float, bone: Float[Tensor, " 3"]) -> tuple[Sector, ...]:
    """Two on opposite sides for each of three axes that are never parallel."""
    axes = torch.eye(3, device=bone.device) + 0.35 * bone
    spread = [math.fmod(_GOLDEN * (7 * number + i + 1), 1.0) for i in range(6)]
    return tuple(
        Sector(normalize(axes[i // 2], dim=0), _TWO_PI * (i / 6 + 0.1 * x), wavelength * (0.75 + 0.5 * x), _TWO_PI * x)
        for i, x in enumerate(spread)
    )


def fold_height(
    folds: list[FoldGenerator], pose: Float[Tensor, "55 3"], like: Float[Tensor, "v 3"]
) -> Float[Tensor, " v"]:
    """Displacement along the rest normal in metres."""
    height = like.new_zeros(len(like))
    for fold in folds:
        height[fold.points] += fold.amplitude * fold.strength * _shape(fold, pose[fold.joint])
    return height


def _shape(fold: FoldGenerator, rotation: Float[Tensor, " 3"]) -> Float[Tensor, " n"]:
    """Compression folds on the inner side, diagonal folds under twist, and resting folds that stretch flattens."""
    p0, p1, p2, p3 = fold.phases
    angle = rotation.norm()
    axis = rotation / angle.clamp_min(1e-6)
    twist = rotation @ fold.bone
    bend = (angle**2 - twist**2).clamp_min(0).sqrt()
    inner = torch.linalg.cross(axis, fold.bone)
    side = torch.sigmoid(6 * (fold.outward @ inner) - 0.5)
    reach = torch.exp(-((fold.along / (fold.sigma * (1 + 0.4 * bend))) ** 2))
    tighter = fold.wavelength * (1.25 - 0.35 * torch.tanh(bend))
    meander = 1.5 * torch.sin(2 * fold.around + p0) + p1 + 1.8 * bend
    compression = torch.tanh(1.6 * bend) * side * torch.sin(_TWO_PI * fold.along / tighter + meander)
    spiral = _TWO_PI * fold.along / (1.7 * fold.wavelength) + torch.sign(twist) * 3 * fold.around + p2
    diagonal = torch.tanh(1.5 * twist.abs()) * torch.sin(spiral)
    resting = 0.25 * torch.sin(_TWO_PI * fold.along / (2.2 * fold.wavelength) + 2 * fold.around + p3)
    folded = compression + 0.8 * diagonal + resting * torch.exp(-2 * bend)
    for sector in fold.sectors:
        drive = rotation @ sector.axis
        window = torch.cos(fold.around - sector.around).clamp_min(0) ** 2
        ripple = torch.sin(_TWO_PI * fold.along / sector.wavelength + 3.0 * drive + sector.phase)
        folded = folded + 0.6 * torch.tanh(2.5 * drive.abs()) * window * ripple
    return reach * folded
