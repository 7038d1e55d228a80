"""Writes `walk.pose.bin` beside this script, and the SHA-256 sum of what both readers have to make of it.

Run `python -m tests.goldens.make_motion` after a change of the format.
"""

import json
from pathlib import Path

import numpy as np

from nerfstudio_mobavatar.motion import pose_binary
from nerfstudio_mobavatar.motion.types import PoseRow
from tests.bench.fuzz_bundle import motion_digest
from tests.synthetic_avatar import walking_pose

HERE = Path(__file__).parent
FILE, SUM = HERE / "walk.pose.bin", HERE / "motion.json"
FPS = 29.97


def rows() -> list[PoseRow]:
    """A walk with whole turns of the root, large angles and places, and three frames that jump."""
    rng = np.random.default_rng(5)
    out = []
    for i in range(40):
        pose = walking_pose(0.2 * i)
        turn = 0.4 * i
        Rh = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        jump = rng.normal(0, 2, (55, 3)) if i % 13 == 7 else 0.0
        expression = rng.normal(0, 1, 10)
        out.append(PoseRow(pose.pose + jump, Rh, pose.Th + np.array((0.03 * i, -1.5, 200.0)), expression))
    return out


if __name__ == "__main__":
    pose_binary.write(FILE, rows(), range(7, 47), FPS)
    SUM.write_text(json.dumps({FILE.name: motion_digest(pose_binary.read(FILE))}, indent=1) + "\n")
