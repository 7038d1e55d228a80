"""Control nodes: sparse carriers of position correctives (method step 4, after mmlphuman, arXiv 2504.12909)."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from .sampling import nearest

NODES_PER_GAUSSIAN = 3
SMOOTHNESS_NEIGHBOURS = 7
MIN_DISTANCE = 1e-4
"""Metres; nodes are Gaussians themselves, so the distance to the own node is zero."""


def interpolation_weights(
    points: Float[ndarray, "n 3"], nodes: Float[ndarray, "m 3"]
) -> tuple[Int[ndarray, "n 3"], Float[ndarray, "n 3"]]:
    """The three nearest nodes of every point in canonical space and inverse-distance weights that sum to one."""
    distance, index = nearest(points, nodes, NODES_PER_GAUSSIAN)
    share = 1 / np.maximum(distance, MIN_DISTANCE)
    return index, share / share.sum(1, keepdims=True)


def node_neighbours(nodes: Float[ndarray, "m 3"]) -> Int[ndarray, "m 7"]:
    """The seven nearest other nodes, over which displacements are kept smooth."""
    return nearest(nodes, nodes, SMOOTHNESS_NEIGHBOURS + 1)[1][:, 1:]


def node_displacements(
    offset: Float[Tensor, "m 3"], basis: Float[Tensor, "m 3 k"] | None, e: Float[Tensor, "m k"] | None
) -> Float[Tensor, "m 3"]:
    """`dx[m] = offset[m] + Bx[m] @ e[part(m)][K:]`, metres; without a basis only the constant offset."""
    if basis is None or e is None:
        return offset
    return offset + (basis * e[:, None]).sum(-1)


def interpolate_nodes(
    dx: Float[Tensor, "m 3"], index: Int[Tensor, "n 3"], weight: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Displacement of every Gaussian: the weighted mean of its three nodes."""
    nodes = dx.index_select(0, index.flatten()).unflatten(0, index.shape)
    return (weight[..., None] * nodes).sum(1)
