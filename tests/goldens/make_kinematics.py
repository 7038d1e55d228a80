"""Seeded goldens for the page's kinematics: poses and what evaluate.py makes of them, as small JSON.

Run `python tests/goldens/make_kinematics.py` after a deliberate change of evaluate.py; a test compares the file with
what this prints.
"""

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.web_export import bundle, evaluate

GOLDEN = Path(__file__).with_name("kinematics.json")
DECIMALS = 6
CASES = {
    "rest": (0.0, 10),
    "everyday": (0.3, 10),
    "wild, no root": (1.5, 4),
    "beyond half a turn, long expression": (4.0, 12),
}
"""Case name -> (standard deviation of the joint angles in radians, number of expression coefficients)."""


def _rounded(x: np.ndarray) -> list[float]:
    return [float(v) for v in np.round(np.asarray(x, np.float64).ravel(), DECIMALS)]


def _skeleton(rng: np.random.Generator) -> dict[str, np.ndarray]:
    rotations = evaluate.rotation_matrices(rng.normal(0, 0.5, (55, 3)))
    return {
        "joint_rest": np.round(rng.normal(0, 0.4, (55, 3)), DECIMALS).astype(np.float32),
        "inverse_bind": np.round(np.concatenate([rotations, rng.normal(0, 0.5, (55, 3, 1))], 2), DECIMALS).astype(
            np.float32
        ),
        "joint_parent": np.array([-1, *(int(rng.integers(max(0, j - 4), j)) for j in range(1, 55))], np.int32),
    }


def _avatar(skeleton: dict[str, np.ndarray]) -> bundle.AvatarArrays:
    """An avatar of no Gaussians around the skeleton; its network takes 63 pose numbers and 10 of expression."""
    needed = [f.name for f in fields(bundle.AvatarArrays) if f.default is MISSING and f.default_factory is MISSING]
    values: dict[str, Any] = {name: np.zeros(0, np.float32) for name in needed}
    values |= skeleton
    values["mlp_weights"], values["mlp_biases"] = (np.zeros((1, 8, 73), np.float32),), (np.zeros((1, 8), np.float32),)
    return bundle.AvatarArrays(**values | {"num_head_parts": 1, "num_pose_inputs": 63, "meta": {}})


def goldens() -> dict[str, Any]:
    """Skeleton, and per case the pose, the joint transforms and the network's inputs."""
    rng = np.random.default_rng(20260501)
    skeleton = _skeleton(rng)
    a = _avatar(skeleton)
    inputs = np.random.default_rng(7).normal(0, 0.2, (60, 73)).round(DECIMALS)
    limits, regions = trained_poses.input_range(inputs), trained_poses.trained_regions(inputs)
    cases = []
    for name, (spread, expressions) in CASES.items():
        angles = np.round(rng.normal(0, 1, (55, 3)) * spread, DECIMALS).astype(np.float32)
        angles[0] *= name != "wild, no root"
        Rh = np.round(evaluate.rotation_matrices(rng.normal(0, spread, 3)), DECIMALS).astype(np.float32)
        Th = np.round(rng.normal(0, 1, 3), DECIMALS).astype(np.float32)
        pose = evaluate.Pose(angles, Rh, Th, np.round(rng.normal(0, 1, expressions), DECIMALS).astype(np.float32))
        cases.append(
            {
                "name": name,
                "row": {
                    "pose": _rounded(pose.pose),
                    "Rh": [_rounded(r) for r in pose.Rh],
                    "Th": _rounded(pose.Th),
                    "expression": _rounded(pose.expression),
                },
                "joint_transforms": _rounded(evaluate.joint_transforms(a, pose)),
                "mlp_inputs": _rounded(evaluate.mlp_inputs(a, pose)),
                "safe_inputs": _rounded(trained_poses.safe_inputs(evaluate.raw_inputs(a, pose), limits, regions)),
                "pose_distance": {
                    name: round(d, DECIMALS)
                    for name, d in trained_poses.pose_distance(evaluate.raw_inputs(a, pose), limits, regions).items()
                },
            }
        )
    trained = {"input_range": limits.tolist(), "trained_regions": trained_poses.to_json(regions)}
    return {"skeleton": {k: _rounded(v) for k, v in skeleton.items()}, "trained": trained, "cases": cases}


def text() -> str:
    """The golden file."""
    return json.dumps(goldens(), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(text())
