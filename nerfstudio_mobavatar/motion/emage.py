"""EMAGE and BEAT2 (PantoMatrix): `.npz` with `poses` (165), `expressions` (100), `trans`, `mocap_frame_rate` (30).

y up, metres. Their code evaluates SMPL-X with smplx's defaults, so hands are relative to the model's mean hand pose.
Second hand: read from emage_utils/motion_io.py of github.com/PantoMatrix/PantoMatrix, no file was at hand.
"""

from pathlib import Path

from numpy import ndarray

from . import smpl
from .types import RawMotion, Rig, pad_expression

KEYS = ("poses", "expressions", "trans", "mocap_frame_rate")


def matches(found: list[str]) -> bool:
    """By the names of the arrays: the plural is theirs."""
    return {"poses", "trans", "expressions"} <= set(found)


def read(path: Path, arrays: dict[str, ndarray], rig: Rig) -> RawMotion:
    """See the module. The first ten of the hundred expression coefficients are kept."""
    frames = smpl.frames_of(path, arrays, "poses")
    return RawMotion(
        format="emage",
        pose=smpl.joints(path, "poses", arrays["poses"], frames, 55),
        pelvis=rig.joint_rest[0] + smpl.vectors(path, "trans", arrays.get("trans", 0), frames),
        expression=pad_expression(arrays.get("expressions"), frames),
        fps=smpl.rate(arrays, "mocap_frame_rate"),
        usual_fps=30.0,
        up="y",
        hands="relative",
    )
