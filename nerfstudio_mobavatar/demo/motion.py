"""Motion of the synthetic person: procedural, or read from a file with the arrays of `smpl_params.npz`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.capture import CaptureError

FPS = 30.0

# rows of the 55-joint pose
_LEFT_HIP, _RIGHT_HIP, _LEFT_KNEE, _RIGHT_KNEE, _LEFT_ANKLE, _RIGHT_ANKLE = 1, 2, 4, 5, 7, 8
_SPINE, _NECK, _HEAD = (3, 6, 9), 12, 15
_JAW, _LEFT_HAND, _RIGHT_HAND = 22, 25, 40
_ARMS = ((13, 16, 18, 20, 1.0), (14, 17, 19, 21, -1.0))


@dataclass(frozen=True)
class Motion:
    """Body parameters of `t` frames; SMPL-X axis-angle, hand mean inside, metres, y up."""

    pose: Float[ndarray, "t 55 3"]
    transl: Float[ndarray, "t 3"]
    expression: Float[ndarray, "t 10"]


def procedural_motion(frames: int, step: int, seed: int) -> Motion:
    """Stepping on the spot with turning trunk, dancing arms, curling fingers, blinks and a moving jaw.

    Sums of sines whose frequencies share no short period, so no frame comes twice. Every `step`-th frame of 30 fps.
    """
    t = np.arange(frames) * step / FPS
    rng = np.random.default_rng(seed)
    pose = np.zeros((frames, 55, 3))

    def sine(hertz: float, phase: float = 0.0) -> ndarray:
        return np.sin(2 * np.pi * hertz * t + phase)

    pose[:, 0, 1] = 0.5 * sine(0.04)
    _legs(pose, t, sine)
    for joint, hertz in zip(_SPINE, (0.09, 0.13, 0.08)):
        bend, turn, tilt = 0.12 * sine(hertz), 0.22 * sine(hertz * 1.37, 2.0), 0.12 * sine(hertz * 0.81, 1.0)
        pose[:, joint] = np.stack([bend, turn, tilt], 1)
    pose[:, _NECK, 1] = 0.3 * sine(0.1, 1.0)
    pose[:, _HEAD, 0] = 0.15 * sine(0.14)
    for collar, shoulder, elbow, wrist, side in _ARMS:
        q = rng.uniform(0, 6, 6)
        pose[:, collar, 2] = side * (0.12 + 0.15 * sine(0.15, q[0]))
        swing, spread, raise_ = 0.4 * sine(0.21, q[1]), -0.25 + 0.5 * sine(0.17, q[2]), -0.35 + 0.85 * sine(0.12, q[0])
        pose[:, shoulder] = np.stack([swing, side * spread, side * raise_], 1)
        pose[:, elbow, 1] = -side * (0.9 + 0.85 * sine(0.23, q[3]))
        pose[:, wrist] = np.stack([0.5 * sine(0.3, q[4]), 0.2 * sine(0.2, q[5]), 0.3 * sine(0.26)], 1)
    for first, side, phase in ((_LEFT_HAND, -1.0, 0.0), (_RIGHT_HAND, 1.0, 1.0)):
        for finger in range(4):
            curl = 0.35 + 0.30 * sine(0.19 + 0.023 * finger, phase + 0.7 * finger)
            pose[:, first + 3 * finger : first + 3 * finger + 3, 2] = side * curl[:, None]
        pose[:, first + 12, 1] = side * 0.2 * sine(0.16, phase)
    pose[:, _JAW, 0] = 0.08 * (1 + sine(0.9)) * (sine(0.13) > 0)
    expression = np.zeros((frames, 10))
    expression[:, 0] = 1.2 + 1.2 * sine(0.1)
    expression[:, 4] = 3.0 * (np.mod(t, 2.7) < 0.12)
    return Motion(pose.astype(np.float32), np.zeros((frames, 3), np.float32), expression.astype(np.float32))


def _legs(pose: Float[ndarray, "t 55 3"], t: Float[ndarray, " t"], sine: Callable[..., ndarray]) -> None:
    stride = 2 * np.pi * 0.8 * t + 0.6 * sine(0.11)
    amount = 0.5 + 0.5 * sine(0.07, 1.0)
    crouch = 1 + sine(0.05)
    pose[:, _LEFT_HIP, 0] = -0.45 * amount * np.sin(stride) - 0.15 * crouch
    pose[:, _RIGHT_HIP, 0] = 0.45 * amount * np.sin(stride) - 0.15 * crouch
    pose[:, _LEFT_KNEE, 0] = 0.5 * amount * np.maximum(0, np.sin(stride + 1.2)) + 0.35 * crouch
    pose[:, _RIGHT_KNEE, 0] = 0.5 * amount * np.maximum(0, -np.sin(stride + 1.2)) + 0.35 * crouch
    pose[:, _LEFT_ANKLE, 0] = pose[:, _RIGHT_ANKLE, 0] = -0.2 * crouch
    pose[:, _LEFT_HIP, 2] = 0.1 + 0.12 * sine(0.13)
    pose[:, _RIGHT_HIP, 2] = -0.1 + 0.12 * sine(0.17)


def load_motion(path: Path, frames: int, step: int) -> Motion:
    """Every `step`-th frame of a motion file, at most `frames` of them, centred on the ground plane.

    The file holds `global_orient`, `body_pose`, `transl` and, if it likes, `jaw_pose`, `left_hand_pose`,
    `right_hand_pose` (45 numbers each, hand mean inside) and `expression`; y up, metres, 30 fps. Eye poses are not
    used (AvatarReX has none).
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: not a readable motion .npz ({error})") from error
    missing = [key for key in ("global_orient", "body_pose", "transl") if key not in arrays]
    if missing:
        raise CaptureError(f"{path}: lacks {', '.join(missing)} (found {', '.join(arrays)}); expected SMPL-X arrays")
    count = len(arrays["body_pose"])
    available = len(range(0, count, step))
    if frames > available:
        raise CaptureError(
            f"{path}: {available} frames at step {step}, but {frames} were asked for; ask for fewer frames or a "
            "smaller step"
        )
    rows = slice(0, frames * step, step)

    def joints(key: str, n: int) -> ndarray:
        return arrays[key][rows].reshape(-1, n, 3) if key in arrays else np.zeros((frames, n, 3))

    order = (("global_orient", 1), ("body_pose", 21), ("jaw_pose", 1), ("", 2), ("left_hand_pose", 15))
    pose = np.concatenate([joints(key, n) for key, n in (*order, ("right_hand_pose", 15))], 1)
    transl = arrays["transl"][rows].astype(np.float32)
    transl[:, [0, 2]] -= transl[:, [0, 2]].mean(0)
    expression = np.zeros((frames, 10), np.float32)
    given = arrays.get("expression", expression)[rows][:, :10]
    expression[:, : given.shape[1]] = given
    return Motion(pose.astype(np.float32), transl, expression)
