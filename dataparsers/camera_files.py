"""Calibrations of people's own captures, in four ways in which they are stored, as entries that `parse_camera` takes.

- `cameras.json`: the AvatarReX JSON (`K`, `R`, `T`, `distCoeff`, `imgSize` per camera), pixel centres at integers.
- `intri.yml` and `extri.yml`: OpenCV's FileStorage with `names`, `K_NAME`, `dist_NAME`, `Rot_NAME` (or the Rodrigues
  vector `R_NAME`) and `T_NAME`, as EasyMocap writes it; pixel centres at integers.
- `transforms.json`: nerfstudio's; camera-to-world with OpenGL axes, pixel centres at half-integers.
- `sparse/` or `sparse/0/`: COLMAP's model, text or binary; pixel centres at half-integers.

All worlds are taken as they are, in metres: the body has to be fitted in the same one. In the last two a camera is
named after the folder of its pictures, or after its one picture where that is in no folder of its own, and must not
move.

Checked against: nerfstudio 1.1.5 (data/utils/colmap_parsing_utils.py, process_data/colmap_utils.py,
nerfstudio_dataparser.py) and easymocap/mytools/camera_utils.py of EasyMocap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers import colmap
from nerfstudio_mobavatar.dataparsers.calibration import read_calibration
from nerfstudio_mobavatar.dataparsers.opencv_yaml import read_storage
from nerfstudio_mobavatar.plain_data import DAMAGE, damage_as, read_json

MOVED = 1e-4
"""Difference of two poses of one camera from which it counts as moving (largest entry of the 3x4 matrices)."""


@dataclass(frozen=True)
class CameraFile:
    """A calibration that was read."""

    path: Path
    entries: dict[str, dict[str, Any]]
    pixel_shift: float
    """What `parse_camera` adds to the principal point."""
    notes: tuple[str, ...] = ()


def read_camera_file(root: Path) -> CameraFile:
    """The one calibration in the folder. Raises `CaptureError` where there is none, or more than one."""
    readers: dict[str, Callable[[Path], CameraFile]] = {
        "cameras.json": lambda path: CameraFile(path, read_calibration(path), 0.5),
        "intri.yml": _read_opencv,
        "transforms.json": _read_transforms,
        "sparse": _read_colmap,
    }
    found = [name for name in readers if (root / name).exists()]
    if len(found) != 1:
        raise CaptureError(
            f"{root}: expected one calibration ({', '.join(readers)}), found {' and '.join(found) or 'none'}. "
            + ("Keep the one the body was fitted in." if found else "Put one there (see dataparsers/README.md).")
        )
    return readers[found[0]](root / found[0])


def _read_opencv(path: Path) -> CameraFile:
    intrinsics, extrinsics = _storage(path), _storage(path.with_name("extri.yml"))
    listed = intrinsics.get("names")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    if not names:
        raise CaptureError(f"{path}: expected a list 'names' of cameras, found none. Write the calibration again.")
    entries = {}
    for name in names:
        R, vector = extrinsics.get(f"Rot_{name}"), extrinsics.get(f"R_{name}")
        if R is None and isinstance(vector, ndarray) and vector.size == 3 and np.isfinite(vector).all():
            R = Rotation.from_rotvec(vector.ravel()).as_matrix()
        parts = {"K": intrinsics.get(f"K_{name}"), "R": R, "T": extrinsics.get(f"T_{name}")}
        parts["distCoeff"] = intrinsics.get(f"dist_{name}")
        entries[name] = {key: value for key, value in parts.items() if isinstance(value, ndarray)}
    return CameraFile(path, entries, 0.5)


def _storage(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CaptureError(
            f"{path}: expected OpenCV's YAML beside intri.yml and extri.yml, found no such file. Put both there."
        )
    with damage_as(CaptureError, path, "OpenCV's YAML", "Write it again."):
        return read_storage(path)


def _read_transforms(path: Path) -> CameraFile:
    with damage_as(CaptureError, path, "nerfstudio's 'frames' with file_path and transform_matrix", "Export it again."):
        content = read_json(path)
        frames = [(PurePosixPath(frame["file_path"]), frame) for frame in content["frames"]]
        poses = [np.asarray(frame["transform_matrix"], np.float64)[:3, :4].reshape(3, 4) for _, frame in frames]
        if (
            not frames
            or not np.isfinite(poses).all()
            or (np.abs(np.linalg.det(np.stack(poses)[:, :, :3])) < 1e-9).any()
        ):
            raise ValueError("no frames, or matrices that are none")
    model = content.get("camera_model", "OPENCV")
    if model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE"):
        raise CaptureError(f"{path}: expected a pinhole or OPENCV camera_model, found {model}. Undistort the images.")
    entries: dict[str, dict[str, Any]] = {}
    for (name, frame), c2w in zip(_named([p for p, _ in frames], [f for _, f in frames]), poses):
        T = np.linalg.inv(np.vstack([c2w, [0, 0, 0, 1]]) @ np.diag([1.0, -1, -1, 1]))
        _add(path, entries, name, T, _nerfstudio_lens(path, name, {**content, **frame}))
    notes = ()
    if "applied_transform" in content:
        notes = ("transforms.json has an applied_transform: the body must be fitted in the world after it.",)
    return CameraFile(path, entries, 0.0, notes)


def _read_colmap(path: Path) -> CameraFile:
    folder, images = read_colmap_images(path)
    entries: dict[str, dict[str, Any]] = {}
    for name, image in _named([PurePosixPath(image.name) for image in images], images):
        _add(folder, entries, name, image.T_cam_world, image.lens)
    return CameraFile(folder, entries, 0.0)


@dataclass(frozen=True)
class ColmapImage:
    """One registered picture of a COLMAP model."""

    name: str
    T_cam_world: Float[ndarray, "4 4"]
    """In COLMAP's units."""
    lens: dict[str, Any]
    """`K` (pixel centres at half-integers), `distCoeff` and `imgSize`."""


def read_colmap_images(path: Path) -> tuple[Path, list[ColmapImage]]:
    """Pictures of the COLMAP model, text or binary, in `path/0` or `path`, and the folder it was read from.

    Raises `CaptureError` where there is none, or a camera model that pictures must be undistorted for."""
    from nerfstudio.process_data.colmap_utils import parse_colmap_camera_params

    folder = next((f for f in (path / "0", path) if any(f.glob("images.*"))), path)
    expected = "COLMAP's cameras and images (.bin or .txt)"
    out = []
    with damage_as(CaptureError, folder, expected, "Export the model again."):
        lenses, poses = colmap.read_model(folder)
        for pose in poses:
            try:
                lens = parse_colmap_camera_params(lenses[pose.camera_id])
            except NotImplementedError as error:
                raise CaptureError(f"{folder}: {error} Undistort the images (colmap image_undistorter).") from error
            if lens["camera_model"] != "OPENCV":
                raise CaptureError(
                    f"{folder}: expected a pinhole or OPENCV camera for {pose.name}, found {lens['camera_model']}. "
                    "Undistort the images (colmap image_undistorter)."
                )
            out.append(ColmapImage(pose.name, pose.T_cam_world, _nerfstudio_lens(folder, pose.name, lens)))
    return folder, out


def _named(paths: list[PurePosixPath], items: list[Any]) -> list[tuple[str, Any]]:
    """Each with the name of its camera: the folder of the picture, or the picture's own name where there is no folder
    below `images`."""
    by_folder = not {p.parent.name for p in paths} & {"", "images"}
    return [(p.parent.name if by_folder else p.stem, item) for p, item in zip(paths, items)]


def _nerfstudio_lens(path: Path, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """`K`, `distCoeff` and `imgSize` from nerfstudio's names."""
    try:
        f, c = (float(values["fl_x"]), float(values.get("fl_y", values["fl_x"]))), (values["cx"], values["cy"])
        K = np.array([[f[0], 0, float(c[0])], [0, f[1], float(c[1])], [0, 0, 1]])
        lens = [float(values.get(key, 0)) for key in ("k1", "k2", "p1", "p2", "k3")]
        size = [int(values["w"]), int(values["h"])]
    except DAMAGE as error:
        raise CaptureError(
            f"{path}: expected fl_x, fl_y, cx, cy, w and h for camera {name}, found none for {error}. Add them, for "
            "all cameras together or each for itself."
        ) from error
    return {"K": K, "distCoeff": lens, "imgSize": size}


def _add(
    path: Path, entries: dict[str, dict[str, Any]], name: str, T: Float[ndarray, "4 4"], lens: dict[str, Any]
) -> None:
    entry = {"R": T[:3, :3], "T": T[:3, 3], **lens}
    known = entries.setdefault(name, entry)
    if max(np.abs(known["R"] - entry["R"]).max(), np.abs(known["T"] - entry["T"]).max()) > MOVED:
        raise CaptureError(
            f"{path}: expected one pose of camera {name}, found several: it moves, or several cameras share a folder. "
            "Give each fixed camera a folder of its own; moving cameras are not supported."
        )
