"""A synthetic capture that never touches a disk: every picture cut to the person, kept where it was drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from nerfstudio_mobavatar.demo.capture import Recipe
from nerfstudio_mobavatar.losses import Box


@dataclass(frozen=True)
class CutPicture:
    """What lies inside the person's box of one picture."""

    box: Box
    rgba: UInt8[Tensor, "h w 4"]
    """Colour, and the matte in the last channel."""


@dataclass(frozen=True, eq=False)
class InMemoryCapture:
    """`t` frames by `c` cameras of one size, with the body parameters that they were drawn from."""

    pictures: list[list[CutPicture]]
    pose: Float[Tensor, "t 55 3"]
    transl: Float[Tensor, "t 3"]
    expression: Float[Tensor, "t 10"]
    betas: Float[Tensor, " b"]
    T_cam_world: Float[Tensor, "c 4 4"]
    K: Float[Tensor, "c 3 3"]
    width: int
    height: int

    def pixels(self, frame: int, cameras: list[int]) -> tuple[UInt8[Tensor, "b h w 3"], UInt8[Tensor, "b h w 1"]]:
        """Full pictures and mattes; black, with an empty matte, outside the person's box."""
        whole = self.K.new_zeros(len(cameras), self.height, self.width, 4, dtype=torch.uint8)
        for picture, k in zip(whole, cameras):
            cut = self.pictures[frame][k]
            cut.box.cut(picture).copy_(cut.rgba)
        return whole[..., :3], whole[..., 3:]

    def box(self, frame: int, cameras: list[int]) -> Box:
        """The smallest that holds the person in all of these pictures."""
        boxes = [self.pictures[frame][k].box for k in cameras]
        return Box(
            min(b.y0 for b in boxes), max(b.y1 for b in boxes), min(b.x0 for b in boxes), max(b.x1 for b in boxes)
        )

    def num_bytes(self) -> int:
        """Of all pictures."""
        return sum(picture.rgba.numel() for row in self.pictures for picture in row)


def draw_cut(recipe: Recipe, rows: Sequence[int]) -> list[list[CutPicture]]:
    """Draw these frames for all cameras of the recipe, on its device. Its pictures are `recipe.render`'s where the
    matte is not empty."""
    scene, motion, device = recipe.scene(), recipe.motion, torch.device(recipe.device)
    pose, transl, expression = (torch.from_numpy(x).to(device) for x in (motion.pose, motion.transl, motion.expression))
    pictures = []
    for row in rows:
        rgb, alpha = scene.draw(pose[row], transl[row], expression[row], row)
        rgba = torch.cat([rgb, alpha[..., None]], 3)
        # one transfer per frame
        spans = torch.stack([*_span(alpha.amax(2) > 0), *_span(alpha.amax(1) > 0)], 1).tolist()
        pictures.append([CutPicture(Box(*s), Box(*s).cut(p).clone()) for s, p in zip(spans, rgba)])
    return pictures


def render_in_memory(recipe: Recipe, pictures: list[list[CutPicture]] | None = None) -> InMemoryCapture:
    """The recipe's capture with all frames and cameras, drawn now unless `pictures` of all frames are given."""
    motion, device = recipe.motion, torch.device(recipe.device)
    if pictures is None:
        pictures = draw_cut(recipe, range(len(motion.pose)))
    pose, transl, expression = (torch.from_numpy(x).to(device) for x in (motion.pose, motion.transl, motion.expression))
    T = torch.tensor([c.T_cam_world.tolist() for c in recipe.cameras], device=device)
    K = torch.tensor([c.K.tolist() for c in recipe.cameras], device=device)
    first = recipe.cameras[0]
    betas = torch.from_numpy(recipe.betas).to(device)
    return InMemoryCapture(pictures, pose, transl, expression, betas, T, K, first.width, first.height)


def _span(inside: Tensor) -> tuple[Tensor, Tensor]:
    """First index and one past the last where `inside` [c, n] holds; all of it where it never does."""
    n, some = inside.shape[1], inside.any(1)
    first = inside.byte().argmax(1)
    last = n - inside.flip(1).byte().argmax(1)
    return torch.where(some, first, 0), torch.where(some, last, n)
