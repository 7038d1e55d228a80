"""AMASS: `.npz` with all joints in `poses`, or in `root_orient`, `pose_body`, `pose_hand`, `pose_jaw`, `pose_eye`.

SMPL-H files have 156 numbers (hands at 66:111 and 111:156) and `mocap_framerate`; SMPL-X files 165 (jaw and eyes at
66:75, hands from 75) and `mocap_frame_rate`. `trans` as SMPL's `transl`, metres, z up, hands absolute (no mean pose
is added by AMASS's own body model). Known from files and from the notebooks of github.com/nghorbani/amass.
"""

from pathlib import Path

from numpy import ndarray

from . import smpl
from .types import MotionError, RawMotion, Rig, pad_expression

KEYS = (
    "poses", "root_orient", "pose_body", "pose_hand", "pose_jaw", "pose_eye", "trans", "mocap_framerate",
    "mocap_frame_rate", "expression",
)  # fmt: skip


def matches(found: list[str]) -> bool:
    """By the names of the arrays."""
    return "trans" in found and ("poses" in found or {"root_orient", "pose_body"} <= set(found))


def read(path: Path, arrays: dict[str, ndarray], rig: Rig) -> RawMotion:
    """See the module; files with 72 numbers are SMPL's and have no hands."""
    if "poses" in arrays:
        frames = smpl.frames_of(path, arrays, "poses")
        pose, has_hands = _poses(path, arrays["poses"], frames)
    else:
        frames = smpl.frames_of(path, arrays, "pose_body")
        pose, has_hands = _parts(path, arrays, frames)
    trans = smpl.vectors(path, "trans", arrays["trans"], frames)
    return RawMotion(
        format="amass",
        pose=pose,
        pelvis=rig.joint_rest[0] + trans,
        expression=pad_expression(arrays.get("expression"), frames),
        fps=smpl.rate(arrays, "mocap_framerate", "mocap_frame_rate"),
        usual_fps=120.0,
        up="z",
        hands="given" if has_hands else "relaxed",
    )


def _poses(path: Path, poses: ndarray, frames: int) -> tuple[ndarray, bool]:
    angles = smpl.joints(path, "poses", poses, frames, 24, 52, 55)
    count = angles.shape[1]
    if count == 24:
        return smpl.smpl_to_smplx(angles), False
    hands = 22 if count == 52 else 25
    face = () if count == 52 else ((22, angles[:, 22:25]),)
    return smpl.body_pose((0, angles[:, :22]), *face, (25, angles[:, hands : hands + 30])), True


def _parts(path: Path, arrays: dict[str, ndarray], frames: int) -> tuple[ndarray, bool]:
    layout = (
        ("root_orient", 0, 1),
        ("pose_body", 1, 21),
        ("pose_jaw", 22, 1),
        ("pose_eye", 23, 2),
        ("pose_hand", 25, 30),
    )
    missing = [key for key in ("root_orient", "pose_body") if key not in arrays]
    if missing:
        raise MotionError(f"{path}: expected {' and '.join(missing)}; give AMASS's own file.")
    parts = [
        (first, smpl.joints(path, key, arrays[key], frames, count)) for key, first, count in layout if key in arrays
    ]
    return smpl.body_pose(*parts), "pose_hand" in arrays
