"""Ways to spoil a capture, and what the doctor must say about each: the table behind test_doctor.py and docs/doctor.md.

Every entry spoils a copy of one small synthetic capture (4 cameras x 12 frames, 96 x 128 pixels, AvatarReX layout).
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from nerfstudio_mobavatar.body_model import load_body
from tests.fixtures import make_mini_capture

FRAMES, CAMERAS, WIDTH, HEIGHT = 12, 4, 96, 128


def make_sound(folder: Path) -> Path:
    """The capture that is spoilt."""
    return make_mini_capture(folder, frames=FRAMES, cameras=CAMERAS, width=WIDTH, height=HEIGHT, frame_step=4)


@dataclass(frozen=True)
class Corruption:
    """One way to spoil a capture."""

    done: str
    """What was done, for the table."""
    spoil: Callable[[Path], Any]
    exit_code: int
    code: str
    """Code of the finding that must be there."""
    says: str
    """Regular expression that its sentence must match."""


def cameras(folder: Path) -> list[str]:
    return list(entries(folder))


def entries(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "calibration_full.json").read_text())


def edit(folder: Path, change: Callable[[dict[str, Any]], Any], only: int | None = None) -> None:
    """Change the calibration of all cameras, or of one, in place."""
    every = entries(folder)
    for number, entry in enumerate(every.values()):
        if only is None or number == only:
            change(entry)
    (folder / "calibration_full.json").write_text(json.dumps(every))


def fit(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "smpl_params.npz", allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


def edit_fit(folder: Path, **changes: Any) -> None:
    """Replace arrays; a function gets the old one."""
    arrays: dict[str, Any] = fit(folder)
    for key, value in changes.items():
        arrays[key] = value(arrays[key].copy()) if callable(value) else value
    np.savez(folder / "smpl_params.npz", **arrays)


def image(folder: Path, camera: int, frame: int) -> Path:
    return folder / cameras(folder)[camera] / f"{frame:08d}.jpg"


def mask(folder: Path, camera: int, frame: int) -> Path:
    return folder / cameras(folder)[camera] / "mask" / "pha" / f"{frame:08d}.jpg"


def repaint(paths: list[Path], change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in paths:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        cv2.imwrite(str(path), change(pixels), [cv2.IMWRITE_JPEG_QUALITY, 98])


def images(folder: Path, camera: int | None = None) -> list[Path]:
    return [image(folder, c, f) for c in range(CAMERAS) if camera in (None, c) for f in range(FRAMES)]


def masks(folder: Path, camera: int | None = None) -> list[Path]:
    return [mask(folder, c, f) for c in range(CAMERAS) if camera in (None, c) for f in range(FRAMES)]


def pose_of(entry: dict[str, Any]) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.reshape(entry["R"], (3, 3)), entry["T"]
    return T


def set_pose(entry: dict[str, Any], T: np.ndarray) -> None:
    entry["R"], entry["T"] = T[:3, :3].ravel().tolist(), T[:3, 3].tolist()


def invert(entry: dict[str, Any]) -> None:
    set_pose(entry, np.linalg.inv(pose_of(entry)))


def opengl(entry: dict[str, Any]) -> None:
    set_pose(entry, np.diag([1.0, -1, -1, 1]) @ pose_of(entry))


def scale_translation(entry: dict[str, Any], factor: float) -> None:
    entry["T"] = [factor * x for x in entry["T"]]


def set_k(entry: dict[str, Any], change: Callable[[np.ndarray], Any]) -> None:
    K = np.reshape(entry["K"], (3, 3)).copy()
    change(K)
    entry["K"] = K.ravel().tolist()


def shift_k(K: np.ndarray, dx: float, dy: float) -> None:
    K[:2, 2] += (dx, dy)


def stretch_k(K: np.ndarray) -> None:
    K[0, 0] *= 1.35


def exchange(folder: Path, a: int, b: int) -> None:
    names = cameras(folder)
    shutil.move(folder / names[a], folder / "tmp")
    shutil.move(folder / names[b], folder / names[a])
    shutil.move(folder / "tmp", folder / names[b])


def copy_pose(folder: Path) -> None:
    every = list(entries(folder).values())
    edit(folder, lambda entry: set_pose(entry, pose_of(every[0])), only=1)


def pelvis(folder: Path) -> np.ndarray:
    """Rest position of the fitted body's pelvis, about which global_orient turns."""
    betas = torch.from_numpy(fit(folder)["betas"][0])
    return load_body("open").rest(betas)[1][0].numpy()


def turn_fit(folder: Path, Q: np.ndarray) -> None:
    """The fit in a world turned by `Q`, as when a z-up fit meets y-up cameras."""
    J0 = pelvis(folder)

    def turn(rotations: np.ndarray) -> np.ndarray:
        turned = [cv2.Rodrigues(Q @ cv2.Rodrigues(r.astype(np.float64))[0])[0].ravel() for r in rotations]
        return np.array(turned, np.float32)

    edit_fit(folder, global_orient=turn, transl=lambda t: ((t + J0) @ Q.T - J0).astype(np.float32))


Y_TO_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Turns a y-up world into a z-up one."""


def as_rh_th(folder: Path) -> None:
    """A z-up world (in a y-up one, turning about the origin or about the pelvis is nearly the same) whose transl holds
    EasyMocap's Th = transl - Rh J0 + J0."""
    J0, T_old_new = pelvis(folder), np.eye(4)
    T_old_new[:3, :3] = Y_TO_Z.T
    edit(folder, lambda entry: set_pose(entry, pose_of(entry) @ T_old_new))
    turn_fit(folder, Y_TO_Z)
    R = np.stack([cv2.Rodrigues(r.astype(np.float64))[0] for r in fit(folder)["global_orient"]])
    edit_fit(folder, transl=lambda t: (t - R @ J0 + J0).astype(np.float32))


def twist(folder: Path, rows: slice) -> None:
    def turn(pose: np.ndarray) -> np.ndarray:
        pose[rows, 0:3] += (2.0, 0.5, 0)  # left hip
        pose[rows, 45:48] += (0, 1.5, 1.5)  # left shoulder
        return pose

    edit_fit(folder, body_pose=turn)


def punch(pixels: np.ndarray) -> np.ndarray:
    """Holes wherever a coarse grid meets the person."""
    holes = np.zeros_like(pixels)
    for y in range(4, pixels.shape[0], 12):
        for x in range(4, pixels.shape[1], 8):
            holes[y : y + 3, x : x + 3] = 1
    inner = cv2.erode((pixels > 128).astype(np.uint8), np.ones((3, 3)))
    return np.where((holes > 0) & (inner > 0), 0, pixels)


def blob(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[8:22, 4:14] = 255
    return pixels


def soften(pixels: np.ndarray) -> np.ndarray:
    return np.where(pixels > 128, 150, 0).astype(np.uint8)


def bomb(folder: Path) -> None:
    """A few kilobytes that say they unpack to 40 GB."""
    path = folder / "smpl_params.npz"
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,), }".ljust(
        117
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("global_orient.npy", header + b"\n" + bytes(1000))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # the central directory's uncompressed size
    data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])


def repeat(folder: Path) -> None:
    for frame in (5, 6, 7):
        shutil.copy(image(folder, 2, 4), image(folder, 2, frame))


def unplug(folder: Path) -> None:
    for frame in range(6, FRAMES):
        image(folder, 3, frame).unlink()
        mask(folder, 3, frame).unlink()


def freeze(folder: Path) -> None:
    for frame in range(1, FRAMES):
        shutil.copy(mask(folder, 1, 0), mask(folder, 1, frame))


def late(folder: Path) -> None:
    """One camera recorded two frames late."""
    for frame in reversed(range(2, FRAMES)):
        for path in (image, mask):
            shutil.copy(path(folder, 2, frame - 2), path(folder, 2, frame))


def stand_still(folder: Path) -> None:
    edit_fit(
        folder, body_pose=lambda x: np.repeat(x[:1], len(x), 0), global_orient=lambda x: np.repeat(x[:1], len(x), 0)
    )


def nan_rows(x: np.ndarray) -> np.ndarray:
    x[[2, 5], 1] = np.nan
    return x


def widen(x: np.ndarray, width: int) -> np.ndarray:
    return np.concatenate([x, np.full((len(x), width - x.shape[1]), 0.5, x.dtype)], 1)


TABLE = (
    # calibration
    Corruption("the calibration file is missing", lambda d: (d / "calibration_full.json").unlink(), 2,
               "refused", r"known capture layouts.*missing calibration is the usual cause"),
    Corruption("the calibration file is cut off", lambda d: cut(d / "calibration_full.json", 0.6), 2,
               "refused", r"expected JSON.*Export it again"),
    Corruption("a camera has no focal length", lambda d: edit(d, lambda e: set_k(e, lambda K: K.fill(0)), 1), 2,
               "refused", r"positive focal lengths in K of camera 22010701"),
    Corruption("a camera's R is not a rotation", lambda d: edit(d, lambda e: e.update(R=[2.0, *e["R"][1:]]), 0), 2,
               "refused", r"expected a rotation matrix in R of camera 22010700"),
    Corruption("a camera's T holds NaN", lambda d: edit(d, lambda e: e.update(T=[float("nan"), 0, 3]), 1), 2,
               "refused", r"3 finite numbers in T of camera 22010701"),
    Corruption("camera translations in millimetres", lambda d: edit(d, lambda e: scale_translation(e, 1000)), 2,
               "cameras-millimetres", r"hardly overlap.* if the cameras are in millimetres"),
    Corruption("camera translations of one camera in millimetres",
               lambda d: edit(d, lambda e: scale_translation(e, 1000), 1), 2,
               "refused", r"camera 22010701 within 100 m.*T is probably in millimetres: divide it by 1000"),
    Corruption("camera translations in centimetres", lambda d: edit(d, lambda e: scale_translation(e, 100)), 2,
               "cameras-centimetres", r"hardly overlap.* if the cameras are in centimetres"),
    Corruption("camera translations in feet", lambda d: edit(d, lambda e: scale_translation(e, 3.2808)), 2,
               "no-overlap", r"hardly overlap.*No other convention"),
    Corruption("R and T are camera-to-world", lambda d: edit(d, invert), 2,
               "cameras-c2w", r"hardly overlap.* if R and T are the camera's pose \(camera-to-world\)"),
    Corruption("R and T of one camera are camera-to-world", lambda d: edit(d, invert, 2), 2,
               "refused", r"in front of camera 22010702, found it behind.* invert them"),
    Corruption("cameras with OpenGL axes", lambda d: edit(d, opengl), 2,
               "cameras-opengl", r"hardly overlap.* if the cameras have OpenGL axes"),
    Corruption("one camera moved by 7 px after calibration",
               lambda d: edit(d, lambda e: set_k(e, lambda K: shift_k(K, 6, -4)), 1), 1,
               "camera-shift", r"camera 22010701: its silhouettes lie .* px beside its masks in all frames"),
    Corruption("the folders of two cameras exchanged", lambda d: exchange(d, 0, 2), 1,
               "cameras-exchanged", r"if it had camera 2201070\d's calibration"),
    Corruption("a camera's pose copied from another", copy_pose, 1,
               "cameras-same-place", r"cameras 22010700, 22010701: they stand at the same place"),
    Corruption("fx enlarged by 35% (pictures squeezed)", lambda d: edit(d, lambda e: set_k(e, stretch_k), 3), 1,
               "focal-ratio", r"camera 22010703: fx / fy is 1.35"),
    Corruption("pictures exported at half size",
               lambda d: repaint(images(d) + masks(d), lambda p: cv2.resize(p, (48, 64))), 2,
               "refused", r"0.500 times the calibrated size: multiply fx, fy, cx, cy"),
    # pictures and masks
    Corruption("a camera's folder is missing", lambda d: shutil.rmtree(d / cameras(d)[2]), 2,
               "refused", r"found no such folder.*--skip-cameras 22010702"),
    Corruption("one camera mirrored", lambda d: repaint(images(d, 1) + masks(d, 1), lambda p: p[:, ::-1]), 1,
               "camera-flipped", r"camera 22010701.*if its pictures were mirrored"),
    Corruption("one camera upside down", lambda d: repaint(images(d, 1) + masks(d, 1), lambda p: p[::-1, ::-1]), 1,
               "camera-flipped", r"camera 22010701.*upside down"),
    Corruption("all masks inverted", lambda d: repaint(masks(d), lambda p: 255 - p), 2,
               "refused", r"probably inverted: save 255 minus the mask"),
    Corruption("the masks of one camera inverted", lambda d: repaint(masks(d, 2), lambda p: 255 - p), 1,
               "mask-inverted", r"22010702: the masks of 1 of 4 cameras are white along"),
    Corruption("masks of 0 and 1 instead of 0 and 255", lambda d: repaint(masks(d), lambda p: p // 255), 2,
               "refused", r"every camera empty.*0..255, not 0..1"),
    Corruption("the masks of one camera empty", lambda d: repaint(masks(d, 1), np.zeros_like), 1,
               "mask-empty", r"camera 22010701.*12 of 12 sampled masks are empty"),
    Corruption("masks with holes", lambda d: repaint(masks(d, 0), punch), 1,
               "mask-holes", r"22010700: .* of the mask is missing inside its outline"),
    Corruption("another person in the masks", lambda d: repaint(masks(d, 0), blob), 1,
               "mask-crumbs", r"22010700: .* lies apart from the person"),
    Corruption("half-transparent mattes", lambda d: repaint(masks(d, 3), soften), 1,
               "mask-soft", r"22010703: .* half transparent"),
    Corruption("the same mask in every frame", freeze, 1,
               "mask-static", r"22010701: every sampled mask is the same although the fitted body moves"),
    Corruption("a mask is missing", lambda d: mask(d, 1, 7).unlink(), 2, "refused", r"expected its mask in"),
    Corruption("a mask of another size", lambda d: repaint([mask(d, 1, 0)], lambda p: p[:64]), 2,
               "refused", r"expected masks of 96x128 pixels .*found 96x64"),
    Corruption("an empty picture file", lambda d: image(d, 1, 5).write_bytes(b""), 1,
               "file-empty", r"1 of 96 files are empty: 00000005.jpg"),
    Corruption("a picture cut off while copying", lambda d: cut(image(d, 2, 6), 0.5), 1,
               "file-cut-off", r"1 of 96 files end before the picture does.*00000006.jpg"),
    Corruption("a picture that is something else", lambda d: image(d, 0, 0).write_text("<html>404"), 2,
               "refused", r"expected a picture, found that it cannot be read"),
    Corruption("a camera froze for three frames", repeat, 1,
               "picture-repeated", r"3 pictures are byte for byte the one of the frame before"),
    Corruption("a camera unplugged half-way", unplug, 1,
               "frames-missing", r"camera 22010703: 6 of 12 frames have no picture \(50%\)"),
    Corruption("one camera two stops darker", lambda d: repaint(images(d, 2), lambda p: (p * 0.53).astype(np.uint8)), 1,
               "exposure", r"camera 22010702: the person is .* stops darker"),
    Corruption("one camera with another white balance",
               lambda d: repaint(images(d, 2), lambda p: (p * [0.8, 1, 1]).astype(np.uint8)), 1,
               "white-balance", r"camera 22010702: the person has .* less blue"),
    Corruption("one camera recorded two frames late", late, 1,
               "camera-late", r"camera 22010702.*recorded 2 frames late"),
    # fit
    Corruption("the fit is missing", lambda d: (d / "smpl_params.npz").unlink(), 2,
               "refused", r"expected the body fit"),
    Corruption("the fit is cut off", lambda d: cut(d / "smpl_params.npz", 0.5), 2, "refused", r"cannot be read"),
    Corruption("the fit holds Python objects",
               lambda d: np.savez(d / "smpl_params.npz", transl=np.array([None, {}], dtype=object)), 2,
               "refused", r"no Python objects"),
    Corruption("the fit says it unpacks to gigabytes", bomb, 2, "refused", r"unpack to .* GB"),
    Corruption("the fit is text", lambda d: edit_fit(d, body_pose=np.full((FRAMES, 63), "0.1")), 2,
               "refused", r"missing: body_pose"),
    Corruption("NaN in two frames", lambda d: edit_fit(d, body_pose=nan_rows), 2,
               "refused", r"NaN or infinity in rows 2, 5.*--drop-frames nan"),
    Corruption("SMPL instead of SMPL-X", lambda d: edit_fit(d, body_pose=lambda x: widen(x, 69)), 2,
               "refused", r"69 numbers are a SMPL pose"),
    Corruption("hands as 12 PCA coefficients", lambda d: edit_fit(d, left_hand_pose=lambda x: x[:, :12]), 2,
               "refused", r"PCA hands: expand"),
    Corruption("50 expression coefficients", lambda d: edit_fit(d, expression=lambda x: widen(x, 50)), 1,
               "expression-width", r"50 expression coefficients, but the body 'open' has 10"),
    Corruption("300 shape coefficients", lambda d: edit_fit(d, betas=lambda x: widen(x, 300)), 2,
               "betas-width", r"300 shape coefficients, but the body 'open' has 10"),
    Corruption("an extreme shape", lambda d: edit_fit(d, betas=lambda x: x + 6 * (np.arange(10) == 3)), 1,
               "betas-extreme", r"shape coefficient 3 is"),
    Corruption("transl in millimetres", lambda d: edit_fit(d, transl=lambda x: 1000 * x), 2,
               "body-millimetres", r"if the body's transl is in millimetres"),
    Corruption("the fit's world is z-up, the cameras' y-up", lambda d: turn_fit(d, Y_TO_Z), 2,
               "body-z-up", r"if the body's world is z-up and the cameras' y-up"),
    Corruption("global_orient and transl are EasyMocap's Rh and Th", as_rh_th, 2,
               "root-rh-th", r"EasyMocap's Rh and Th"),
    Corruption("two frames with a twisted fit", lambda d: twist(d, slice(6, 8)), 1,
               "fit-twisted", r"frames 6, 7: the fit jumps away and back in 2 frames.*--drop-frames 6:8"),
    Corruption("the body stands still", stand_still, 1, "motion-still", r"the person hardly moves"),
)  # fmt: skip
"""In the order of the page."""
