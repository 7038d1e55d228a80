"""What an avatar file of version 2 holds, from the counts in its header; and what readers hand out (FORMAT.md)."""

import math
from typing import Any

from .arrays import BundleError
from .records import RECORD_WORDS
from .streams import CODINGS, MAX_PLANES, StreamShape

ARRAYS: dict[str, tuple[str, str]] = {
    "gaussians": ("uint32", "one 48-byte record per Gaussian, in Morton order"),
    "joint_rest": ("float32", "[55, 3] joint positions of the rest pose, metres"),
    "inverse_bind": ("float32", "[55, 3, 4] inverse joint transforms of the canonical pose"),
    "joint_parent": ("int32", "[55] parent of each joint, -1 for the root"),
    "rotation_index": ("uint32", "Gaussians that keep a rotation corrective, ascending"),
    "scale_index": ("uint32", "Gaussians that keep a scale corrective, ascending"),
    "color_index": ("uint32", "Gaussians that keep a colour corrective, ascending"),
    "rotation_basis": ("float16", "[kept, 4, K] added to the quaternion (wxyz) before it is normalised"),
    "scale_basis": ("float16", "[kept, 3, K] added to the log scale"),
    "color_basis": ("float16", "[kept, 3, K] added to the colour"),
    "node_part": ("uint16", "[M] part of each control node"),
    "node_basis": ("float16", "[M, 3, K] displacement of each control node, metres"),
    "mlp_weights": ("float16", "per layer [P, out, in rounded up to even], layers one after the other"),
    "mlp_biases": ("float16", "per layer [P, out], layers one after the other"),
}
"""What readers hand out, whatever the version: the arrays that go to the GPU. Version 1 stores them as they are."""

NUM_JOINTS = 55
MAX_GAUSSIANS = 1 << 22
MAX_PARTS = MAX_NODES = 1 << 16
MAX_BASIS = 1 << 10
MAX_METRES = 1000000
COUNT_LIMITS = {
    "num_gaussians": MAX_GAUSSIANS,
    "num_parts": MAX_PARTS,
    "num_head_parts": MAX_PARTS,
    "num_nodes": MAX_NODES,
    "basis_size": MAX_BASIS,
    "num_pose_inputs": MAX_BASIS,
    "payload_bytes": 1 << 31,
}
"""Counts that every header has, and the largest that is believed."""
ATTRIBUTES = {"rotation": 4, "scale": 3, "color": 3}
"""Of which correctives may be kept: how many numbers a Gaussian has of it."""
STEPS = ("rotation", "log_scale", "color", "rotation_basis", "scale_basis", "color_basis", "node_basis")
WHOLES = {"opacity": 65535, "node_weight": 65535, "skin_weight": 255}
"""Weights are stored as shares of so many levels, which must divide this number."""


def even(n: int) -> int:
    return n + n % 2


def layers(header: dict[str, Any]) -> list[tuple[int, int]]:
    """(in, out) of each layer of the part networks."""
    sizes = header["layer_sizes"]
    return list(zip(sizes[:-1], sizes[1:]))


def streams(header: dict[str, Any]) -> dict[str, StreamShape]:
    """Name and shape of every stream in the order of the file: the neutral avatar first, then what follows the pose."""
    n, m, k, parts = (header[key] for key in ("num_gaussians", "num_nodes", "basis_size", "num_parts"))
    kept = dict(zip(ATTRIBUTES, header["kept"]))
    rows = parts * sum(out for _, out in layers(header))
    return {
        "joint_rest": StreamShape(NUM_JOINTS, 3),
        "inverse_bind": StreamShape(NUM_JOINTS, 12),
        "joint_parent": StreamShape(NUM_JOINTS, 1, True),
        "position": StreamShape(n, 3),
        "rotation": StreamShape(n, 4, True),
        "log_scale": StreamShape(n, 3, True),
        "color": StreamShape(n, 3, True),
        "opacity": StreamShape(n, 1),
        "skin_sets": StreamShape(header["num_skin_sets"], 4),
        "skin_set": StreamShape(n, 1),
        "skin_weight": StreamShape(n, 3),
        "part": StreamShape(n, 1),
        "node_index": StreamShape(n, 3),
        "node_weight": StreamShape(n, 2),
        **{f"{name}_index": StreamShape(kept[name], 1) for name in ATTRIBUTES},
        **{f"{name}_basis": StreamShape(kept[name], ATTRIBUTES[name] * k, True) for name in ATTRIBUTES},
        "node_part": StreamShape(m, 1),
        "node_basis": StreamShape(m, 3 * k, True),
        "mlp_scales": StreamShape(rows, 1),
        "mlp_biases": StreamShape(rows, 1),
        **{f"mlp_weights_{i}": StreamShape(parts * out, fan, True) for i, (fan, out) in enumerate(layers(header))},
    }


def array_shapes(header: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of `ARRAYS` by the header's counts."""
    n, m, k, parts = (header[key] for key in ("num_gaussians", "num_nodes", "basis_size", "num_parts"))
    kept = dict(zip(ATTRIBUTES, header["kept"]))
    return {
        "gaussians": (n, RECORD_WORDS),
        "joint_rest": (NUM_JOINTS, 3),
        "inverse_bind": (NUM_JOINTS, 3, 4),
        "joint_parent": (NUM_JOINTS,),
        **{f"{name}_index": (kept[name],) for name in ATTRIBUTES},
        **{f"{name}_basis": (kept[name], width, k) for name, width in ATTRIBUTES.items()},
        "node_part": (m,),
        "node_basis": (m, 3, k),
        "mlp_weights": (sum(parts * out * even(fan) for fan, out in layers(header)),),
        "mlp_biases": (sum(parts * out for _, out in layers(header)),),
    }


def array_bytes(header: dict[str, Any]) -> dict[str, int]:
    """Bytes of each of `ARRAYS`."""
    items = {"float16": 2, "uint16": 2, "uint32": 4, "float32": 4, "int32": 4}
    return {name: math.prod(shape) * items[ARRAYS[name][0]] for name, shape in array_shapes(header).items()}


def _is_count(x: Any, low: int = 0, high: int = 1 << 31) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and low <= x <= high


def _is_row(x: Any, length: int) -> bool:
    """A list of so many finite numbers."""
    numbers = isinstance(x, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in x)
    return numbers and len(x) == length and all(math.isfinite(v) for v in x)


def need(ok: bool, what: str) -> None:
    """Raise `BundleError` for a header that says something else."""
    if not ok:
        raise BundleError(f"the header is damaged: {what}; copy or export the file again")


def check_counts(header: Any) -> None:
    """What any version's header must say before anything of it sizes an array."""
    need(isinstance(header, dict), "expected an object")
    for key, high in COUNT_LIMITS.items():
        need(_is_count(header.get(key), 0, high), f"{key} is {header.get(key)}, expected a count up to {high}")
    sizes = header.get("layer_sizes")
    is_sizes = isinstance(sizes, list) and 2 <= len(sizes) <= 64 and all(_is_count(s, 1, 2 * MAX_BASIS) for s in sizes)
    need(is_sizes, "layer_sizes must be two counts or more")
    for key in ("position_low", "position_high"):
        is_place = _is_row(header.get(key), 3) and all(abs(v) <= MAX_METRES for v in header[key])
        need(is_place, f"{key} must be three numbers of at most {MAX_METRES} metres")
    slope = header.get("leaky_relu_slope")
    need(_is_row([slope], 1), f"leaky_relu_slope is {slope}, expected a number")
    need(isinstance(header.get("meta"), dict), "meta must be an object")
    entries = header.get("sections")
    need(isinstance(entries, list) and all(isinstance(e, dict) for e in entries), "sections must be a list of objects")
    for entry in header["sections"]:
        need(isinstance(entry.get("name"), str), "a section has no name")
        for key in ("offset", "stored_bytes"):
            need(_is_count(entry.get(key)), f"section '{entry['name']}' has the {key} {entry.get(key)}")
    names = [entry["name"] for entry in header["sections"]]
    need(len(set(names)) == len(names), "a section comes twice")


def check_precision(header: dict[str, Any]) -> None:
    """What version 2 adds to the header."""
    kept = header.get("kept")
    n = header["num_gaussians"]
    need(isinstance(kept, list) and len(kept) == 3 and all(_is_count(c, 0, n) for c in kept), "kept must be 3 counts")
    need(_is_count(header.get("num_skin_sets"), 0, MAX_GAUSSIANS), "num_skin_sets must be a count")
    steps, levels = header.get("steps"), header.get("shares")
    for name in STEPS:
        value: Any = steps.get(name) if isinstance(steps, dict) else None
        need(_is_row([value], 1) and value > 0, f"steps.{name} is {value}, expected a number above 0")
    for name, whole in WHOLES.items():
        value: Any = levels.get(name) if isinstance(levels, dict) else None
        need(_is_count(value, 1, whole) and whole % value == 0, f"shares.{name} is {value}, no divisor of {whole}")
    known = streams(header)
    for entry in header["sections"]:
        if entry["name"] in known:
            need(
                entry.get("coding") in CODINGS and _is_count(entry.get("planes"), 1, MAX_PLANES),
                f"section '{entry['name']}' has the coding {entry.get('coding')} of {entry.get('planes')} bytes",
            )
