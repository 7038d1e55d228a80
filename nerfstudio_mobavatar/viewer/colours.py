"""What else the viewer can show of the Gaussians: their colours replaced by parts, nodes, correctives, distances.

Every function gives `[n, 3]` colours in 0..1 for the avatar's `n` Gaussians; drawing them is the model's business.
"""

import colorsys

import torch
from jaxtyping import Float
from torch import Tensor

from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.trained_poses import REGIONS

GOLDEN = 0.618034
"""Steps of the hue between neighbouring numbers: never twice alike."""
_RAMP = torch.tensor(
    [[0.05, 0.03, 0.30], [0.35, 0.07, 0.55], [0.75, 0.20, 0.45], [0.97, 0.55, 0.25], [0.99, 0.95, 0.60]]
)
FAR_RAD = 0.6
LAST_BODY_JOINT = 21


def parts(avatar: Avatar) -> Float[Tensor, "n 3"]:
    """One hue per local part."""
    part = avatar.get_buffer("part")
    hues = [colorsys.hsv_to_rgb(i * GOLDEN % 1, 0.65, 0.95) for i in range(int(part.max()) + 1)]
    return torch.tensor(hues, device=part.device)[part]


def nodes(avatar: Avatar) -> Float[Tensor, "n 3"]:
    """One hue per nearest control node: the patches that move together."""
    index, weight = avatar.get_buffer("node_index"), avatar.get_buffer("node_weight")
    nearest = index.gather(1, weight.argmax(1, keepdim=True))[:, 0]
    return _hues(nearest)


def kept(avatar: Avatar) -> Float[Tensor, "n 3"]:
    """Red, green, blue where a Gaussian keeps a corrective of rotation, scale, colour; dark where it keeps none."""
    out = torch.full((avatar.config.num_gaussians, 3), 0.12, device=avatar.color.device)
    for channel, name in enumerate(ATTRIBUTES):
        out[avatar.index(name), channel] = 1.0
    return out


def corrective_size(avatar: Avatar, correctives: dict[str, Tensor]) -> Float[Tensor, "n 3"]:
    """How much the pose changes rotation, scale and colour of each Gaussian: the length of all its correctives, each
    relative to the 99th percentile of its attribute. `correctives` as `AvatarOutput` has them; none is dark."""
    size = torch.zeros(avatar.config.num_gaussians, device=avatar.color.device)
    for name, delta in correctives.items():
        length = delta.norm(dim=1)
        top = torch.quantile(length[:: max(1, len(length) // 100_000)], 0.99) if len(length) else length.sum()
        size[avatar.index(name)] += (length / top.clamp_min(1e-9)).clamp(max=1) / len(ATTRIBUTES)
    return ramp(size)


def node_motion(avatar: Avatar, displacement: Float[Tensor, "m 3"], full_m: float = 0.03) -> Float[Tensor, "n 3"]:
    """How far the nodes move each Gaussian on the template; brightest at `full_m` metres."""
    index, weight = avatar.get_buffer("node_index"), avatar.get_buffer("node_weight")
    moved = (displacement[index] * weight[..., None]).sum(1)
    return ramp(moved.norm(dim=1) / full_m)


def pose_distance(avatar: Avatar, distance: dict[str, float]) -> Float[Tensor, "n 3"]:
    """How far each region of the body is from every training pose: `distance` by names of `trained_poses.REGIONS` in
    radians, 0 inside; brightest from `FAR_RAD` on. A Gaussian belongs to the joint that moves it most; hands and face
    to the arm and the head."""
    region = torch.zeros(len(avatar.parents))
    for name, joints in REGIONS.items():
        region[list(joints)] = distance.get(name, 0.0)
    for j, up in enumerate(avatar.parents):
        if j > LAST_BODY_JOINT:
            region[j] = region[up]
    index, weight = avatar.get_buffer("skin_index"), avatar.get_buffer("skin_weight")
    strongest = index.gather(1, weight.argmax(1, keepdim=True))[:, 0]
    return ramp(region.to(weight)[strongest] / FAR_RAD)


def ramp(value: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Dark blue (0) over red to pale yellow (1)."""
    table = _RAMP.to(value.device)
    place = value.clamp(0, 1) * (len(table) - 1)
    low = place.long().clamp(max=len(table) - 2)
    share = (place - low)[:, None]
    return table[low] * (1 - share) + table[low + 1] * share


def _hues(number: Tensor) -> Float[Tensor, "n 3"]:
    hue = (number.float() * GOLDEN) % 1
    # a triangle wave per channel, a third of a turn apart
    offsets = torch.tensor([0.0, 1 / 3, 2 / 3], device=number.device)
    return 0.25 + 0.7 * (2 * ((hue[:, None] + offsets) % 1) - 1).abs()
