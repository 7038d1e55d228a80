"""GVHMR: `hmr4d_results.pt`, a dictionary of tensors: `smpl_params_global` (gravity-aligned world, y up) and
`smpl_params_incam` (camera, y down), each `body_pose` (63), `global_orient`, `transl`, `betas`; 30 frames a second,
no hands. Second hand: read from tools/demo/demo.py of github.com/zju3dv/GVHMR (videos are copied at 30 fps)."""

from pathlib import Path
from typing import Any

from . import smpl
from .load import plain
from .types import MotionError, RawMotion, Rig, pad_expression

WORLD, CAMERA = "smpl_params_global", "smpl_params_incam"


def matches(content: Any) -> bool:
    """By the names of the dictionaries inside."""
    return isinstance(content, dict) and (WORLD in content or CAMERA in content)


def read(path: Path, content: Any, rig: Rig, camera_space: bool) -> RawMotion:
    """See the module."""
    key = CAMERA if camera_space else WORLD
    inner = content.get(key) if isinstance(content, dict) else None
    if not isinstance(inner, dict):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise MotionError(f"{path}: expected a dictionary '{key}', found {found}. Give GVHMR's hmr4d_results.pt.")
    arrays = {k: plain(v) for k, v in inner.items()}
    frames = smpl.frames_of(path, arrays, "body_pose")
    missing = [k for k in ("global_orient", "transl") if k not in arrays]
    if missing:
        raise MotionError(f"{path}: expected {' and '.join(missing)} in {key}. Give GVHMR's hmr4d_results.pt.")
    root = smpl.joints(path, "global_orient", arrays["global_orient"], frames, 1)
    body = smpl.joints(path, "body_pose", arrays["body_pose"], frames, 21, 23)[:, :21]
    return RawMotion(
        format="gvhmr",
        pose=smpl.body_pose((0, root), (1, body)),
        pelvis=rig.joint_rest[0] + smpl.vectors(path, "transl", arrays["transl"], frames),
        expression=pad_expression(None, frames),
        fps=None,
        usual_fps=30.0,
        up="-y" if camera_space else "y",
        hands="relaxed",
    )
