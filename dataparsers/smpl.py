"""SMPL and SMPL-H fits on this project's SMPL-X skeleton.

The first 22 joints of all three models are the same ones, with the same meaning of their rotations, so these are
carried over as they are. The root needs care: SMPL turns about its own pelvis, which is 10 to 15 cm from where SMPL-X's
and the open body's are, so what is carried over is where the pelvis is in the world. Limits:

- Shape. SMPL's `betas` are coefficients of another basis and mean nothing here. With the user's SMPL model file
  (`smpl_model`) the body's own coefficients are fitted to the shape they describe. Without it the body keeps its
  average shape, which misses the person's height by up to 20 cm, and SMPL's average pelvis is assumed.
- Hands. SMPL has none: fingers stay straight. SMPL-H's 15 joints per hand are SMPL-X's, in the same order.
- Face. Neither has one: jaw, eyes and expression are zero.
- The joints of the two models differ by some millimetres inside the body, hips and shoulders by more.

Checked against: the joint lists of the smplx package (`joint_names.py`), the rotation about the pelvis in `lbs.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_file import BodyFileError, read_arrays
from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.capture import NUM_JOINTS, BodyFit, CaptureError
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParser, CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.fit import MOST_ROWS, RawFit
from nerfstudio_mobavatar.plain_data import damage_as

AVERAGE_PELVIS = np.array([-0.0018, -0.2233, 0.0282])
"""Where SMPL's average body without shape has its pelvis, metres; the figure that public code uses when it has no model
(for example `root_offset` in text-to-motion repositories)."""

BODY_JOINTS = 22
SHAPE_STEPS = 12
RIDGE = 1e-3
"""Weight of the squared shape coefficients against the mean squared distance in square centimetres."""
JOINT_WEIGHT = 20.0
"""Weight of one joint against one vertex's share: joints place the limbs, vertices give height and girth."""


@dataclass
class SmplDataParserConfig(CaptureDataParserConfig):
    """Options of layouts that carry a SMPL or SMPL-H fit."""

    _target: type = field(default_factory=lambda: CaptureDataParser)
    """Parser class."""
    smpl_model: Path | None = None
    """Your SMPL or SMPL-H model file (`.pkl` or `.npz`), absolute or relative to the capture's folder. With it the
    person's shape is carried over; without it the body has average shape."""

    def carry_over(self, path: Path, poses: "SmplPoses", betas: Float[ndarray, " b"]) -> RawFit:
        """The fit of `path` on the skeleton of the body that `body` names."""
        model = None if self.smpl_model is None else read_smpl_model(Path(self.data) / self.smpl_model)
        return to_smplx(path, poses, betas, model, load_body(self.body))


@dataclass(frozen=True)
class SmplPoses:
    """What a data set says about SMPL's joints, before it is known where the pelvis is."""

    pose: Float[ndarray, "t j 3"]
    """Axis-angle of SMPL's 24 or SMPL-H's 52 joints; joint 0 is the root's rotation about the pelvis."""
    shift: Float[ndarray, "t 3"]
    """What is added after that rotation (smplx's `transl`), or after `turn`."""
    turn: Float[ndarray, "t 3"] | None = None
    """Axis-angle `Rh` of data sets that turn the posed body about the origin and add `Th` after: `x = Rh x + Th`."""

    def pelvis(self, rest: Float[ndarray, " 3"]) -> Float[ndarray, "t 3"]:
        """Where the pelvis is in the world, given where the unposed body has it."""
        turned = rest if self.turn is None else Rotation.from_rotvec(self.turn).apply(rest)
        return turned + self.shift

    def root(self) -> Float[ndarray, "t 3"]:
        """The pelvis's rotation relative to the world."""
        own = Rotation.from_rotvec(self.pose[:, 0])
        return (own if self.turn is None else Rotation.from_rotvec(self.turn) * own).as_rotvec()


@dataclass(frozen=True)
class SmplModel:
    """The rest shapes of the user's SMPL or SMPL-H model file."""

    path: Path
    v_template: Float[ndarray, "v 3"]
    shape_dirs: Float[ndarray, "v 3 b"]
    J_regressor: Float[ndarray, "j v"]

    def rest(self, betas: Float[ndarray, " b"]) -> tuple[Float[ndarray, "v 3"], Float[ndarray, "j 3"]]:
        """Vertices and joints of a shape without pose; more betas than the model has are an error."""
        if len(betas) > self.shape_dirs.shape[2]:
            raise CaptureError(
                f"{self.path}: expected a model with at least {len(betas)} shape directions like the fit, found "
                f"{self.shape_dirs.shape[2]}. Give the model file the fit was made with."
            )
        vertices = self.v_template + self.shape_dirs[..., : len(betas)] @ betas
        return vertices, self.J_regressor @ vertices


def read_smpl_model(path: Path) -> SmplModel:
    """Read a SMPL or SMPL-H model file (`.pkl` as published, or `.npz`); nothing in it is executed.

    Raises:
        CaptureError: not there, or another model.
    """
    if not path.is_file():
        raise CaptureError(
            f"{path}: expected a SMPL or SMPL-H model file (--smpl-model), found none. Download it from "
            "https://smpl.is.tue.mpg.de, or leave the option away and do without the person's shape."
        )
    try:
        arrays, _, found = read_arrays(path, ("v_template", "shapedirs", "J_regressor"))
    except BodyFileError as error:
        raise CaptureError(str(error)) from error
    joints = np.atleast_1d(arrays["J_regressor"]).shape[0] if "J_regressor" in arrays else 0
    if len(arrays) < 3 or joints not in (24, 52):
        raise CaptureError(
            f"{path}: expected a SMPL (24 joints) or SMPL-H (52 joints) model in --smpl-model, found {joints} joints "
            f"and {', '.join(found)}. Give the model file the fit was made with."
        )
    v = np.atleast_1d(arrays["v_template"]).shape[0]
    directions = arrays["shapedirs"].shape[-1] if arrays["shapedirs"].ndim == 3 else 10
    shapes = {"v_template": (v, 3), "shapedirs": (v, 3, directions), "J_regressor": (joints, v)}
    for key, shape in shapes.items():
        array = arrays[key]
        if array.shape != shape or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise CaptureError(
                f"{path}: expected finite numbers of shape {shape} in {key}, found {array.dtype} of {array.shape}. "
                "Give the model file as it was published."
            )
    return SmplModel(path, *(arrays[key].astype(np.float64) for key in shapes))


def to_smplx(path: Path, poses: SmplPoses, betas: Float[ndarray, " b"], model: SmplModel | None, body: Body) -> RawFit:
    """The fit of `path` on the skeleton of `body`, with a note that says what was lost. NaN rows stay NaN."""
    if poses.pose.shape[1] not in (24, 52):
        raise CaptureError(
            f"{path}: expected 24 (SMPL) or 52 (SMPL-H) joints, found {poses.pose.shape[1]}. A fit of SMPL-X is saved "
            "under smplx's parameter names instead."
        )
    if not np.isfinite(betas).all():
        raise CaptureError(f"{path}: expected finite shape coefficients, found {betas.tolist()}. Fit the body again.")
    finite = np.isfinite(poses.pose).all((1, 2)) & np.isfinite(poses.shift).all(1)
    if poses.turn is not None:
        finite &= np.isfinite(poses.turn).all(1)
    used = _select(poses, finite)
    rest = AVERAGE_PELVIS if model is None else model.rest(betas)[1][0]
    shape = np.zeros(body.num_betas) if model is None else shape_like(model, betas, body)
    pelvis = body.rest(torch.from_numpy(shape).float())[1][0].numpy()
    pose = np.full((len(finite), NUM_JOINTS, 3), np.nan, np.float32)
    transl = np.full((len(finite), 3), np.nan, np.float32)
    pose[finite] = _skeleton(used)
    transl[finite] = used.pelvis(rest) - pelvis
    fit = BodyFit(pose, transl, np.zeros((len(finite), 10), np.float32), shape.astype(np.float32))
    return RawFit(path, fit, finite, (_note(poses, model, body),))


def shape_like(model: SmplModel, betas: Float[ndarray, " b"], body: Body) -> Float[ndarray, " n"]:
    """Coefficients of `body` whose unposed body is closest to the model's: least squares over its first 22 joints and
    over the vertices of trunk and limbs, each against the nearest vertex of the model (found again at every step)."""
    vertices, joints = model.rest(betas)
    vertices, joints = 100 * (vertices - joints[0]), 100 * (joints[:BODY_JOINTS] - joints[0])
    tree = KDTree(vertices)
    v0, j0, v_dirs, j_dirs = _linear_body(body)
    weight = np.sqrt(JOINT_WEIGHT * len(v0) / 1000)
    A = np.concatenate([v_dirs.reshape(-1, v_dirs.shape[2]), weight * j_dirs.reshape(-1, v_dirs.shape[2])])
    normal = A.T @ A / len(v0) + RIDGE * np.eye(A.shape[1])
    shape = np.zeros(A.shape[1])
    for _ in range(SHAPE_STEPS):
        nearest = vertices[tree.query(v0 + v_dirs @ shape)[1]]
        target = np.concatenate([(nearest - v0).ravel(), weight * (joints - j0).ravel()])
        shape = np.linalg.solve(normal, A.T @ target / len(v0))
    return shape


def _linear_body(body: Body) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Vertices [v, 3] and joints [22, 3] of the average body about its pelvis, and how they move with each coefficient
    ([v, 3, b], [22, 3, b]), centimetres. Without hands and head, which the models shape differently."""
    weights = body.skin_weights.numpy()
    kept = weights[:, [15, *range(20, NUM_JOINTS)]].sum(1) < 0.5
    dirs = 100 * body.shape_dirs.numpy().astype(np.float64)
    template = 100 * body.v_template.numpy().astype(np.float64)
    regressor = body.J_regressor.numpy()[:BODY_JOINTS].astype(np.float64)
    joints, joint_dirs = regressor @ template, np.einsum("jv,vcb->jcb", regressor, dirs)
    return template[kept] - joints[0], joints - joints[0], dirs[kept] - joint_dirs[0], joint_dirs - joint_dirs[0]


def _select(poses: SmplPoses, rows: ndarray) -> SmplPoses:
    return SmplPoses(poses.pose[rows], poses.shift[rows], None if poses.turn is None else poses.turn[rows])


def _skeleton(poses: SmplPoses) -> Float[ndarray, "t 55 3"]:
    pose = np.zeros((len(poses.pose), NUM_JOINTS, 3), np.float32)
    pose[:, :BODY_JOINTS] = poses.pose[:, :BODY_JOINTS]
    pose[:, 0] = poses.root()
    if poses.pose.shape[1] == 52:
        pose[:, 25:] = poses.pose[:, BODY_JOINTS:]
    return pose


def _note(poses: SmplPoses, model: SmplModel | None, body: Body) -> str:
    name, lost = ("SMPL", "hands and face") if poses.pose.shape[1] == 24 else ("SMPL-H", "the face")
    shape = (
        f"its shape is unknown (the body '{body.name}' keeps its average shape): give the model file with --smpl-model"
        if model is None
        else f"the shape of '{body.name}' was fitted to that of {model.path.name}"
    )
    return f"{name} fit carried over to SMPL-X's joints; {lost} stay at rest; {shape}."


def listed_betas(path: Path, rows: Sequence[ndarray] | ndarray) -> Float[ndarray, " b"]:
    """One shape for a sequence that stores it per frame: the mean of the frames' coefficients."""
    if len(rows) > MOST_ROWS:
        raise CaptureError(f"{path}: expected shape coefficients of at most {MOST_ROWS} frames, found {len(rows)}.")
    with damage_as(CaptureError, path, "numbers as shape coefficients", "Fit the body again."):
        sizes = {np.size(row) for row in rows}
        if len(sizes) != 1:
            raise CaptureError(
                f"{path}: expected equally many shape coefficients in every frame, found {sorted(sizes)[:9]}."
            )
        return np.mean([np.asarray(row, np.float64).ravel() for row in rows], 0)
