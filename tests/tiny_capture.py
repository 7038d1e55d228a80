"""A hand-made capture in AvatarReX layout for tests that break it: a white box in front of a ring of cameras."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 96
FRAMES, CAMERAS = 12, 4


def look_at_origin(angle: float, distance: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera of an OpenCV camera at `angle` on a ring in the plane y = 0 of a y-up world."""
    centre = distance * np.array([np.sin(angle), 0.0, np.cos(angle)])
    forward = -centre / distance
    down = np.array([0.0, -1.0, 0.0])
    R = np.stack([np.cross(down, forward), down, forward])
    return R, -R @ centre


def calibration(width: int = WIDTH, height: int = HEIGHT, cameras: int = CAMERAS) -> dict[str, Any]:
    """Entries of `calibration_full.json`; the principal point is the centre, in OpenCV's pixel convention."""
    entries = {}
    for c in range(cameras):
        R, T = look_at_origin(2 * np.pi * c / cameras)
        K = [90.0, 0, (width - 1) / 2, 0, 90.0, (height - 1) / 2, 0, 0, 1]
        entries[f"cam{c}"] = {
            "K": K,
            "R": R.ravel().tolist(),
            "T": T.tolist(),
            "distCoeff": [0.0] * 5,
            "imgSize": [width, height],
        }
    return entries


def fit(frames: int = FRAMES) -> dict[str, np.ndarray]:
    """Arrays of `smpl_params.npz`: the root turns a little more in every row, so that rows are told apart."""
    rows = np.arange(frames, dtype=np.float32)
    sizes = dict(body_pose=63, left_hand_pose=45, right_hand_pose=45, jaw_pose=3, expression=10)
    arrays: dict[str, np.ndarray] = {key: np.zeros((frames, n), np.float32) for key, n in sizes.items()}
    arrays["global_orient"] = np.stack([0 * rows, 0.01 * rows, 0 * rows], 1)
    arrays["transl"] = np.stack([0.001 * rows, 0 * rows, 0 * rows], 1)
    arrays["betas"] = np.zeros((1, 10), np.float32)
    return arrays


def write_picture(folder: Path, camera: int, frame: int, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Picture with noise (unlike every other) and the mask of a box that moves with frame and camera."""
    rng = np.random.default_rng([camera, frame])
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    x, y = 12 + 2 * camera, 10 + frame
    mask[y : y + 50, x : x + 24] = 255
    base = folder / f"cam{camera}"
    (base / "mask" / "pha").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(base / f"{frame:08d}.jpg"), image)
    cv2.imwrite(str(base / "mask" / "pha" / f"{frame:08d}.jpg"), mask)


def write_capture(folder: Path, frames: int = FRAMES, cameras: int = CAMERAS) -> Path:
    """A whole capture that parses without a note."""
    folder.mkdir(parents=True, exist_ok=True)
    for camera in range(cameras):
        for frame in range(frames):
            write_picture(folder, camera, frame)
    write_json(folder, calibration(cameras=cameras))
    np.savez(folder / "smpl_params.npz", **fit(frames))  # pyright: ignore[reportArgumentType]
    return folder


def write_json(folder: Path, entries: dict[str, Any]) -> None:
    (folder / "calibration_full.json").write_text(json.dumps(entries))


def edit_json(folder: Path, camera: str, **changes: Any) -> None:
    """Change entries of one camera; None removes the key."""
    entries = json.loads((folder / "calibration_full.json").read_text())
    entries[camera].update(changes)
    entries[camera] = {key: value for key, value in entries[camera].items() if value is not None}
    write_json(folder, entries)


def edit_fit(folder: Path, **changes: Any) -> None:
    """Replace arrays of the fit; None removes the key."""
    arrays = {**fit(), **changes}
    np.savez(folder / "smpl_params.npz", **{k: v for k, v in arrays.items() if v is not None})  # pyright: ignore
