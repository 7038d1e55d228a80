"""The body under the avatar: pose and shape -> joints, skin weights, vertices (linear blend skinning, SMPL-X format).

Two sources. The *open body* is a CC0 file that ships with this package and is evaluated here, in torch. A user's own
SMPL-X model file goes through the `smplx` package, which is imported only then (its software licence does not allow
commercial use). Any vertex count; 55 joints in SMPL-X order; metres, radians, float32.
"""

import contextlib
import io
import tempfile
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerfstudio_mobavatar.body_file import BodyFile, BodyFileError, find_body_file, read_body_file
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat, rigid

OPEN_BODY = "open"
OPEN_BODY_NOTE = "open body: derived from MakeHuman assets, CC0; evaluated without the smplx package"
SMPLX_NOTE = "SMPL-X model file of the user: its model licence and that of the smplx package apply to what you make"

_CHUNK = 16
"""Frames skinned at once: 13,524 vertices x 12 floats x 16 frames is 10 MB of blended matrices."""


def forward_kinematics(
    R_parent_joint: Float[Tensor, "*b j 3 3"],
    joints: Float[Tensor, "j 3"],
    parents: tuple[int, ...],
    transl: Float[Tensor, "*b 3"],
) -> Float[Tensor, "*b j 4 4"]:
    """Where every joint is in the world, and how it is turned.

    Args:
        R_parent_joint: rotation of each joint relative to its parent, joint 0 relative to the world.
        joints: rest positions in metres.
        parents: parent of each joint, -1 for joint 0, parents before children.
        transl: metres, added at the end (`x_world = LBS(pose) + transl`): joint 0 turns about its own rest position.

    Returns:
        `T_world_joint`; the identity pose gives pure translations by `joints + transl`.
    """
    levels = _levels(parents)
    R: list[Tensor | None] = [None] * len(parents)
    t: list[Tensor | None] = [None] * len(parents)
    R[0], t[0] = R_parent_joint[..., 0, :, :], joints[0] + transl
    for level in levels[1:]:
        up = [parents[j] for j in level]
        R_up = torch.stack([_known(R[p]) for p in up], -3)
        t_up = torch.stack([_known(t[p]) for p in up], -2)
        bone = (joints[level] - joints[up])[..., None]
        R_level = R_up @ R_parent_joint[..., level, :, :]
        t_level = t_up + (R_up @ bone)[..., 0]
        for k, j in enumerate(level):
            R[j], t[j] = R_level[..., k, :, :], t_level[..., k, :]
    return rigid(torch.stack([_known(x) for x in R], -3), torch.stack([_known(x) for x in t], -2))


def relative_to_rest(
    T_world_joint: Float[Tensor, "*b j 4 4"], joints: Float[Tensor, "j 3"]
) -> Float[Tensor, "*b j 4 4"]:
    """`T_world_joint` after moving the rest joint to the origin: what skinning applies to rest-pose points."""
    R = T_world_joint[..., :3, :3]
    return rigid(R, T_world_joint[..., :3, 3] - (R @ joints[..., None])[..., 0])


def root_from_rh_th(
    R: Float[Tensor, "*b 3 3"], Th: Float[Tensor, "*b 3"], root_joint: Float[Tensor, " 3"]
) -> Float[Tensor, "*b 3"]:
    """`transl` for fits that rotate after skinning (`x = Rh x_posed + Th` with zero root pose): the root pose becomes
    `Rh` and `transl = Th + Rh J0 - J0`, because SMPL-X turns about joint 0 and not about the origin."""
    return Th + R @ root_joint - root_joint


def _levels(parents: tuple[int, ...]) -> list[list[int]]:
    """Joints by depth, so that each depth is one batched product."""
    depth = [0] * len(parents)
    for j in range(1, len(parents)):
        depth[j] = depth[parents[j]] + 1
    return [[j for j in range(len(parents)) if depth[j] == d] for d in range(max(depth) + 1)]


def _known(x: Tensor | None) -> Tensor:
    if x is None:
        raise ValueError("parents: expected every parent before its children")
    return x


@dataclass(frozen=True)
class Body:
    """One person's kind of body. Tensors live on one device (`to` moves them)."""

    name: str
    """`open`, or the file name of a user's model."""
    license_note: str
    parents: tuple[int, ...]
    """55 entries, -1 for the pelvis."""
    faces: Int[Tensor, "f 3"]
    skin_weights: Float[Tensor, "v 55"]
    hand_mean: Float[Tensor, "30 3"]
    """Mean hand pose of the file, axis-angle, left 15 joints then right 15."""
    hand_components: Float[Tensor, "2 45 45"]
    """Rows: principal components of the left and of the right hand."""
    v_template: Float[Tensor, "v 3"]
    J_regressor: Float[Tensor, "55 v"]
    shape_dirs: Float[Tensor, "v 3 b"]
    expression_dirs: Float[Tensor, "v 3 e"]
    pose_dirs: Float[Tensor, "486 n"]
    """`n` = 3 v, row per entry of `R_parent_joint - I` of joints 1..54."""
    smplx_module: Any = field(default=None, repr=False)
    """`smplx.SMPLX`, for a user's model file only."""

    @property
    def num_betas(self) -> int:
        return self.shape_dirs.shape[-1]

    @property
    def num_expressions(self) -> int:
        return self.expression_dirs.shape[-1]

    @property
    def num_vertices(self) -> int:
        return self.v_template.shape[0]

    def to(self, device: torch.device | str) -> "Body":
        """The same body on another device."""
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        module = None if self.smplx_module is None else self.smplx_module.to(device)
        return replace(self, **moved, smplx_module=module)

    def rest(self, betas: Float[Tensor, " b"]) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "55 3"]]:
        """Vertices and joints (metres) of this shape without pose and expression. Fewer betas than `num_betas` are
        completed by zeros, more raise `ValueError`."""
        vertices = self.v_template + self.shape_dirs @ self._complete(betas, self.num_betas, "betas")
        return vertices, self.J_regressor @ vertices

    def vertices(
        self,
        pose: Float[Tensor, "t 55 3"],
        transl: Float[Tensor, "t 3"],
        betas: Float[Tensor, " b"],
        expression: Float[Tensor, "t e"],
    ) -> Float[Tensor, "t v 3"]:
        """Skinned vertices in the world, metres; mean hand pose already inside `pose`. Joints follow the expression
        as in SMPL-X (a fraction of a millimetre)."""
        betas = self._complete(betas, self.num_betas, "betas")
        expression = self._complete(expression, self.num_expressions, "expression")
        evaluate = self._vertices_open if self.smplx_module is None else self._vertices_smplx
        starts = range(0, len(pose), _CHUNK)
        parts = [
            evaluate(pose[i : i + _CHUNK], transl[i : i + _CHUNK], betas, expression[i : i + _CHUNK]) for i in starts
        ]
        return torch.cat(parts) if parts else self.v_template.new_zeros(0, self.num_vertices, 3)

    def _complete(self, x: Tensor, count: int, what: str) -> Tensor:
        if x.shape[-1] > count:
            raise ValueError(
                f"{what}: {x.shape[-1]} numbers, but the body '{self.name}' has {count}; cut them, or load the body "
                "file the fit was made with"
            )
        return torch.nn.functional.pad(x, (0, count - x.shape[-1]))

    def _vertices_open(self, pose: Tensor, transl: Tensor, betas: Tensor, expression: Tensor) -> Tensor:
        shaped = (
            self.v_template + self.shape_dirs @ betas + torch.einsum("vce,te->tvc", self.expression_dirs, expression)
        )
        joints = torch.einsum("jv,tvc->tjc", self.J_regressor, shaped)
        R = axis_angle_to_rotmat(pose)
        feature = (R[:, 1:] - torch.eye(3, dtype=R.dtype, device=R.device)).flatten(1)
        offset = (feature @ self.pose_dirs).view_as(shaped)
        T = torch.stack(
            [relative_to_rest(forward_kinematics(r, j, self.parents, x), j) for r, j, x in zip(R, joints, transl)]
        )
        A = torch.einsum("vj,tjk->tvk", self.skin_weights, T[..., :3, :].flatten(2)).unflatten(-1, (3, 4))
        return (A[..., :3] @ (shaped + offset)[..., None])[..., 0] + A[..., 3]

    def _vertices_smplx(self, pose: Tensor, transl: Tensor, betas: Tensor, expression: Tensor) -> Tensor:
        from smplx.lbs import lbs

        skin: Any = lbs  # smplx annotates with a Tensor type of its own
        m = self.smplx_module  # not its forward(): that also picks key points by SMPL-X's own vertex numbers
        shape = torch.cat([betas.expand(len(pose), -1), expression], 1)
        directions = torch.cat([m.shapedirs, m.expr_dirs], -1)
        vertices, _ = skin(
            shape, pose.flatten(1), m.v_template, directions, m.posedirs, m.J_regressor, m.parents, m.lbs_weights
        )
        return vertices + transl[:, None]


def load_body(
    source: str | Path = OPEN_BODY,
    gender: str = "neutral",
    num_betas: int | None = None,
    num_expressions: int | None = None,
) -> Body:
    """Load a body.

    Args:
        source: "open" for the body that ships with this package, or the path of your SMPL-X model: a `.npz` or `.pkl`
            file, or a folder holding `SMPLX_NEUTRAL/MALE/FEMALE.npz/.pkl`.
        gender: which file of a folder; a single file is taken as it is.
        num_betas: keep the first so many shape directions; all by default.
        num_expressions: keep the first so many expression directions; all by default.

    Raises:
        BodyFileError: the file is missing, of another format, unreadable, or would run code on loading.
    """
    if str(source) == OPEN_BODY:
        if gender != "neutral":
            raise BodyFileError(f"the open body has one file for everyone; gender={gender!r} needs an SMPL-X folder")
        if num_betas is None and num_expressions is None:
            return _open_body()
        return _build(_read_open_body(), num_betas, num_expressions)
    return _build(read_body_file(find_body_file(Path(source), gender)), num_betas, num_expressions)


@lru_cache
def _open_body() -> Body:
    """Read once per process, which takes a third of a second. Nobody writes into a body."""
    return _build(_read_open_body(), None, None)


def _read_open_body() -> BodyFile:
    with as_file(files("nerfstudio_mobavatar") / "assets" / "open_body.npz") as path:
        return read_body_file(path)


def expand_hands(
    left: Float[Tensor, "t n"], right: Float[Tensor, "t n"], body: Body, flat_hand_mean: bool, pca: bool
) -> Float[Tensor, "t 30 3"]:
    """Axis-angle hand poses with the mean inside, from what a fit stores.

    Args:
        left, right: with `pca` the coefficients of the first `n` components of `body`, else 45 axis-angle numbers.
        flat_hand_mean: True if zero in the fit means a flat hand (the mean is not added).
        pca: whether the numbers are PCA coefficients; never guessed, since 45 can be either.

    Raises:
        ValueError: `n` does not fit.
    """
    n = left.shape[1]
    if right.shape[1] != n or n > 45 or (not pca and n != 45):
        expected = "at most 45 PCA coefficients" if pca else "45 axis-angle numbers (or pca=True for coefficients)"
        raise ValueError(f"hand pose: {n} numbers left and {right.shape[1]} right, expected {expected} per hand")
    components = body.hand_components.to(left)
    hands = torch.stack([left, right], 1)
    if pca:
        hands = torch.einsum("thn,hnk->thk", hands, components[:, :n])
    mean = torch.zeros_like(body.hand_mean) if flat_hand_mean else body.hand_mean
    return hands.reshape(-1, 30, 3) + mean.to(left)


def _build(content: BodyFile, num_betas: int | None, num_expressions: int | None) -> Body:
    shape_dirs = _take(content.shape_dirs, num_betas, "num_betas", content.path)
    expression_dirs = _take(content.expression_dirs, num_expressions, "num_expressions", content.path)
    is_open = bool(content.marker)
    vertices = len(content.v_template)
    return Body(
        name=OPEN_BODY if is_open else content.path.name,
        license_note=OPEN_BODY_NOTE if is_open else SMPLX_NOTE,
        parents=content.parents,
        faces=torch.from_numpy(content.faces),
        skin_weights=torch.from_numpy(content.weights),
        hand_mean=torch.from_numpy(content.hand_mean),
        hand_components=torch.from_numpy(content.hand_components),
        v_template=torch.from_numpy(content.v_template),
        J_regressor=torch.from_numpy(content.J_regressor),
        shape_dirs=torch.from_numpy(np.ascontiguousarray(shape_dirs)),
        expression_dirs=torch.from_numpy(np.ascontiguousarray(expression_dirs)),
        pose_dirs=torch.from_numpy(content.pose_dirs.reshape(3 * vertices, -1)).T,
        smplx_module=None if is_open else _smplx_module(content, shape_dirs.shape[2], expression_dirs.shape[2]),
    )


def _take(
    directions: Float[np.ndarray, "v 3 n"], count: int | None, name: str, path: Path
) -> Float[np.ndarray, "v 3 m"]:
    if count is None:
        return directions
    if not 0 < count <= directions.shape[2]:
        raise BodyFileError(f"{path}: {name}={count}, but the file has 1..{directions.shape[2]}")
    return directions[..., :count]


def _smplx_module(content: BodyFile, num_betas: int, num_expressions: int) -> Any:
    """`smplx.SMPLX` on a cleaned copy of the file: smplx itself loads pickles, so it only ever sees plain arrays."""
    import smplx

    missing = [key for key in ("lmk_faces_idx", "lmk_bary_coords") if key not in content.arrays]
    if missing:
        raise BodyFileError(f"{content.path}: lacks {', '.join(missing)}, which the smplx package needs")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        # smplx prints a warning for files with 10 + 10 columns; we support them
        clean = Path(folder) / "SMPLX_NEUTRAL.npz"
        np.savez(clean, **content.arrays)  # type: ignore[arg-type]
        module = smplx.SMPLX(
            model_path=str(clean),
            num_betas=num_betas,
            num_expression_coeffs=num_expressions,
            use_pca=False,
            flat_hand_mean=True,
            batch_size=1,
        )
    return module.requires_grad_(False)
