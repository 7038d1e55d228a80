"""Another frame rate: rotations along the shortest arc (SciPy's `Slerp`), everything else in straight lines."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation, Slerp

from .types import MAX_FRAMES, MotionError, RawMotion


def resample(raw: RawMotion, fps: float, target_fps: float) -> RawMotion:
    """The motion at `target_fps`, from its first frame to the last that fits; missing frames are filled in.

    A motion that has the wanted rate and no gaps comes back as it is.
    """
    frames = np.arange(len(raw.pose), dtype=np.float64) if raw.frame is None else raw.frame - raw.frame[0]
    has_gaps = not np.array_equal(frames, np.arange(len(frames)))
    if len(frames) == 1 or (not has_gaps and np.isclose(fps, target_fps, rtol=1e-4)):
        return replace(raw, frame=None)
    length = np.floor(frames[-1] / fps * target_fps + 1e-6) + 1
    if not length <= MAX_FRAMES:
        raise MotionError(
            f"expected at most {MAX_FRAMES} frames, found that {frames[-1] / fps:.0f} s at {target_fps:g} frames a "
            "second are more. Check --fps, or lower --target-fps."
        )
    at = np.minimum(np.arange(int(length)) * fps / target_fps, frames[-1])
    return replace(
        raw,
        pose=np.stack([_turn(frames, raw.pose[:, j], at) for j in range(raw.pose.shape[1])], 1),
        pelvis=_straight(frames, raw.pelvis, at),
        expression=_straight(frames, raw.expression, at),
        frame=None,
    )


def _turn(frames: ndarray, angles: Float[ndarray, "t 3"], at: ndarray) -> Float[ndarray, "n 3"]:
    if not angles.any():
        return np.zeros((len(at), 3))
    return Slerp(frames, Rotation.from_rotvec(angles))(at).as_rotvec()


def _straight(frames: ndarray, values: Float[ndarray, "t d"], at: ndarray) -> Float[ndarray, "n d"]:
    return np.stack([np.interp(at, frames, column) for column in values.T], 1)
