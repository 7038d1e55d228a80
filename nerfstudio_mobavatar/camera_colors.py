"""How each training camera sees colours: a gain and an offset per channel, estimated while the avatar learns.

Cameras of a rig rarely agree on exposure and white balance, and an avatar has one colour per Gaussian. So a training
camera's picture is compared with `gain * rendered + offset` on the person; the background stays. There is a closed form
(ours): per camera and channel the ridge regression of the picture's colours on the rendered ones, over the running sums
of what the camera has shown lately, pulled to gain 1 and offset 0. Over the training cameras the mean gain is 1 and the
mean offset 0, always: what the avatar itself looks like, in an export or from a viewer's camera, is their mean, and
cannot drift. Held-out cameras are not corrected.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

COVERED = 0.95
"""Opacity and mask from which a pixel counts: its colour is the person's alone."""
OUTLIER = 0.25
"""Pixels further off than this, after the correction so far, say nothing about the camera (0..1)."""
MEMORY = 0.98
"""Share of the sums that a new picture leaves: about 50 pictures count."""
RIDGE = 0.001
"""Weight of `(gain - 1)^2 + offset^2` against the mean squared colour difference."""


def seen(
    rgb: Float[Tensor, "b h w 3"],
    alpha: Float[Tensor, "b h w 1"],
    background: Float[Tensor, " 3"],
    gain: Float[Tensor, "b 3"],
    offset: Float[Tensor, "b 3"],
) -> Float[Tensor, "b h w 3"]:
    """What cameras with these corrections see of pictures that were drawn over `background`, which stays."""
    behind = (1 - alpha) * background
    return (rgb - behind) * gain[:, None, None] + alpha * offset[:, None, None] + behind


class CameraColors(nn.Module):
    """Running sums and the corrections that follow from them, in the checkpoint. Cameras without pictures: identity."""

    def __init__(self, num_cameras: int) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(num_cameras, 3, 5))
        """Per camera and channel: weight, rendered, picture, rendered squared, rendered times picture."""

    def corrections(self) -> tuple[Float[Tensor, "c 3"], Float[Tensor, "c 3"]]:
        """Gain and offset of every camera."""
        n, r, t, rr, rt = self.get_buffer("sums").double().unbind(-1)
        seen = n > 0
        mean_r, mean_t, mean_rr, mean_rt = (x / n.clamp_min(1e-12) for x in (r, t, rr, rt))
        # [rr + ridge, r; r, 1 + ridge] [gain; offset] = [rt + ridge; t]
        a, d = mean_rr + RIDGE, 1 + RIDGE
        determinant = a * d - mean_r**2
        gain = ((mean_rt + RIDGE) * d - mean_r * mean_t) / determinant
        offset = (a * mean_t - mean_r * (mean_rt + RIDGE)) / determinant
        count = seen.sum(0).clamp_min(1)
        gain = torch.where(seen, gain - (gain * seen).sum(0) / count + 1, torch.ones_like(gain))
        offset = torch.where(seen, offset - (offset * seen).sum(0) / count, torch.zeros_like(offset))
        return gain.float(), offset.float()

    def apply(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        rgb: Float[Tensor, "b h w 3"],
        alpha: Float[Tensor, "b h w 1"],
        background: Float[Tensor, " 3"],
        camera: Int[Tensor, " b"],
    ) -> Float[Tensor, "b h w 3"]:
        """What these cameras see of a picture that was drawn over `background`."""
        gain, offset = (x[camera] for x in self.corrections())
        return seen(rgb, alpha, background, gain, offset)

    @torch.no_grad()
    def update(
        self,
        rgb: Float[Tensor, "b h w 3"],
        alpha: Float[Tensor, "b h w 1"],
        image: Float[Tensor, "b h w 3"],
        mask: Float[Tensor, "b h w 1"],
        camera: Int[Tensor, " b"],
    ) -> None:
        """Take in pictures and what was drawn for them, before the correction."""
        gain, offset = self.corrections()
        for i, c in enumerate(camera.tolist()):
            person = ((alpha[i] > COVERED) & (mask[i] > COVERED))[..., 0]
            drawn, shown = rgb[i][person], image[i][person]
            near = ((drawn * gain[c] + offset[c] - shown).abs() < OUTLIER).to(drawn)
            terms = torch.stack([near, near * drawn, near * shown, near * drawn**2, near * drawn * shown], -1)
            self.get_buffer("sums")[c].mul_(MEMORY).add_(terms.sum(0) / max(len(drawn), 1))

    def report(self, names: list[str]) -> str:
        """One sentence for the log."""
        gain, offset = (x.tolist() for x in self.corrections())
        seen = (self.get_buffer("sums")[..., 0] > 0).all(1).tolist()
        parts = [
            f"{name} x{'/'.join(f'{g:.3f}' for g in gain[c])} {'/'.join(f'{o:+.3f}' for o in offset[c])}"
            for c, name in enumerate(names)
            if seen[c]
        ]
        return f"Colours of the training cameras (gain and offset, red/green/blue): {'; '.join(parts) or 'none seen'}"
