"""Seeded goldens for posing by hand: poses, what is done to them and what comes out, as small JSON.

Run `python tests/goldens/make_posing.py` after a deliberate change of nerfstudio_mobavatar/posing; a test compares the
file with what this prints, and the page's tests hold the TypeScript twins to it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.posing import edit, ik
from nerfstudio_mobavatar.posing.limits import LIMITS, from_angles, rotation_vector

GOLDEN = Path(__file__).with_name("posing.json")
DECIMALS = 6
CASES_PER_LIMB = 4


def _rounded(x: Any) -> list[float]:
    return [float(v) for v in np.round(np.asarray(x, np.float64).ravel(), DECIMALS)]


def skeleton() -> ik.Skeleton:
    """The open body's."""
    body = load_body("open")
    return ik.Skeleton(np.round(body.rest(torch.zeros(0))[1].numpy().astype(np.float64), DECIMALS), tuple(body.parents))


def random_pose(rng: np.random.Generator, share: float = 0.8) -> edit.EditedPose:
    """Every joint anywhere in the given share of its range."""
    pose = np.zeros((55, 3))
    for j in range(1, 55):
        middle, half = 0.5 * (LIMITS.low[j] + LIMITS.high[j]), 0.5 * (LIMITS.high[j] - LIMITS.low[j])
        pose[j] = rotation_vector(from_angles(middle + rng.uniform(-1, 1, 3) * half * share, LIMITS.bone[j]))
    pose[0] = rng.normal(0, 0.5, 3)
    return edit.EditedPose(np.round(pose, DECIMALS), np.round(rng.normal(0, 1, 3), DECIMALS), np.zeros(10))


def _state(edited: edit.EditedPose) -> dict[str, list[float]]:
    return {"pose": _rounded(edited.pose), "transl": _rounded(edited.transl)}


def goldens() -> dict[str, Any]:
    """Skeleton, and per case the state before, the operation with its arguments, and the pose after."""
    rng, body, cases = np.random.default_rng(20261126), skeleton(), []

    def case(before: edit.EditedPose, after: edit.EditedPose, operation: str, **arguments: Any) -> None:
        cases.append({"operation": operation, **arguments, "before": _state(before), "after": _state(after)})

    for name, limb in ik.LIMBS.items():
        for _ in range(CASES_PER_LIMB):
            a, b = random_pose(rng), random_pose(rng)
            target = ik.world_joints(body, np.concatenate([a.pose[:1], b.pose[1:]]), a.transl)[1][limb.end]
            for operation in (ik.reach, ik.swivel):
                pose = operation(body, a.pose, a.transl, limb, target)
                case(a, a.with_pose(pose), operation.__name__, limb=name, target=target.tolist())
    before = random_pose(rng)
    for joint in (4, 12, 17, 22, 37):
        vector = rng.normal(0, 2, 3)
        case(before, edit.turned(before, joint, vector), "turned", joint=joint, vector=vector.tolist())
    case(before, edit.mirrored(before), "mirrored")
    moved = before.transl + rng.normal(0, 0.1, 3)
    case(before, edit.moved_pelvis(body, before, moved), "movedPelvis", transl=moved.tolist())
    for side in ("left", "right"):
        case(before, edit.curled(body, before, side, 0.7), "curled", side=side, share=0.7)
    return {"skeleton": {"rest": _rounded(body.rest), "parent": list(body.parents)}, "cases": cases}


def text() -> str:
    """The golden file."""
    return json.dumps(goldens(), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(text())
