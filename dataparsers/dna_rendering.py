"""DNA-Rendering layout: `SEQ.smc` (pictures) and `SEQ_annots.smc` (cameras, masks, body), both HDF5; beside each other
or in folders with `main` and `annotations` in their names, as downloaded.

What it is read as. `Camera_Parameter/NN`: `RT` is **camera-to-world**, metres, OpenCV axes; `K` has pixel centres at
integers (half a pixel is added); `D` is OpenCV's k1 k2 p1 p2 k3. Pictures: encoded bytes at `Camera_5mp/N/color/FRAME`
and `Camera_12mp/N/color/FRAME`; masks at `Mask/N/mask/FRAME`, the largest of the channels, 255 is the person. Body:
`SMPLx/{betas, expression, fullpose (T, 55, 3), transl, scale}`, row n is frame n, hands relative to the model's mean
(`flat_hand_mean=False`), the model of the actor's gender (attribute of the main file, left unread: HDF5's library
crashes on damaged texts of variable length). 15 frames per second.

Checked against: scripts/3DGS/SMCReader.py and dataset_readers.py of github.com/DNA-Rendering/DNA-Rendering, the
authors' sample code. Second hand: `scale`, which that code reads and does not use; others multiply the posed body,
translation included, by it. A body cannot be scaled here, so camera positions are divided by it, which gives the same
pictures (`--apply-scale False` ignores it). Known faults of published files (issue 25 there): fewer expressions than
frames, shapes with one row.

Pictures are unpacked once, see unpack.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers import hdf5
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder
from nerfstudio_mobavatar.dataparsers.fit import POSE_PARTS, RawFit, fit_from_arrays
from nerfstudio_mobavatar.dataparsers.unpack import (
    PackedDataParserConfig,
    Recording,
    encode,
    own_folder,
    promised_folder,
    unpack,
)
from nerfstudio_mobavatar.picture_header import size_in
from nerfstudio_mobavatar.plain_data import NotPlainError

LAYOUT = "dna-rendering"
CAMERAS = "Camera_Parameter"
SUFFIX = "_annots.smc"
GROUPS = ("Camera_5mp", "Camera_12mp")
FPS = 15.0
JPEG = b"\xff\xd8\xff"


@dataclass
class DNARenderingDataParserConfig(PackedDataParserConfig):
    """Captures of DNA-Rendering."""

    _target: type = field(default_factory=lambda: DNARendering)
    """Parser class."""
    sequence: str = ""
    """Which recording is read, such as 0012_09, where the folder holds several. Empty: the only one."""
    apply_scale: bool = True
    """Whether the fit's `scale` counts (camera positions are divided by it) or is ignored."""


@dataclass(frozen=True)
class Annotations:
    """What `SEQ_annots.smc` says."""

    path: Path
    cameras: Mapping[str, Mapping[str, ndarray]]
    """`K`, `D`, `RT` by name."""
    masks: Mapping[str, Sequence[int]]
    """Frames with a mask, by camera."""
    body: Mapping[str, ndarray]


class DNARendering(CaptureDataParser):
    """Reads the DNA-Rendering layout."""

    config: DNARenderingDataParserConfig

    @cached_property
    def root(self) -> Path:
        return Path(self.config.data)

    def read_capture(self) -> Capture:
        """Read and check the two files, then unpack the used pictures."""
        main, path = find_pair(self.root, self.config.sequence)
        annotations = read_annotations(path)
        groups, images = read_main(main)
        without = [name for name in annotations.cameras if name not in images]
        raw, scale, fit_notes = read_body(annotations)
        scale = scale if self.config.apply_scale else 1.0
        folder = own_folder(self.config.unpacked_folder / main.stem)
        read = partial(_read, main, path)
        recordings = [
            Recording(name, main, images[name], annotations.masks.get(name, ()), partial(read, groups[name], name))
            for name in used_cameras(self.config, main, list(images))
        ]
        notes = (*fit_notes, _body_note(scale))
        if without:
            notes += (f"{len(without)} of the {len(annotations.cameras)} calibrated cameras have no pictures.",)

        def camera(folder: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            return parse_camera(path, folder.name, opencv_entry(annotations, folder.name, scale), first)

        source = Source(
            root=self.root,
            layout=LAYOUT,
            calibration=path,
            folders=tuple(promised_folder(recording, folder) for recording in recordings),
            camera=camera,
            raw=raw,
            rows={row: row for row in range(raw.fit.num_frames)},
            row_rule="frame n shows row n",
            fps=FPS,
            mask_remedy=f"{path} has none for them: leave the camera out with --skip-cameras or the frames with "
            "--drop-frames.",
            flat_hand_mean=False,
            notes=notes,
            unpack=partial(unpack, recordings, folder=folder),
        )
        return assemble(self.config, source)


def find_pair(root: Path, sequence: str) -> tuple[Path, Path]:
    """The main file and the annotations of one recording. Raises `CaptureError`."""
    found = [*root.glob(f"*{SUFFIX}"), *root.glob(f"*annot*/*{SUFFIX}")]
    annotations = {path.name.removesuffix(SUFFIX): path for path in found}
    names = ", ".join(sorted(annotations)) or "none"
    if not sequence and len(annotations) > 1:
        raise CaptureError(f"{root}: expected one recording, found {names}. Choose one with --sequence.")
    path = annotations.get(sequence or next(iter(annotations), ""))
    if path is None:
        raise CaptureError(
            f"{root}: expected the annotations {sequence or 'SEQ'}{SUFFIX} in it or in a folder such as annotations, "
            f"found {names}. Download the annotations of the recording, too."
        )
    name = f"{path.name.removesuffix(SUFFIX)}.smc"
    places = [root / name, *sorted(root.glob(f"*main*/{name}"))]
    main = next((place for place in places if place.is_file()), None)
    if main is None:
        raise CaptureError(
            f"{root}: expected the pictures {name} in it or in a folder such as main, beside {path.name}, found none. "
            "Download the main file of the recording, too."
        )
    return main, path


def read_annotations(path: Path) -> Annotations:
    """Everything but the masks' pixels."""
    with hdf5.opened(path) as file:
        cameras = {
            name: {key: hdf5.numbers(file, CAMERAS, name, key) for key in ("K", "D", "RT")}
            for name in hdf5.names(file, CAMERAS)
        }
        masks = {f"{n:02d}": hdf5.frames(file, "Mask", str(n), "mask") for n in hdf5.frames(file, "Mask")}
        body = {key: hdf5.numbers(file, "SMPLx", key) for key in hdf5.names(file, "SMPLx")}
        return Annotations(path, cameras, masks, body)


def read_main(path: Path) -> tuple[dict[str, str], dict[str, Sequence[int]]]:
    """Group by camera, and frames with a picture by camera."""
    groups, images = {}, {}
    with hdf5.opened(path) as file:
        for group in GROUPS:
            for number in hdf5.frames(file, group) if group in file else ():
                groups[f"{number:02d}"] = group
                images[f"{number:02d}"] = hdf5.frames(file, group, str(number), "color")
    if not images:
        raise CaptureError(
            f"{path}: expected pictures in {' or '.join(GROUPS)}, found neither. Give the main file of the recording."
        )
    names = sorted(images)
    return groups, {name: images[name] for name in names}


def opencv_entry(annotations: Annotations, name: str, scale: float) -> dict[str, ndarray]:
    """World-to-camera `R` and `T` in a world in which the body has scale 1. Raises `CaptureError`."""
    entry = annotations.cameras.get(name)
    if entry is None:
        raise CaptureError(
            f"{annotations.path}: expected Camera_Parameter/{name} of a camera that has pictures, found none. Leave "
            f"the camera out with --skip-cameras {name}."
        )
    T_world_cam = np.asarray(entry["RT"], np.float64)
    if T_world_cam.shape != (4, 4) or not 1e-6 < abs(np.linalg.det(T_world_cam)) < 1e6:
        raise CaptureError(
            f"{annotations.path}: expected a 4x4 camera-to-world transform in Camera_Parameter/{name}/RT, found "
            f"{str(T_world_cam.tolist())[:300]}. Download the file again, or leave the camera out with "
            f"--skip-cameras {name}."
        )
    T_cam_world = np.linalg.inv(T_world_cam)
    return {"K": entry["K"], "R": T_cam_world[:3, :3], "T": T_cam_world[:3, 3] / scale, "distCoeff": entry["D"]}


def read_body(annotations: Annotations) -> tuple[RawFit, float, tuple[str, ...]]:
    """The fit, its scale and notes. Raises `CaptureError`."""
    path, body = annotations.path, annotations.body
    missing = [key for key in ("betas", "fullpose", "transl") if key not in body]
    if missing:
        raise CaptureError(f"{path}: expected SMPLx/{', SMPLx/'.join(missing)}, found none. Download the file again.")
    fullpose = np.asarray(body["fullpose"])
    if fullpose.ndim < 2 or len(fullpose) == 0 or fullpose[0].size != 165:
        raise CaptureError(
            f"{path}: expected 55 axis-angle rotations per frame in SMPLx/fullpose, found shape {fullpose.shape}. "
            "Download the file again."
        )
    pose = fullpose.reshape(-1, 55, 3)
    arrays = {key: pose[:, first : first + count] for key, first, count in POSE_PARTS}
    arrays |= {"transl": body["transl"], "betas": body["betas"]}
    notes = ()
    if "expression" in body:
        arrays["expression"], notes = _all_rows(body["expression"], len(pose))
    scale = np.asarray(body.get("scale", 1.0), np.float64).ravel()
    if len(scale) == 0 or not (np.isfinite(scale).all() and scale[0] > 0 and np.ptp(scale) < 1e-6 * scale[0]):
        raise CaptureError(
            f"{path}: expected one positive number in SMPLx/scale, found {scale[:5].tolist()}. Ignore it with "
            "--apply-scale False, or download the file again."
        )
    return fit_from_arrays(path, arrays), float(scale[0]), notes


def _all_rows(expression: ndarray, rows: int) -> tuple[ndarray, tuple[str, ...]]:
    """Some published files stop early; the face is at rest from there."""
    if expression.ndim != 2 or len(expression) >= rows:
        return expression, ()
    full = np.zeros((rows, expression.shape[1]), expression.dtype)
    full[: len(expression)] = expression
    return full, (f"SMPLx/expression has {len(expression)} of {rows} rows: zero for the other frames.",)


def _body_note(scale: float) -> str:
    scaled = "" if scale == 1 else f" Camera positions are divided by the body's scale {scale:.4f} (--apply-scale)."
    return (
        "the fit is of the SMPL-X model of the actor's gender (the main file's attribute `gender`; `mobavatar doctor` "
        "tries all), with hands relative to its mean pose: name the model file with "
        f"--body (and in training with --pipeline.model.body and --pipeline.model.gender).{scaled}"
    )


def _read(
    main: Path, annotations: Path, group: str, camera: str, wanted: Sequence[int]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Pictures as stored (other codings than JPEG are coded again), masks as one channel."""
    with hdf5.opened(main) as pictures, hdf5.opened(annotations) as masks:
        key = str(int(camera))
        for number in wanted:
            where = (group, key, "color", str(number))
            stored = _bytes(pictures, *where)
            if not stored.startswith(JPEG):
                stored = encode(_decode(main, "/".join(where), stored), ".jpg")
            where = ("Mask", key, "mask", str(number))
            mask = _decode(annotations, "/".join(where), _bytes(masks, *where)).max(2)
            yield number, stored, encode(mask, ".png")


def _bytes(file: h5py.File, *where: str) -> bytes:
    return hdf5.numbers(file, *where).astype(np.uint8).tobytes()


def _decode(path: Path, where: str, stored: bytes) -> ndarray:
    try:
        size_in(BytesIO(stored))
        pixels = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (NotPlainError, cv2.error):
        pixels = None
    if pixels is None:
        raise CaptureError(
            f"{path}: expected a picture in {where}, found {len(stored)} bytes that are none. Download the file again, "
            "or leave the frame out with --drop-frames."
        )
    return pixels
