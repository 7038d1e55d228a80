"""What an avatar file of version 2 holds, from the counts in its header; and what readers hand out (FORMAT.md)."""

import math
from typing import Any

from nerfstudio_mobavatar.integer_tables import StreamShape

from .records import RECORD_WORDS

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
MAX_INPUT = 1000000
COUNT_LIMITS: dict[str, tuple[int, int]] = {
    "num_gaussians": (1, MAX_GAUSSIANS),
    "num_parts": (1, MAX_PARTS),
    "num_head_parts": (0, MAX_PARTS),
    "num_nodes": (1, MAX_NODES),
    "basis_size": (1, MAX_BASIS),
    "num_pose_inputs": (0, MAX_BASIS),
    "payload_bytes": (0, 1 << 31),
}
"""Counts that every header has, the smallest and the largest that is believed."""
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
