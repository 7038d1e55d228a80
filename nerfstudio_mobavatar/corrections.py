"""What a run has corrected of its capture, kept in the checkpoint. A run without refinement has no such module."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .capture import BodyFit
from .silhouette_fit import Corrections, corrected


class FitCorrections(nn.Module):
    """Camera corrections in force, and beside them what was added to the fit, so that it can be taken off again.

    `original fit = fit - correction`; the refined fit itself is what the model holds.
    """

    def __init__(self, fit: BodyFit, num_cameras: int) -> None:
        super().__init__()
        zeros = Corrections.zeros(len(fit.pose), len(fit.betas), num_cameras, "cpu")
        self.register_buffer("done", torch.tensor(False))
        """Whether refinement has run: a resumed run must not do it twice."""
        for name, value in vars(zeros).items():
            self.register_buffer(name, value)

    def is_done(self) -> bool:
        return bool(self.get_buffer("done"))

    @torch.no_grad()
    def store(self, change: Corrections) -> None:
        """Keep the corrections; from now on they are in force."""
        for name, value in vars(change).items():
            self.get_buffer(name).copy_(value)
        self.get_buffer("done").fill_(True)

    def cameras(self, T_cam_world: Float[Tensor, "b 4 4"], camera: Int[Tensor, " b"]) -> Float[Tensor, "b 4 4"]:
        """World-to-camera transforms after the corrections of the capture's cameras of these numbers."""
        return corrected(T_cam_world, self.get_buffer("camera")[camera])
