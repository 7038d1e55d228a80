"""TRAM: `hps/hps_track_N.npy`, a pickled dictionary with `pred_rotmat` (24 matrices), `pred_trans` and `frame`, in the
camera of each frame; the moving camera is in `camera.npy` above it (`x_world = pred_cam_R x + pred_cam_T`).

The world is that of the first camera: y down, not levelled. The video's frame rate is not stored. Second hand: read
from scripts/estimate_humans.py and lib/pipeline/visualization.py of github.com/yufu-wang/tram.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from . import smpl
from .load import pickle_content, plain
from .types import MotionError, RawMotion, Rig, pad_expression

CAMERA = "camera.npy"


def matches(content: Any) -> bool:
    """By the names of the arrays."""
    return isinstance(content, dict) and "pred_rotmat" in content and "pred_trans" in content


def read(path: Path, content: Any, rig: Rig, camera_space: bool) -> RawMotion:
    """One track, moved into the world by the camera file where there is one."""
    if not matches(content):
        raise MotionError(f"{path}: expected pred_rotmat and pred_trans. Give TRAM's hps/hps_track_N.npy.")
    arrays = {k: plain(v) for k, v in content.items()}
    frames = smpl.frames_of(path, arrays, "pred_rotmat")
    pose = smpl.smpl_to_smplx(smpl.joints(path, "pred_rotmat", arrays["pred_rotmat"], frames, 24))
    pelvis = rig.joint_rest[0] + smpl.vectors(path, "pred_trans", arrays["pred_trans"], frames)
    frame = np.asarray(arrays.get("frame", np.arange(frames)), np.float64).ravel()
    if len(frame) != frames or not (np.diff(frame) > 0).all():
        raise MotionError(f"{path}: expected {frames} ascending numbers in frame. Run TRAM again.")
    camera, notes = path.parent.parent / CAMERA, ()
    if not camera_space and camera.is_file():
        R, T = _camera(camera, frame.astype(int))
        pelvis = (R @ pelvis[..., None])[..., 0] + T
        pose[:, 0] = (Rotation.from_matrix(R) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
        notes = (f"{CAMERA}: the camera's motion is taken out; the floor may be tilted as the first camera was.",)
    elif not camera_space:
        notes = (f"no {CAMERA} above the track: the motion is as the camera saw it.",)
    return RawMotion(
        format="tram",
        pose=pose,
        pelvis=pelvis,
        expression=pad_expression(None, frames),
        fps=None,
        usual_fps=30.0,
        up="-y",
        hands="relaxed",
        frame=frame,
        notes=notes,
    )


def _camera(path: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    content = pickle_content(path)
    if not isinstance(content, dict) or not {"pred_cam_R", "pred_cam_T"} <= set(content):
        raise MotionError(f"{path}: expected pred_cam_R and pred_cam_T. Give TRAM's camera.npy, or --camera-space.")
    R, T = (np.asarray(plain(content[k]), np.float64) for k in ("pred_cam_R", "pred_cam_T"))
    if R.ndim != 3 or R.shape[1:] != (3, 3) or T.reshape(len(T), -1).shape != (len(R), 3) or rows.max() >= len(R):
        raise MotionError(
            f"{path}: expected one 3x3 pred_cam_R and one pred_cam_T per frame up to {rows.max()}, found {R.shape} and "
            f"{T.shape}. It belongs to another video, or give --camera-space."
        )
    angles = smpl.matrices_to_axis_angle(path, "pred_cam_R", R[rows][:, None])[:, 0]
    return Rotation.from_rotvec(angles).as_matrix(), T.reshape(-1, 3)[rows]
