"""Local linear blendshapes for rotation, scale and colour, dense or kept-only (method step 3, paper section 3.3)."""

from jaxtyping import Float, Int
from torch import Tensor

ATTRIBUTES = ("rotation", "scale", "color")
"""Order of everything that exists once per pruned attribute."""
WIDTH = {"rotation": 4, "scale": 3, "color": 3}
"""Numbers per Gaussian: quaternion wxyz, log scale, rgb."""


def correctives(basis: Float[Tensor, "kept a k"], e: Float[Tensor, "kept k"]) -> Float[Tensor, "kept a"]:
    """`delta[n] = B[n] @ e[n]` for the Gaussians that keep a corrective; `e` holds the features of each one's part."""
    return (basis * e[:, None]).sum(-1)


def add_correctives(
    neutral: Float[Tensor, "n a"], delta: Float[Tensor, "kept a"], index: Int[Tensor, " kept"]
) -> Float[Tensor, "n a"]:
    """Neutral attributes plus the correctives of the kept Gaussians; `index` is ascending and without repeats."""
    if len(index) == len(neutral):
        return neutral + delta
    return neutral.index_add(0, index, delta)
