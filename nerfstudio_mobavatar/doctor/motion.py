"""What the fit says about itself over time: frames that jump away and back, and how far held-out poses are from trained
ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ..capture import BodyFit
from ..transforms import axis_angle_to_rotmat

BODY_JOINTS = 22
"""Pelvis and body; fingers and face may move fast."""

LEAST_TURN = 0.6
"""Radians from one frame to the next below which no joint is suspicious: 18 rad/s at 30 frames a second, where a fast
arm makes 10."""

LEAST_STEP = 0.25
"""Metres from one frame to the next below which the body's place is not suspicious (27 km/h at 30 frames a second)."""

OUTSTANDING = 6.0
"""Times the recording's own median above which a step is a jump."""

LONGEST_TWIST = 30
"""Frames after which a jump and the jump back are no longer taken for one twisted stretch."""


@dataclass(frozen=True)
class Steps:
    """From each frame to the next."""

    turn: Float[ndarray, " n"]
    """Largest rotation of a body joint relative to its parent, radians."""
    joint: ndarray
    """Which joint that is."""
    move: Float[ndarray, " n"]
    """How far the body moves, metres."""


def rotations(fit: BodyFit, rows: Sequence[int] | slice = slice(None)) -> Float[ndarray, "n j 3 3"]:
    """Rotation matrices of the body joints."""
    return axis_angle_to_rotmat(torch.from_numpy(fit.pose[rows, :BODY_JOINTS]).double()).numpy()


def angle(A: Float[ndarray, "*#b 3 3"], B: Float[ndarray, "*#b 3 3"]) -> Float[ndarray, "..."]:
    """Angle between rotations, radians."""
    trace = np.einsum("...ij,...ij->...", A, B)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


def steps(fit: BodyFit) -> Steps:
    """The fit's own speed; one entry less than there are frames."""
    R = rotations(fit)
    turns = angle(R[:-1], R[1:])
    joint = turns.argmax(1) if len(turns) else np.zeros(0, int)
    move = np.linalg.norm(np.diff(fit.transl.astype(np.float64), axis=0), axis=1)
    return Steps(turns.max(1) if len(turns) else np.zeros(0), joint, move)


def jumps(found: Steps) -> tuple[int, ...]:
    """Steps (from row i to i + 1) that stand out from the recording's own speed."""
    if len(found.turn) < 4:
        return ()
    turn = max(LEAST_TURN, OUTSTANDING * float(np.median(found.turn)))
    move = max(LEAST_STEP, OUTSTANDING * float(np.median(found.move)))
    return tuple(int(i) for i in np.flatnonzero((found.turn > turn) | (found.move > move)))


def twisted_rows(fit: BodyFit, found: Steps) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows between a jump and a jump back, and the jumps (rows after them) that nothing takes back.

    A jump is taken back when the pose after the second jump is nearer to the pose before the first one than the twisted
    pose was.
    """
    pending = list(jumps(found))
    twisted: list[int] = []
    lone: list[int] = []
    while pending:
        start = pending.pop(0)
        end = next((b for b in pending if b - start <= LONGEST_TWIST and _takes_back(fit, start, b)), None)
        if end is None:
            lone.append(start + 1)
            continue
        twisted += range(start + 1, end + 1)
        pending = [b for b in pending if b > end]
    return tuple(twisted), tuple(lone)


def _takes_back(fit: BodyFit, start: int, end: int) -> bool:
    before, inside, after = start, start + 1, end + 1
    R = rotations(fit, [before, inside, after])
    turned, back = angle(R[0], R[1]).max(), angle(R[0], R[2]).max()
    moved, home = (float(np.linalg.norm(fit.transl[before] - fit.transl[row])) for row in (inside, after))
    return bool(back < 0.6 * turned) if turned > LEAST_TURN else home < 0.6 * moved


@dataclass(frozen=True)
class Coverage:
    """How far held-out poses are from the trained ones: root mean square angle over the 21 body joints, degrees."""

    nearest: Float[ndarray, " h"]
    """Per held-out frame, to the nearest trained pose."""
    spread: float
    """Of the trained poses around their mean."""


def coverage(fit: BodyFit, trained: Sequence[int], held_out: Sequence[int], most: int = 400) -> Coverage:
    """Body poses only: neither where the person stands nor which way they face. At most `most` rows of each kind."""
    train = rotations(fit, _thin(trained, most))[:, 1:]
    spread = train - train.mean(0)
    # a rotation by a small angle a differs from the identity by sqrt(2) a in the Frobenius norm
    deviation = np.sqrt((spread**2).sum((2, 3)).mean() / 2) if len(train) else 0.0
    nearest = []
    for R in rotations(fit, _thin(held_out, most))[:, 1:]:
        nearest.append(np.sqrt((angle(train, R[None]) ** 2).mean(1)).min())
    return Coverage(np.rad2deg(np.asarray(nearest, dtype=np.float64)), float(np.rad2deg(deviation)))


def _thin(rows: Sequence[int], most: int) -> list[int]:
    index = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)
    return [int(rows[i]) for i in index]
