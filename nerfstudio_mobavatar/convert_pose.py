"""`mobavatar convert-pose`: any tool's motion as `.pose.json`, `.pose.bin`, `.npz` or `.bvh` for one skeleton."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from .motion import MotionOptions, Rig, read_motion, write_motion
from .motion.types import DEFAULT_FPS, MotionError
from .motion.write import check_target


@dataclass
class ConvertPose:
    """Read a motion (AMASS, .pose.json, smpl_params.npz, SMPLer-X, GVHMR, WHAM, TRAM, EMAGE, BVH), say what was
    detected, and write it as .pose.json, .pose.bin, .npz or .bvh."""

    source: Annotated[Path, tyro.conf.Positional]
    """The motion: a file, or SMPLer-X's folder."""
    target: Annotated[Path, tyro.conf.Positional]
    """File to write; its ending (.pose.json, .pose.bin, .npz, .bvh) is the format."""
    avatar: Path | None = None
    """An avatar.mobavatar whose skeleton the motion is for; without it, that of `--body` in its mean shape."""
    body: str = "open"
    """`open`, or the path of an SMPL-X model: its mean hand pose, and its skeleton where no avatar is given."""
    overwrite: bool = False
    """Replace the target where it exists."""
    options: Annotated[MotionOptions, tyro.conf.arg(name="")] = field(default_factory=MotionOptions)

    def main(self) -> None:
        """Check the target first, then read, report and write."""
        check_target(self.target)
        if self.target.exists() and not self.overwrite:
            raise MotionError(
                f"{self.target}: expected a new name, found a file; nothing was written. Give --overwrite."
            )
        rig = rig_of(self.body, self.avatar)
        motion, report = read_motion(self.source, rig, self.options)
        print(report.describe())
        write_motion(self.target, motion, rig)
        print(f"  wrote {self.target}")
        if self.target.name.endswith(".json") and motion.fps != DEFAULT_FPS:
            print(f"  note: a .pose.json does not store its rate; who reads it has to know {motion.fps:g} per second.")


def rig_of(body: str, avatar: Path | None) -> Rig:
    """The avatar's skeleton, or that of the body's mean shape. An avatar file has no mean hand pose: the body's."""
    import torch

    from .body_model import load_body

    loaded = load_body(body, num_betas=10, num_expressions=10)
    joints, parents = loaded.rest(torch.zeros(loaded.num_betas))[1].numpy(), loaded.parents
    if avatar is not None:
        from .web_export import bundle

        arrays = bundle.load(avatar)
        joints, parents = np.asarray(arrays.joint_rest), tuple(int(p) for p in arrays.joint_parent)
    return Rig(joint_rest=joints.astype(np.float64), parents=parents, hand_mean=loaded.hand_mean.numpy().astype(float))
