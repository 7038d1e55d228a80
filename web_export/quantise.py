"""Avatar -> the integers of a file, and back to what readers hand out. The way back is exact; twin: decode.ts."""

from typing import Any

import numpy as np

from .arrays import AvatarArrays, BundleError
from .precision import Precision
from .records import half_bits, pack_records
from .schema import ATTRIBUTES, NUM_JOINTS, STEPS, WHOLES, array_shapes, even, layers
from .whiten import CorrectiveSteps, plain_networks, round_networks, whiten

GRID = 65535
"""Most steps along an axis of the box of positions."""
MAX_REACH = 1 << 20
"""Largest integer that stands for a real number: readers keep a table of what each one means."""


def prepare(a: AvatarArrays, p: Precision, samples: np.ndarray) -> AvatarArrays:
    """The same avatar in the coordinates in which it is rounded (`whiten.py`). `samples`: of `pose_samples`."""
    return whiten(plain_networks(a), samples, CorrectiveSteps(**basis_steps(p)))


def basis_steps(p: Precision) -> dict[str, float]:
    """Step of each kind of basis."""
    return {
        "rotation": p.rotation_corrective,
        "scale": p.scale_corrective,
        "color": p.color_corrective,
        "node": p.node_corrective_m,
    }


def quantise(a: AvatarArrays, p: Precision, samples: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header entries and streams ([rows, columns] int64, see `schema.streams`) of an avatar that `prepare` made.
    `samples` [S, in]: inputs of poses, over which errors of the networks are weighed."""
    low, step = position_grid(a.position, p.position_m)
    sets, skin_set, skin_weight = _skin(a, p.skin_weight_levels)
    node_index, node_weight = _nodes(a, p.node_weight_levels)
    integers, scales, biases = round_networks(a, samples, p.mlp_bits)
    steps = basis_steps(p)
    header = {
        "position_low": low.tolist(),
        "position_high": (low + GRID * step).tolist(),
        "kept": [len(getattr(a, f"{name}_index")) for name in ATTRIBUTES],
        "num_skin_sets": len(sets),
        "steps": {"rotation": p.rotation, "log_scale": p.log_scale, "color": p.color}
        | {f"{name}_basis": step for name, step in steps.items()},
        "shares": {
            "opacity": p.opacity_levels,
            "node_weight": p.node_weight_levels,
            "skin_weight": p.skin_weight_levels,
        },
    }
    color = np.rint(a.color / p.color).astype(np.int64)
    streams = {
        "joint_rest": _float_bits(a.joint_rest),
        "inverse_bind": _float_bits(a.inverse_bind.reshape(-1, 12)),
        "joint_parent": a.joint_parent[:, None],
        "position": np.rint((a.position - low) / step).clip(0, GRID),
        "rotation": _rotations(a.rotation, p.rotation),
        "log_scale": np.rint(a.log_scale / p.log_scale),
        # red and blue as differences to green: brightness is most of what varies
        "color": np.stack([color[:, 0] - color[:, 1], color[:, 1], color[:, 2] - color[:, 1]], 1),
        "opacity": np.rint(a.opacity * p.opacity_levels)[:, None],
        "skin_sets": sets,
        "skin_set": skin_set[:, None],
        "skin_weight": skin_weight,
        "part": a.part[:, None],
        "node_index": node_index,
        "node_weight": node_weight,
        **{f"{name}_index": getattr(a, f"{name}_index")[:, None] for name in ATTRIBUTES},
        **{f"{name}_basis": _coefficients(getattr(a, f"{name}_basis"), steps[name]) for name in ATTRIBUTES},
        "node_part": a.node_part[:, None],
        "node_basis": _coefficients(a.node_basis, steps["node"]),
        "mlp_scales": half_bits(np.concatenate([s.ravel() for s in scales]))[:, None],
        "mlp_biases": half_bits(np.concatenate([b.ravel() for b in biases]))[:, None],
        **{f"mlp_weights_{i}": q.reshape(-1, q.shape[2]) for i, q in enumerate(integers)},
    }
    return header, {name: np.asarray(values).astype(np.int64) for name, values in streams.items()}


def _float_bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float32).view(np.uint32)


def position_grid(position: np.ndarray, step_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Low corner of the box [3] and steps [3] of the grid: the high corner lies where `GRID` steps end."""
    low = position.min(0).astype(np.float64)
    finest = np.maximum(position.max(0) - low, 1e-6) / GRID
    return low, np.maximum(step_m, finest)


def three_smaller(q: np.ndarray) -> np.ndarray:
    """[N, 3] of unit quaternions whose largest number is positive: the other three, cyclically from there."""
    return np.take_along_axis(q, (q.argmax(1)[:, None] + np.arange(1, 4)) % 4, 1)


def _rotations(q: np.ndarray, step: float) -> np.ndarray:
    """[N, 4]: which number is the largest (it is positive and follows from the others), then the other three."""
    return np.concatenate([q.argmax(1)[:, None], np.rint(three_smaller(q) / step)], 1)


def _coefficients(basis: np.ndarray, step: float) -> np.ndarray:
    """[n, K * a]: most important coefficient first, so that the rest is one long run of zeros."""
    return np.rint(basis / step).transpose(0, 2, 1).reshape(len(basis), basis.shape[1] * basis.shape[2])


def shares(weight: np.ndarray, levels: int) -> np.ndarray:
    """Integers that sum to `levels`; the largest takes up what rounding leaves over."""
    k = np.rint(weight / weight.sum(1, keepdims=True) * levels).astype(np.int64)
    k[np.arange(len(k)), weight.argmax(1)] += levels - k.sum(1)
    return k


def _nodes(a: AvatarArrays, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in ascending order, which neighbours share, and the weights of the first two."""
    order = np.argsort(a.node_index, 1, kind="stable")
    weight = shares(np.take_along_axis(a.node_weight, order, 1), levels)
    return np.take_along_axis(a.node_index, order, 1), weight[:, :2]


def _skin(a: AvatarArrays, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct sets of four joints (ascending, padded with joint 0), the set of each Gaussian, and the weights of
    the first three joints of its set."""
    share = shares(a.skin_weight, levels)
    joint = np.where(share > 0, a.skin_index, NUM_JOINTS)
    order = np.argsort(joint, 1, kind="stable")
    joint, share = (np.take_along_axis(x, order, 1) for x in (joint, share))
    sets, index = np.unique(joint, axis=0, return_inverse=True)
    return np.where(sets == NUM_JOINTS, 0, sets), index.reshape(-1), share[:, :3]


def dequantise(header: dict[str, Any], s: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of `schema.ARRAYS` from a file's streams. Raises `BundleError` where they do not make an avatar."""
    _check_streams(header, s)
    steps, levels = {name: float(step) for name, step in header["steps"].items() if name in STEPS}, header["shares"]
    k = header["basis_size"]
    color = s["color"].copy()
    color[:, [0, 2]] += color[:, [1]]
    skin = s["skin_weight"] * (WHOLES["skin_weight"] // levels["skin_weight"])
    fields = {
        "position": s["position"],
        "rotation": _rotation_bits(s["rotation"], steps["rotation"]),
        "log_scale": _halves("log_scale", s["log_scale"], steps["log_scale"]),
        "color": _halves("color", color, steps["color"]),
        "opacity": s["opacity"][:, 0] * (WHOLES["opacity"] // levels["opacity"]),
        "part": s["part"][:, 0],
        "node_index": s["node_index"],
        "node_weight": s["node_weight"] * (WHOLES["node_weight"] // levels["node_weight"]),
        "skin_index": s["skin_sets"][s["skin_set"][:, 0]],
        "skin_weight": np.concatenate([skin, 255 - skin.sum(1, keepdims=True)], 1),
    }
    shapes = array_shapes(header)
    arrays = {
        "gaussians": pack_records(fields),
        **{name: s[name].astype(np.uint32).view(np.float32) for name in ("joint_rest", "inverse_bind")},
        "joint_parent": s["joint_parent"].astype(np.int32),
        **{f"{name}_index": s[f"{name}_index"].astype(np.uint32) for name in ATTRIBUTES},
        "node_part": s["node_part"].astype(np.uint16),
        **dict(zip(("mlp_weights", "mlp_biases"), _networks(header, s))),
    }
    for name in (*(f"{n}_basis" for n in ATTRIBUTES), "node_basis"):
        rows, width, _ = shapes[name]
        halves = _halves(name, s[name], steps[name]).astype(np.uint16).view(np.float16)
        arrays[name] = np.ascontiguousarray(halves.reshape(rows, k, width).transpose(0, 2, 1))
    return {name: arrays[name].reshape(shape) for name, shape in shapes.items()}


def _halves(name: str, values: np.ndarray, step: float) -> np.ndarray:
    """Bits of `value * step` in half precision."""
    reach = int(max(values.max(initial=0), -values.min(initial=0)))
    if reach > MAX_REACH or reach * step >= 65504:
        raise BundleError(f"section '{name}' holds numbers beyond half precision; export the file again")
    return half_bits(values * np.float64(step))


def _rotation_bits(values: np.ndarray, step: float) -> np.ndarray:
    """[N, 4] halves of the unit quaternions."""
    largest, others = values[:, 0], values[:, 1:]
    rest = 1 - (others**2).sum(1) * (step * step)
    if not (rest >= 0).all():  # nor NaN, of steps whose square is infinite
        raise BundleError("section 'rotation' holds quaternions longer than 1; export the file again")
    out = np.empty(values.shape, np.uint32)
    np.put_along_axis(out, largest[:, None], half_bits(np.sqrt(rest))[:, None], 1)
    np.put_along_axis(out, (largest[:, None] + np.arange(1, 4)) % 4, _halves("rotation", others, step), 1)
    return out


def _networks(header: dict[str, Any], s: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights, rows padded to an even length, and biases; half precision, flat."""
    scales = s["mlp_scales"][:, 0].astype(np.uint16).view(np.float16).astype(np.float64)
    biases = s["mlp_biases"][:, 0].astype(np.uint16).view(np.float16)
    if not (np.isfinite(scales).all() and np.isfinite(biases).all()):
        raise BundleError("the networks hold numbers that are not finite; export the file again")
    flat, row = [], 0
    for i, (fan, out) in enumerate(layers(header)):
        rows = header["num_parts"] * out
        weights = s[f"mlp_weights_{i}"] * scales[row : row + rows, None]
        if np.abs(weights).max(initial=0) >= 65504:
            raise BundleError(f"section 'mlp_weights_{i}' holds numbers beyond half precision; export the file again")
        padded = np.zeros((rows, even(fan)), np.uint16)
        padded[:, :fan] = half_bits(weights)
        flat.append(padded.ravel().view(np.float16))
        row += rows
    return np.concatenate(flat), biases


def _check_streams(header: dict[str, Any], s: dict[str, np.ndarray]) -> None:
    """Indices lie inside what they point at, weights are shares of a whole."""
    n, m, parts, levels = (header[k] for k in ("num_gaussians", "num_nodes", "num_parts", "shares"))
    ends = {"position": GRID + 1, "skin_sets": NUM_JOINTS, "skin_set": header["num_skin_sets"]}
    ends |= {"part": parts, "node_part": parts, "node_index": m, "opacity": levels["opacity"] + 1}
    ends |= {f"{name}_index": n for name in ATTRIBUTES} | {"mlp_scales": 1 << 16, "mlp_biases": 1 << 16}
    for name, end in ends.items():
        found = s[name].max(initial=0)
        if s[name].size and found >= end:
            raise BundleError(f"section '{name}' holds {found}, expected 0..{end - 1}; export the file again")
    rotation = s["rotation"][:, 0]
    if ((rotation < 0) | (rotation > 3)).any():
        raise BundleError("section 'rotation' names a fifth number of a quaternion; export the file again")
    for name in ("node_weight", "skin_weight"):
        if (s[name].sum(1) > levels[name]).any():
            raise BundleError(f"section '{name}' holds weights that sum to more than one; export the file again")
    for name in ATTRIBUTES:
        if (np.diff(s[f"{name}_index"][:, 0]) <= 0).any():
            raise BundleError(f"section '{name}_index' is not ascending; export the file again")
    for name in ("joint_rest", "inverse_bind"):
        _check_rig(s[name].astype(np.uint32).view(np.float32), s["joint_parent"][:, 0])


def _check_rig(numbers: np.ndarray, parent: np.ndarray) -> None:
    """Finite numbers, and parents that come before their children."""
    if not np.isfinite(numbers).all():
        raise BundleError("the skeleton has numbers that are not finite; export the file again")
    if (parent < -1).any() or (parent >= np.arange(len(parent))).any():
        raise BundleError("a joint's parent does not come before it; export the file again")
