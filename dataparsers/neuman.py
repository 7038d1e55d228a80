"""NeuMan: one camera that moves, posed by COLMAP; a SMPL fit in COLMAP's world. Also with the fits and masks of HUGS.

    images/00000.png ...           undistorted
    sparse/                        COLMAP's model of them, text or binary
    segmentations/00000.png ...    255 is the background
    smpl_output_optimized.pkl      joblib: {1: {pose [n, 72], betas [n, 10]}}; smpl_output_romp.pkl where it is absent
    alignments.npy                 per picture's name [4, 3]: SMPL to COLMAP's world, with one scale
    4d_humans/                     HUGS: smpl_optimized_aligned_scale.npz, sam_segmentations/*.png (255 is the person)

What it is read as. A capture here has fixed cameras, and a person whose background is masked out does not show whether
the camera or the world moved: the one camera stands at the origin and the body is in its coordinates, frame by frame.
COLMAP's unit is arbitrary and HUGS and NeuMan give each frame its scale; a picture is the same when body and distance
grow together, so dividing by the scale gives metres. Camera: pixel centres at half-integers (COLMAP), one lens for all
pictures. Masks: NeuMan's 255 is the background, HUGS's the person. Body: SMPL; NeuMan: `x_world = [x 1] alignment`, the
number in a picture's name is the row; HUGS: `x_world = scale x + transl`, the k-th picture by name is row k and mask k.
Shape: the mean over the frames. Up: from the fitted bodies. Pickled files go through `safe_pickle`.

Checked against: data_io/{neuman_helper,colmap_helper}.py and preprocess/{export_alignment,optimize_smpl,gen_run}.py of
github.com/apple/ml-neuman; hugs/datasets/neuman.py and hugs/models/hugs_wo_trimlp.py of github.com/apple/ml-hugs.
Second hand: 3 frames per second (gen_run.py keeps every tenth picture of a video). Not read: masks as `.npy`.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.capture import Capture, CaptureCamera, CaptureError
from nerfstudio_mobavatar.dataparsers.assemble import Source, assemble, used_cameras
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser
from nerfstudio_mobavatar.dataparsers.calibration import parse_camera
from nerfstudio_mobavatar.dataparsers.camera_files import ColmapImage, read_colmap_images
from nerfstudio_mobavatar.dataparsers.files import NumberedFolder, list_numbered
from nerfstudio_mobavatar.dataparsers.fit import RawFit, load_arrays
from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain
from nerfstudio_mobavatar.dataparsers.smpl import SmplDataParserConfig, SmplPoses, listed_betas
from nerfstudio_mobavatar.plain_data import DAMAGE, damage_as

LAYOUT = "neuman"
CAMERA = "camera"
FITS = ("smpl_output_optimized.pkl", "smpl_output_romp.pkl")
ALIGNMENTS = "alignments.npy"
HUGS_FIT, HUGS_MASKS = Path("4d_humans/smpl_optimized_aligned_scale.npz"), Path("4d_humans/sam_segmentations")
PICTURE = re.compile(r"^(\d{1,18})\.(png|jpg|jpeg)$", re.IGNORECASE)
MASK = re.compile(r"^.*?(\d{1,18})\.png$", re.IGNORECASE)
FPS = 3.0
NO_ROTATION = 1e-2
"""Largest entry of `R R^T - 1` from which an alignment is no rotation with one scale."""


@dataclass
class NeuManDataParserConfig(SmplDataParserConfig):
    """Videos by one moving camera in the layout of NeuMan, with its own fits or those of HUGS."""

    _target: type = field(default_factory=lambda: NeuMan)
    """Parser class."""
    fits: Literal["auto", "neuman", "hugs"] = "auto"
    """Whose body fits and masks are read; auto: those of HUGS where they are."""


@dataclass(frozen=True)
class Similarity:
    """SMPL's space to COLMAP's world, per frame: `x_world = scale R x + t`."""

    R: Float[ndarray, "n 3 3"]
    t: Float[ndarray, "n 3"]
    scale: Float[ndarray, " n"]


class NeuMan(CaptureDataParser):
    """Reads the NeuMan layout."""

    config: NeuManDataParserConfig

    def read_capture(self) -> Capture:
        """Read and check the folder."""
        root = Path(self.config.data)
        folder, registered = read_colmap_images(root / "sparse")
        used_cameras(self.config, folder, [CAMERA])
        views = _by_number(folder, registered)
        present = list_numbered(root / "images", PICTURE)
        images = {n: path for n, path in present.items() if n in views}
        if not images:
            raise CaptureError(
                f"{root / 'images'}: expected the pictures that {folder} lists, such as {registered[0].name}, found "
                "none of them. Copy the data set's images folder."
            )
        hugs = self.config.fits == "hugs" or (self.config.fits == "auto" and (root / HUGS_FIT).is_file())
        read = self._hugs if hugs else self._neuman
        with damage_as(CaptureError, root, "fits and alignments of the pictures", "Copy the data set's own files."):
            raw, rows, masks, note = read(root, images, views)
        notes = (note, "The camera moves: it is taken to stand, and the body to move, so the world is the camera's.")
        if len(images) < len(present):
            notes += (f"{len(present) - len(images)} of the {len(present)} images are not in COLMAP's model.",)
        coding = "matte" if hugs else "inverted"

        def camera(_: NumberedFolder, first: Path) -> tuple[CaptureCamera, tuple[str, ...]]:
            lens = next(iter(views.values())).lens
            parsed, more = parse_camera(folder, CAMERA, {"R": np.eye(3), "T": np.zeros(3), **lens}, first, 0.0)
            return replace(parsed, mask_coding=coding), more

        source = Source(
            root=root,
            layout=LAYOUT,
            calibration=folder,
            folders=(NumberedFolder(CAMERA, root / "images", images, *masks),),
            camera=camera,
            raw=raw,
            rows=rows,
            row_rule="the k-th picture shows row k" if hugs else "picture n shows row n, aligned under its name",
            fps=FPS,
            mask_remedy="Make the masks, or leave the frames out with --drop-frames.",
            notes=notes,
        )
        return assemble(self.config, source)

    def _neuman(self, root: Path, images: dict[int, Path], views: dict[int, ColmapImage]):
        path = next((root / name for name in FITS if (root / name).is_file()), root / FITS[0])
        pose, betas = _neuman_fit(path)
        alignments = load_plain(root / ALIGNMENTS)
        if not isinstance(alignments, dict):
            alignments = {}
        numbers = [n for n in images if n < len(pose) and images[n].name in alignments]
        if not numbers:
            raise CaptureError(
                f"{root / ALIGNMENTS}: expected a matrix [4, 3] under the name of every picture, such as "
                f"{images[min(images)].name}, found {_listed(alignments)}. Copy the data set's own file."
            )
        T = _similarity(root / ALIGNMENTS, {images[n].name: alignments[images[n].name] for n in numbers})
        raw = _in_camera(self.config, path, pose[numbers], betas[numbers], T, [views[n] for n in numbers])
        masks = root / "segmentations", list_numbered(root / "segmentations", MASK)
        return raw, {n: row for row, n in enumerate(numbers)}, masks, f"poses from {path.name}, masks inverted."

    def _hugs(self, root: Path, images: dict[int, Path], views: dict[int, ColmapImage]):
        path, folder = root / HUGS_FIT, root / HUGS_MASKS
        arrays = load_arrays(path)
        sizes = {"global_orient": 3, "body_pose": 69, "transl": 3, "scale": 1}
        count = len(arrays["transl"]) if arrays.get("transl", np.zeros(())).ndim else 0
        for key, size in sizes.items():
            if key not in arrays or count == 0 or arrays[key].size != count * size:
                found = f"shape {arrays[key].shape}" if key in arrays else f"only {', '.join(sorted(arrays))}"
                raise CaptureError(
                    f"{path}: expected a SMPL fit with {size} numbers per frame in {key}, found {found}. Copy the "
                    "file of HUGS's data again, or read NeuMan's own fits with --fits neuman."
                )
        listed = sorted(folder.glob("*.png"))
        order = sorted(views)
        if len(listed) != len(order) or len(arrays.get("betas", ())) != count:
            raise CaptureError(
                f"{folder}: expected a mask for each of the {len(order)} pictures of COLMAP's model and betas for each "
                f"of the {count} frames of the fit, found {len(listed)} masks and {len(arrays.get('betas', ()))} "
                "betas. Copy HUGS's 4d_humans folder again, or give --fits neuman."
            )
        pose = np.concatenate([arrays[key].reshape(count, -1, 3) for key in ("global_orient", "body_pose")], 1)
        row_of = {n: row for row, n in enumerate(order) if n in images and row < count}
        rows = list(row_of.values())
        identity = np.broadcast_to(np.eye(3), (len(rows), 3, 3))
        scale, transl = arrays["scale"].reshape(count).astype(np.float64), arrays["transl"].reshape(count, 3)
        T = Similarity(identity, transl[rows].astype(np.float64), scale[rows])
        raw = _in_camera(self.config, path, pose[rows], arrays["betas"][rows], T, [views[n] for n in row_of])
        masks = folder, dict(zip(order, listed))
        return (
            raw,
            {n: row for row, n in enumerate(row_of)},
            masks,
            f"poses and masks of HUGS, from {path.parent.name}.",
        )


def _by_number(folder: Path, registered: list[ColmapImage]) -> dict[int, ColmapImage]:
    """COLMAP's pictures by the number in their names; all have to be of one lens."""
    views = {}
    for image in registered:
        match = PICTURE.match(Path(image.name).name)
        if match is None:
            raise CaptureError(
                f"{folder}: expected pictures named after their frame, such as 00012.png, found {image.name}. Rename "
                "the pictures here and in their folders."
            )
        views[int(match[1])] = image
    if not views:
        raise CaptureError(f"{folder}: expected the poses of the pictures, found none. Run COLMAP again.")
    first = registered[0]
    for image in registered:
        difference = np.abs(image.lens["K"] - first.lens["K"]).max()
        if difference > 1e-6 or image.lens["imgSize"] != first.lens["imgSize"]:
            raise CaptureError(
                f"{folder}: expected one lens for all pictures, found others for {image.name} and {first.name}. Run "
                "COLMAP with --ImageReader.single_camera 1."
            )
    return views


def _neuman_fit(path: Path) -> tuple[Float[ndarray, "n 24 3"], Float[ndarray, "n b"]]:
    """Pose and shape of every frame of NeuMan's joblib file."""
    content = load_plain(path)
    try:
        (fit,) = content.values()
        pose = np.asarray([np.asarray(row, np.float64).ravel() for row in fit["pose"]])
        betas = np.asarray([np.asarray(row, np.float64).ravel() for row in fit["betas"]])
        if pose.shape[1] != 72 or len(betas) != len(pose):
            raise ValueError(f"pose {pose.shape}, betas {betas.shape}")
    except DAMAGE as error:
        raise CaptureError(
            f"{path}: expected one person's pose (72 numbers) and betas per frame, found something else "
            f"({type(error).__name__}: {error}). Copy the data set's own file."
        ) from error
    return pose.reshape(-1, 24, 3), betas


def _similarity(path: Path, matrices: dict[str, Any]) -> Similarity:
    """From [4, 3] matrices that rows of points are multiplied by, by picture name."""
    R, t, scale = [], [], []
    for name, stored in matrices.items():
        matrix = np.asarray(stored)
        fits = matrix.shape == (4, 3) and matrix.dtype.kind == "f" and np.isfinite(matrix).all()
        size = np.cbrt(np.linalg.det(matrix[:3].astype(np.float64))) if fits else 0.0
        turn = matrix[:3].T.astype(np.float64) / size if size > 0 else np.zeros((3, 3))
        if np.abs(turn @ turn.T - np.eye(3)).max() > NO_ROTATION:
            raise CaptureError(
                f"{path}: expected a rotation with one scale and a shift, [4, 3], for {name}, found "
                f"{np.round(matrix, 3).tolist() if fits else f'shape {matrix.shape}'}. Copy the data set's own file."
            )
        R.append(turn)
        t.append(matrix[3].astype(np.float64))
        scale.append(size)
    return Similarity(np.stack(R), np.stack(t), np.stack(scale))


def _in_camera(
    config: NeuManDataParserConfig,
    path: Path,
    pose: Float[ndarray, "n 24 3"],
    betas: Float[ndarray, "n b"],
    T: Similarity,
    views: list[ColmapImage],
) -> RawFit:
    """The fit in each picture's camera, metres: `x_cam / scale = R_cw R x + (R_cw t + t_cw) / scale`."""
    if not (np.isfinite(T.scale) & (T.scale > 0)).all():
        raise CaptureError(f"{path}: expected positive scales, found {T.scale.min():g} among them. Fit these again.")
    T_cam_world = np.stack([view.T_cam_world for view in views])
    turn = T_cam_world[:, :3, :3] @ T.R
    shift = (np.einsum("nab,nb->na", T_cam_world[:, :3, :3], T.t) + T_cam_world[:, :3, 3]) / T.scale[:, None]
    poses = SmplPoses(pose.astype(np.float64), shift, Rotation.from_matrix(turn).as_rotvec())
    return config.carry_over(path, poses, listed_betas(path, betas))


def _listed(content: dict[Any, Any]) -> str:
    return f"only {', '.join(str(key) for key in list(content)[:5])}" if content else "nothing of the kind"
