"""A whole avatar in plain arrays: what a training run becomes, what every file is made from and read into."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nerfstudio_mobavatar.trained_poses import TrainedRegion

from .detail import Level


class BundleError(ValueError):
    """An avatar file that cannot be read; the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class AvatarArrays:
    """A whole avatar in plain arrays, before quantisation. N Gaussians, P parts, K basis size, M nodes, J = 55."""

    position: np.ndarray
    """[N, 3] canonical position in metres, constant node offsets and free offsets folded in."""
    rotation: np.ndarray
    """[N, 4] quaternion wxyz, any length."""
    log_scale: np.ndarray
    """[N, 3] natural logarithm of the standard deviations in metres."""
    color: np.ndarray
    """[N, 3]; linear rgb is max(color + 0.5 + corrective, 0)."""
    opacity: np.ndarray
    """[N] in 0..1, activated."""
    part: np.ndarray
    """[N] integer part."""
    node_index: np.ndarray
    """[N, 3] the three control nodes a Gaussian follows."""
    node_weight: np.ndarray
    """[N, 3] their weights, sum 1."""
    skin_index: np.ndarray
    """[N, 4] joints."""
    skin_weight: np.ndarray
    """[N, 4] weights, sum 1."""
    rotation_index: np.ndarray
    scale_index: np.ndarray
    color_index: np.ndarray
    rotation_basis: np.ndarray
    """[n, 4, K]"""
    scale_basis: np.ndarray
    """[n, 3, K]"""
    color_basis: np.ndarray
    """[n, 3, K]"""
    node_part: np.ndarray
    """[M]"""
    node_basis: np.ndarray
    """[M, 3, K] metres."""
    mlp_weights: tuple[np.ndarray, ...]
    """Per layer [P, out, in]."""
    mlp_biases: tuple[np.ndarray, ...]
    """Per layer [P, out]."""
    num_head_parts: int
    """Parts 0..num_head_parts-1 see the expression, all others get zeros there."""
    num_pose_inputs: int
    """Leading MLP inputs that are pose numbers (63: axis-angle of joints 1..21); the rest is expression."""
    joint_rest: np.ndarray
    """[55, 3] metres."""
    inverse_bind: np.ndarray
    """[55, 3, 4]"""
    joint_parent: np.ndarray
    """[55]"""
    input_range: np.ndarray | None = None
    """[2, inputs] smallest and largest network inputs in training, to which hosts clamp; None: nothing is clamped."""
    trained_regions: tuple[TrainedRegion, ...] = ()
    """What training saw of each region of the body; hosts soften inputs that are unlike it."""
    levels: tuple[Level, ...] = ()
    """Prefixes to draw in place of all Gaussians, coarsest first."""
    pixels_per_metre: float | None = None
    """Of the training pictures; coarser pictures are drawn so that they look like those, averaged down."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Free JSON: up axis, fps, body name, licence note, training range."""

    @property
    def layer_sizes(self) -> list[int]:
        """Widths from the input (73) to the output (2 K)."""
        return [int(self.mlp_weights[0].shape[2])] + [int(w.shape[1]) for w in self.mlp_weights]

    @property
    def basis_size(self) -> int:
        return int(self.node_basis.shape[2])


SHAPES: dict[str, tuple[str | int, ...]] = {
    "position": ("n", 3),
    "rotation": ("n", 4),
    "log_scale": ("n", 3),
    "color": ("n", 3),
    "opacity": ("n",),
    "part": ("n",),
    "node_index": ("n", 3),
    "node_weight": ("n", 3),
    "skin_index": ("n", 4),
    "skin_weight": ("n", 4),
    "rotation_index": ("rotation",),
    "scale_index": ("scale",),
    "color_index": ("color",),
    "rotation_basis": ("rotation", 4, "k"),
    "scale_basis": ("scale", 3, "k"),
    "color_basis": ("color", 3, "k"),
    "node_part": ("m",),
    "node_basis": ("m", 3, "k"),
    "joint_rest": (55, 3),
    "inverse_bind": (55, 3, 4),
    "joint_parent": (55,),
}
"""Every array of an avatar but those of the networks: `n` Gaussians, `m` nodes, `k` basis size, and of each attribute
as many as keep a corrective. The one list of them: other places only say what they call one, or how they make it."""
POINTS_AT: dict[str, str | int] = {
    "part": "parts",
    "node_part": "parts",
    "node_index": "m",
    "skin_index": 55,
    "rotation_index": "n",
    "scale_index": "n",
    "color_index": "n",
}
"""Those that hold indices, and of how many things; all others hold real numbers, `joint_parent` apart."""


def sizes(a: AvatarArrays) -> dict[str, int]:
    """What the letters of `SHAPES` and `POINTS_AT` stand for."""
    kept = {name: len(getattr(a, f"{name}_index")) for name in ("rotation", "scale", "color")}
    return kept | {"n": len(a.position), "m": len(a.node_part), "k": a.basis_size, "parts": len(a.mlp_weights[0])}
