"""Gaussians in the world, ready to be drawn."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PosedGaussians:
    """What the avatar gives for one pose and the rasteriser takes: `n` Gaussians in world space."""

    means: Float[Tensor, "n 3"]
    """Metres."""
    covariances: Float[Tensor, "n 3 3"]
    """Square metres; not a rotated diagonal in general, since linear blend skinning shears."""
    colors: Float[Tensor, "n 3"]
    """Linear rgb, >= 0, not view dependent (band 0 only, paper section 3)."""
    opacities: Float[Tensor, " n"]
    """0..1, pose independent."""
