"""A motion to disk, by the name's ending: `.pose.json`, `.pose.bin`, `.npz`, `.bvh`."""

from pathlib import Path

import numpy as np

from . import bvh, pose_json
from .types import Motion, MotionError, Rig

_PARTS = (("global_orient", 0, 1), ("body_pose", 1, 22), ("jaw_pose", 22, 23), ("leye_pose", 23, 24),
          ("reye_pose", 24, 25), ("left_hand_pose", 25, 40), ("right_hand_pose", 40, 55))  # fmt: skip


def write_motion(path: Path, motion: Motion, rig: Rig) -> None:
    """Write it. `.npz` holds the arrays of `smpl_params.npz` (without betas) and `mocap_frame_rate`.

    Raises:
        MotionError: another ending, or a folder that is not there.
    """
    check_target(path)
    name = path.name.lower()
    if name.endswith(pose_json.ENDINGS):
        pose_json.write(path, motion, rig)
    elif name.endswith(".bvh"):
        path.write_text(bvh.text(motion, rig))
    else:
        arrays = {key: motion.pose[:, a:b].reshape(len(motion), -1).astype(np.float32) for key, a, b in _PARTS}
        np.savez(
            path,
            transl=motion.transl.astype(np.float32),
            expression=motion.expression.astype(np.float32),
            mocap_frame_rate=np.float64(motion.fps),
            **arrays,
        )


def check_target(path: Path) -> None:
    """Raise before minutes of work for a name that `write_motion` would refuse."""
    if not path.name.lower().endswith((*pose_json.ENDINGS, ".npz", ".bvh")):
        raise MotionError(
            f"{path}: expected a name that ends in .pose.json, .pose.bin, .npz or .bvh; choose one of these."
        )
    if not path.parent.is_dir():
        raise MotionError(f"{path}: expected the folder {path.parent} to be there, found none; create it.")
