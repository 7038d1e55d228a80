"""The avatar `.npz` of the paper's published runtime: the same avatar, other names, halves for positions too.

The layout is known from its public readers; no player was at hand, so nothing here was tried in one. It has no room for
what the runtime has built in (SMPL-X's joint tree, the canonical pose) nor for notes; ours travel in one more array,
`mobavatar_meta`. Network inputs are 63 pose numbers (axis-angle of joints 1..21) and 10 of expression. One public
player puts a zero between the two and pads to 80, so three widths are met and read: 73, 74 and 80.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nerfstudio_mobavatar import trained_poses
from nerfstudio_mobavatar.plain_data import DAMAGE, NotPlainError, read_npz

from ..arrays import POINTS_AT, SHAPES, AvatarArrays
from ..detail import levels_header, read_levels, read_pixels_per_metre
from ..evaluate import Pose, joint_transforms
from .errors import ExchangeError

POSE_INPUTS, EXPRESSIONS = 63, 10
INPUT_WIDTHS = (73, 74, 80)
META_KEY = "mobavatar_meta"
BIG_POSE_HIP = np.deg2rad(25.0)
"""The canonical pose: hips turned out by this angle (`template.BIG_POSE_HIP`, whose module needs torch)."""
_FINGERS = [j for wrist, first in ((20, 25), (21, 40)) for f in range(5)
            for j in (wrist, first + 3 * f, first + 3 * f + 1)]  # fmt: skip
JOINT_PARENT = np.array(
    [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15, *_FINGERS], np.int32
)
"""SMPL-X's joint tree."""
NAMES = {
    "position": "_xyz", "log_scale": "_scaling", "rotation": "_rotation", "color": "_sh0", "opacity": "opacity",
    "joint_rest": "t_joints", "skin_index": "weights_idx", "skin_weight": "weights_val", "part": "gs_feat_knn",
    "rotation_index": "rot_idxs", "scale_index": "scale_idxs", "color_index": "color_idxs",
    "rotation_basis": "rotation_basis", "scale_basis": "scaling_basis", "color_basis": "color_basis",
    "node_basis": "ctrl_pt_basis", "node_index": "gs_ctrl_knn", "node_weight": "gs_ctrl_knn_weights",
    "node_part": "ctrl_feat_knn",
}  # fmt: skip
"""Our names and the layout's."""
STORED = {
    "skin_index": np.uint8, "part": np.uint16, "node_index": np.uint16, "node_part": np.uint16,
    "rotation_index": np.uint32, "scale_index": np.uint32, "color_index": np.uint32,
}  # fmt: skip
"""What indices are stored as; real numbers are halves, opacities and skin weights bytes."""
NODE_OFFSET, HEAD_PARTS = "ctrl_pt_offsets", "num_xyz_ft_head"
KEYS = (*NAMES.values(), NODE_OFFSET, HEAD_PARTS)


def write(path: Path, a: AvatarArrays, input_width: Literal[73, 74] = 73) -> None:
    """Write the layout; `input_width` 74 puts a zero column between pose and expression.

    Raises:
        ExchangeError: the avatar has another skeleton, canonical pose or network input than the layout implies.
    """
    _check_implied(path, a)
    first = a.mlp_weights[0]
    if input_width == 74:
        first = np.insert(first, POSE_INPUTS, 0, axis=2)
    weights = (first, *a.mlp_weights[1:])
    low, high = np.finfo(np.float16).min, np.finfo(np.float16).max
    arrays: dict[str, np.ndarray] = {key: getattr(a, name) for name, key in NAMES.items()}
    arrays |= {NAMES[name]: arrays[NAMES[name]].astype(dtype) for name, dtype in STORED.items()}
    arrays |= {
        "_sh0": a.color[:, None],
        "opacity": np.rint(255 * np.clip(a.opacity, 0, 1)).astype(np.uint8),
        "weights_val": _bytes_of_sum_255(a.skin_weight),
        NODE_OFFSET: np.zeros((len(a.node_part), 3), np.float16),  # already inside _xyz
        HEAD_PARTS: np.array(a.num_head_parts, np.uint32),
        **{f"layers.{2 * i}.weight": w.transpose(1, 0, 2) for i, w in enumerate(weights)},
        **{f"layers.{2 * i}.bias": b.T for i, b in enumerate(a.mlp_biases)},
    }
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            if array.size and not (low <= array.min() and array.max() <= high):
                raise ExchangeError(f"{path}: {name} has numbers beyond half precision or none at all; train it again.")
            arrays[name] = array.astype(np.float16)
    notes = {
        "meta": a.meta,
        "input_range": None if a.input_range is None else a.input_range.astype(float).tolist(),
        "trained_regions": trained_poses.to_json(a.trained_regions),
        "pixels_per_metre": a.pixels_per_metre,
        **levels_header(a.levels),
    }
    arrays[META_KEY] = np.frombuffer(json.dumps(notes).encode(), np.uint8)
    with path.open("wb") as stream:  # a name without .npz would get it appended
        np.savez(stream, **arrays)  # pyright: ignore[reportArgumentType]


def read(path: Path) -> tuple[AvatarArrays, int]:
    """The avatar and the width of its network input as it stands in the file (73, 74 or 80).

    Raises:
        ExchangeError: the file is not of this layout.
    """
    s = _load(path)
    missing = [key for key in (*KEYS, "layers.0.weight", "layers.0.bias") if key not in s]
    if missing:
        raise ExchangeError(
            f"{path}: expected an avatar of the published runtime, but it lacks {', '.join(missing[:4])}"
            f"{' ...' if len(missing) > 4 else ''} (found: {', '.join(sorted(s)[:6]) or 'nothing'}). "
            "A motion in .npz goes through `mobavatar convert-pose`."
        )
    try:
        _check_shapes(path, s)
        return _assemble(path, s)
    except ExchangeError:
        raise
    except DAMAGE as error:
        raise ExchangeError(f"{path}: its arrays do not fit together ({error}); copy or export it again.") from error


def _load(path: Path) -> dict[str, np.ndarray]:
    """Every array of the archive, none larger than it may be. Pickled objects are refused."""
    try:
        return read_npz(path)[0]
    except NotPlainError as error:
        raise ExchangeError(f"{path}: expected an .npz of plain arrays, found {error}; copy it again.") from error


def _check_shapes(path: Path, s: dict[str, np.ndarray]) -> None:
    """Raise unless all arrays are numbers that belong to the same Gaussians, nodes and parts, and to existing ones."""
    counts = {"n": len(s["_xyz"]), "m": len(s["ctrl_feat_knn"]), "k": s["ctrl_pt_basis"].shape[-1]}
    counts |= {"parts": s["layers.0.bias"].shape[1]}
    counts |= {name: len(s[NAMES[f"{name}_index"]]) for name in ("rotation", "scale", "color")}

    def number(x: str | int) -> int:
        return x if isinstance(x, int) else counts[x]

    shapes = {NAMES[name]: tuple(map(number, shape)) for name, shape in SHAPES.items() if name in NAMES}
    shapes |= {"_sh0": (counts["n"], 1, 3), NODE_OFFSET: (counts["m"], 3), HEAD_PARTS: ()}
    for name, shape in shapes.items():
        if s[name].shape != shape:
            raise ExchangeError(f"{path}: expected {name} of shape {shape}, found {s[name].shape}; export it again.")
    for name, end in ((NAMES[name], number(things)) for name, things in POINTS_AT.items()):
        if s[name].size and not 0 <= s[name].min() <= s[name].max() < end:
            raise ExchangeError(f"{path}: {name} must lie in 0..{end - 1}, found {s[name].max()}; export it again.")
    for name in (*KEYS, *(key for key in s if key.startswith("layers."))):
        if s[name].dtype.kind not in "fiu" or not np.isfinite(s[name]).all():
            raise ExchangeError(f"{path}: expected finite numbers in {name}; copy or export it again.")


def _assemble(path: Path, s: dict[str, np.ndarray]) -> tuple[AvatarArrays, int]:
    def real(name: str) -> np.ndarray:
        return s[name].astype(np.float32)

    layers = sorted(int(key.split(".")[1]) for key in s if key.startswith("layers.") and key.endswith(".weight"))
    weights = [real(f"layers.{i}.weight").transpose(1, 0, 2) for i in layers]
    biases = [real(f"layers.{i}.bias").T for i in layers]
    widths = [w.shape[2] for w in weights] + [2 * s["ctrl_pt_basis"].shape[-1]]
    if any(w.shape[:2] != b.shape or b.shape[1] != out for w, b, out in zip(weights, biases, widths[1:])):
        raise ExchangeError(f"{path}: one layer's outputs are not the next one's inputs ({widths}); export it again.")
    width = weights[0].shape[2]
    if width not in INPUT_WIDTHS:
        raise ExchangeError(
            f"{path}: expected a network input of {', '.join(map(str, INPUT_WIDTHS))} numbers, found {width}."
        )
    start = POSE_INPUTS + (width != 73)
    weights[0] = np.concatenate([weights[0][:, :, :POSE_INPUTS], weights[0][:, :, start : start + EXPRESSIONS]], 2)
    a: dict[str, Any] = {
        name: s[key].astype(np.int64 if name in POINTS_AT else np.float32) for name, key in NAMES.items()
    }
    a["color"] = a["color"].reshape(-1, 3)
    a["opacity"] /= np.float32(255)
    a["skin_weight"] /= np.maximum(a["skin_weight"].sum(1, keepdims=True), 1)
    a["node_weight"] /= np.maximum(a["node_weight"].sum(1, keepdims=True), 1e-6)
    a["position"] += (real(NODE_OFFSET)[a["node_index"]] * a["node_weight"][..., None]).sum(1)
    arrays = AvatarArrays(
        **a,
        mlp_weights=tuple(weights),
        mlp_biases=tuple(biases),
        num_head_parts=int(s[HEAD_PARTS]),
        num_pose_inputs=POSE_INPUTS,
        inverse_bind=np.zeros((55, 3, 4), np.float32),
        joint_parent=JOINT_PARENT,
        **_notes(path, s),
    )
    return with_big_pose(arrays), width


def _notes(path: Path, s: dict[str, np.ndarray]) -> dict[str, Any]:
    """`meta` and what training saw, of files that we wrote; of others, what has to be guessed."""
    if META_KEY not in s:
        return {
            "meta": {
                "generator": f"imported from {path.name}",
                "body": "unknown",
                "body_license": "unknown body: ask whoever made this file, SMPL-X and its licence are likely",
            }
        }
    notes = json.loads(s[META_KEY].astype(np.uint8).tobytes())
    limits = notes["input_range"]
    return {
        "meta": notes["meta"],
        "input_range": None if limits is None else np.array(limits, np.float32),
        "trained_regions": trained_poses.from_json(notes.get("trained_regions", []), 63),
        "levels": read_levels(notes | {"num_gaussians": len(s["_xyz"])}),
        "pixels_per_metre": read_pixels_per_metre(notes),
    }


def with_big_pose(a: AvatarArrays) -> AvatarArrays:
    """The same avatar with the inverse joint transforms of the canonical pose, which follow from its joints."""
    angles = np.zeros((55, 3), np.float32)
    angles[1, 2], angles[2, 2] = BIG_POSE_HIP, -BIG_POSE_HIP
    unbound = replace(a, inverse_bind=np.tile(np.eye(3, 4, dtype=np.float32), (55, 1, 1)))
    T = joint_transforms(unbound, Pose(angles, np.eye(3), np.zeros(3), np.zeros(0)))
    R = T[:, :, :3].transpose(0, 2, 1)
    return replace(a, inverse_bind=np.concatenate([R, -R @ T[:, :, 3:]], 2))


def _check_implied(path: Path, a: AvatarArrays) -> None:
    """Raise where the file would mean something else than the avatar does."""
    if not np.array_equal(a.joint_parent, JOINT_PARENT):
        raise ExchangeError(f"{path}: the layout implies SMPL-X's 55 joints, this avatar has another skeleton.")
    if (a.layer_sizes[0], a.num_pose_inputs) != (POSE_INPUTS + EXPRESSIONS, POSE_INPUTS):
        raise ExchangeError(
            f"{path}: the layout has {POSE_INPUTS} pose numbers and {EXPRESSIONS} of expression, this avatar "
            f"{a.num_pose_inputs} and {a.layer_sizes[0] - a.num_pose_inputs}; train it with {EXPRESSIONS} expressions."
        )
    if np.abs(with_big_pose(a).inverse_bind - a.inverse_bind).max() > 1e-4:
        raise ExchangeError(f"{path}: the layout implies a T-pose with hips at 25 degrees, this avatar's is another.")


def _bytes_of_sum_255(weight: np.ndarray) -> np.ndarray:
    """[N, 4] weights as bytes; what rounding loses goes to the largest."""
    w = np.rint(255 * weight / weight.sum(1, keepdims=True)).astype(np.int64)
    w[np.arange(len(w)), weight.argmax(1)] += 255 - w.sum(1)
    return w.astype(np.uint8)
