"""Motions as other tools store them, written from one known motion with each tool's conventions (sources: the
docstrings of `nerfstudio_mobavatar/motion/*.py`; SMPL's and AMASS's numbers come from smplx and human_body_prior).

Nothing here uses the readers' code: up axes are turned with plain matrices, files written with numpy, joblib, torch.
"""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.convert_pose import rig_of
from nerfstudio_mobavatar.motion import Motion, Rig

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""x_file = Z_UP @ x for y-up x: up is +z, the front -y, as in AMASS."""
Y_DOWN = np.diag([1.0, -1, -1])
"""OpenCV's camera axes in front of an upright person."""


@functools.lru_cache
def open_rig() -> Rig:
    """The mean open body's."""
    return rig_of("open", None)


def walk(frames: int = 12, fps: float = 30.0) -> Motion:
    """An upright person who turns, walks and moves every joint; y up."""
    t = np.arange(frames)[:, None, None] / fps
    generator = np.random.default_rng(5)
    axes, phase = generator.normal(size=(1, 55, 3)) * 0.25, generator.uniform(0, 6, (1, 55, 1))
    pose = axes * np.sin(3 * t + phase)
    pose[:, 0] = [0.0, 0.4, 0.0] + 0.5 * t[:, 0] * [0.0, 1.0, 0.05]
    transl = np.concatenate([0.8 * t[:, 0], 0.1 + 0.02 * np.sin(9 * t[:, 0]), 0.3 - 0.5 * t[:, 0]], 1)
    return Motion(pose, transl, generator.normal(size=(frames, 10)), fps, "y")


def without(motion: Motion, hands: np.ndarray | None = None, face: bool = True, expression: bool = True) -> Motion:
    """What is left of a motion after a format that has no hands (these are put there), face or expression."""
    pose = motion.pose.copy()
    if hands is not None:
        pose[:, 25:] = hands
    if not face:
        pose[:, 22:25] = 0
    return replace(motion, pose=pose, expression=motion.expression * (1.0 if expression else 0.0))


def seen_from(motion: Motion, R: np.ndarray, t: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Pose and `transl` in axes of which `x_file = R x + t`; SMPL turns about joint 0, not about the origin."""
    pose = motion.pose.copy()
    pose[:, 0] = (Rotation.from_matrix(R) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    pelvis = open_rig().joint_rest[0]
    return pose, (motion.transl + pelvis) @ R.T + t - pelvis


@dataclass(frozen=True)
class Written:
    """A file and what reading it has to give."""

    path: Path
    expected: Motion
    fps: float
    format: str


def amass_smplh(folder: Path) -> Written:
    """156 numbers, hands from 66; z up; 120 Hz under the older of the two names."""
    motion = walk(fps=120.0)
    pose, transl = seen_from(motion, Z_UP)
    poses = np.concatenate([pose[:, :22], pose[:, 25:]], 1).reshape(len(pose), 156)
    np.savez(folder / "a.npz", poses=poses, trans=transl, betas=np.zeros(16), gender="male", mocap_framerate=120.0)
    return Written(folder / "a.npz", without(motion, face=False, expression=False), 120.0, "amass")


def amass_smplx(folder: Path) -> Written:
    """165 numbers and the parts of them beside each other, as AMASS's SMPL-X release has both."""
    motion = walk(fps=60.0)
    pose, transl = seen_from(motion, Z_UP)
    np.savez(folder / "a.npz", poses=pose.reshape(-1, 165), trans=transl, mocap_frame_rate=60,
             surface_model_type="smplx", root_orient=pose[:, 0], pose_body=pose[:, 1:22].reshape(-1, 63))  # fmt: skip
    return Written(folder / "a.npz", without(motion, expression=False), 60.0, "amass")


def amass_parts(folder: Path) -> Written:
    """Only the parts."""
    motion = walk()
    pose, transl = seen_from(motion, Z_UP)
    flat = pose.reshape(len(pose), 165)
    np.savez(folder / "a.npz", root_orient=flat[:, :3], pose_body=flat[:, 3:66], pose_jaw=flat[:, 66:69], trans=transl,
             pose_eye=flat[:, 69:75], pose_hand=flat[:, 75:], mocap_frame_rate=np.array(30.0))  # fmt: skip
    return Written(folder / "a.npz", without(motion, expression=False), 30.0, "amass")


def emage(folder: Path) -> Written:
    """165 numbers, 100 expressions; hands relative to the mean, as smplx adds it with flat_hand_mean=False."""
    motion = walk()
    poses = motion.pose.copy()
    poses[:, 25:] -= open_rig().hand_mean
    expressions = np.concatenate([motion.expression, np.ones((len(poses), 90))], 1)
    np.savez(folder / "e.npz", betas=np.zeros(300), poses=poses.reshape(-1, 165), expressions=expressions,
             trans=motion.transl, model="smplx2020", gender="neutral", mocap_frame_rate=30)  # fmt: skip
    return Written(folder / "e.npz", motion, 30.0, "emage")


def smplx_params(folder: Path) -> Written:
    """The names of smplx's forward function, absolute hands; here lying z up, which the file does not say."""
    motion = walk()
    pose, transl = seen_from(motion, Z_UP)
    flat = pose.reshape(len(pose), 165).astype(np.float32)
    np.savez(folder / "smpl_params.npz", global_orient=flat[:, :3], body_pose=flat[:, 3:66], jaw_pose=flat[:, 66:69],
             leye_pose=flat[:, 69:72], reye_pose=flat[:, 72:75], left_hand_pose=flat[:, 75:120], transl=transl,
             right_hand_pose=flat[:, 120:], expression=motion.expression, betas=np.zeros((1, 10)))  # fmt: skip
    return Written(folder / "smpl_params.npz", motion, 30.0, "smplx-params")


def smpler_x(folder: Path) -> Written:
    """One file a frame and person; camera axes; hands relative; somebody else is there for two frames."""
    motion = walk()
    pose, transl = seen_from(motion, Y_DOWN)
    pose[:, 25:] -= open_rig().hand_mean
    place = folder / "smplx"
    place.mkdir()
    for i in range(len(pose)):
        flat = pose[i].reshape(165).astype(np.float32)
        content = {
            "global_orient": flat[None, :3], "body_pose": flat[3:66].reshape(21, 3), "jaw_pose": flat[None, 66:69],
            "leye_pose": flat[None, 69:72], "reye_pose": flat[None, 72:75], "expression": motion.expression[i][None],
            "left_hand_pose": flat[75:120].reshape(15, 3), "right_hand_pose": flat[120:].reshape(15, 3),
            "betas": np.zeros((1, 10)), "transl": transl[i],
        }  # fmt: skip
        np.savez(place / f"{i + 1:05d}_0.npz", **content)
        if i < 2:
            np.savez(place / f"{i + 1:05d}_1.npz", **(content | {"transl": transl[i] + 5}))
    return Written(folder, motion, 30.0, "smpler-x")


def gvhmr(folder: Path) -> Written:
    """Tensors; the camera looks along the world's -z at somebody in front of it."""
    motion = walk()
    camera_pose, camera_transl = seen_from(motion, Y_DOWN, np.array([0.1, 0.9, 4.0]))

    def content(pose: np.ndarray, transl: np.ndarray) -> dict[str, torch.Tensor]:
        return {
            "body_pose": torch.from_numpy(pose[:, 1:22].reshape(-1, 63)),
            "global_orient": torch.from_numpy(pose[:, 0]),
            "transl": torch.from_numpy(transl),
            "betas": torch.zeros(len(pose), 10),
        }

    results = {
        "smpl_params_global": content(motion.pose, motion.transl),
        "smpl_params_incam": content(camera_pose, camera_transl),
        "K_fullimg": torch.eye(3).expand(len(camera_pose), 3, 3),
        "net_outputs": {"model_output": {"pred": torch.zeros(1)}},
    }
    torch.save(results, folder / "hmr4d_results.pt")
    expected = without(motion, open_rig().hand_mean, face=False, expression=False)
    return Written(folder / "hmr4d_results.pt", expected, 30.0, "gvhmr")


def wham(folder: Path) -> Written:
    """joblib; SMPL's 72 numbers, of which the last six are the rigid hands; frame 7 was lost."""
    motion = walk()
    keep = np.array([i for i in range(len(motion)) if i != 7])
    camera_pose, camera_transl = seen_from(motion, Y_DOWN)

    def smpl(pose: np.ndarray) -> np.ndarray:
        return np.concatenate([pose[:, :22], np.full((len(pose), 2, 3), 0.3)], 1).reshape(-1, 72)

    person = {
        "pose": smpl(camera_pose)[keep], "trans": camera_transl[keep], "pose_world": smpl(motion.pose)[keep],
        "trans_world": motion.transl[keep], "betas": np.zeros((len(keep), 10)), "frame_ids": keep,
        "verts": np.zeros((len(keep), 4, 3)),
    }  # fmt: skip
    joblib.dump({0: person, 4: {k: v[:3] for k, v in person.items()}}, folder / "wham_output.pkl")
    expected = without(motion, open_rig().hand_mean, face=False, expression=False)
    return Written(folder / "wham_output.pkl", expected, 30.0, "wham")


def tram(folder: Path) -> Written:
    """SMPL's matrices in the camera of each frame, and a camera that moves: x_world = R x + T, y down."""
    motion = walk()
    world_pose, world_transl = seen_from(motion, Y_DOWN)
    yaw = Rotation.from_rotvec(np.arange(len(motion))[:, None] * [0.0, 0.03, 0.0])
    R, T = yaw.as_matrix(), np.arange(len(motion))[:, None] * [0.02, 0.0, 0.01]
    pelvis = open_rig().joint_rest[0]
    camera_pose = world_pose.copy()
    camera_pose[:, 0] = (yaw.inv() * Rotation.from_rotvec(world_pose[:, 0])).as_rotvec()
    in_camera = np.einsum("tba,tb->ta", R, world_transl + pelvis - T) - pelvis
    matrices = Rotation.from_rotvec(camera_pose[:, :22].reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)
    matrices = np.concatenate([matrices, np.broadcast_to(np.eye(3), (len(matrices), 2, 3, 3))], 1)
    track = {
        "pred_cam": torch.zeros(len(motion), 3), "pred_shape": torch.zeros(len(motion), 10),
        "pred_rotmat": torch.from_numpy(matrices), "pred_trans": torch.from_numpy(in_camera[:, None]),
        "frame": torch.arange(len(motion)),
    }  # fmt: skip
    (folder / "hps").mkdir()
    np.save(folder / "hps" / "hps_track_0.npy", track)  # type: ignore[arg-type]
    np.save(folder / "camera.npy", {"pred_cam_R": R, "pred_cam_T": T, "world_cam_R": R, "world_cam_T": T})  # type: ignore[arg-type]
    expected = without(motion, open_rig().hand_mean, face=False, expression=False)
    return Written(folder / "hps" / "hps_track_0.npy", expected, 30.0, "tram")


WRITERS = (amass_smplh, amass_smplx, amass_parts, emage, smplx_params, smpler_x, gvhmr, wham, tram)
