"""Light and colour of the synthetic person: procedural albedo, ambient occlusion, one shadow-casting key light."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from nerfstudio_mobavatar.demo.clothed import (
    EYE,
    HAIR,
    SHIRT,
    SHOE,
    SKIN,
    SKIRT,
    SKIRT_HEM_M,
    TROUSERS,
    ClothedHuman,
    hairline,
)
from nerfstudio_mobavatar.demo.mesh import average_over_faces
from nerfstudio_mobavatar.demo.mesh_raster import orthographic_depth, views_at_once

Lighting = Literal["dome", "key"]
KEY_DIRECTION = (0.447, 0.745, 0.497)
"""Towards the key light, world axes (y up)."""


@dataclass(frozen=True)
class ShadowMaps:
    """Depth along `d` light directions."""

    R_light_world: Float[Tensor, "d 3 3"]
    center: Float[Tensor, " 3"]
    scale: Float[Tensor, " d"]
    """Metres to map units (-1..1)."""
    depth: Float[Tensor, "d r r"]


@dataclass(frozen=True)
class FrameLight:
    """What all cameras of one frame share."""

    lighting: Lighting
    openness: Float[Tensor, " v"]
    """Cosine-weighted part of the sky that each point sees, 0..1."""
    key: ShadowMaps | None
    """Of the one key light."""


def light_frame(
    points: Float[Tensor, "v 3"], normals: Float[Tensor, "v 3"], human: ClothedHuman, lighting: Lighting, quality: int
) -> FrameLight:
    """Ambient occlusion from `8 * quality` sky directions, and the key light's shadow map where there is one."""
    total = torch.zeros_like(points[:, 0])
    seen = torch.zeros_like(total)
    at_once = views_at_once(points.device, len(human.faces))
    for directions in sky_directions(8 * quality, points).split(at_once):
        shadows = shadow_maps(points, human.faces, directions, 96 + 32 * quality)
        weight = (directions @ normals.T).clamp_min(0)
        seen += (weight * lookup(shadows, points + 0.006 * normals, bias=0.02, taps=0)).sum(0)
        total += weight.sum(0)
    openness = average_over_faces(seen / total.clamp_min(1e-6), human.faces, human.face_table)
    key = None
    if lighting == "key":
        key = shadow_maps(points, human.faces, points.new_tensor([KEY_DIRECTION]), 256 * (quality + 1))
    return FrameLight(lighting, openness, key)


def sky_directions(count: int, like: Tensor) -> Float[Tensor, "n 3"]:
    """Evenly spread unit directions over the sky and a little below the horizon (golden-angle spiral)."""
    i = torch.arange(count, dtype=torch.float64) + 0.5
    y = 1 - 1.15 * i / count
    turn = math.pi * (1 + math.sqrt(5)) * i
    r = (1 - y * y).clamp_min(0).sqrt()
    return torch.stack([turn.cos() * r, y, turn.sin() * r], 1).to(like)


def shadow_maps(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], directions: Float[Tensor, "d 3"], resolution: int
) -> ShadowMaps:
    """Depth seen from far lights in `directions`."""
    forward = -normalize(directions, dim=1)
    upright = directions[:, 1:2].abs() < 0.9
    helper = torch.where(upright, points.new_tensor([0.01, 1.0, 0.02]), points.new_tensor([1.0, 0.01, 0.02]))
    right = normalize(torch.linalg.cross(forward, helper), dim=1)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    center = 0.5 * (points.amin(0) + points.amax(0))
    local = (points - center) @ R.mT
    scale = 0.98 / local.abs().amax((1, 2))
    return ShadowMaps(R, center, scale, orthographic_depth(local * scale[:, None, None], faces, resolution))


def lookup(shadows: ShadowMaps, points: Float[Tensor, "n 3"], bias: float, taps: int) -> Float[Tensor, "d n"]:
    """Lit part (0..1) of points per light, averaged over (2 taps + 1)^2 map pixels; `bias` in metres."""
    scale = shadows.scale[:, None]
    local = (points - shadows.center) @ shadows.R_light_world.mT * scale[..., None]
    size = shadows.depth.shape[1]
    light = torch.arange(len(scale), device=points.device)[:, None]
    x, y = ((local[..., :2] + 1) * (0.5 * size)).unbind(2)
    limit = local[..., 2] - bias * scale
    lit = torch.zeros_like(limit)
    for dy in range(-taps, taps + 1):
        for dx in range(-taps, taps + 1):
            row = (y + 1.5 * dy).long().clamp(0, size - 1)
            column = (x + 1.5 * dx).long().clamp(0, size - 1)
            lit += (limit < shadows.depth[light, row, column]).to(limit.dtype)
    return lit / (2 * taps + 1) ** 2


def shade(
    light: FrameLight,
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    openness: Float[Tensor, " n"],
    albedo: Float[Tensor, "n 3"],
    material: Int[Tensor, " n"],
    eye: Float[Tensor, "n 3"],
) -> Float[Tensor, "n 3"]:
    """Display colour (gamma 2.2 applied, 0..1) of surface points, each seen from its `eye`.

    `dome`: white light from all sides, a shade brighter from above, as in a capture dome. `key`: half the sky, a fill
    from the left and a warm shadow-casting lamp with highlights.
    """
    up = normals[:, 1:2]
    if light.key is None:
        sky = points.new_tensor([0.95, 0.97, 1.0]) * (0.90 + 0.10 * up)
        return (albedo * sky * openness[:, None]).clamp(0, 1) ** (1 / 2.2)
    key = points.new_tensor(KEY_DIRECTION)
    lit = lookup(light.key, points + 0.004 * normals, bias=0.012, taps=1)[0, :, None]
    fill = (normals @ normalize(points.new_tensor([-0.7, 0.2, 0.5]), dim=0)).clamp_min(0)[:, None]
    ambient = points.new_tensor([0.50, 0.54, 0.60]) * (0.65 + 0.35 * up) + fill * points.new_tensor([0.16, 0.17, 0.20])
    direct = (normals @ key).clamp_min(0)[:, None] * lit * points.new_tensor([0.95, 0.90, 0.82])
    half = normalize(normalize(eye - points, dim=1) + key, dim=1)
    cloth = ((material == SHIRT) | (material == TROUSERS) | (material == SKIRT))[:, None]
    gloss = torch.where(cloth, 0.02, 0.10) * ((half * normals).sum(1, keepdim=True).clamp_min(0) ** 24) * lit
    return (albedo * (ambient * openness[:, None] + direct) + gloss).clamp(0, 1) ** (1 / 2.2)


def refine_material(material: Int[Tensor, " n"], rest: Float[Tensor, "n 3"], human: ClothedHuman) -> Int[Tensor, " n"]:
    """Draw the hairline per pixel instead of per triangle."""
    head = human.joints[15]
    scalp = (hairline(rest, head) > 0) & (rest[:, 1] > head[1] - 0.03) & (rest[:, 0].abs() < 0.12)
    return torch.where((material == HAIR) | (material == SKIN), torch.where(scalp, HAIR, SKIN), material)


def albedo(
    rest: Float[Tensor, "n 3"], material: Int[Tensor, " n"], mottle: Float[Tensor, " n"], human: ClothedHuman
) -> Float[Tensor, "n 3"]:
    """Linear reflectance from solid textures in rest-pose space, so that patterns stick to the cloth; `mottle` is
    smooth noise in 0..1."""
    color = torch.zeros_like(rest)
    paint = {SKIN: _skin, SHIRT: _shirt, TROUSERS: _trousers, SHOE: _shoe, HAIR: _hair, EYE: _eye, SKIRT: _skirt}
    for kind, function in paint.items():
        here = material == kind
        color[here] = function(rest[here], mottle[here], human)
    return color


def _skin(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    color = x.new_tensor([0.78, 0.56, 0.45]) * (0.92 + 0.12 * mottle + 0.06 * value_noise(x, 160.0))[:, None]
    jaw, left_eye = human.joints[22], human.joints[23]
    front = x[:, 2] > left_eye[2] - 0.02
    lips = (((x - jaw - x.new_tensor([0, -0.039, 0.10])) / x.new_tensor([0.026, 0.0095, 0.05])) ** 2).sum(1) < 1
    color = torch.where(lips[:, None], color * x.new_tensor([0.86, 0.62, 0.66]), color)
    from_eye = x[:, 0].abs() - left_eye[0]
    arch = left_eye[1] + 0.021 - 6.0 * (from_eye - 0.004) ** 2
    brow = ((x[:, 1] - arch).abs() < 0.0032) & (from_eye.abs() < 0.021) & front
    return torch.where(brow[:, None], x.new_tensor([0.16, 0.10, 0.07]), color)


def _shirt(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    stripe = (torch.sin(x[:, 1] * 2 * math.pi / 0.05) > 0.25)[:, None]
    line = (torch.sin(x[:, 0] * 2 * math.pi / 0.06) > 0.72)[:, None]
    color = torch.where(stripe, x.new_tensor([0.82, 0.80, 0.74]), x.new_tensor([0.16, 0.30, 0.52]))
    color = (
        torch.where(line, color * x.new_tensor([0.75, 0.30, 0.26]), color)
        * (0.85 + 0.2 * value_noise(x, 160.0))[:, None]
    )
    chest = x[:, :2] - human.joints[9, :2] - x.new_tensor([0, 0.07])
    badge = (chest.norm(dim=1) < 0.06) & (x[:, 2] > human.joints[9, 2])
    checker = torch.sin(120 * x[:, 0]) * torch.sin(120 * x[:, 1]) > 0
    pattern = torch.where(checker[:, None], x.new_tensor([0.90, 0.75, 0.15]), x.new_tensor([0.10, 0.10, 0.10]))
    return torch.where(badge[:, None], pattern, color)


def _trousers(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    weave = 0.7 + 0.35 * value_noise(x, 160.0) + 0.25 * mottle
    color = x.new_tensor([0.17, 0.19, 0.25]) * weave[:, None]
    hip, knee, ankle = human.joints[1], human.joints[4], human.joints[7]
    upper = ((x[:, 1] - knee[1]) / (hip[1] - knee[1])).clamp(0, 1)
    lower = ((x[:, 1] - ankle[1]) / (knee[1] - ankle[1])).clamp(0, 1)
    axis = ankle + (knee - ankle) * lower[:, None] + (hip - knee) * upper[:, None]
    seam = ((x[:, 2] - axis[:, 2]).abs() < 0.0035) & (x[:, 0].abs() > axis[:, 0])
    return torch.where(seam[:, None], x.new_tensor([0.55, 0.42, 0.20]), color)


def _skirt(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    around = torch.atan2(x[:, 0], x[:, 2] - 0.05)
    dots = torch.sin(14 * around) * torch.sin((x[:, 1] - human.landmarks.knee) * 2 * math.pi / 0.09) > 0.55
    color = torch.where(dots[:, None], x.new_tensor([0.85, 0.74, 0.42]), x.new_tensor([0.42, 0.10, 0.16]))
    border = (x[:, 1] < human.landmarks.knee - SKIRT_HEM_M + 0.025)[:, None]
    color = torch.where(border, x.new_tensor([0.12, 0.22, 0.20]), color)
    return color * (0.78 + 0.25 * value_noise(x, 160.0) + 0.1 * mottle)[:, None]


def _shoe(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    leather = x.new_tensor([0.13, 0.11, 0.10]) * (0.8 + 0.4 * mottle)[:, None]
    sole = (x[:, 1] < human.landmarks.ankle - 0.065)[:, None]
    return torch.where(sole, x.new_tensor([0.72, 0.70, 0.66]), leather)


def _hair(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    strands = value_noise(x * x.new_tensor([1.0, 0.25, 1.0]), 220.0)
    return x.new_tensor([0.13, 0.085, 0.06]) * (0.6 + 0.9 * strands)[:, None]


def _eye(x: Tensor, mottle: Tensor, human: ClothedHuman) -> Float[Tensor, "n 3"]:
    left, right = human.joints[23], human.joints[24]
    r = torch.minimum((x[:, :2] - left[:2]).norm(dim=1), (x[:, :2] - right[:2]).norm(dim=1))[:, None]
    iris = torch.where(r < 0.0025, x.new_tensor([0.02, 0.02, 0.02]), x.new_tensor([0.25, 0.38, 0.30]))
    front = (x[:, 2] > left[2])[:, None]
    return torch.where(front & (r < 0.006), iris, x.new_tensor([0.92, 0.90, 0.88]))


def value_noise(p: Float[Tensor, "n 3"], frequency: float) -> Float[Tensor, " n"]:
    """Smooth value noise, 0..1, `frequency` cells per metre."""
    q = p * frequency
    cell = q.floor()
    f = q - cell
    f = f * f * (3 - 2 * f)
    total = torch.zeros_like(p[:, 0])
    for corner in range(8):
        step = p.new_tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        weight = torch.where(step > 0, f, 1 - f).prod(1)
        total = total + weight * _hash(cell + step)
    return total


def _hash(cell: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """A number in 0..1 per integer cell; integers, so that CPU and GPU agree."""
    x, y, z = cell.long().unbind(1)
    n = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    n = (n ^ (n >> 13)) * 1274126177 & 0x7FFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF).to(cell.dtype) / 65535
